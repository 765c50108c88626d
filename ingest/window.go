package ingest

import (
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// Where a vendor keeps no position, a lane reads by windows of the time at
// which records were stored. The same window can be asked for again and again.
const (
	// A window of insertion time ends windowLag before the present, since
	// records become visible late, and begins windowOverlap before the end of
	// the one before.
	windowLag     = 5 * time.Minute
	windowOverlap = 10 * time.Minute
	windowSpan    = time.Hour
)

// window returns the next window of insertion time. It is empty if there is
// nothing to read yet.
func (p *plan) window(s state, now time.Time) Request {
	through := s.cursor.Through
	from := through.Add(-windowOverlap)
	if from.Before(s.cursor.Start) {
		from = s.cursor.Start
	}
	to := now.Add(s.skew - windowLag)
	if limit := through.Add(windowSpan); to.After(limit) {
		to = limit
	}
	if !p.until.IsZero() && to.After(p.until) {
		to = p.until
	}
	return Request{Op: OpWindow, From: from.Truncate(time.Second), To: to.Truncate(time.Second)}
}

// through returns up to where a window is settled: to its end, but not into
// what is the future by the vendor's own clock, should ours be ahead of it.
func (p *plan) through(s state, e event) time.Time {
	end := s.req.To
	if server := e.answer.Server.Add(-windowLag).Truncate(time.Second); !e.answer.Server.IsZero() && server.Before(end) {
		end = server
	}
	return latest(end, s.cursor.Through)
}

// stands returns where a cursor stands in the vendor's time: up to which moment
// there may be events that are stored. A window that reached into the vendor's
// future is settled windowLag before the last event it may have brought.
func (p *plan) stands(w Way, c checkpoint.Cursor) time.Time {
	if w.Windows {
		return c.Through.Add(windowLag)
	}
	return c.HWM
}
