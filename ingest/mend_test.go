package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/schema"
)

// A ward is what a lane and its repairs need around them: an index of its own
// for each job, a cursor and a claim for each key, and the repairs that stand.
// It notes what is done, with the time since it began.
type ward struct {
	*broker
	t       *testing.T
	began   time.Time
	stop    context.CancelFunc
	lane    *Lane
	indexes map[string]*tenant // by job; "" is the lane's
	missing func(mark string) string
	history []checkpoint.Revision
	asked   func(job string, req Request)

	mu     sync.Mutex // guards what follows
	noted  []string
	stores map[string]*store  // by key
	claims map[string]*broker // by key

	repair    checkpoint.Repair
	revision  uint64 // of the repair; 0 is none
	written   []checkpoint.Repair
	mended    []uint64
	forgotten []string
}

func newWard(t *testing.T) *ward {
	return &ward{
		t: t, broker: &broker{copies: map[schema.ID]int{}}, began: time.Now(),
		missing: func(string) string { return "" }, asked: func(string, Request) {},
		indexes: map[string]*tenant{}, stores: map[string]*store{}, claims: map[string]*broker{},
	}
}

func (w *ward) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted = append(w.noted, fmt.Sprintf("%v ", time.Since(w.began))+fmt.Sprintf(format, args...))
}

// index gives a job an index that holds pages of 10 events.
func (w *ward) index(job string, pages ...string) *tenant {
	v := &tenant{t: w.t, broker: w.broker, store: w.store(keyOf(job)), mishap: func(_ int, req Request) string {
		w.note("%s%s", prefix(job), req.Op)
		w.asked(job, req)
		return ""
	}}
	for _, page := range pages {
		v.pages = append(v.pages, eventsOf(page))
	}
	w.indexes[job] = v
	return v
}

func prefix(job string) string {
	if job == "" {
		return ""
	}
	return job + " "
}

func keyOf(job string) string {
	return (&Lane{Instance: "acme", Stream: "events/page", Job: job}).Key()
}

func eventsOf(page string) []string {
	var events []string
	for i := range 10 {
		events = append(events, fmt.Sprintf("%s/%d", page, i))
	}
	return events
}

// hold stores the events of a page.
func (w *ward) hold(page string) {
	for _, e := range eventsOf(page) {
		w.put(idOf(e))
	}
}

// want finds each event of the pages stored once.
func (w *ward) want(pages ...string) {
	w.t.Helper()
	for _, page := range pages {
		for _, e := range eventsOf(page) {
			if n := w.copies[idOf(e)]; n != 1 {
				w.t.Errorf("event %s is stored %d times, want once", e, n)
			}
		}
	}
}

// run serves a lane until the ward stops it, or for a day.
func (w *ward) run(change func(*Lane)) {
	ctx, stop := context.WithTimeout(w.t.Context(), 24*time.Hour)
	defer stop()
	w.stop = stop
	parts := make(chan *Part)
	w.lane = &Lane{
		Vendor: "test", Instance: "acme", Stream: "events/page", Owner: "us",
		Open: func(_ context.Context, job string, _ checkpoint.Cursor) (Way, error) {
			if w.indexes[job] == nil {
				w.t.Errorf("job %q is opened", job)
				return Way{}, &Fault{Kind: Missing, Err: errors.New("no such index")}
			}
			return Way{Mode: "dataexport", Index: "i" + job, Source: w.indexes[job]}, nil
		},
		Store: w, Broker: w, Out: parts, Budget: NewBudget(1 << 20),
		Start: w.began, Every: time.Minute, Quarantine: 65 * time.Second, Grace: time.Minute,
		Log: slog.New(slog.DiscardHandler), Mend: w.Mend,
		History: func(context.Context, string) ([]checkpoint.Revision, error) { return w.history, nil },
	}
	if change != nil {
		change(w.lane)
	}
	var stage sync.WaitGroup
	stage.Go(func() {
		for part := range parts {
			w.storePart(part)
		}
	})
	w.lane.Serve(ctx, w)
	close(parts)
	stage.Wait()
}

func (w *ward) storePart(part *Part) {
	if fence := w.fence(part.Page.Claim); part.Page.Fence != fence {
		part.Done(nil, 0, errFenced{})
		return
	}
	var keys []schema.Key
	for i := range part.Len() {
		key := schema.Key{ID: idOf(string(part.Event(i)))}
		if part.Page.Admit(key) {
			w.put(key.ID)
			keys = append(keys, key)
		}
	}
	part.Done(keys, 0, nil)
}

func (w *ward) store(key string) *store {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stores[key] == nil {
		w.stores[key] = &store{}
	}
	return w.stores[key]
}

func (w *ward) claim(key string) *broker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.claims[key] == nil {
		w.claims[key] = &broker{}
	}
	return w.claims[key]
}

func (w *ward) fence(key string) string {
	c := w.claim(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.seq)
}

func (w *ward) Load(ctx context.Context, key string) (checkpoint.Cursor, uint64, error) {
	return w.store(key).Load(ctx, key)
}

func (w *ward) Save(ctx context.Context, key string, c checkpoint.Cursor, revision uint64) (uint64, error) {
	before, _, _ := w.Load(ctx, key)
	if before.Epoch != c.Epoch && key == w.name() {
		w.note("claim %d", c.Epoch)
	}
	return w.store(key).Save(ctx, key, c, revision)
}

func (w *ward) Claim(ctx context.Context, key, owner string, epoch uint64, hwm time.Time) (string, error) {
	fence, err := w.claim(key).Claim(ctx, key, owner, epoch, hwm)
	if key == w.name() {
		w.note("fence %d: %v", epoch, err)
	}
	return fence, err
}

func (w *ward) Missing(_ context.Context, mark string, _ time.Time) (string, error) {
	return w.missing(mark), nil
}

func (w *ward) Scan(ctx context.Context, lane, from string, known func(schema.Key)) (string, error) {
	if from == "" {
		from = "0"
	}
	w.note("scan %s from %s", lane, from)
	return w.broker.Scan(ctx, lane, from, known)
}

func (w *ward) Mend(_ context.Context, lane string, r checkpoint.Repair) error {
	w.note("repair %s", lane)
	w.stand(r)
	w.written = append(w.written, r)
	return nil
}

// stand makes a repair stand, in the place of the one before.
func (w *ward) stand(r checkpoint.Repair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.revision > 0 && w.repair.From.Before(r.From) {
		r.From = w.repair.From
	}
	w.repair, w.revision = r, w.revision+1
}

func (w *ward) Repair(_ context.Context, lane string) (checkpoint.Repair, uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lane != w.name() || slices.Contains(w.mended, w.revision) {
		return checkpoint.Repair{}, 0, nil
	}
	return w.repair, w.revision, nil
}

func (w *ward) Mended(_ context.Context, lane string, revision uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lane != w.name() || revision != w.revision {
		return checkpoint.ErrConflict
	}
	w.mended = append(w.mended, revision)
	return nil
}

// Forget stops the lane when no repair stands any more.
func (w *ward) Forget(_ context.Context, key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgotten = append(w.forgotten, key)
	w.stores[key].cursor, w.stores[key].revision = checkpoint.Cursor{}, 0
	if slices.Contains(w.mended, w.revision) {
		w.stop()
	}
	return nil
}

// held is where a lane stood that another owner read.
func (w *ward) held(released bool) checkpoint.Cursor {
	c := checkpoint.Cursor{
		Epoch: 3, Owner: "other", Mode: "dataexport", Index: "i", Start: w.began.Add(-time.Hour), Page: 1, Events: 10,
		HWM: w.began.Add(-time.Minute), Mark: "10", ScanFrom: "0", Released: released, Saved: w.began,
	}
	s := w.store(w.name())
	s.cursor, s.revision = c, 1
	return c
}

func (w *ward) name() string { return keyOf("") }

// saw wants what was noted to begin so.
func (w *ward) saw(want ...string) {
	w.t.Helper()
	if got := w.noted[:min(len(want), len(w.noted))]; !slices.Equal(got, want) {
		w.t.Errorf("happened:\n  %s\nwant:\n  %s", strings.Join(w.noted[:min(12, len(w.noted))], "\n  "), strings.Join(want, "\n  "))
	}
}

// due is a repair of three pages, from after the first 10 events that the broker
// holds. Tenants count their marks from second 1000.
func (w *ward) due(in time.Duration) checkpoint.Repair {
	return checkpoint.Repair{From: time.Unix(900, 0).UTC(), To: time.Unix(1003, 0).UTC(), Due: time.Now().Add(in), ScanFrom: "10", Epoch: 7}
}

func TestDueRepairIsReadAgainOnAnIndexOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("")
		w.index("mend-7", "a", "b", "c")
		for _, page := range []string{"old", "a", "c"} { // the repair begins after the first
			w.hold(page)
		}
		w.stand(w.due(5 * time.Minute))
		var begun time.Duration
		var asked []Request
		w.asked = func(job string, req Request) {
			if job == "" {
				return
			}
			if asked = append(asked, req); len(asked) == 1 {
				begun = time.Since(w.began)
			}
		}
		w.run(nil)
		w.want("old", "a", "b", "c")
		if begun < 5*time.Minute || begun > 5*time.Minute+lookForRepairs {
			t.Errorf("read again %v after the start, want when it is due, 5 minutes after", begun)
		}
		if len(asked) != 3 || asked[0].Op != OpStart || !asked[0].From.Equal(w.repair.From) || asked[2].Op != OpNext {
			t.Errorf("asked %v, want three pages from %v", asked, w.repair.From)
		}
		if !slices.ContainsFunc(w.noted, func(n string) bool { return strings.HasSuffix(n, "scan acme.events.page from 10") }) {
			t.Errorf("the broker was not read from where the repair says:\n%s", strings.Join(w.noted, "\n"))
		}
		if s := w.lane.Status(); s.Recovered != 10 || s.Stored != 0 {
			t.Errorf("recovered %d and stored %d, want 10 and 0", s.Recovered, s.Stored)
		}
		if !slices.Equal(w.mended, []uint64{1}) || !slices.Equal(w.forgotten, []string{"acme.events.page.mend-7"}) {
			t.Errorf("mended %v and forgot %v, want revision 1 and the job's cursor", w.mended, w.forgotten)
		}
	})
}

func TestRepairThatGrewMeanwhileIsReadOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("")
		w.index("mend-7", "a", "b", "c")
		w.index("mend-8", "a", "b", "c")
		w.hold("old")
		w.stand(w.due(0))
		w.asked = func(job string, req Request) {
			if job == "mend-7" && req.Op == OpStart {
				grown := w.due(10 * time.Minute)
				grown.Epoch = 8
				w.stand(grown)
			}
		}
		w.run(nil)
		w.want("a", "b", "c")
		if w.indexes["mend-8"].calls != 3 {
			t.Errorf("%d pages were read for what the repair had grown to, want 3", w.indexes["mend-8"].calls)
		}
		if !slices.Equal(w.mended, []uint64{2}) || len(w.forgotten) != 2 {
			t.Errorf("mended %v and forgot %v, want revision 2 alone, and both jobs' cursors", w.mended, w.forgotten)
		}
	})
}

func TestRepairStoppedInTheMiddleGoesOnFromItsCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("")
		v := w.index("mend-7", "a", "b", "c")
		w.hold("old")
		w.stand(w.due(0))
		var again []Op
		w.asked = func(job string, req Request) {
			if job != "" && req.Op == OpNext && v.at == 1 {
				w.stop()
			}
		}
		w.run(nil)
		if c := w.store(keyOf("mend-7")).cursor; c.Page != 2 || !c.Released || len(w.mended) > 0 {
			t.Fatalf("stopped at page %d, released: %t, mended %v; want page 2, released, nothing", c.Page, c.Released, w.mended)
		}
		w.asked = func(job string, req Request) {
			if job != "" {
				again = append(again, req.Op)
			}
		}
		w.run(nil)
		w.want("a", "b", "c")
		if want := []Op{OpResend, OpNext}; !slices.Equal(again, want) || len(w.mended) != 1 {
			t.Errorf("went on with %v and mended %v, want %v and the repair", again, w.mended, want)
		}
	})
}

// What nobody has released may have been left with a request at work.
func TestLaneThatWasNotReleasedIsTakenOverWithARepairAndAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("", "a", "b").at = 2 // the one before asked for b, and did not store it
		w.hold("a")
		before := w.held(false)
		shown := make(chan Word, 1)
		time.AfterFunc(64*time.Second, func() { shown <- w.lane.Status().State })
		w.asked = func(_ string, req Request) {
			if req.Op == OpNext {
				w.stop()
			}
		}
		w.run(nil)
		w.want("a", "b")
		w.saw("0s claim 4", "0s fence 4: <nil>", "0s repair acme.events.page", "1m5s scan acme.events.page from 0", "1m5s resend", "1m5s next")
		if word := <-shown; word != TakingOver {
			t.Errorf("the lane is %q meanwhile, want %q", word, TakingOver)
		}
		r := w.repair
		if !r.From.Equal(before.HWM.Add(-mendBefore).Truncate(time.Second)) || !r.To.Equal(r.Due) || !r.Due.Equal(w.began.Add(mendAfter)) || r.Epoch != 4 || r.ScanFrom != "0" {
			t.Errorf("to be read again: %+v, want from 5 minutes before %v until it is due, in 15 minutes", r, before.HWM)
		}
	})
}

// Whoever comes next has to wait as well: the request may still be at work.
func TestLaneThatIsGivenUpDuringTheQuarantineIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("", "a").at = 1
		w.hold("a")
		w.held(false)
		time.AfterFunc(30*time.Second, func() { w.stop() })
		w.run(nil)
		if c := w.store(w.name()).cursor; c.Released || c.Epoch != 4 {
			t.Errorf("released: %t, epoch %d, want a claim that is not released", c.Released, c.Epoch)
		}
		w.asked = func(string, Request) { w.stop() }
		w.run(func(l *Lane) { l.Owner = "third" })
		w.saw("0s claim 4", "0s fence 4: <nil>", "0s repair acme.events.page", "30s claim 5", "30s fence 5: <nil>", "30s repair acme.events.page", "1m35s scan acme.events.page from 0", "1m35s resend")
	})
}

// A hastyBroker is told to stop as soon as it has the claim.
type hastyBroker struct{ *ward }

func (b hastyBroker) Claim(ctx context.Context, key, owner string, epoch uint64, hwm time.Time) (string, error) {
	defer b.stop()
	return b.ward.Claim(ctx, key, owner, epoch, hwm)
}

func TestLaneThatIsGivenUpBeforeItsRepairIsWrittenDownIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("", "a").at = 1
		w.hold("a")
		w.held(false)
		w.run(func(l *Lane) { l.Broker = hastyBroker{w} })
		if c := w.store(w.name()).cursor; c.Released || c.Epoch != 4 {
			t.Errorf("released: %t, epoch %d, want a claim that is not released", c.Released, c.Epoch)
		}
	})
}

func TestLaneThatWasReleasedIsTakenOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("", "a").at = 1
		w.hold("a")
		w.held(true)
		w.asked = func(string, Request) { w.stop() }
		w.run(nil)
		w.want("a")
		w.saw("0s claim 4", "0s fence 4: <nil>", "0s scan acme.events.page from 0", "0s resend")
		if w.revision != 0 {
			t.Errorf("to be read again: %+v, want nothing", w.repair)
		}
	})
}

func TestLaneThatIsAloneWritesTheRepairDownAndDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("", "a").at = 1
		w.hold("a")
		w.held(false)
		w.asked = func(string, Request) { w.stop() }
		w.run(func(l *Lane) { l.Alone = true })
		w.want("a")
		w.saw("0s claim 4", "0s fence 4: <nil>", "0s repair acme.events.page", "0s scan acme.events.page from 0", "0s resend")
	})
}

func TestNextWithoutAnAnswerIsWrittenDownBeforeTheQuarantine(t *testing.T) {
	for _, released := range []bool{true, false} {
		t.Run(fmt.Sprintf("stopped after the quarantine: %t", released), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t)
				v := w.index("", "a", "b")
				note := v.mishap
				v.mishap = func(call int, req Request) string {
					note(call, req)
					switch call {
					case 1:
						if !released {
							time.AfterFunc(time.Second, w.stop)
						}
						return "reply lost"
					case 2:
						w.stop()
					}
					return ""
				}
				w.run(nil)
				// A page comes after the second that the tenant asks to wait.
				w.saw("0s claim 1", "0s fence 1: <nil>", "0s scan acme.events.page from 0", "0s start", "1s next", "1s repair acme.events.page")
				c := w.store(w.name()).cursor
				if c.Released != released {
					t.Errorf("released: %t, want %t", c.Released, released)
				}
				if !w.repair.Due.Equal(w.began.Add(time.Second + mendAfter)) {
					t.Errorf("due at %v, want in 15 minutes", w.repair.Due)
				}
				if released {
					w.saw("0s claim 1", "0s fence 1: <nil>", "0s scan acme.events.page from 0", "0s start", "1s next", "1s repair acme.events.page", "1m6s resend")
				}
			})
		})
	}
}

func TestWhatTheBrokerHasLostIsReadAgainFromTheNewestCursorThatItHolds(t *testing.T) {
	at := func(mark string, hwm time.Time) checkpoint.Revision {
		return checkpoint.Revision{Cursor: checkpoint.Cursor{Mark: mark, HWM: hwm}}
	}
	for name, held := range map[string]bool{"some of it": true, "all of it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t)
				w.index("", "a").at = 1
				w.hold("a")
				before := w.held(true)
				day := w.began.Add(-24 * time.Hour)
				w.history = []checkpoint.Revision{at("2", day), at("5", day.Add(time.Hour)), at("7", day.Add(2*time.Hour))}
				w.missing = func(mark string) string {
					if held && (mark == "2" || mark == "5") {
						return ""
					}
					return "it was rolled back"
				}
				w.asked = func(string, Request) { w.stop() }
				w.run(nil)
				w.saw("0s claim 4", "0s fence 4: <nil>", "0s repair acme.events.page", "0s scan acme.events.page from 0", "0s resend")
				want := before.Start
				if held {
					want = day.Add(time.Hour)
				}
				r := w.repair
				if !r.From.Equal(want.Add(-mendBefore)) || !r.To.Equal(w.began) || r.Due.After(w.began) || r.ScanFrom != "" {
					t.Errorf("to be read again: %+v, want from 5 minutes before %v until now, at once, knowing all that the broker holds", r, want)
				}
			})
		})
	}
}

// The broker knows of a claim that the store does not: the store was lost.
func TestLaneWhoseCursorWasLostGoesOnWhereTheClaimStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.index("", "a")
		hwm := w.began.Add(-3 * time.Hour)
		if _, err := w.claim(w.name()).Claim(t.Context(), w.name(), "other", 9, hwm); err != nil {
			t.Fatal(err)
		}
		var asked []Request
		w.asked = func(_ string, req Request) {
			asked = append(asked, req)
			w.stop()
		}
		w.run(nil)
		var claims []string
		for _, n := range w.noted {
			if _, epoch, ok := strings.Cut(n, " claim "); ok {
				claims = append(claims, epoch)
			}
		}
		if !slices.Equal(claims, []string{"1", "10"}) {
			t.Errorf("claimed as %v, want 1, and then 10, after the 9 that the broker knows", claims)
		}
		if len(asked) == 0 || asked[0].Op != OpStart || !asked[0].From.Equal(hwm.Add(-overlap)) {
			t.Errorf("asked %v, want a start a little before %v", asked, hwm)
		}
		if !slices.ContainsFunc(w.written, func(r checkpoint.Repair) bool {
			return r.From.Equal(hwm.Add(-mendBefore).Truncate(time.Second)) && !r.To.Before(w.began)
		}) {
			t.Errorf("to be read again: %+v, want from 5 minutes before %v until now", w.written, hwm)
		}
		if c := w.claim(w.name()); c.owner != "us" || c.epoch != 10 {
			t.Errorf("the claim at the broker is %d by %s, want ours", c.epoch, c.owner)
		}
	})
}
