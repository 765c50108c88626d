// Package checkpointtest is the contract of a [checkpoint.Store]: what every
// implementation must do, real or fake.
package checkpointtest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// Run holds a store to the contract. open returns an empty one.
func Run(t *testing.T, open func(t *testing.T) checkpoint.Store) {
	t.Run("a lane without a cursor has the zero cursor", func(t *testing.T) {
		c, rev, err := open(t).Load(t.Context(), "acme.events.page")
		if err != nil || rev != 0 || c != (checkpoint.Cursor{}) {
			t.Fatalf("Load = %+v, %d, %v, want zero, 0, nil", c, rev, err)
		}
	})
	t.Run("what was saved is loaded", func(t *testing.T) {
		s := open(t)
		want := checkpoint.Cursor{
			Version: checkpoint.Version, Epoch: 3, Owner: "host-1", Mode: "dataexport", Index: "skopeflow-x-acme-events-page",
			Start: at(1), Page: 17, Events: 10000, HWM: at(2), Through: at(3), Mark: "9", ScanFrom: "5", Saved: at(4),
			Released: true, Reached: at(5), Replay: true,
		}
		rev := save(t, s, "acme.events.page", want, 0)
		got, gotRev, err := s.Load(t.Context(), "acme.events.page")
		if err != nil || got != want || gotRev != rev {
			t.Fatalf("Load = %+v, %d, %v, want %+v, %d", got, gotRev, err, want, rev)
		}
	})
	t.Run("lanes do not touch each other", func(t *testing.T) {
		s := open(t)
		save(t, s, "acme.events.page", checkpoint.Cursor{Page: 1}, 0)
		save(t, s, "acme.events.audit", checkpoint.Cursor{Page: 2}, 0)
		for lane, page := range map[string]uint64{"acme.events.page": 1, "acme.events.audit": 2} {
			if c, _, err := s.Load(t.Context(), lane); err != nil || c.Page != page {
				t.Errorf("%s is at page %d, %v, want %d", lane, c.Page, err, page)
			}
		}
	})
	t.Run("an old revision is refused and changes nothing", func(t *testing.T) {
		s := open(t)
		first := save(t, s, "lane", checkpoint.Cursor{Page: 1}, 0)
		save(t, s, "lane", checkpoint.Cursor{Page: 2}, first)
		for _, stale := range []uint64{0, first} {
			if _, err := s.Save(t.Context(), "lane", checkpoint.Cursor{Page: 9}, stale); !errors.Is(err, checkpoint.ErrConflict) {
				t.Errorf("Save at revision %d = %v, want ErrConflict", stale, err)
			}
		}
		if c, _, err := s.Load(t.Context(), "lane"); err != nil || c.Page != 2 {
			t.Errorf("cursor is at page %d, %v, want 2", c.Page, err)
		}
	})
	t.Run("of many savers at one revision one wins", func(t *testing.T) {
		s := open(t)
		rev := save(t, s, "lane", checkpoint.Cursor{}, 0)
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, err := s.Save(t.Context(), "lane", checkpoint.Cursor{Page: uint64(i)}, rev); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 8 savers won, want 1", won.Load())
		}
	})
	t.Run("what is saved carries the version of this program", func(t *testing.T) {
		s := open(t)
		c := checkpoint.Cursor{Page: 1}
		save(t, s, "lane", c, 0)
		if got, _, err := s.Load(t.Context(), "lane"); err != nil || got.Version != checkpoint.Version {
			t.Errorf("saved cursor has version %d, %v, want %d", got.Version, err, checkpoint.Version)
		}
	})
}

func save(t *testing.T, s checkpoint.Store, lane string, c checkpoint.Cursor, rev uint64) uint64 {
	t.Helper()
	saved, err := s.Save(t.Context(), lane, c, rev)
	if err != nil {
		t.Fatalf("save %s at revision %d: %v", lane, rev, err)
	}
	return saved
}

func at(sec int64) time.Time { return time.Unix(1767225600+sec, 0).UTC() }
