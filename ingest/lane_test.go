package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/schema"
)

// A tenant is an iterator of a vendor: it moves its index when a request
// reaches it, whatever becomes of the answer.
type tenant struct {
	t      *testing.T
	pages  [][]string
	at     int // pages served by moving calls
	calls  int
	mishap func(call int, req Request) string
	broker *broker
	store  *store
}

// Fetch implements Source. Before a page moves, every event of the one before
// must be stored and its cursor saved: nothing else makes resend enough.
func (v *tenant) Fetch(_ context.Context, req Request, emit func([]byte) error) (Answer, error) {
	call := v.calls
	v.calls++
	mishap := v.mishap(call, req)
	switch mishap {
	case "unsent":
		return Answer{}, &Fault{Kind: Unsent, Err: errors.New("connection refused")}
	case "throttled":
		return Answer{}, &Fault{Kind: Throttled, After: 7 * time.Second, Err: errors.New("429")}
	case "server error":
		return Answer{}, &Fault{Kind: Invalid, Err: errors.New("503")}
	}
	switch req.Op {
	case OpStart:
		v.at = 1
	case OpNext:
		v.settled()
		v.at++
	case OpResend, OpWindow:
	}
	if mishap == "reply lost" {
		return Answer{}, &Fault{Kind: Lost, Err: errors.New("timeout awaiting response headers")}
	}
	answer := Answer{HWM: time.Unix(int64(1000+v.at), 0).UTC(), Wait: time.Second}
	var events []string
	if v.at >= 1 && v.at <= len(v.pages) {
		events = v.pages[v.at-1]
	}
	for i, e := range events {
		if mishap == "body broke off" && i == len(events)/2 {
			return answer, &Fault{Kind: Broken, Err: errors.New("unexpected EOF")}
		}
		if err := emit([]byte(e)); err != nil {
			return answer, err
		}
	}
	return answer, nil
}

func (v *tenant) settled() {
	for _, page := range v.pages[:min(v.at, len(v.pages))] {
		for _, e := range page {
			if v.broker.copies[idOf(e)] == 0 {
				v.t.Errorf("the page after %d was asked for, and event %s is not stored", v.at, e)
			}
		}
	}
	if c, _, _ := v.store.Load(context.Background(), "acme.events.page"); c.Page == 0 {
		v.t.Errorf("the page after %d was asked for, and no cursor is saved", v.at)
	}
}

func idOf(event string) schema.ID { return schema.NameID([]byte(event)) }

// A broker keeps ids in the order they were stored.
type broker struct {
	mu     sync.Mutex
	log    []schema.ID
	copies map[schema.ID]int
	down   bool

	owner string // of the claim that stands
	epoch uint64
	hwm   time.Time
	seq   int // counts the claims, and is the fence
	lost  string
}

// An overtaken claim is the error of one that comes too late.
type overtaken struct{ b *broker }

func (overtaken) Error() string { return "claimed by somebody else" }

func (o overtaken) ClaimedBy() (owner string, epoch uint64, hwm time.Time) {
	return o.b.owner, o.b.epoch, o.b.hwm
}

func (b *broker) Claim(_ context.Context, _, owner string, epoch uint64, hwm time.Time) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return "", errors.New("broker is down")
	}
	same := epoch == b.epoch && owner == b.owner
	if epoch <= b.epoch && !same {
		return "", overtaken{b}
	}
	if !same {
		b.owner, b.epoch, b.hwm, b.seq = owner, epoch, hwm, b.seq+1
	}
	return strconv.Itoa(b.seq), nil
}

func (b *broker) Missing(context.Context, string, time.Time) (string, error) { return b.lost, nil }

// errFenced is what a batch gets that carries an older claim.
type errFenced struct{}

func (errFenced) Error() string { return "the claim does not stand any more" }
func (errFenced) Fenced() bool  { return true }

func (b *broker) Mark(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return "", errors.New("broker is down")
	}
	return strconv.Itoa(len(b.log)), nil
}

func (b *broker) Scan(ctx context.Context, _, from string, known func(schema.Key)) (string, error) {
	mark, err := b.Mark(ctx)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	after, _ := strconv.Atoi(from) // "" is the beginning
	for _, id := range b.log[after:] {
		known(schema.Key{ID: id})
	}
	return mark, nil
}

func (b *broker) put(id schema.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, id)
	b.copies[id]++
}

// A store keeps one cursor.
type store struct {
	mu       sync.Mutex
	cursor   checkpoint.Cursor
	revision uint64
	crash    func(c checkpoint.Cursor) bool // before the save
}

func (s *store) Load(context.Context, string) (checkpoint.Cursor, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor, s.revision, nil
}

func (s *store) Save(ctx context.Context, _ string, c checkpoint.Cursor, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crash != nil && s.crash(c) {
		return 0, errCrash
	}
	if revision != s.revision {
		return 0, checkpoint.ErrConflict
	}
	s.cursor, s.revision = c, s.revision+1
	return s.revision, ctx.Err()
}

// errCrash stands for the end of the process: the lane that gets it is thrown
// away, and another begins from what is stored.
var errCrash = errors.New("crash")

// A world is a vendor, a broker and a store that outlive the lanes.
type world struct {
	tenant *tenant
	way    Way
	start  time.Time
	every  time.Duration
	life   time.Duration // when a process ends that nothing else has ended
	broker *broker
	store  *store
	// publish says what becomes of the n-th part: "", or a mishap.
	publish func(n int) string
	parts   int
	stop    context.CancelFunc
	owner   string
	repairs []checkpoint.Repair
}

func newWorld(t *testing.T, pages int) *world {
	b := &broker{copies: map[schema.ID]int{}}
	s := &store{}
	w := &world{broker: b, store: s, publish: func(int) string { return "" }}
	w.tenant = &tenant{t: t, broker: b, store: s, mishap: func(int, Request) string { return "" }}
	w.way = Way{Mode: "dataexport", Index: "i", Source: w.tenant}
	w.start, w.every, w.life = time.Unix(1000, 0).UTC(), time.Minute, 24*time.Hour
	for p := range pages {
		var page []string
		for e := range 700 { // two parts
			page = append(page, fmt.Sprintf("%d/%d", p, e))
		}
		w.tenant.pages = append(w.tenant.pages, page)
	}
	return w
}

// run runs a lane until everything is stored and the vendor was asked for more,
// or until the process crashes.
func (w *world) run(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), w.life)
	defer stop()
	w.stop = stop
	parts := make(chan *Part)
	lane := &Lane{
		Vendor: "test", Instance: "acme", Stream: "events/page", Owner: cmp.Or(w.owner, "test"),
		Open: func(context.Context, string, checkpoint.Cursor) (Way, error) {
			return w.way, nil
		},
		Store: w.store, Broker: w.broker, Out: parts, Budget: NewBudget(1 << 20),
		Start: w.start, Every: w.every, Quarantine: 65 * time.Second, Grace: time.Minute,
		Log: slog.New(slog.DiscardHandler),
		Mend: func(_ context.Context, _ string, r checkpoint.Repair) error {
			w.repairs = append(w.repairs, r)
			return nil
		},
		History: func(context.Context, string) ([]checkpoint.Revision, error) { return nil, nil },
	}
	var stage sync.WaitGroup
	stage.Go(func() {
		for part := range parts {
			w.store1(part)
		}
	})
	lane.Run(ctx)
	close(parts)
	stage.Wait()
}

// store1 does for one part what the pipeline does.
func (w *world) store1(part *Part) {
	n := w.parts
	w.parts++
	mishap := w.publish(n)
	if mishap == "crash before publish" || mishap == "refused" {
		w.crashIf(mishap == "crash before publish")
		part.Done(nil, 0, errCrash)
		return
	}
	if part.Page.Fence != strconv.Itoa(w.broker.seq) {
		part.Done(nil, 0, errFenced{})
		return
	}
	var keys []schema.Key
	for i := range part.Len() {
		id := idOf(string(part.Event(i)))
		if part.Page.Admit(schema.Key{ID: id}) {
			w.broker.put(id)
			keys = append(keys, schema.Key{ID: id})
		}
	}
	if mishap != "" { // stored, and the acknowledgement lost or the process gone
		w.crashIf(mishap == "crash after publish")
		part.Done(nil, 0, errCrash)
		return
	}
	part.Done(keys, 0, nil)
}

func (w *world) crashIf(crash bool) {
	if crash {
		w.stop()
	}
}

// check finds every event stored exactly once.
func (w *world) check(t *testing.T) {
	t.Helper()
	for p, page := range w.tenant.pages {
		for _, e := range page {
			if n := w.broker.copies[idOf(e)]; n != 1 {
				t.Fatalf("event %s of page %d is stored %d times, want once", e, p, n)
			}
		}
	}
}

// untilDone stops the lane when the vendor has nothing more to give.
func (w *world) untilDone() {
	before := w.tenant.mishap
	w.tenant.mishap = func(call int, req Request) string {
		if req.Op == OpNext && w.tenant.at > len(w.tenant.pages)+1 {
			w.stop()
		}
		return before(call, req)
	}
}

func TestEveryMishapAtEveryPageStoresEachEventOnce(t *testing.T) {
	const pages = 4
	for _, mishap := range []string{"unsent", "throttled", "server error", "reply lost", "body broke off"} {
		for at := range pages + 2 {
			t.Run(fmt.Sprintf("%s at call %d", mishap, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, pages)
					w.tenant.mishap = func(call int, _ Request) string {
						if call == at {
							return mishap
						}
						return ""
					}
					w.untilDone()
					w.run(t)
					w.check(t)
				})
			})
		}
	}
}

func TestCrashAnywhereStoresEachEventOnce(t *testing.T) {
	const pages = 4
	for _, mishap := range []string{"crash before publish", "crash after publish", "refused", "acknowledgement lost"} {
		for at := range 2 * pages {
			t.Run(fmt.Sprintf("%s of part %d", mishap, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, pages)
					w.publish = func(n int) string {
						if n == at {
							return mishap
						}
						return ""
					}
					w.untilDone()
					w.run(t)
					w.run(t) // the next process, where the first one ended
					w.check(t)
				})
			})
		}
	}
}

func TestCrashBeforeSaveStoresEachEventOnce(t *testing.T) {
	for at := range uint64(5) {
		t.Run(fmt.Sprintf("at page %d", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				crashed := false
				w.store.crash = func(c checkpoint.Cursor) bool {
					if c.Page != at || crashed {
						return false
					}
					crashed = true
					w.stop()
					return true
				}
				w.untilDone()
				w.run(t)
				w.run(t)
				w.check(t)
			})
		})
	}
}

func TestRestartAfterACleanStopStoresNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.untilDone()
		w.run(t)
		w.run(t)
		w.check(t)
		if c := w.store.cursor; c.Epoch != 2 {
			t.Errorf("epoch is %d after two claims, want 2", c.Epoch)
		}
	})
}

func TestNothingIsAskedOfTheVendorWhileTheBrokerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.broker.down = true
		up := time.AfterFunc(time.Hour, func() {
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			if w.tenant.calls != 0 {
				t.Errorf("%d requests were made while the broker was down", w.tenant.calls)
			}
			w.broker.down = false
		})
		defer up.Stop()
		w.untilDone()
		w.run(t)
		w.check(t)
	})
}

func TestForgottenIndexIsBegunAgainAtTheMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.tenant.mishap = func(int, Request) string {
			if w.tenant.at == 2 {
				w.stop()
			}
			return ""
		}
		w.run(t)
		w.tenant.at = 0 // resend now repeats nothing
		var asked []Request
		w.tenant.mishap = func(_ int, r Request) string {
			if asked = append(asked, r); len(asked) == 2 {
				w.stop()
			}
			return ""
		}
		w.run(t)
		if len(asked) < 2 || asked[0].Op != OpResend || asked[1].Op != OpStart {
			t.Fatalf("asked %v, want resend and then start", asked)
		}
		if want := w.store.cursor.HWM.Add(-overlap); asked[1].From.After(want) {
			t.Errorf("begun at %v, want at or before %v", asked[1].From, want)
		}
	})
}

func TestPageInHandSettlesOnStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.publish = func(n int) string {
			if n == 0 {
				w.stop()
			}
			return ""
		}
		w.run(t)
		w.check(t)
		if w.store.cursor.Page != 1 {
			t.Errorf("cursor is at page %d, want 1", w.store.cursor.Page)
		}
	})
}

func TestLaneSaysWhyItWaits(t *testing.T) {
	for kind, want := range map[Kind]Word{Denied: NotAuthenticated, Forbidden: NotAllowed, Missing: NotAvailable, Throttled: RateLimited, Conflict: InConflict, Unsent: Unreachable} {
		p := &plan{every: time.Minute}
		_, a := p.step(state{req: Request{Op: OpNext}}, action{do: doFetch}, event{err: &Fault{Kind: kind, Hint: "do this", Err: errors.New("that happened")}})
		if a.do != doWait || a.word != want || a.why != "that happened" || a.hint != "do this" {
			t.Errorf("%s leads to %+v, want a wait in state %q with its reason", kind, a, want)
		}
	}
}
