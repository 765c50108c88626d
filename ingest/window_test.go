package ingest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// A ledger is a vendor that is read by windows: it has a record for each minute
// from first to last, and shows those that are not in its future.
type ledger struct {
	first, last time.Time
	takes       time.Duration // a request
	skew        time.Duration // the vendor's clock less ours
	requests    int
	asked       func(n int)
}

// Fetch implements Source.
func (v *ledger) Fetch(_ context.Context, req Request, emit func([]byte) error) (Answer, error) {
	v.requests++
	if v.asked != nil {
		v.asked(v.requests)
	}
	now := time.Now().Add(v.skew)
	<-time.NewTimer(v.takes).C
	for at := v.first; !at.After(v.last) && !at.After(now); at = at.Add(time.Minute) {
		if at.Before(req.From) || at.After(req.To) {
			continue
		}
		if err := emit([]byte(record(at))); err != nil {
			return Answer{}, err
		}
	}
	return Answer{Server: now.Truncate(time.Second)}, nil
}

func record(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// newWindowed returns a world whose vendor is v, read from start.
func newWindowed(t *testing.T, v *ledger, start time.Time) *world {
	w := newWorld(t, 0)
	w.way = Way{Mode: "data", Windows: true, Source: v}
	w.start, w.every = start, 5*time.Minute
	return w
}

// checkFrom finds every record from the given time on stored exactly once.
func (v *ledger) checkFrom(t *testing.T, w *world, from time.Time) {
	t.Helper()
	lost, twice := 0, 0
	for at := from; !at.After(v.last); at = at.Add(time.Minute) {
		switch n := w.broker.copies[idOf(record(at))]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost > 0 || twice > 0 {
		t.Errorf("%d records are never stored and %d more than once; the cursor is at %v", lost, twice, w.store.cursor.Through)
	}
}

func TestWindowsAtTheEdgeWaitForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &ledger{takes: 1200 * time.Millisecond}
		w := newWindowed(t, v, time.Now().Add(-30*time.Minute))
		w.life = time.Hour
		w.run(t)
		if v.requests < 10 || v.requests > 14 {
			t.Errorf("%d requests in an hour, want about 12: one each 5 minutes, however long it takes", v.requests)
		}
	})
}

func TestWindowIsNotSettledBeyondTheVendorsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vendorNow := time.Now().Add(-time.Hour) // our clock is ahead
		v := &ledger{takes: 100 * time.Millisecond, skew: -time.Hour, first: vendorNow.Add(-20 * time.Minute), last: vendorNow.Add(149 * time.Minute)}
		w := newWindowed(t, v, time.Now())
		w.life = 4 * time.Hour
		// The lane was caught up before it ended, and has not learnt the vendor's clock yet.
		w.store.cursor = checkpoint.Cursor{Version: 1, Epoch: 1, Mode: "data", Start: vendorNow.Add(-24 * time.Hour), Page: 9, Through: v.first}
		w.store.revision = 1
		w.run(t)
		v.checkFrom(t, w, v.first)
	})
}

func TestScanReachesBackToWhatAFailedWindowStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		start := now.Add(-170 * time.Minute)
		v := &ledger{takes: 100 * time.Millisecond, first: now.Add(-3 * time.Hour), last: now.Add(-time.Minute)}
		w := newWindowed(t, v, start)
		w.life = time.Hour
		w.publish = func(n int) string {
			if n == 0 {
				return "acknowledgement lost"
			}
			return ""
		}
		v.asked = func(n int) {
			if n == 2 { // the window again, and the last of this process
				w.stop()
			}
		}
		w.run(t)
		if v.requests != 2 || w.store.cursor.Page != 1 {
			t.Fatalf("%d requests led to page %d, want the second one to settle the first page", v.requests, w.store.cursor.Page)
		}
		w.run(t)
		v.checkFrom(t, w, start)
	})
}
