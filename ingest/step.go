package ingest

import (
	"errors"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// The lane's logic is a function from a state and what happened to a state and
// what to do. It does no I/O, reads no clock and starts no goroutine; lane.go
// performs what it asks for. The order of its actions is the promise:
//
//	load → open → claim → fence → check → scan → ask again → store → save → next
//
// It stands in three files: this one has the words, claim.go takes a lane over,
// and ask.go asks for pages. OpNext comes from one place, next, which is reached
// only when the page in hand has been settled and its cursor saved, or when an
// OpNext never left. Where something may have been lost all the same, because a
// request was alive that nobody waited for, it is written down to be mended: read
// again later, on an index of its own.

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

	// A request that nobody waits for any more is surely dead mendAfter later.
	// What it may have taken is then read again, from mendBefore the high-water
	// mark that was known.
	mendAfter  = 15 * time.Minute
	mendBefore = 5 * time.Minute
)

// A plan is the part of a lane that does not change while it runs.
type plan struct {
	owner string
	start time.Time
	every time.Duration // how often to look when there was nothing new
	// quarantine is how long a request without an answer may still be alive.
	quarantine time.Duration
	// alone says that no other process can be alive that reads this lane, so
	// that a request of its predecessor is not waited for.
	alone    bool
	scanFrom string // where the broker stood before what a new lane may read again
	// until ends the lane when the vendor has been read so far; zero is never.
	until time.Time
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

	fence string // what the broker gave for the claim
	mine  uint64 // the epoch of the last claim of this run; 0 before there is one
	// inherited says that the one before has not released the lane.
	inherited bool
	// alive is until when a request to which no answer came may be at work.
	alive     time.Time
	behind    Standing            // a claim at the broker that the store knows nothing of
	mend      []checkpoint.Repair // what is to be written down
	then      action              // what follows when it is,
	thenAfter goal                // and what follows that if it is a wait
	finished  bool                // the settled page was the last

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
	goFence goal = "fence" // claim at the broker again
	goCheck goal = "check" // look again whether the broker has lost something
	goMend  goal = "mend"  // write down again what is to be mended
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

	rotate bool                // of save: the older generation of ids is not needed any more
	mend   []checkpoint.Repair // of mend
}

type verb string

const (
	doLoad  verb = "load"
	doOpen  verb = "open"
	doClaim verb = "claim" // in the store
	doFence verb = "fence" // the claim at the broker
	doCheck verb = "check"
	doMend  verb = "mend"
	doScan  verb = "scan"
	doFetch verb = "fetch"
	doSave  verb = "save"
	doWait  verb = "wait"
	doEnd   verb = "end"
)

// An event is what came of an action.
type event struct {
	now time.Time
	err error

	cursor checkpoint.Cursor // of load, claim and save: as stored
	way    Way               // of open
	mark   string            // of scan
	fence  string            // of fence
	lost   string            // of check: what the broker has lost, a sentence
	since  time.Time         // of check: up to where it has not
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
	case doFence:
		return p.fenced(s, e)
	case doCheck:
		return p.checked(s, e)
	case doMend:
		return p.mended(s, e)
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
	case goFence:
		return s, action{do: doFence, cursor: s.cursor}
	case goCheck:
		return s, action{do: doCheck, cursor: s.cursor}
	case goMend:
		return s, action{do: doMend, mend: s.mend}
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
