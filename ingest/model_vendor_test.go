package ingest

import "slices"

// This file has the vendor of the model, what becomes of requests, and what must
// hold in every scene.

// asks sends a request.
func (g *stage) asks(w *scene, i int, emit func(move)) {
	r, x := &w.replicas[i], g.local(w, i)
	if r.quiet {
		return
	}
	if w.left.unsents > 0 {
		to := g.with(w, i, outcome{what: unsent})
		to.left.unsents--
		emit(move{to: to, by: i, what: "cannot send its request", fault: true})
	}
	to := *w
	to.replicas[i].phase = asked
	m := move{to: to, by: i, what: "asks for " + string(x.do.req.Op)}
	if x.do.req.Op == OpNext && (x.got&^w.stored() != 0 || x.got != 0 && g.breaks != saveFirst) {
		m.wrong = "next is asked for with a page unsettled"
	}
	emit(m)
}

// waits is what becomes of a request that somebody waits for.
func (g *stage) waits(w *scene, i int, emit func(move)) {
	if w.left.timeouts > 0 {
		to := g.with(w, i, outcome{what: timedOut})
		to.left.timeouts--
		g.strayed(&to, g.request(w, i))
		emit(move{to: to, by: i, what: "gives its request up", fault: true})
	}
	if w.left.gateways > 0 {
		to := g.with(w, i, outcome{what: gateway})
		to.left.gateways--
		g.strayed(&to, g.request(w, i))
		emit(move{to: to, by: i, what: "is told 504 by a gateway that has given its request up", fault: true})
	}
	to := *w
	request := g.request(w, i)
	page, known := to.serve(request)
	if !known || g.refuses && request == 0 && w.at == 0 {
		emit(move{to: g.with(&to, i, outcome{what: refused}), by: i, what: "is refused: the vendor does not know the index"})
		return
	}
	r := &to.replicas[i]
	r.phase, r.page = answered, page
	emit(move{to: to, by: i, what: "is answered"})
	if w.left.cuts > 0 && page > 0 {
		r.half = true
		to.left.cuts--
		emit(move{to: to, by: i, what: "is answered, and the body will break off", fault: true})
	}
}

// request codes the request of a replica as a stray is; 0 is a resend.
func (g *stage) request(w *scene, i int) uint8 {
	switch req := g.local(w, i).do.req; req.Op {
	case OpNext:
		return strayNext
	case OpStart:
		return pageFrom(req.From)
	case OpResend, OpWindow:
	}
	return 0
}

// serve is the vendor: it moves its index, whoever may hear the answer.
func (w *scene) serve(request uint8) (page uint8, known bool) {
	switch {
	case request == 0:
		if w.at == 0 || w.empty {
			return 0, true
		}
		return w.at, true
	case request == strayNext && w.at == 0:
		return 0, false
	case request == strayNext:
		if w.empty = w.at == w.there; w.empty {
			return 0, true
		}
		w.at++
		return w.at, true
	case request > w.there:
		w.at, w.empty = w.there, true
		return 0, true
	}
	w.at, w.empty = request, false
	return w.at, true
}

// orphan leaves the request of a process that ends to itself.
func (g *stage) orphan(w *scene, i int) {
	if w.replicas[i].phase == asked {
		g.strayed(w, g.request(w, i))
	}
}

// strayed adds a stray. A resend changes nothing and is not followed.
func (g *stage) strayed(w *scene, request uint8) {
	if request == 0 {
		return
	}
	free := slices.Index(w.strays[:], 0)
	if free < 0 {
		return // more than there are replicas; it gets lost
	}
	w.strays[free] = request
	slices.Sort(w.strays[:])
}

// vendorMoves is what happens at the vendor, and to requests nobody waits for.
func (g *stage) vendorMoves(w *scene, emit func(move)) {
	for j, request := range w.strays {
		if request == 0 || j > 0 && w.strays[j-1] == request {
			continue
		}
		to := *w
		to.strays[j] = 0
		slices.Sort(to.strays[:])
		to.serve(request)
		what := "a stray start reaches the vendor"
		if request == strayNext {
			what = "a stray next reaches the vendor"
		}
		emit(move{to: to, by: -1, what: what})
	}
	if w.there < lastPage {
		to := *w
		to.there++
		emit(move{to: to, by: -1, what: "time passes, and the vendor has a new page"})
	}
	if w.left.forgets > 0 && w.at > 0 {
		to := *w
		to.left.forgets--
		to.at, to.empty = 0, false
		emit(move{to: to, by: -1, what: "the vendor forgets the index", fault: true})
	}
}

// lost says which page is lost: one that the vendor has passed, and that is
// neither stored, nor in somebody's hand who may store it, nor to be mended. With
// the assumption of time neither of the excuses is needed.
func (g *stage) lost(w *scene) uint8 {
	stored := w.stored()
	passed := w.at
	if w.empty { // what follows it was asked for
		passed++
	}
	for page := uint8(1); page < passed; page++ {
		missing := pageIDs(page) &^ stored
		if missing == 0 || !g.timed && w.covered&(1<<page) != 0 {
			continue
		}
		if g.timed || !g.inHand(w, page, missing) {
			return page
		}
	}
	return 0
}

func (g *stage) inHand(w *scene, page, missing uint8) bool {
	if w.batch.ids&missing == missing && uint64(w.batch.epoch) == g.lib.cursors[w.claim].Epoch {
		return true
	}
	for i := range g.replicas {
		r := &w.replicas[i]
		if r.local != 0 && r.phase == answered && r.page == page && !r.half {
			return true
		}
	}
	return false
}

// arrived says whether all there is has been read, and the one who reads it goes on.
func (g *stage) arrived(w *scene) bool {
	if w.lease == 0 || w.there < lastPage {
		return false
	}
	i := int(w.lease - 1)
	r := &w.replicas[i]
	if r.local == 0 || r.told || r.phase != ready {
		return false
	}
	x := g.local(w, i)
	if x.do.do != doFetch || x.do.req.Op != OpNext || !x.s.cursor.HWM.Equal(pageTime(lastPage)) {
		return false
	}
	for page := uint8(1); page <= lastPage; page++ {
		if pageIDs(page)&^w.stored() != 0 && (g.timed || w.covered&(1<<page) == 0) {
			return false
		}
	}
	return true
}
