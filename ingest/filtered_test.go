package ingest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/schema"
)

func TestEventsThatAreLeftOutAreCountedOfEachPageAndInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.tenant.pages = [][]string{{"a", "b", "-", "b", "x", "-"}, {"-", "c", "-", "-"}}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var pages []Counts
		parts := make(chan *Part)
		lane := &Lane{
			Vendor: "test", Instance: "acme", Stream: "events/page", Owner: "test",
			Open:  func(context.Context, string, checkpoint.Cursor) (Way, error) { return w.way, nil },
			Store: w.store, Broker: w.broker, Out: parts, Budget: NewBudget(1 << 20),
			Start: w.start, Every: time.Minute, Quarantine: time.Second, Grace: time.Minute, Log: slog.New(slog.DiscardHandler),
			Trace: func(ctx context.Context, _ *Lane, _ Op) (context.Context, func(Counts, error)) {
				return ctx, func(c Counts, _ error) {
					if c.Received == 0 {
						stop()
						return
					}
					pages = append(pages, c)
				}
			},
		}
		w.tenant.mishap = func(_ int, r Request) string {
			if r.Op == OpNext { // what is left out is never stored, which the tenant of the other tests would object to
				w.tenant.broker.copies[idOf("-")], w.tenant.broker.copies[idOf("x")] = 1, 1
			}
			return ""
		}
		var stage sync.WaitGroup
		stage.Go(func() {
			for part := range parts {
				leaveOutAndStore(w, part)
			}
		})
		lane.Run(ctx)
		close(parts)
		stage.Wait()

		want := []Counts{{Received: 6, Stored: 2, Duplicates: 1, Filtered: 2, DeadLettered: 1}, {Received: 4, Stored: 1, Filtered: 3}}
		if len(pages) != 2 || pages[0] != want[0] || pages[1] != want[1] {
			t.Errorf("pages %+v, want %+v", pages, want)
		}
		s := lane.Status()
		if s.Filtered != 5 || s.Received != 10 || s.Stored+s.Duplicates+s.Filtered+s.DeadLettered != s.Received {
			t.Errorf("status %+v, want 10 received, 5 of them filtered, and the sum to close", s)
		}
	})
}

// leaveOutAndStore leaves out the events "-", buries "x" and stores the others.
func leaveOutAndStore(w *world, part *Part) {
	var keys []schema.Key
	dead := 0
	for i := range part.Len() {
		event := string(part.Event(i))
		id := idOf(event)
		switch {
		case event == "-":
			part.Page.LeaveOut()
		case event == "x":
			dead++
		case part.Page.Admit(schema.Key{ID: id}):
			w.broker.put(id)
			keys = append(keys, schema.Key{ID: id})
		}
	}
	part.Done(keys, dead, nil)
}
