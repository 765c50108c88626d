package ingest

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// This file has what the replicas of the model share, and every step that can
// happen to it.

// A scene is all there is at one moment. It is comparable, so that the search
// needs no encoding of it.
//
// Two things are told relatively, since nothing else about them matters: a replica
// knows only whether the revision that it read is the store's, and of a claim at
// the broker the epoch stands for its sequence.
type scene struct {
	cursor uint32 // the one in the store
	copy   uint32 // an older one that the store may be restored from; 0 is none at all
	claim  uint32 // the cursor under which the last claim at the broker was made
	late   uint32 // a write to the store that its writer has given up; 0 is none
	batch  batch  // an atomic batch that its publisher has given up

	stream [6]uint8 // the artifacts in order: each id as its bit
	length uint8

	there   uint8 // how many pages the vendor has
	at      uint8 // the page served last; 0 is an index that is not known
	empty   bool  // what was served last was nothing
	strays  [3]uint8
	covered uint8 // the pages that a repair will read again, a bit each
	lease   uint8 // who holds it, from 1
	met     uint8 // how many replicas have begun yet: before that they are all alike

	left     budget
	replicas [3]replica
}

// A replica is a process. One without a lease that runs all the same is a zombie.
type replica struct {
	local uint32 // 0: it does not run the lane
	phase phase  // of a request
	page  uint8  // that came, in phase answered
	half  bool   // its body breaks off
	fresh bool   // the revision it read is that of the store
	told  bool   // to stop
	quiet bool   // it may send nothing
}

type phase uint8

const (
	ready    phase = iota // its action has not begun
	asked                 // its request is on the way
	answered              // its page is in hand
	putOff                // its page is to be stored after the cursor was saved
)

type batch struct {
	ids   uint8
	epoch uint8
}

// A budget is how often each fault may still happen.
type budget struct {
	crashes, leases, zombieClaims, stops       uint8
	timeouts, gateways, cuts, unsents, forgets uint8
	acks, restores                             uint8
}

// A stray is a request for which nobody waits: a next, or a start at a page.
const strayNext = 255

// A move is one step from a scene.
type move struct {
	to    scene
	by    int
	what  string
	fault bool   // it need not happen
	wrong string // what is violated by it
}

// A stage makes moves.
type stage struct {
	rules
	lib *library
}

func (g *stage) local(w *scene, i int) *local { return &g.lib.locals[w.replicas[i].local] }

func (w *scene) stored() (ids uint8) {
	for _, id := range w.stream[:w.length] {
		ids |= id
	}
	return ids
}

// moves calls emit with every step that can be taken.
func (g *stage) moves(w *scene, emit func(move)) {
	for i := range g.replicas {
		if w.replicas[i].local == 0 {
			g.idle(w, i, emit)
			continue
		}
		g.befalls(w, i, emit)
		g.acts(w, i, emit)
	}
	g.vendorMoves(w, emit)
	g.lateMoves(w, emit)
}

// with returns the scene in which a replica has gone on by an outcome.
func (g *stage) with(w *scene, i int, o outcome) scene {
	to := *w
	r := &to.replicas[i]
	o.there = w.there
	r.local = g.lib.follow(i, r.local, o)
	r.phase, r.page, r.half = ready, 0, false
	if g.breaks == saveFirst && g.local(&to, i).owed != 0 && g.local(&to, i).do.do != doSave {
		r.phase = putOff
	}
	return to
}

func (g *stage) idle(w *scene, i int, emit func(move)) {
	to := *w
	switch w.lease {
	case 0:
		if i > int(w.met) || i < int(w.met) && g.budget.restores > 0 {
			return // or, where owners must not be mistaken for each other, all begin once
		}
		to.lease, to.met = uint8(i+1), max(w.met, uint8(i+1))
		to.replicas[i] = replica{local: g.lib.begun}
		emit(move{to: to, by: i, what: "takes the lease and begins"})
	case uint8(i + 1):
		if g.breaks != immortalLease {
			to.lease = 0
			emit(move{to: to, by: i, what: "does not renew its lease, being dead: it expires"})
		}
	}
}

// befalls is what happens to a replica that runs the lane.
func (g *stage) befalls(w *scene, i int, emit func(move)) {
	r := &w.replicas[i]
	holds := w.lease == uint8(i+1)
	if w.left.crashes > 0 {
		to := *w
		to.left.crashes--
		g.orphan(&to, i)
		to.replicas[i] = replica{}
		emit(move{to: to, by: i, what: "crashes", fault: true})
	}
	if holds && w.left.leases > 0 && g.breaks != immortalLease {
		to := *w
		to.left.leases--
		to.lease = 0
		emit(move{to: to, by: i, what: "loses its lease and lives on", fault: true})
	}
	if g.breaks == claimOutlivesTerm && w.lease == 0 {
		to := *w
		to.lease = uint8(i + 1)
		to.replicas[i].quiet = false
		emit(move{to: to, by: i, what: "gets its lease back and goes on as if nothing had happened"})
	}
	// To be told in the middle of something changes nothing before its end.
	if do := g.local(w, i).do.do; r.phase != ready || do == doSave || do == doMend || r.told {
		return
	}
	switch {
	case holds && w.left.stops > 0:
		to := *w
		to.left.stops--
		g.ends(&to, i, "is told to hand over, and ends", true, emit)
	case !holds && g.breaks != claimOutlivesTerm:
		g.ends(w, i, "notices that its lease is lost, and ends", false, emit)
	}
}

// acts is what a replica does next.
func (g *stage) acts(w *scene, i int, emit func(move)) {
	r, x := &w.replicas[i], g.local(w, i)
	switch {
	case r.phase == asked:
		g.waits(w, i, emit)
	case r.phase == answered:
		g.stores(w, i, emit)
	case r.phase == putOff:
		g.storesLate(w, i, emit)
	case r.told && x.do.do != doSave && x.do.do != doMend:
		g.ends(w, i, "ends, its lease being lost", false, emit)
	case x.do.do == doLoad:
		to := g.with(w, i, outcome{what: wentWell, a: w.cursor})
		to.replicas[i].fresh = true
		emit(move{to: to, by: i, what: "loads the cursor"})
	case x.do.do == doClaim:
		if w.lease == uint8(i+1) {
			g.saves(w, i, x.do.cursor, "claims in the store", emit)
		} else if w.left.zombieClaims > 0 {
			to := *w
			to.left.zombieClaims--
			g.saves(&to, i, x.do.cursor, "claims in the store without a lease", emit)
		}
	case x.do.do == doFence:
		g.fences(w, i, emit)
	case x.do.do == doMend:
		to := g.with(w, i, outcome{what: wentWell})
		if !g.timed && g.breaks != mendDropped {
			to.covered |= covers(x.do.mend)
		}
		emit(move{to: to, by: i, what: "writes down what is to be mended"})
	case x.do.do == doScan:
		from, _ := strconv.Atoi(x.s.cursor.ScanFrom) // "" is the beginning
		var ids uint8
		for _, id := range w.stream[from:w.length] {
			ids |= id
		}
		emit(move{to: g.with(w, i, outcome{what: wentWell, a: uint32(ids), at: w.length}), by: i, what: "scans"})
	case x.do.do == doFetch:
		g.asks(w, i, emit)
	case x.do.do == doSave:
		c := x.do.cursor
		c.Mark = strconv.Itoa(int(w.length))
		g.saves(w, i, c, "saves the cursor", emit)
	case x.do.do == doWait:
		g.quarantined(w, i, emit)
	}
}

// covers returns the pages within repairs.
func covers(repairs []checkpoint.Repair) (pages uint8) {
	for _, r := range repairs {
		for page := uint8(1); page <= lastPage; page++ {
			if t := pageTime(page); !t.Before(r.From) && !t.After(r.To) {
				pages |= 1 << page
			}
		}
	}
	return pages
}

// ends is the end of a run: the claim is released if it can be, and the lease.
func (g *stage) ends(w *scene, i int, what string, fault bool, emit func(move)) {
	r, x := w.replicas[i], g.local(w, i)
	m := move{to: *w, by: i, what: what, fault: fault}
	if c, can := g.lib.plans[i].release(x.s, modelNow(w.there)); can && r.fresh {
		m.wrong = g.write(&m.to, c)
	}
	m.to.replicas[i] = replica{}
	if w.lease == uint8(i+1) {
		m.to.lease = 0
	}
	emit(m)
}

// String tells what matters of a scene.
func (g *stage) String(w *scene) string {
	var b strings.Builder
	c := g.lib.cursors[w.cursor]
	fmt.Fprintf(&b, "index at %d of %d", w.at, w.there)
	if w.empty {
		b.WriteString(" (empty)")
	}
	fmt.Fprintf(&b, ", cursor page %d epoch %d %s", c.Page, c.Epoch, c.Owner)
	if c.Released {
		b.WriteString(" released")
	}
	fmt.Fprintf(&b, ", claim %d, %d stored", g.lib.cursors[w.claim].Epoch, bits.OnesCount8(w.stored()))
	if w.strays != [3]uint8{} {
		fmt.Fprintf(&b, ", strays %v", w.strays)
	}
	if w.covered != 0 {
		fmt.Fprintf(&b, ", to mend %04b", w.covered>>1)
	}
	return b.String()
}
