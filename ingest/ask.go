package ingest

import (
	"errors"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// This half of the lane's logic asks the vendor for pages and settles them.

// again returns the request that brings back whatever may have been lost: the
// page in hand if there is one, else the last page. It moves nothing at the
// vendor that matters.
func (p *plan) again(s state, now time.Time) Request {
	switch {
	case s.way.Windows:
		return p.window(s, now)
	case s.req.Op == OpStart || s.cursor.Page == 0:
		return p.from(s)
	}
	return Request{Op: OpResend}
}

// from returns the request that begins on the vendor's side: at the lane's
// start, or, where pages were settled, a little before the high-water mark.
func (p *plan) from(s state) Request {
	if s.cursor.Page == 0 || s.cursor.HWM.IsZero() {
		return Request{Op: OpStart, From: s.cursor.Start}
	}
	return Request{Op: OpStart, From: s.cursor.HWM.Add(-overlap)}
}

// next returns the request that follows a settled and saved page.
func (p *plan) next(s state, now time.Time) Request {
	if s.way.Windows {
		return p.window(s, now)
	}
	return Request{Op: OpNext}
}

// ask makes a request. A window without a new second in it waits for one.
func (p *plan) ask(s state, req Request) (state, action) {
	if req.Op == OpWindow && !req.To.After(s.cursor.Through) {
		s.after = goNext
		return s, action{do: doWait, wait: p.every, word: CaughtUp}
	}
	s.req = req
	return s, action{do: doFetch, req: req}
}

// fetched takes the outcome of a request: a settled page, or why it is none.
func (p *plan) fetched(s state, e event) (state, action) {
	if e.err != nil {
		return p.failed(s, e)
	}
	if !e.answer.Server.IsZero() {
		s.skew = e.answer.Server.Sub(e.now)
	}
	if s.req.Op == OpResend && e.counts.Received == 0 && !s.cursor.HWM.IsZero() {
		// Either the vendor gave us nothing last, or it has forgotten what it
		// gave, and with it where we stand. Both look alike, and in the second
		// case a next would leave a gap. So it is asked from a little before our
		// mark, and what is remembered is left out.
		return p.ask(s, p.from(s))
	}
	if s.req.Op != OpResend { // a next that fails time and again is not cured by it
		s.fails = 0
	}
	c := s.cursor
	moved := e.answer.HWM.After(c.HWM)
	if moved {
		c.HWM = e.answer.HWM
	}
	rotate := false
	switch s.req.Op {
	case OpStart, OpNext:
		c.Page++
		rotate = c.HWM.IsZero() || c.HWM.Sub(s.since) > overlap
	case OpResend: // page n again, or page n+1 if its reply was lost
		if e.counts.Stored > 0 {
			c.Page++
		}
	case OpWindow:
		c.Page++
		c.Through = p.through(s, e)
		rotate = c.Through.Sub(s.since) > windowOverlap
	}
	if stood := p.stands(s.way, c); !c.Reached.IsZero() && stood.After(c.Reached) {
		c.Reached, c.Replay = time.Time{}, false // what was rewound has been read again
	}
	if rotate = rotate && p.until.IsZero() && c.Reached.IsZero(); rotate {
		c.ScanFrom = s.mark
	}
	c.Events = e.counts.Received
	s.pause = p.pace(s, e, moved)
	s.finished = p.finished(s, c)
	if s.req.Op == OpNext && c.Events == 0 && s.cursor.Events == 0 && !moved && e.now.Sub(c.Saved) < stale {
		return p.advance(s, e.now)
	}
	c.Saved = e.now
	return s, action{do: doSave, cursor: c, rotate: rotate}
}

// pace says how long to leave the vendor alone after a settled page. A short
// page is not the last one, and an empty one only if the high-water mark stood
// still or is close to the present.
func (p *plan) pace(s state, e event, moved bool) action {
	if s.way.Windows {
		if s.req.To.Before(s.cursor.Through.Add(windowSpan)) { // the window ended at the edge
			return action{do: doWait, wait: p.every, word: CaughtUp}
		}
		return action{}
	}
	a := action{do: doWait, wait: min(e.answer.Wait, longest), word: CatchingUp}
	if !e.answer.HWM.IsZero() && e.now.Add(s.skew).Sub(e.answer.HWM) < edge || e.counts.Received == 0 && !moved {
		a.word = CaughtUp
	}
	if e.counts.Received == 0 && s.req.Op == OpNext && a.word == CaughtUp {
		a.wait = max(p.every, e.answer.Wait)
	}
	return a
}

func (p *plan) saved(s state, done action, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goLoad, e.err)
	}
	s.cursor = e.cursor
	if done.rotate {
		s.mark, s.since = e.cursor.Mark, p.stands(s.way, e.cursor)
	}
	return p.advance(s, e.now)
}

// finished says whether a lane that has an end has come to it. s.pause says
// what the vendor had.
func (p *plan) finished(s state, c checkpoint.Cursor) bool {
	if p.until.IsZero() {
		return false
	}
	if s.way.Windows {
		return !c.Through.Before(p.until)
	}
	return s.req.Op != OpResend && (!c.HWM.Before(p.until) || c.Events == 0 && s.pause.word == CaughtUp)
}

// advance goes on after a settled and saved page.
func (p *plan) advance(s state, now time.Time) (state, action) {
	if s.finished {
		return s, action{do: doEnd}
	}
	if s.pause.wait == 0 || s.req.Op == OpResend {
		return p.ask(s, p.next(s, now))
	}
	s.after = goNext
	return s, s.pause
}

// failed takes a request that brought no settled page.
func (p *plan) failed(s state, e event) (state, action) {
	var fault *Fault
	if !errors.As(e.err, &fault) {
		return unstored(s, goLoad, e.err)
	}
	s.fails++
	s.after = goAgain
	if s.req.Op == "" {
		s.after = goLoad
	}
	a := action{do: doWait, backoff: true, wait: min(fault.After, longest), word: Unreachable, why: fault.Error(), hint: fault.Hint}
	switch fault.Kind {
	case Unsent:
		if s.req.Op != "" {
			s.after = goSame
		}
	case Lost:
		a.wait = max(a.wait, p.quarantine)
	case Broken:
		a.word = Waiting
	case Throttled:
		a.word = RateLimited
	case Conflict:
		a.word = InConflict
	case Denied:
		a.word, a.backoff, a.wait = NotAuthenticated, false, slow
	case Forbidden:
		a.word, a.backoff, a.wait = NotAllowed, false, slow
	case Missing:
		a.word, a.backoff, a.wait = NotAvailable, false, slow
	case Invalid, Refused:
		if s.fails >= patience {
			a.word = Blocked
		}
	}
	if s.req.Op == OpResend && s.fails >= patience && (fault.Kind == Refused || fault.Kind == Missing) {
		s.after = goBegin // the vendor does not know the index any more
	}
	if fault.Kind == Lost {
		return p.lost(s, a, e.now)
	}
	return s, a
}

// lost takes a request to which no answer came. It may be at work until the
// quarantine is over; should a next be so even then, what it takes is mended.
func (p *plan) lost(s state, wait action, now time.Time) (state, action) {
	s.alive = now.Add(wait.wait)
	if s.req.Op != OpNext {
		return s, wait
	}
	if !p.until.IsZero() {
		s.after = goBegin
	}
	p.note(&s, s.cursor.HWM, now.Add(mendAfter), "no answer came to a request for the next page")
	return p.writeDown(s, wait, s.after)
}
