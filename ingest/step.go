package ingest

import (
	"errors"
	"slices"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// The lane's logic is this file: a function from a state and what happened to a
// state and what to do. It does no I/O, reads no clock and starts no goroutine;
// lane.go performs what it asks for. The order of its actions is the promise:
//
//	load → open → claim → scan → ask again → store → save → next
//
// OpNext comes from one place, next, which is reached only when the page in hand
// has been settled and its cursor saved, or when an OpNext never left.

const (
	// overlap is how far back a lane starts when the vendor has forgotten its
	// side of the position.
	overlap = 5 * time.Minute
	// slow is the pause before a lane that was refused tries again.
	slow = 5 * time.Minute
	// longest bounds what a vendor may ask us to wait.
	longest = 15 * time.Minute
	// edge is how close to the present a high-water mark counts as caught up.
	edge = 2 * time.Minute
	// stale is how long a cursor that has nothing new to say goes unsaved. Its
	// mark bounds what the next start has to read from the broker.
	stale = time.Minute

	// patience is how many failures in a row call for another way.
	patience = 3
)

// A plan is the part of a lane that does not change while it runs.
type plan struct {
	owner string
	start time.Time
	every time.Duration // how often to look when there was nothing new
	// quarantine is how long a request without an answer may still be alive.
	quarantine time.Duration
}

// A state is where a lane is in its cycle.
type state struct {
	cursor checkpoint.Cursor
	way    Way
	req    Request       // the request in hand, or the last one
	fails  int           // in a row
	skew   time.Duration // the vendor's clock less ours
	pause  action        // the wait that follows the settled page
	after  goal          // what follows a wait

	// What the lane stored is remembered in two generations; see memory. The
	// younger began at mark, when the lane stood at since. The older holds what
	// happened up to since, that moment included, so it is needed until the
	// vendor is asked from a later one.
	mark  string
	since time.Time
}

// A goal is what a lane does when a wait is over.
type goal string

const (
	goLoad  goal = "load"  // claim again, from the cursor as it is stored
	goScan  goal = "scan"  // read the broker again
	goSame  goal = "same"  // the request that never left
	goAgain goal = "again" // whatever may have been lost
	goBegin goal = "begin" // from a little before the high-water mark
	goNext  goal = "next"  // what comes after the settled page
)

// An action is what the lane does next. The outcome comes back as an event.
type action struct {
	do     verb
	req    Request
	cursor checkpoint.Cursor

	// A wait lasts for at least this long; with backoff, longer each time in a
	// row. It can be cut short only by the end of the lane.
	wait    time.Duration
	backoff bool
	word    Word // the state that the lane shows meanwhile
	why     string
	hint    string // what a person can do about it

	rotate bool // of save: the older generation of ids is not needed any more
}

type verb string

const (
	doLoad  verb = "load"
	doOpen  verb = "open"
	doClaim verb = "claim"
	doScan  verb = "scan"
	doFetch verb = "fetch"
	doSave  verb = "save"
	doWait  verb = "wait"
)

// An event is what came of an action.
type event struct {
	now time.Time
	err error

	cursor checkpoint.Cursor // of load, claim and save: as stored
	way    Way               // of open
	mark   string            // of scan
	answer Answer            // of fetch, when the page is settled
	counts Counts            // of fetch
}

// isFull reports whether err says that the broker has no room.
func isFull(err error) bool {
	var full interface{ Full() bool }
	return errors.As(err, &full) && full.Full()
}

// begin is the first action of a lane.
func begin() action { return action{do: doLoad} }

// step says what follows when the action done has come out as e.
func (p *plan) step(s state, done action, e event) (state, action) {
	switch done.do {
	case doLoad:
		return p.loaded(s, e)
	case doOpen:
		return p.opened(s, e)
	case doClaim:
		return p.claimed(s, e)
	case doScan:
		return p.scanned(s, e)
	case doFetch:
		return p.fetched(s, e)
	case doSave:
		return p.saved(s, done, e)
	}
	return p.woke(s, e.now)
}

// woke goes on after a wait.
func (p *plan) woke(s state, now time.Time) (state, action) {
	switch s.after {
	case goScan:
		return s, action{do: doScan}
	case goSame:
		return p.ask(s, s.req)
	case goAgain:
		return p.ask(s, p.again(s, now))
	case goBegin:
		return p.ask(s, p.from(s))
	case goNext:
		return p.ask(s, p.next(s, now))
	case goLoad:
	}
	return s, begin()
}

func (p *plan) loaded(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goLoad, e.err)
	}
	s.req = Request{}
	s.cursor = e.cursor
	return s, action{do: doOpen, cursor: e.cursor}
}

// opened claims the lane, now that it is known how to read it.
func (p *plan) opened(s state, e event) (state, action) {
	if e.err != nil {
		return p.failed(s, e.err)
	}
	s.way = e.way
	c := s.cursor
	c.Epoch++
	c.Owner = p.owner
	switch {
	case c.Start.IsZero():
		c.Start, c.Through = p.start, p.start
	case c.Mode != e.way.Mode || c.Index != e.way.Index:
		// The other way knows nothing of our position: begin a little before it.
		c.Start = latest(c.Start, c.HWM.Add(-overlap), c.Through.Add(-overlap))
		c.Through, c.HWM, c.Page, c.Events = c.Start, time.Time{}, 0, 0
	}
	c.Mode, c.Index = e.way.Mode, e.way.Index
	c.Saved = e.now
	return s, action{do: doClaim, cursor: c}
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}

func (p *plan) claimed(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goLoad, e.err)
	}
	s.cursor = e.cursor
	return s, action{do: doScan}
}

func (p *plan) scanned(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goScan, e.err)
	}
	// What a failed attempt has stored lies between the last settle and now, and
	// belongs to the younger generation.
	s.mark, s.since = s.cursor.Mark, p.stands(s.way, s.cursor)
	s.cursor.Mark = e.mark
	return p.ask(s, p.again(s, e.now))
}

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
		return p.failed(s, e.err)
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
	if rotate {
		c.ScanFrom = s.mark
	}
	c.Events = e.counts.Received
	s.pause = p.pace(s, e, moved)
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

// advance goes on after a settled and saved page.
func (p *plan) advance(s state, now time.Time) (state, action) {
	if s.pause.wait == 0 || s.req.Op == OpResend {
		return p.ask(s, p.next(s, now))
	}
	s.after = goNext
	return s, s.pause
}

// failed takes a request that brought no settled page.
func (p *plan) failed(s state, err error) (state, action) {
	var fault *Fault
	if !errors.As(err, &fault) {
		return unstored(s, goLoad, err)
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
	return s, a
}

// unstored waits for the broker or the store, and then goes on at after. A
// page that was not surely stored is claimed, scanned and asked for again.
func unstored(s state, after goal, err error) (state, action) {
	s.fails++
	s.after = after
	a := action{do: doWait, backoff: true, word: BrokerDown, why: err.Error(), hint: "Nothing is asked of Netskope until it answers again, and nothing is lost."}
	switch {
	case isFull(err):
		a.word, a.hint = BrokerFull, "Raise NATS_MAX_BYTES or shorten NATS_MAX_AGE, and start again. Nothing is asked of Netskope meanwhile, and nothing is lost."
	case errors.Is(err, checkpoint.ErrConflict):
		a.word, a.wait, a.hint = InConflict, slow/5, "Another skopeflow reads this lane from the same NATS. Run one, or give them different instances."
	}
	return s, a
}
