package ingest

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// This file has what one process of the model keeps for itself, and how it goes
// on: by the production logic alone. Nothing here is shared, so that what follows
// an outcome is computed once for each pair of the two and looked up afterwards.

// The vendor has three pages with the ids of pageIDs. A page's high-water mark is
// spacing after that of the one before. Two pages are further apart than overlap,
// and one is not: so a start that goes back by overlap brings a settled page
// again, the memory rotates within the model, and what it forgets is needed if it
// forgets too early.
const (
	lastPage        = 3
	spacing         = 3 * time.Minute
	modelQuarantine = time.Minute
)

func modelStart() time.Time { return time.Unix(1767225600, 0).UTC() }

func pageTime(page uint8) time.Time { return modelStart().Add(time.Duration(page) * spacing) }

func pageIDs(page uint8) uint8 { return [...]uint8{0, 0b0001, 0b0110, 0b1000}[page] }

// pageFrom returns the first page with something at or after a moment.
func pageFrom(from time.Time) uint8 {
	for page := uint8(1); page < lastPage; page++ {
		if !pageTime(page).Before(from) {
			return page
		}
	}
	return lastPage
}

// modelNow is when so many pages are there: soon after the last of them was, or if
// no more come, so long after that a lane may be further behind than a repair goes
// back from the mark.
func modelNow(there uint8) time.Time {
	if there == lastPage {
		return pageTime(there).Add(time.Hour)
	}
	return pageTime(there).Add(spacing / 2)
}

// A local is what a process keeps of its lane.
type local struct {
	s              state
	do             action
	older, younger uint8 // the ids in each generation of the memory
	got            uint8 // the ids of the page in hand, until its cursor is saved
	owed           uint8 // what is still to be stored where the cursor is saved too early
}

// An outcome is what came of an action, small enough to be looked up.
type outcome struct {
	what  string
	a     uint32 // of load and fence: a cursor; of scan: the ids
	page  uint8  // of fetch: which came, 0 is an empty one
	at    uint8  // of fetch: where the vendor stands; of scan and save: where the broker does
	there uint8  // the pages that are there: the clock
}

// What an outcome can be.
const (
	wentWell  = "went well"
	conflicts = "conflicts"
	unsure    = "brought no answer"
	lateClaim = "was overtaken"
	refused   = "was refused"
	gateway   = "was given up by a gateway"
	halfway   = "broke off"
	fencedOff = "was fenced off"
	unsent    = "never left"
	timedOut  = "was given up"
)

// modelClaimed is the error of a claim that comes too late.
type modelClaimed struct{ c checkpoint.Cursor }

func (modelClaimed) Error() string { return "claimed by somebody else" }
func (e modelClaimed) ClaimedBy() (owner string, epoch uint64, hwm time.Time) {
	return e.c.Owner, e.c.Epoch, e.c.HWM
}

// A library gives numbers to locals and cursors, and remembers what follows what.
type library struct {
	rules
	plans     []*plan
	locals    []local
	localIDs  map[string]uint32
	cursors   []checkpoint.Cursor
	cursorIDs map[checkpoint.Cursor]uint32
	followed  map[following]uint32
	begun     uint32 // a run's first
}

type following struct {
	local uint32
	who   int
	o     outcome
}

func newLibrary(r rules) *library {
	l := &library{
		rules: r, localIDs: map[string]uint32{}, cursorIDs: map[checkpoint.Cursor]uint32{}, followed: map[following]uint32{},
		locals: make([]local, 1), // 0 is no run
	}
	l.cursor(checkpoint.Cursor{})
	for i := range r.replicas {
		l.plans = append(l.plans, &plan{owner: string(rune('A' + i)), start: modelStart(), every: time.Minute, quarantine: modelQuarantine, alone: r.alone})
	}
	l.begun = l.local(local{do: begin()})
	return l
}

func (l *library) cursor(c checkpoint.Cursor) uint32 {
	id, ok := l.cursorIDs[c]
	if !ok {
		id = uint32(len(l.cursors))
		l.cursors, l.cursorIDs[c] = append(l.cursors, c), id
	}
	return id
}

// local numbers a local. Its key is all that it holds, whatever fields the state
// may come to have, but for what will not be read before it is written again.
func (l *library) local(x local) uint32 {
	if x.s.fails = min(x.s.fails, patience); !l.refuses {
		x.s.fails = 0 // it decides only what follows refusals
	}
	if len(x.s.mend) == 0 {
		x.s.then, x.s.thenAfter = action{}, ""
		if x.do.do != doWait {
			x.s.after = ""
		}
	}
	if x.do.do != doSave {
		x.s.pause = action{}
	}
	if x.s.behind.Epoch <= x.s.cursor.Epoch && l.budget.restores == 0 {
		x.s.behind = Standing{}
	}
	for _, a := range []*action{&x.do, &x.s.then, &x.s.pause} {
		a.why, a.hint = "", ""
	}
	key := fmt.Sprintf("%+v", x)
	id, ok := l.localIDs[key]
	if !ok {
		id = uint32(len(l.locals))
		l.locals, l.localIDs[key] = append(l.locals, x), id
	}
	return id
}

// follow returns what a replica does when its action has come out so.
func (l *library) follow(who int, id uint32, o outcome) uint32 {
	key := following{id, who, o}
	next, ok := l.followed[key]
	if !ok {
		next = l.local(l.step(who, l.locals[id], o))
		l.followed[key] = next
	}
	return next
}

// step runs the production logic, and then on through what touches nobody else.
func (l *library) step(who int, x local, o outcome) local {
	done := x.do
	e := l.event(&x, o)
	x.s, x.do = l.plans[who].step(x.s, done, e)
	if l.breaks == nextAfterClaim && done.do == doScan && x.do.req.Op == OpResend {
		x.do.req.Op, x.s.req.Op = OpNext, OpNext
	}
	for {
		e := event{now: modelNow(o.there)}
		switch {
		case x.do.do == doOpen:
			e.way = Way{Mode: "dataexport", Index: "index"}
		case x.do.do == doCheck:
		case x.do.do == doWait && x.s.alive.IsZero():
		default:
			return x
		}
		x.s, x.do = l.plans[who].step(x.s, x.do, e)
	}
}

// waited is a replica whose quarantine is over: by then the clock is past alive,
// which a zero one stands for.
func (l *library) waited(who int, id uint32, there uint8) uint32 {
	x := l.locals[id]
	x.s.alive = time.Time{}
	return l.local(l.step(who, x, outcome{what: wentWell, there: there}))
}

// event performs the part of an action that is the process's own.
func (l *library) event(x *local, o outcome) event {
	e := event{now: modelNow(o.there), err: l.failure(o)}
	switch x.do.do {
	case doLoad:
		e.cursor, x.got = l.cursors[o.a], 0
	case doClaim:
		e.cursor = x.do.cursor
	case doFence:
		e.fence = strconv.FormatUint(x.do.cursor.Epoch, 10) // one claim has one epoch
	case doScan:
		e.mark = strconv.Itoa(int(o.at))
		if x.older, x.younger = 0, uint8(o.a); l.breaks == noScan {
			x.younger = 0
		}
	case doSave:
		e.cursor = x.do.cursor
		if e.cursor.Mark = strconv.Itoa(int(o.at)); e.err == nil {
			x.got = 0
			if x.do.rotate {
				x.older, x.younger = x.younger, 0
			}
		}
	case doFetch:
		l.fetched(x, o, &e)
	case doOpen, doCheck, doMend, doWait, doEnd:
	}
	return e
}

// fetched fills in what came of a request.
func (l *library) fetched(x *local, o outcome, e *event) {
	ids := pageIDs(o.page)
	unknown := x.unknown(o.page)
	switch o.what {
	case wentWell:
		x.got = ids
		e.counts = Counts{Received: bits.OnesCount8(ids), Stored: bits.OnesCount8(unknown)}
		if o.at > 0 {
			e.answer.HWM = pageTime(o.at)
		}
		if l.breaks == saveFirst {
			x.owed = unknown
			return
		}
		x.younger |= unknown
	case halfway:
		x.younger |= firstHalf(ids) & unknown
	}
}

func (x *local) unknown(page uint8) uint8 { return pageIDs(page) &^ (x.older | x.younger) }

// firstHalf is what comes of a page whose body breaks off.
func firstHalf(ids uint8) uint8 {
	if bits.OnesCount8(ids) < 2 {
		return 0
	}
	return ids & -ids
}

func (l *library) failure(o outcome) error {
	fault := func(kind Kind) error { return &Fault{Kind: kind, Err: errors.New(o.what)} }
	switch o.what {
	case conflicts:
		return checkpoint.ErrConflict
	case unsure:
		return errors.New(unsure)
	case lateClaim:
		return modelClaimed{l.cursors[o.a]}
	case fencedOff:
		return errFenced{}
	case refused:
		return fault(Refused)
	case gateway:
		return fault(Invalid)
	case halfway:
		return fault(Broken)
	case unsent:
		return fault(Unsent)
	case timedOut:
		return fault(Lost)
	}
	return nil
}
