package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/schema"
)

const (
	fleetTTL = 2 * time.Second
	soon     = 20 * time.Second // how long a test waits for a fact
)

// fleetStreams are read of each of two instances.
var fleetStreams = []string{"events/page", "events/audit", "alerts/dlp", "alerts/uba"}

// A harbour is what fleets share: leases on a real server, a cursor and a claim
// for each lane, and a vendor that sees who asks.
type harbour struct {
	t      *testing.T
	server *natsrun.Server
	leases *checkpoint.Leases // of one who only looks
	views  <-chan checkpoint.View
	view   checkpoint.View
	gate   atomic.Pointer[chan struct{}] // if set, the vendor answers when it is closed
	queue  atomic.Int32                  // who has waited for that

	mu      sync.Mutex
	stores  map[string]*store
	claims  map[string]*broker
	readers map[string]string             // who asked last, by lane
	quits   map[string][]string           // who asked before and must not again
	before  map[string]string             // what readers was when it was looked at
	repairs map[string]int                // written down, by lane
	shares  map[string]map[string]float64 // by fleet and instance
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	server, err := natsrun.Start(natsrun.Config{Dir: t.TempDir(), Listen: natsrun.None, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	h := &harbour{
		t: t, server: server, stores: map[string]*store{}, claims: map[string]*broker{}, readers: map[string]string{},
		quits: map[string][]string{}, repairs: map[string]int{}, shares: map[string]map[string]float64{},
	}
	h.leases, _ = h.connect()
	if h.views, err = h.leases.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harbour) connect() (*checkpoint.Leases, *nats.Conn) {
	h.t.Helper()
	nc, err := h.server.Connect(h.t.Name())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		h.t.Fatal(err)
	}
	leases, err := checkpoint.OpenLeases(h.t.Context(), js, 1, fleetTTL)
	if err != nil {
		h.t.Fatal(err)
	}
	return leases, nc
}

// A ship is a fleet with its process around it.
type ship struct {
	*Fleet
	stop  context.CancelFunc
	ended chan error
	dead  atomic.Bool
	conn  *nats.Conn
}

// launch runs a fleet until the test or stop ends it.
func (h *harbour) launch(id string) *ship {
	h.t.Helper()
	s := h.build(id)
	ctx, stop := context.WithCancel(h.t.Context())
	s.stop = stop
	go func() { s.ended <- s.Run(ctx) }()
	h.t.Cleanup(stop)
	return s
}

func (h *harbour) build(id string) *ship {
	h.t.Helper()
	s := &ship{ended: make(chan error, 1)}
	log := slog.New(slog.DiscardHandler)
	s.Fleet = &Fleet{ID: id, Repairs: noRepairs{}, Log: log, Share: func(instance string, part float64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.shares[id] == nil {
			h.shares[id] = map[string]float64{}
		}
		h.shares[id][instance] = part
	}}
	s.Leases, s.conn = h.connect()
	desk := shipDesk{h, s}
	for _, instance := range []string{"one", "two"} {
		for _, stream := range fleetStreams {
			s.Lanes = append(s.Lanes, &Lane{
				Vendor: "test", Instance: instance, Stream: stream, Owner: id, Store: desk, Broker: desk,
				Open: func(context.Context, string, checkpoint.Cursor) (Way, error) {
					return Way{Mode: "dataexport", Index: "i", Source: watchedVendor{h, LaneName(instance, stream), id}}, nil
				},
				Out: make(chan *Part), Budget: NewBudget(1 << 20), Start: time.Unix(1000, 0), Every: 5 * time.Millisecond,
				Quarantine: time.Second, Grace: time.Second, Log: log,
				Mend: func(_ context.Context, lane string, _ checkpoint.Repair) error {
					h.mu.Lock()
					defer h.mu.Unlock()
					h.repairs[lane]++
					return nil
				},
			})
		}
	}
	return s
}

// cut takes the process out of everybody's reach. It lives on.
func (s *ship) cut() {
	s.dead.Store(true)
	s.conn.Close()
}

type noRepairs struct{}

func (noRepairs) Repair(context.Context, string) (checkpoint.Repair, uint64, error) {
	return checkpoint.Repair{}, 0, nil
}
func (noRepairs) Mended(context.Context, string, uint64) error { return nil }
func (noRepairs) Forget(context.Context, string) error         { return nil }

// A shipDesk is the store and the broker as one ship reaches them.
type shipDesk struct {
	h *harbour
	s *ship
}

var errCut = errors.New("out of reach")

func (d shipDesk) at(lane string) (*store, *broker, error) {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	if d.s.dead.Load() {
		return nil, nil, errCut
	}
	if d.h.stores[lane] == nil {
		d.h.stores[lane], d.h.claims[lane] = &store{}, &broker{copies: map[schema.ID]int{}}
	}
	return d.h.stores[lane], d.h.claims[lane], nil
}

func (d shipDesk) Load(ctx context.Context, lane string) (checkpoint.Cursor, uint64, error) {
	s, _, err := d.at(lane)
	if err != nil {
		return checkpoint.Cursor{}, 0, err
	}
	return s.Load(ctx, lane)
}

func (d shipDesk) Save(ctx context.Context, lane string, c checkpoint.Cursor, revision uint64) (uint64, error) {
	s, _, err := d.at(lane)
	if err != nil {
		return 0, err
	}
	return s.Save(ctx, lane, c, revision)
}

func (d shipDesk) Claim(ctx context.Context, lane, owner string, epoch uint64, hwm time.Time) (string, error) {
	_, b, err := d.at(lane)
	if err != nil {
		return "", err
	}
	return b.Claim(ctx, lane, owner, epoch, hwm)
}

func (d shipDesk) Missing(context.Context, string, time.Time) (string, error) { return "", nil }

func (d shipDesk) Mark(context.Context) (string, error) {
	if d.s.dead.Load() {
		return "", errCut
	}
	return "0", nil
}

func (d shipDesk) Scan(ctx context.Context, _, _ string, _ func(schema.Key)) (string, error) {
	return d.Mark(ctx)
}

// A watchedVendor has nothing new, and sees that nobody asks for a lane again
// after another has.
type watchedVendor struct {
	h        *harbour
	lane, by string
}

func (v watchedVendor) Fetch(context.Context, Request, func([]byte) error) (Answer, error) {
	if gate := v.h.gate.Load(); gate != nil {
		v.h.queue.Add(1)
		<-*gate
	}
	v.h.mu.Lock()
	defer v.h.mu.Unlock()
	before := v.h.readers[v.lane]
	if slices.Contains(v.h.quits[v.lane], v.by) {
		v.h.t.Errorf("%s asks for %s, which %s reads", v.by, v.lane, before)
	}
	if before != "" && before != v.by {
		v.h.quits[v.lane] = append(v.h.quits[v.lane], before)
	}
	v.h.readers[v.lane] = v.by
	return Answer{}, nil
}

// await waits until a fact holds, and takes in the views that come meanwhile.
func (h *harbour) await(what string, fact func() bool) {
	h.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(soon)
	for !fact() {
		select {
		case h.view = <-h.views:
		case <-tick.C:
		case <-end:
			h.t.Fatalf("not within %v: %s; the leases are held so: %v", soon, what, h.view.Held)
		}
	}
}

// shared waits until each lane is held and read by the member whose turn it is
// among those, and returns how many each has.
func (h *harbour) shared(members ...checkpoint.Member) map[string]int {
	h.t.Helper()
	var names []string
	instances := map[string]string{}
	for _, instance := range []string{"one", "two"} {
		for _, stream := range fleetStreams {
			name := LaneName(instance, stream)
			names, instances[name] = append(names, name), instance
		}
	}
	want := checkpoint.Share(names, members, func(lane string) string { return instances[lane] })
	h.await(fmt.Sprintf("%v share as %v", members, want), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return maps.Equal(h.view.Held, want) && maps.Equal(h.readers, want)
	})
	count := map[string]int{}
	for _, owner := range want {
		count[owner]++
	}
	return count
}

func member(id string, avoid ...string) checkpoint.Member {
	return checkpoint.Member{ID: id, Kind: checkpoint.Replica, Avoid: avoid}
}

// written returns how many lanes have a repair.
func (h *harbour) written() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.repairs)
}

// part waits until a fleet is told its part of an instance's requests.
func (h *harbour) part(fleet, instance string, want float64) {
	h.t.Helper()
	h.await(fmt.Sprintf("%s has %v of the requests of %s", fleet, want, instance), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		got, told := h.shares[fleet][instance]
		return told && got-want < 1e-9 && want-got < 1e-9
	})
}

func TestFleetsShareTheLanesEvenly(t *testing.T) {
	h := newHarbour(t)
	a, b := h.launch("a"), h.launch("b")
	if count := h.shared(member("a"), member("b")); count["a"] != 4 || count["b"] != 4 {
		t.Errorf("of 8 lanes they have %v, want 4 each", count)
	}
	for _, s := range []*ship{a, b} {
		for _, l := range s.Lanes {
			owner := h.view.Held[l.Name()]
			h.await(fmt.Sprintf("%s says at %s that %s has it", l.Name(), s.ID, owner), func() bool {
				st := l.Status()
				if owner == s.ID {
					return st.State == CaughtUp
				}
				return st.State == Elsewhere && st.Why == "replica "+owner+" reads it"
			})
		}
	}
}

func TestFleetThatJoinsGetsItsLanesHandedOver(t *testing.T) {
	h := newHarbour(t)
	h.launch("a")
	h.shared(member("a"))
	h.part("a", "one", 1)
	h.launch("b")
	h.shared(member("a"), member("b"))
	if n := h.written(); n != 0 {
		t.Errorf("%d lanes are to be read again, want none: they were released", n)
	}
}

func TestLanesOfAFleetThatEndsAreTakenAtOnce(t *testing.T) {
	h := newHarbour(t)
	a := h.launch("a")
	h.launch("b")
	h.shared(member("a"), member("b"))
	a.stop()
	if err := <-a.ended; err != nil {
		t.Error(err)
	}
	begin := time.Now()
	h.shared(member("b"))
	if took := time.Since(begin); took > time.Second {
		t.Errorf("taken %v after they were released, want well within a second", took)
	}
	if n := h.written(); n != 0 {
		t.Errorf("%d lanes are to be read again, want none: they were released", n)
	}
	h.await("the fleet that ended is no member", func() bool { return len(h.view.Members) == 1 })
}

// A fleet that cannot reach the server gives its lanes up before another has
// them, and says so to nobody.
func TestLanesOfAFleetThatIsCutOffAreTakenWhenItsLeasesExpire(t *testing.T) {
	h := newHarbour(t)
	a := h.launch("a")
	h.launch("b")
	had := h.shared(member("a"), member("b"))["a"]
	begin := time.Now()
	a.cut()
	h.await("the lanes that were cut off are to be read again", func() bool { return h.written() == had })
	if took := time.Since(begin); took < fleetTTL*3/4-fleetTTL/20 || took > fleetTTL+5*time.Second {
		t.Errorf("taken over within %v, want when leases of %v have expired", took, fleetTTL)
	}
	written := time.Now()
	h.shared(member("b"))
	if waited := time.Since(written); waited < 500*time.Millisecond {
		t.Errorf("asked for %v after they were taken over, want the quarantine of a second first", waited)
	}
}

func TestInstanceThatOneFleetCannotReachIsReadByTheOther(t *testing.T) {
	h := newHarbour(t)
	m := member("b", "two")
	membership, err := h.leases.Join(t.Context(), m, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.launch("a")
	h.part("a", "two", 1)
	h.part("a", "one", 0)
	h.reads("a", "two.events.page")
	m.Avoid = []string{"one"}
	if err := membership.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	h.part("a", "one", 1)
	h.part("a", "two", 0)
	h.reads("a", "one.events.page")
}

// reads waits until a fleet has one lane and half of all, and has asked for each,
// and sees that it has not asked for another but those it had before.
func (h *harbour) reads(fleet, lane string) {
	h.t.Helper()
	h.await(fleet+" reads the lanes of "+lane+" alone", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for held, by := range h.view.Held {
			if by != fleet || h.readers[held] != fleet {
				return false
			}
		}
		return len(h.view.Held) == len(fleetStreams) && h.view.Held[lane] == fleet
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	for other := range h.readers {
		if _, read := h.before[other]; !read && h.view.Held[other] != fleet {
			h.t.Errorf("%s has asked for %s, which is not its own", fleet, other)
		}
	}
	h.before = maps.Clone(h.readers)
}

func TestLanesThatComeBackWhileTheyAreGivenUpAreTakenAtOnce(t *testing.T) {
	h := newHarbour(t)
	m := member("b", "two")
	membership, err := h.leases.Join(t.Context(), m, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.launch("a")
	h.part("a", "two", 1)
	for _, avoid := range slices.Repeat([]string{"one", "two"}, 20) {
		m.Avoid = []string{avoid}
		if err := membership.Update(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := membership.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	h.shared(member("a"))
	if took := time.Since(begin); took > fleetTTL*3/4 {
		t.Errorf("taken after %v, want no wait for the next look, nor for a lease to expire", took)
	}
}

// The view does not change any more when the last page is settled.
func TestLaneThatComesBackWhileItSettlesItsPageIsRunAgain(t *testing.T) {
	h := newHarbour(t)
	s := h.build("a")
	s.terms, s.given = map[string]*term{}, make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	views := make(chan checkpoint.View)
	var following sync.WaitGroup
	following.Go(func() { s.follow(ctx, views, nil, member("a")) })
	defer func() {
		stop()
		following.Wait()
		s.running.Wait()
	}()
	epochs := func(want uint64) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, lane := range h.stores {
			if c, _, _ := lane.Load(ctx, ""); c.Epoch != want || c.Page == 0 {
				return false
			}
		}
		return len(h.stores) == len(s.Lanes)
	}
	ours := checkpoint.View{Members: []checkpoint.Member{member("a")}}
	views <- ours
	h.await("all lanes run", func() bool { return epochs(1) })
	gate := make(chan struct{})
	h.gate.Store(&gate)
	h.await("each lane has asked for a page", func() bool { return int(h.queue.Load()) == len(s.Lanes) })
	views <- checkpoint.View{Members: []checkpoint.Member{member("b")}}
	views <- ours
	h.gate.Store(nil)
	close(gate)
	begin := time.Now()
	h.await("all lanes run again", func() bool { return epochs(2) })
	if took := time.Since(begin); took > look/2 {
		t.Errorf("run again after %v, want no wait for the next look", took)
	}
}

func TestFleetIsToldItsPartOfTheRequests(t *testing.T) {
	h := newHarbour(t)
	h.launch("a")
	h.launch("b")
	h.shared(member("a"), member("b"))
	parts := func(live float64) {
		t.Helper()
		for _, instance := range []string{"one", "two"} {
			mine := map[string]int{"a": 0, "b": 0}
			for _, stream := range fleetStreams {
				mine[h.view.Held[LaneName(instance, stream)]]++
			}
			for fleet, n := range mine {
				h.part(fleet, instance, live*float64(n)/float64(len(fleetStreams)))
			}
		}
	}
	parts(1)
	job, err := h.leases.Join(t.Context(), checkpoint.Member{ID: "backfill", Kind: checkpoint.Job}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	parts(0.8)
	if err := job.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	parts(1)
}

func TestInstanceIsAvoidedForAWhileWhenNoLaneReachesIt(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	lane := func(instance, stream string, state Word, since time.Duration) *Lane {
		l := &Lane{Instance: instance, Stream: stream}
		l.status.State, l.status.Since = state, now.Add(-since)
		return l
	}
	cut := lane("one", "a", Unreachable, cutOff+time.Second)
	lanes := []*Lane{
		cut, lane("one", "b", Unreachable, time.Hour), lane("one", "not here", Elsewhere, 0),
		lane("half", "a", Unreachable, time.Hour), lane("half", "b", CaughtUp, time.Hour), lane("half", "c", Unreachable, time.Hour),
		lane("recent", "a", Unreachable, cutOff-time.Second),
		lane("refused", "a", NotAuthenticated, time.Hour),
	}
	v := newAvoidance(lanes)
	here := func(l *Lane) bool { return l.Stream != "not here" }
	nowhere := func(*Lane) bool { return false }
	for _, step := range []struct {
		at      time.Duration
		runs    func(*Lane) bool
		want    []string
		changed bool
	}{
		{0, here, []string{"one"}, true},
		{5 * time.Second, nowhere, []string{"one"}, false}, // its lanes have gone elsewhere
		{avoiding - time.Second, nowhere, []string{"one"}, false},
		{avoiding, nowhere, nil, true},
		{avoiding + time.Second, nowhere, nil, false},
	} {
		names, changed := v.look(now.Add(step.at), step.runs)
		if !slices.Equal(names, step.want) || changed != step.changed {
			t.Errorf("after %v avoids %v, changed: %t; want %v, %t", step.at, names, changed, step.want, step.changed)
		}
	}
}
