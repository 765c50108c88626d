package ingest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/schema"
)

// Each failed next is followed by a resend, which works: that is no recovery.
func TestNextThatFailsForeverBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.life = time.Hour
		resends := 0
		w.tenant.mishap = func(_ int, r Request) string {
			switch r.Op {
			case OpNext:
				return "server error"
			case OpResend:
				resends++
			case OpStart, OpWindow:
			}
			return ""
		}
		w.run(t)
		if resends < 3 || resends > 30 {
			t.Errorf("the page is sent again %d times in an hour, want pauses that grow to 5 minutes", resends)
		}
	})
}

func TestOneIDWithOtherContentOnTheNextPageIsStored(t *testing.T) {
	m := newMemory()
	first := schema.Key{ID: idOf("x"), Raw: 1}
	other := schema.Key{ID: first.ID, Raw: 2}
	if !newPage(t.Context(), "l", m.knows).Admit(first) {
		t.Fatal("an event that nothing is known of is left out")
	}
	m.learn(first)
	page := newPage(t.Context(), "l", m.knows)
	if !page.Admit(other) {
		t.Error("an event is left out whose id was stored with other content")
	}
	if page.Admit(first) {
		t.Error("an event is stored again")
	}
}

// The vendor gave nothing last, and while the lane was away it has forgotten
// the index: resend is an empty page in either case.
func TestEmptyResendIsNotFollowedByABareNext(t *testing.T) {
	p := &plan{every: time.Minute}
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	c := checkpoint.Cursor{Epoch: 1, Mode: "dataexport", Index: "i", Page: 7, HWM: now.Add(-48 * time.Hour)}
	s := state{cursor: c, way: Way{Mode: "dataexport", Index: "i"}, req: Request{Op: OpResend}}
	s, a := p.step(s, action{do: doFetch, req: s.req}, event{now: now})
	if a.do == doSave {
		_, a = p.step(s, a, event{now: now, cursor: a.cursor})
	}
	if a.req.Op != OpStart || a.req.From.After(c.HWM) {
		t.Errorf("an empty resend leads to %s from %v, want a start at or before the high-water mark", a.req.Op, a.req.From)
	}
}

func TestResendOfAnUnknownIndexRefusedBeginsAgain(t *testing.T) {
	p := &plan{every: time.Minute}
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	s := state{way: Way{Mode: "dataexport", Index: "i"}, req: Request{Op: OpResend}}
	s.cursor.Page, s.cursor.Events, s.cursor.HWM = 5, 10, now
	for range 50 {
		var a action
		s, a = p.step(s, action{do: doFetch, req: s.req}, event{now: now, err: &Fault{Kind: Refused, Err: errors.New("400 no such index")}})
		s, a = p.step(s, a, event{now: now})
		if a.req.Op == OpStart {
			return
		}
	}
	t.Error("after 50 refused resends there is no start at the high-water mark")
}

// A start asks for what happened at its moment too.
func TestWhatAStartMayBringAgainIsStillRemembered(t *testing.T) {
	p := &plan{every: time.Minute}
	since := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	for past, want := range map[time.Duration]bool{overlap: false, overlap + time.Second: true} {
		hwm := since.Add(past)
		s := state{cursor: checkpoint.Cursor{Page: 3, HWM: since}, since: since, req: Request{Op: OpNext}}
		s, a := p.step(s, action{do: doFetch, req: s.req}, event{now: hwm, answer: Answer{HWM: hwm}, counts: Counts{Received: 1, Stored: 1}})
		s.cursor = a.cursor
		if a.do != doSave || a.rotate != want || !want && p.from(s).From.After(since) {
			t.Errorf("%s %v past since: older ids dropped: %t, want %t", a.do, past, a.rotate, want)
		}
	}
}
