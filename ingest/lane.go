package ingest

import (
	"context"
	"fmt"
	"log/slog"
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

	// Open finds out how to read the stream, given the cursor as it stands, and
	// is asked again after each claim. Its errors are those of a Source.
	Open   func(ctx context.Context, c checkpoint.Cursor) (Way, error)
	Store  checkpoint.Store
	Broker Broker
	Out    chan<- *Part
	Budget *Budget

	Start      time.Time     // where a lane without a cursor begins
	Every      time.Duration // how often to look when there was nothing new
	Quarantine time.Duration // how long a request without an answer may still be alive
	Grace      time.Duration // how long a page in hand may take to settle when told to stop

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

// Run reads the stream until ctx is done, and returns with no page in hand:
// the one it had is settled, or will be asked for again by the next claim.
func (l *Lane) Run(ctx context.Context) {
	l.memory = newMemory()
	l.pauses = newBackOff()
	p := &plan{owner: l.Owner, start: l.Start, every: l.Every, quarantine: l.Quarantine}
	var s state
	next := begin()
	for next.do == doSave || ctx.Err() == nil {
		done := next
		e := l.perform(ctx, &s, done)
		s, next = p.step(s, done, e)
		if done.do == doSave || done.do == doFetch && next.do != doSave {
			l.end(l.page.counts, e.err)
		}
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
		e.cursor, l.revision, e.err = l.Store.Load(ctx, l.Name())
	case doOpen:
		e.way, e.err = l.Open(ctx, a.cursor)
	case doClaim:
		e.cursor = a.cursor
		e.err = l.save(ctx, a.cursor)
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

// saveTimeout bounds the wait for a cursor to be saved.
const saveTimeout = 10 * time.Second

// settle saves the cursor of a page of which every event is stored, with the
// broker's position at that moment. It does so also when told to stop.
func (l *Lane) settle(a action) (e event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.page.Context), saveTimeout)
	defer cancel()
	e.cursor = a.cursor
	if e.cursor.Mark, e.err = l.Broker.Mark(ctx); e.err != nil {
		return e
	}
	if e.err = l.save(ctx, e.cursor); e.err == nil && a.rotate {
		l.memory.rotate()
	}
	l.settled(e.cursor, e.err)
	return e
}

func (l *Lane) save(ctx context.Context, c checkpoint.Cursor) error {
	revision, err := l.Store.Save(ctx, l.Name(), c, l.revision)
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
