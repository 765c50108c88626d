package ingest

import (
	"fmt"
	"strconv"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// This file has the store and the broker of the model, and the wait by which a
// claim keeps requests of the one before apart from its own.

// write puts a cursor into the store, and says what is wrong with that.
func (g *stage) write(w *scene, c checkpoint.Cursor) string {
	was := g.lib.cursors[w.cursor]
	w.cursor = g.lib.cursor(c)
	for i := range w.replicas {
		w.replicas[i].fresh = false
	}
	w.late = 0 // it will be refused
	switch {
	case c.Epoch < was.Epoch || c.Page < was.Page || c.HWM.Before(was.HWM):
		return fmt.Sprintf("the cursor goes back, from epoch %d page %d to epoch %d page %d", was.Epoch, was.Page, c.Epoch, c.Page)
	case c.Epoch == was.Epoch && c.Owner != was.Owner:
		return "a cursor is saved under the claim of another"
	}
	return ""
}

// saves writes by compare-and-swap. Without an answer the write may come later.
func (g *stage) saves(w *scene, i int, c checkpoint.Cursor, what string, emit func(move)) {
	if w.left.acks > 0 && w.late == 0 && w.replicas[i].fresh {
		to := g.with(w, i, outcome{what: unsure, at: w.length})
		to.left.acks--
		to.late = g.lib.cursor(c)
		emit(move{to: to, by: i, what: what + ", and hears nothing", fault: true})
	}
	if !w.replicas[i].fresh {
		emit(move{to: g.with(w, i, outcome{what: conflicts, at: w.length}), by: i, what: what + ": refused, somebody else has"})
		return
	}
	to := *w
	wrong := g.write(&to, c)
	to = g.with(&to, i, outcome{what: wentWell, at: w.length})
	to.replicas[i].fresh = true
	emit(move{to: to, by: i, what: what, wrong: wrong})
}

// fences claims at the broker. Without an answer the claim stands all the same.
func (g *stage) fences(w *scene, i int, emit func(move)) {
	mine, standing := g.local(w, i).do.cursor, g.lib.cursors[w.claim]
	same := standing.Epoch == mine.Epoch && standing.Owner == mine.Owner
	if standing.Epoch >= mine.Epoch && !same {
		emit(move{to: g.with(w, i, outcome{what: lateClaim, a: w.claim}), by: i, what: "claims at the broker: overtaken"})
		return
	}
	if w.left.acks > 0 {
		to := g.with(w, i, outcome{what: unsure})
		g.fence(&to, mine)
		to.left.acks--
		emit(move{to: to, by: i, what: "claims at the broker, and hears nothing", fault: true})
	}
	to := g.with(w, i, outcome{what: wentWell})
	g.fence(&to, mine)
	emit(move{to: to, by: i, what: "claims at the broker"})
}

func (g *stage) fence(w *scene, c checkpoint.Cursor) {
	w.claim = g.lib.cursor(c)
	if uint64(w.batch.epoch) != c.Epoch && g.breaks != noFence {
		w.batch = batch{} // it will be refused
	}
}

// quarantined is a wait for requests that may be alive. When it is over, none is,
// and nobody who has lost the lease sends another: that is the assumption.
func (g *stage) quarantined(w *scene, i int, emit func(move)) {
	to := *w
	if g.timed && g.breaks != noQuarantine && g.local(w, i).do.wait >= modelQuarantine {
		if w.lease != uint8(i+1) { // it hears in time that its lease is lost
			return
		}
		to.strays = [3]uint8{}
		for j := range g.replicas {
			if j == i || w.replicas[j].local == 0 {
				continue
			}
			if w.replicas[j].phase == asked {
				return
			}
			if g.breaks == claimOutlivesTerm {
				to.replicas[j].quiet = true
			} else {
				to.replicas[j].told = true
			}
		}
	}
	to.replicas[i].local = g.lib.waited(i, w.replicas[i].local, w.there)
	emit(move{to: to, by: i, what: "has waited until no request can be alive"})
}

// stores publishes what came and is not known, as one batch.
func (g *stage) stores(w *scene, i int, emit func(move)) {
	r, x := &w.replicas[i], g.local(w, i)
	o := outcome{what: wentWell, page: r.page, at: w.at}
	if r.page > 0 {
		o.at = r.page
	}
	ids := x.unknown(r.page)
	if r.half {
		o.what = halfway
		ids &= firstHalf(pageIDs(r.page))
	}
	if g.breaks == saveFirst && !r.half {
		emit(move{to: g.with(w, i, o), by: i, what: "has its page, and puts off storing it"})
		return
	}
	epoch, _ := strconv.Atoi(x.s.fence)
	b := batch{ids, uint8(epoch)}
	if ids != 0 && w.left.acks > 0 && w.batch == (batch{}) {
		to := g.with(w, i, outcome{what: unsure})
		to.left.acks--
		to.batch = b
		emit(move{to: to, by: i, what: "publishes, and hears nothing", fault: true})
	}
	to, stands, wrong := g.put(w, b)
	if !stands {
		emit(move{to: g.with(w, i, outcome{what: fencedOff}), by: i, what: "publishes: refused by the fence"})
		return
	}
	what := "has its page stored"
	if r.half {
		what = "has the first half of a page, which breaks off"
	}
	emit(move{to: g.with(&to, i, o), by: i, what: what, wrong: wrong})
}

// storesLate stores what a cursor that was saved too early has passed over.
func (g *stage) storesLate(w *scene, i int, emit func(move)) {
	x := *g.local(w, i)
	epoch, _ := strconv.Atoi(x.s.fence)
	to, _, wrong := g.put(w, batch{x.owed, uint8(epoch)})
	x.younger |= x.owed
	x.owed = 0
	to.replicas[i].local, to.replicas[i].phase = g.lib.local(x), ready
	emit(move{to: to, by: i, what: "stores what was put off", wrong: wrong})
}

// put stores a batch if its fence stands.
func (g *stage) put(w *scene, b batch) (to scene, stands bool, wrong string) {
	to = *w
	if b.ids == 0 {
		return to, true, ""
	}
	if uint64(b.epoch) != g.lib.cursors[w.claim].Epoch && g.breaks != noFence {
		return to, false, ""
	}
	if twice := w.stored() & b.ids; twice != 0 {
		if b.ids &^= twice; g.timed && g.budget.restores == 0 {
			wrong = "an artifact is stored twice"
		}
	}
	for b.ids != 0 {
		to.stream[to.length] = b.ids & -b.ids
		to.length++
		b.ids &= b.ids - 1
	}
	return to, true, wrong
}

// lateMoves is what becomes of writes and batches that were given up. One that
// gets lost is one that never comes. The store itself may be lost.
func (g *stage) lateMoves(w *scene, emit func(move)) {
	if w.late != 0 {
		to := *w
		wrong := g.write(&to, g.lib.cursors[w.late])
		emit(move{to: to, by: -1, what: "a late write reaches the store", wrong: wrong})
	}
	if w.batch != (batch{}) {
		to, stands, wrong := g.put(w, w.batch)
		to.batch = batch{}
		if stands {
			emit(move{to: to, by: -1, what: "a late batch reaches the broker", wrong: wrong})
		}
	}
	if w.left.restores > 0 && w.cursor != w.copy {
		to := *w
		to.left.restores--
		to.cursor, to.late = w.copy, 0
		for i := range to.replicas {
			to.replicas[i].fresh = false
		}
		emit(move{to: to, by: -1, what: "the store is lost, or restored from its copy", fault: true})
		if w.copy == 0 {
			to = *w
			to.copy = w.cursor
			emit(move{to: to, by: -1, what: "the store is copied", fault: true})
		}
	}
}
