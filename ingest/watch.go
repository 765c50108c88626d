package ingest

import (
	"context"
	"log/slog"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// Status returns how the lane is at this moment.
func (l *Lane) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Lane, s.Instance, s.Stream = l.Name(), l.Instance, l.Stream
	if s.State == "" {
		s.State = Starting
	}
	return s
}

// count adds a page to the lane's figures.
func (l *Lane) count(req Request, c Counts, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.status
	s.Received += uint64(c.Received)         //nolint:gosec // a count
	s.Stored += uint64(c.Stored)             //nolint:gosec // a count
	s.Duplicates += uint64(c.Duplicates)     //nolint:gosec // a count
	s.Filtered += uint64(c.Filtered)         //nolint:gosec // a count
	s.DeadLettered += uint64(c.DeadLettered) //nolint:gosec // a count
	s.Collisions += uint64(c.Collisions)     //nolint:gosec // a count
	if req.Op == OpResend {
		s.Resends++
	}
	if err != nil {
		s.Failures++
		return
	}
	s.Pages++
	s.LastSuccess = time.Now().UTC()
	if c.Received > 0 && s.State != CaughtUp {
		l.become(action{word: CatchingUp}, time.Time{})
	}
}

// settled notes the cursor of a settled page.
func (l *Lane) settled(c checkpoint.Cursor, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Mode, l.status.HWM, l.status.Page = c.Mode, c.HWM, c.Page
	if l.status.HWM.IsZero() {
		l.status.HWM = c.Through
	}
}

// show makes the reason of a wait the lane's state. An outage is a line in the
// log when it begins and one when it ends, not one for each try.
func (l *Lane) show(ctx context.Context, a action, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.status.State
	if before == a.word && l.status.Why == a.why {
		l.status.NextTry = time.Now().UTC().Add(pause)
		return
	}
	l.become(a, time.Now().UTC().Add(pause))
	log := l.Log.With("instance", l.Instance, "stream", l.Stream, "state", a.word)
	switch {
	case !a.word.Well():
		log.WarnContext(ctx, "lane waits", "why", a.why, "hint", a.hint, "retry_in", pause.Round(time.Millisecond))
	case a.why != "":
		log.InfoContext(ctx, "lane waits", "why", a.why, "retry_in", pause.Round(time.Millisecond))
	case before != "" && !before.Well():
		log.InfoContext(ctx, "lane is well again")
	default:
		log.Log(ctx, slog.LevelDebug, "lane waits", "retry_in", pause.Round(time.Millisecond))
	}
}

// elsewhere shows that another replica runs the lane, or is about to.
func (l *Lane) elsewhere(owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := "no replica has taken it yet"
	if owner != "" {
		why = "replica " + owner + " reads it"
	}
	l.become(action{word: Elsewhere, why: why}, time.Time{})
}

// become changes the state shown. The caller holds the lock.
func (l *Lane) become(a action, next time.Time) {
	s := &l.status
	if s.State != a.word {
		s.Since = time.Now().UTC()
	}
	s.State, s.Why, s.Hint, s.NextTry = a.word, a.why, a.hint, next
}
