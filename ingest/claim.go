package ingest

import (
	"errors"
	"slices"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// This part of the lane's logic takes a lane over: it makes sure that nobody
// else can move it or store for it, that the broker still has what it
// acknowledged, and that no request of the one before is alive any more.

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
		return p.failed(s, e)
	}
	s.way = e.way
	c := s.cursor
	s.inherited = c.Epoch > 0 && c.Epoch != s.mine && !c.Released
	// Each claim gets an epoch of its own from the store, unless the store has
	// gone back in time.
	if s.behind.Epoch > c.Epoch || s.behind.Epoch == c.Epoch && s.behind.Owner != c.Owner {
		s.inherited = true
		c = p.caughtUp(&s, c, e.now)
	}
	c.Epoch++
	c.Owner, c.Released = p.owner, false
	switch {
	case c.Start.IsZero():
		c.Start, c.Through, c.ScanFrom = p.start, p.start, p.scanFrom
	case c.Mode == "":
		c.Through = latest(c.Start, c.Through)
	case c.Mode != e.way.Mode || c.Index != e.way.Index:
		// The other way knows nothing of our position: begin a little before it.
		c.Start = latest(c.Start, c.HWM.Add(-overlap), c.Through.Add(-overlap))
		c.Through, c.HWM, c.Page, c.Events = c.Start, time.Time{}, 0, 0
	}
	c.Mode, c.Index = e.way.Mode, e.way.Index
	c.Saved = e.now
	return s, action{do: doClaim, cursor: c}
}

// caughtUp returns the cursor brought up to a claim that the broker has and the
// store knows nothing of: the store was lost, or restored from a copy.
func (p *plan) caughtUp(s *state, c checkpoint.Cursor, now time.Time) checkpoint.Cursor {
	c.Epoch = s.behind.Epoch
	if begin := s.behind.HWM.Add(-overlap); c.Page == 0 && !s.behind.HWM.IsZero() && (c.Start.IsZero() || begin.Before(c.Start)) {
		c.Start, c.Through, c.ScanFrom, c.Reached = begin, begin, "", now
	}
	from := s.behind.HWM
	if !c.HWM.IsZero() && c.HWM.Before(from) {
		from = c.HWM
	}
	p.note(s, from, now, "the store of cursors has lost this lane's, or was restored from a copy")
	return c
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}

func (p *plan) claimed(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goLoad, e.err)
	}
	s.cursor, s.mine = e.cursor, e.cursor.Epoch
	return s, action{do: doFence, cursor: s.cursor}
}

// A Standing is a claim that somebody has made at the broker.
type Standing struct {
	Owner string
	Epoch uint64
	HWM   time.Time // the vendor's high-water mark as they knew it
}

// standingOf returns the claim that stands in the way of ours.
func standingOf(err error) (Standing, bool) {
	var claimed interface {
		ClaimedBy() (owner string, epoch uint64, hwm time.Time)
	}
	if !errors.As(err, &claimed) {
		return Standing{}, false
	}
	var s Standing
	s.Owner, s.Epoch, s.HWM = claimed.ClaimedBy()
	return s, true
}

// fenced takes the broker's word on the claim. One that is later than what the
// store has given us belongs to somebody who claimed after us, or to a store that
// has forgotten it; loading the cursor again tells.
func (p *plan) fenced(s state, e event) (state, action) {
	if e.err != nil {
		if standing, ok := standingOf(e.err); ok {
			s.behind = standing
		}
		return unstored(s, again(goFence, e.err), e.err)
	}
	s.fence, s.behind = e.fence, Standing{}
	return s, action{do: doCheck, cursor: s.cursor}
}

// again returns how to go on after an error of the claim: by the same claim, or
// if it has been overtaken, by a new one.
func again(same goal, err error) goal {
	if _, overtaken := standingOf(err); overtaken {
		return goLoad
	}
	return same
}

// checked takes the broker's word on whether it has what it acknowledged.
func (p *plan) checked(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goCheck, e.err)
	}
	if e.lost != "" {
		s.cursor.ScanFrom = ""
		p.note(&s, e.since, e.now, e.lost)
	}
	scan := action{do: doScan}
	if !s.inherited || s.way.Windows { // a window can be asked for again and again
		return p.writeDown(s, scan, "")
	}
	p.note(&s, s.cursor.HWM, e.now.Add(mendAfter), "the lane was taken over from one that had not released it")
	if p.alone {
		return p.writeDown(s, scan, "")
	}
	s.alive = e.now.Add(p.quarantine)
	return p.writeDown(s, action{
		do: doWait, wait: p.quarantine, word: TakingOver,
		why: "the one before stopped without a word, and a request of its may still be at work",
	}, goScan)
}

// note adds to what is to be mended: what Netskope stored from a high-water mark
// on until it is due. Until then a request may take something.
func (p *plan) note(s *state, from, due time.Time, why string) {
	if !p.until.IsZero() {
		return // what reads again is begun again
	}
	if from.IsZero() {
		from = s.cursor.Start
	}
	s.mend = append(s.mend, checkpoint.Repair{
		From: from.Add(-mendBefore).Truncate(time.Second), To: due.Add(s.skew), Due: due,
		ScanFrom: s.cursor.ScanFrom, Reasons: []string{why}, Epoch: s.cursor.Epoch,
	})
}

// writeDown stores what is to be mended, and then goes on with an action, after
// which comes a goal if it is a wait.
func (p *plan) writeDown(s state, then action, after goal) (state, action) {
	if len(s.mend) == 0 {
		s.after = after
		return s, then
	}
	s.then, s.thenAfter = then, after
	return s, action{do: doMend, mend: s.mend}
}

func (p *plan) mended(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goMend, e.err)
	}
	s.mend, s.after = nil, s.thenAfter
	return s, s.then
}

func (p *plan) scanned(s state, e event) (state, action) {
	if e.err != nil {
		return unstored(s, goScan, e.err)
	}
	// What a failed attempt has stored lies between the last settle and now, and
	// belongs to the younger generation.
	s.inherited = false
	s.mark, s.since = s.cursor.Mark, p.stands(s.way, s.cursor)
	return p.ask(s, p.again(s, e.now))
}

// release gives the lane up in order: whoever comes next need not wait for a
// request of ours. It is not possible without a claim, nor while a request may
// still be at work, be it one of ours or one that we have inherited.
func (p *plan) release(s state, now time.Time) (checkpoint.Cursor, bool) {
	c := s.cursor
	if s.mine == 0 || c.Epoch != s.mine || s.inherited || len(s.mend) > 0 || now.Before(s.alive) {
		return c, false
	}
	c.Released, c.Saved = true, now.UTC().Truncate(time.Millisecond)
	return c, true
}

// unstored waits for the broker or the store, and then goes on at after. A
// page that was not surely stored is claimed, scanned and asked for again.
func unstored(s state, after goal, err error) (state, action) {
	s.fails++
	s.after = after
	a := action{do: doWait, backoff: true, word: BrokerDown, why: err.Error(), hint: "Nothing is asked of Netskope until it answers again, and nothing is lost."}
	_, overtaken := standingOf(err)
	switch {
	case isFull(err):
		a.word, a.hint = BrokerFull, "Raise NATS_MAX_BYTES or shorten NATS_MAX_AGE, and start again. Nothing is asked of Netskope meanwhile, and nothing is lost."
	case errors.Is(err, checkpoint.ErrConflict), overtaken, isFenced(err):
		a.word, a.hint = InConflict, "Somebody else has moved this lane: another skopeflow on the same NATS, or a rewind. It is loaded again."
	}
	return s, a
}

// isFenced reports whether err says that somebody else has claimed the lane.
func isFenced(err error) bool {
	var fenced interface{ Fenced() bool }
	return errors.As(err, &fenced) && fenced.Fenced()
}
