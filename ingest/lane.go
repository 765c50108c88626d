package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/internal/linger"
	"github.com/skopeflow/skopeflow/schema"
)

// A Lane reads one stream of one instance. Its fields are set before Run and
// not changed after.
type Lane struct {
	Vendor   string // for the log, as "netskope"
	Instance string
	Stream   string
	Owner    string // names this process in the cursor

	// Open finds out how to read the stream for a job, given the cursor as it
	// stands, and is asked again after each claim. Each job has an index of its
	// own. Its errors are those of a Source.
	Open   func(ctx context.Context, job string, c checkpoint.Cursor) (Way, error)
	Store  checkpoint.Store
	Broker Broker
	Out    chan<- *Part
	Budget *Budget

	// Mend writes down what is to be read again later.
	Mend func(ctx context.Context, lane string, r checkpoint.Repair) error
	// History returns the lane's cursors, the oldest first. It is asked when the
	// broker has lost something.
	History func(ctx context.Context, lane string) ([]checkpoint.Revision, error)

	Start      time.Time     // where a lane without a cursor begins
	Until      time.Time     // where it ends; zero is never
	Every      time.Duration // how often to look when there was nothing new
	Quarantine time.Duration // how long a request without an answer may still be alive
	Grace      time.Duration // how long a page in hand may take to settle when told to stop
	// Alone says that no other process can be alive that reads this lane.
	Alone bool
	// Job names what a lane with an end is for, and keeps its cursor apart; its
	// artifacts are those of the lane. Replay marks them as read again on purpose.
	Job    string
	Replay bool
	// ScanFrom is the broker's position before all that a lane without a cursor
	// may find stored already.
	ScanFrom string

	Log *slog.Logger
	// Trace, if set, is called as a page begins. It returns the context under
	// which the page is handled, its cursor's save included, and a function that
	// is called when that is over.
	Trace func(ctx context.Context, l *Lane, op Op) (context.Context, func(Counts, error))

	memory   *memory
	pauses   backoff.BackOff
	revision uint64
	page     *Page               // the page in hand, or the last one
	end      func(Counts, error) // ends its trace

	mu     sync.Mutex
	status Status
}

// Name returns the lane's name; see [LaneName].
func (l *Lane) Name() string { return LaneName(l.Instance, l.Stream) }

// Key returns the name of the lane's cursor and of its claim.
func (l *Lane) Key() string {
	if l.Job == "" {
		return l.Name()
	}
	return l.Name() + "." + l.Job
}

// Run reads the stream until ctx is done or its end is reached, which it
// reports. It returns with no page in hand: the one it had is settled, or will be
// asked for again by the next claim; and it gives up the claim if it can.
func (l *Lane) Run(ctx context.Context) (finished bool) {
	l.memory = newMemory()
	l.pauses = newBackOff()
	l.revision = 0
	p := &plan{owner: l.Owner, start: l.Start, every: l.Every, quarantine: l.Quarantine, alone: l.Alone, until: l.Until, scanFrom: l.ScanFrom}
	var s state
	next := begin()
	for next.do != doEnd && (next.do == doSave || next.do == doMend || ctx.Err() == nil) {
		done := next
		e := l.perform(ctx, &s, done)
		s, next = p.step(s, done, e)
		if done.do == doSave || done.do == doFetch && next.do != doSave {
			l.end(l.page.counts, e.err)
		}
	}
	if c, can := p.release(s, time.Now()); can {
		l.give(ctx, c)
	}
	return next.do == doEnd
}

// give saves the cursor of a lane that is given up. If it fails, the next one
// waits a little longer, and nothing else.
func (l *Lane) give(ctx context.Context, c checkpoint.Cursor) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := l.save(ctx, c); err != nil {
		l.Log.WarnContext(ctx, "lane not released, the next one to read it will wait", "instance", l.Instance, "stream", l.Stream, "err", err)
	}
}

// newBackOff returns pauses of 1 s to 5 min that double, without an end.
func newBackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(time.Second),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.2),
		backoff.WithMaxInterval(5*time.Minute),
		backoff.WithMaxElapsedTime(0),
	)
}

// perform does what the lane's logic asks for, and says what came of it.
func (l *Lane) perform(ctx context.Context, s *state, a action) event {
	var e event
	switch a.do {
	case doLoad:
		e.cursor, l.revision, e.err = l.Store.Load(ctx, l.Key())
	case doOpen:
		e.way, e.err = l.Open(ctx, l.Job, a.cursor)
	case doClaim:
		e.cursor = a.cursor
		e.err = l.save(ctx, a.cursor)
	case doFence:
		e.fence, e.err = l.Broker.Claim(ctx, l.Key(), l.Owner, a.cursor.Epoch, a.cursor.HWM)
	case doCheck:
		e = l.check(ctx, a.cursor)
	case doMend:
		e.err = l.writeDown(ctx, a.mend)
	case doScan:
		l.memory = newMemory()
		e.mark, e.err = l.Broker.Scan(ctx, l.Name(), s.cursor.ScanFrom, func(key schema.Key) { l.memory.learn(key) })
	case doFetch:
		e = l.fetch(ctx, s, a.req)
	case doSave:
		e = l.settle(a)
	case doWait:
		l.wait(ctx, s, a)
	}
	e.now = time.Now().UTC().Truncate(time.Millisecond)
	return e
}

// fetch makes a request and waits until each of its events is stored.
func (l *Lane) fetch(ctx context.Context, s *state, req Request) event {
	l.end = func(Counts, error) {}
	if l.Trace != nil {
		ctx, l.end = l.Trace(ctx, l, req.Op)
	}
	pageCtx, cancel := linger.Context(ctx, l.Grace)
	defer cancel()
	page := newPage(pageCtx, l.Name(), l.memory.knows)
	l.page = page
	page.Instance, page.Stream, page.Mode = l.Instance, l.Stream, s.way.Mode
	page.Received = time.Now().UTC()
	page.Fence, page.Claim, page.Replay = s.fence, l.Key(), l.Replay || s.cursor.Replay
	cut := &cutter{page: page, out: l.Out, budget: l.Budget}

	answer, err := s.way.Source.Fetch(ctx, req, cut.add)
	if err == nil {
		err = cut.flush()
	}
	page.seal()
	// What was not stored, or not surely, weighs more than an answer that broke
	// off: it makes the lane read the broker before it asks again.
	if failed := page.wait(); failed != nil {
		err = failed
	}
	l.memory.learn(page.stored...)
	l.count(req, page.counts, err)
	if err == nil && page.counts.Received > 0 {
		l.Log.InfoContext(ctx, fmt.Sprintf("%s: fetched %d events", l.Vendor, page.counts.Received), //nolint:sloglint // the sentence operators search for
			"instance", l.Instance, "stream", l.Stream, "op", req.Op, "stored", page.counts.Stored, "duplicates", page.counts.Duplicates,
			"filtered", page.counts.Filtered, "dead_lettered", page.counts.DeadLettered, "bytes", answer.Bytes, "high_water_mark", answer.HWM, "wait", answer.Wait)
	}
	return event{answer: answer, counts: page.counts, err: err}
}

// check asks whether the broker has what it acknowledged, and if not, up to
// where it has.
func (l *Lane) check(ctx context.Context, c checkpoint.Cursor) (e event) {
	if e.lost, e.err = l.Broker.Missing(ctx, c.Mark, c.Saved); e.lost == "" || e.err != nil {
		return e
	}
	l.Log.ErrorContext(ctx, "the broker has lost artifacts, which are read again", "instance", l.Instance, "stream", l.Stream, "what", e.lost)
	older, err := l.History(ctx, l.Key())
	if err != nil {
		e.err = err
		return e
	}
	for _, r := range slices.Backward(older) {
		lost, err := l.Broker.Missing(ctx, r.Mark, r.Saved)
		if err != nil || lost == "" {
			e.since, e.err = r.HWM, err
			return e
		}
	}
	return e
}

// writeDown stores what is to be mended; also when told to stop.
func (l *Lane) writeDown(ctx context.Context, repairs []checkpoint.Repair) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	for _, r := range repairs {
		if err := l.Mend(ctx, l.Name(), r); err != nil {
			return err
		}
		l.Log.WarnContext(ctx, "to be read again", "instance", l.Instance, "stream", l.Stream, "from", r.From, "to", r.To, "due", r.Due, "why", strings.Join(r.Reasons, "; "))
	}
	return nil
}

// saveTimeout bounds the wait for a cursor to be saved.
const saveTimeout = 10 * time.Second

// settle saves the cursor of a page of which every event is stored, with the
// broker's position at that moment. It does so also when told to stop.
func (l *Lane) settle(a action) (e event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.page.Context), saveTimeout)
	defer cancel()
	e.cursor = a.cursor
	if l.page.counts.Stored == 0 && l.Job == "" {
		// What is stored is fenced, and so finds out. A lane with nothing to store
		// would put a new mark in the place of the one that tells.
		if lost, err := l.Broker.Missing(ctx, a.cursor.Mark, a.cursor.Saved); err != nil || lost != "" {
			e.err = errors.Join(err, lostError(lost))
			return e
		}
	}
	if e.cursor.Mark, e.err = l.Broker.Mark(ctx); e.err != nil {
		return e
	}
	if e.err = l.save(ctx, e.cursor); e.err == nil && a.rotate {
		l.memory.rotate()
	}
	l.settled(e.cursor, e.err)
	return e
}

func lostError(what string) error {
	if what == "" {
		return nil
	}
	return fmt.Errorf("the broker has lost artifacts: %s", what)
}

func (l *Lane) save(ctx context.Context, c checkpoint.Cursor) error {
	revision, err := l.Store.Save(ctx, l.Key(), c, l.revision)
	if err == nil {
		l.revision = revision
	}
	return err
}

// wait sleeps, and shows why.
func (l *Lane) wait(ctx context.Context, s *state, a action) {
	pause := a.wait
	if a.backoff {
		if s.fails <= 1 {
			l.pauses.Reset()
		}
		pause = max(pause, l.pauses.NextBackOff())
	}
	l.show(ctx, a, pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
