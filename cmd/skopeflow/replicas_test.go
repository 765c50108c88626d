package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
)

// replicaStreams have equal shares of what `simulate` holds.
var replicaStreams = []string{
	"alerts/compromisedcredential", "alerts/ctep", "alerts/dlp", "alerts/malsite", "alerts/malware", "alerts/policy",
	"alerts/quarantine", "alerts/remediation", "alerts/securityassessment", "alerts/uba", "alerts/watchlist",
	"events/audit", "events/connection", "events/endpoint", "events/infrastructure", "events/network",
}

const (
	mostReplicas = 3
	shortLease   = 2 * time.Second
)

// A havoc is how often something happens to the replicas, or to their NATS
// server, over how many events.
type havoc struct {
	moments, natsKills int
	events, pageSize   int
	drain              time.Duration
}

func chosenHavoc() havoc {
	if os.Getenv("SKOPEFLOW_CHAOS") == "long" {
		return havoc{moments: 200, natsKills: 20, events: 1_000_000, pageSize: 1000, drain: 20 * time.Minute}
	}
	return havoc{moments: 15, natsKills: 2, events: 60_000, pageSize: 250, drain: time.Minute}
}

// Replicas are killed, stopped for longer than their leases last, ended and
// started at random moments, and so is the NATS server they share.
// SKOPEFLOW_SEED repeats the moments of an earlier run, as far as a machine
// repeats anything; SKOPEFLOW_CHAOS=long has two hundred moments.
//
// A replica that wakes up after it lost its leases may still send the request
// that it was about to send, and so take a page that nobody hears of. That is
// what the repair is for that the take-over wrote down; it is due after the test,
// so events that are missing count as covered if a repair reads them again.
func TestReplicasLoseNothingWhateverHappensToThem(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; run it without -short")
	}
	h := chosenHavoc()
	seed := chosenSeed(t)
	file := buildProgram(t)
	tenant := startSimulation(t, file, "-events", strconv.Itoa(h.events), "-page-size", strconv.Itoa(h.pageSize),
		"-history", "50m", "-streams", strings.Join(replicaStreams, ","))
	g := newGroup(t, file, tenant, shortLease, time.Second)
	g.random = rand.New(rand.NewPCG(seed, 0))
	for range mostReplicas {
		g.begin(t)
	}
	for i, what := range g.plan(h) {
		g.awaitShare(t, h.events, h.moments-i)
		now, _ := stored(t.Context(), g.js) // for the log
		t.Logf("%5.1f s, %d events stored: %s", time.Since(g.began).Seconds(), now, g.strike(t, what))
	}
	g.wake()
	g.caughtUp(t, h.drain)
	t.Logf("%5.1f s: all lanes have caught up", time.Since(g.began).Seconds())
	g.endAll(t)

	served, held := tenant.ledger(t), readStream(t, g.js)
	if len(served) != h.events {
		t.Errorf("the tenant holds %d events and has served %d", h.events, len(served))
	}
	lost, covered, twice := 0, 0, 0
	repairs := g.repairs(t)
	for e := range served {
		switch {
		case held.events[e] > 0:
		case repairs.cover(e):
			covered++
		default:
			lost++
		}
	}
	for _, copies := range held.ids {
		twice += copies - 1
	}
	t.Logf("%d events, %d moments, %d of them of NATS, in %.0f s: %d lost, %d twice, %d covered by one of %d repairs",
		h.events, h.moments, h.natsKills, time.Since(g.began).Seconds(), lost, twice, covered, len(repairs))
	if most := g.stops * h.pageSize; covered > most {
		t.Errorf("%d events are left to repairs, want at most a page for each of %d stops: nothing else takes one", covered, g.stops)
	}
	if lost != 0 || twice != 0 || len(held.events)+covered != h.events || held.dead != 0 {
		t.Errorf("%d lost, %d twice, %d different events in the stream and %d covered, %d dead letters; want 0, 0, %d in all, 0", lost, twice, len(held.events), covered, held.dead, h.events)
	}
}

func chosenSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SKOPEFLOW_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SKOPEFLOW_SEED=%d", seed)
	return seed
}

// A group is the replicas on one NATS server.
type group struct {
	file     string
	settings []string
	nats     *natsProcess
	conn     *nats.Conn
	js       jetstream.JetStream
	random   *rand.Rand
	began    time.Time

	running []*process
	stopped map[*process]time.Time // until when
	ending  []*process             // told to end
	stops   int                    // how often one was stopped
}

func newGroup(t *testing.T, file string, tenant *simulated, ttl, quarantine time.Duration) *group {
	t.Helper()
	g := &group{file: file, nats: startNATS(t), began: time.Now(), stopped: map[*process]time.Time{}}
	g.js, g.conn = g.nats.jetStream(t)
	g.settings = append(tenant.settingsFor(t.TempDir(), "55m", replicaStreams),
		"NATS_URL="+g.nats.url(), "LEASE_TTL="+ttl.String(), "QUARANTINE="+quarantine.String())
	return g
}

// begin starts another replica, and waits until it runs.
func (g *group) begin(t *testing.T) *process {
	t.Helper()
	p := startProgram(t, g.file, g.settings, "run")
	p.said(t, `(subscribe with)`)
	g.running = append(g.running, p)
	return p
}

// plan is what happens, in an order of chance.
func (g *group) plan(h havoc) []string {
	var all []string
	for range h.natsKills {
		all = append(all, "kill NATS")
	}
	for len(all) < h.moments {
		all = append(all, []string{"kill", "kill", "stop", "stop", "end", "start", "start"}[g.random.IntN(7)])
	}
	g.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// awaitShare waits until a share of what is left is stored, so that there is
// enough for the moments to come, or for one to two leases: they may all be
// waiting for one.
func (g *group) awaitShare(t *testing.T, events, left int) {
	t.Helper()
	before, goal := -1, 0
	eventually(shortLease+time.Duration(g.random.Int64N(int64(shortLease))), func() bool {
		now, err := stored(t.Context(), g.js)
		if err != nil { // the stream is not there yet, or the server is about to be back
			return false
		}
		if before < 0 {
			before, goal = now, now+g.random.IntN(max(1, 2*(events-now)/(left+1)))
		}
		return now >= goal
	})
	<-time.After(time.Duration(g.random.IntN(50_000)) * time.Microsecond)
	for _, p := range g.running {
		if p.ended() {
			t.Fatalf("a replica ended by itself; it said:\n%s", p.log.tail())
		}
	}
}

// strike makes something happen, and describes it. At least one replica is awake
// after it.
func (g *group) strike(t *testing.T, what string) string {
	t.Helper()
	if what == "start" && len(g.running) >= mostReplicas {
		what = "kill"
	}
	i := g.random.IntN(len(g.running))
	p := g.running[i]
	switch what {
	case "kill NATS":
		away := time.Duration(g.random.IntN(4000)) * time.Millisecond
		g.nats.kill()
		<-time.After(away)
		g.nats.start(t)
		what = fmt.Sprintf("%s for %v", what, away)
	case "kill":
		p.kill()
		g.leave(i)
	case "stop":
		if g.awake(p) {
			what = fmt.Sprintf("%s for %v", what, g.stop(t, p))
		}
	case "end":
		send(t, p, syscall.SIGTERM)
		send(t, p, syscall.SIGCONT)
		g.leave(i)
		g.ending = append(g.ending, p)
	case "start":
		g.begin(t)
	}
	awake := 0
	for _, p := range g.running {
		if g.awake(p) {
			awake++
		}
	}
	if awake == 0 || awake == 1 && g.random.IntN(2) == 0 {
		g.begin(t)
		what += ", and start"
	}
	return fmt.Sprintf("%s; %d run", what, len(g.running))
}

// leave forgets a replica that does not run any more.
func (g *group) leave(i int) { g.running = slices.Delete(g.running, i, i+1) }

// stop stops a process for longer than its leases last.
func (g *group) stop(t *testing.T, p *process) time.Duration {
	t.Helper()
	long := shortLease + time.Duration(500+g.random.IntN(3000))*time.Millisecond
	send(t, p, syscall.SIGSTOP)
	g.stops++
	g.stopped[p] = time.Now().Add(long)
	time.AfterFunc(long, func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }) // it may have been killed
	return long
}

func (g *group) awake(p *process) bool { return time.Now().After(g.stopped[p]) }

// wake wakes all that are stopped.
func (g *group) wake() {
	for _, p := range g.running {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // twice does no harm
	}
}

func send(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%v: %v; it said:\n%s", s, err, p.log.tail())
	}
}

// caughtUp waits until each lane has caught up with its stream.
func (g *group) caughtUp(t *testing.T, within time.Duration) {
	t.Helper()
	var states []state
	if !eventually(within, func() bool {
		var err error
		if states, err = askStates(t.Context(), g.conn, "ARTIFACTS"); err != nil {
			return false
		}
		caughtUp := map[string]bool{}
		for _, l := range lanesOf(states) {
			if l.State == ingest.CaughtUp {
				caughtUp[l.Lane] = true
			}
		}
		return len(caughtUp) == len(replicaStreams)
	}) {
		for _, l := range lanesOf(states) {
			t.Logf("%s at %s: %s", l.Lane, l.Owner, l.Sentence())
		}
		for _, p := range g.running {
			t.Logf("a replica said:\n%s", p.log.tail())
		}
		t.Fatalf("not each lane has caught up within %v", within)
	}
}

// endAll ends the replicas in order, and sees that those have ended that were
// told to before.
func (g *group) endAll(t *testing.T) {
	t.Helper()
	for _, p := range g.ending {
		if code := codeOf(t, p); code != 0 { // it may have ended while the server was away
			t.Logf("exit code %d after SIGTERM; it said:\n%s", code, p.log.tail())
		}
	}
	for _, p := range g.running {
		if code := p.stop(t, 25*time.Second); code != 0 {
			t.Errorf("exit code %d after SIGTERM; it said:\n%s", code, p.log.tail())
		}
	}
	g.running = nil
}

// codeOf returns the exit code of a process that was told to end.
func codeOf(t *testing.T, p *process) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(25 * time.Second):
		t.Fatalf("a replica did not end within 25 s of SIGTERM; it said:\n%s", p.log.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// readStream reads what the broker holds.
func readStream(t *testing.T, js jetstream.JetStream) artifacts {
	t.Helper()
	a := artifacts{events: make(map[occurrence]int), ids: make(map[string]int)}
	dead, err := js.Stream(t.Context(), "ARTIFACTS_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	a.dead = dead.CachedInfo().State.Msgs
	n, err := stored(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	a.read(t.Context(), t, js, n)
	return a
}

// laneRepairs are the repairs that stand, by lane.
type laneRepairs map[string]checkpoint.LaneRepair

func (g *group) repairs(t *testing.T) laneRepairs {
	t.Helper()
	kv, err := checkpoint.OpenKV(t.Context(), g.js, 1)
	if err != nil {
		t.Fatal(err)
	}
	all, err := kv.Repairs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byLane := laneRepairs{}
	for _, r := range all {
		byLane[r.Lane] = r
	}
	return byLane
}

// cover reports whether an event will be read again.
func (r laneRepairs) cover(e occurrence) bool {
	repair, ok := r[e.lane]
	return ok && repair.From.Unix() <= e.at && e.at <= repair.To.Unix()
}

// A replica that is told to end hands its lanes over, and the next one does not
// wait for a lease to expire: they last for 30 s here.
func TestLanesAreHandedOverWithinSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; run it without -short")
	}
	g := liveGroup(t, 30*time.Second, 65*time.Second)
	first := g.begin(t)
	w := g.watchCursors(t)
	w.settledBy(t, len(replicaStreams), 30*time.Second)

	begin := time.Now()
	g.begin(t)
	w.settledBy(t, len(replicaStreams)/2, 30*time.Second)
	t.Logf("one that is started has settled a page of its half of %d lanes %v later", len(replicaStreams), time.Since(begin).Round(time.Millisecond))

	begin = time.Now()
	send(t, first, syscall.SIGTERM)
	w.settledBy(t, len(replicaStreams)/2, 20*time.Second)
	took := time.Since(begin)
	t.Logf("one that is told to end: its %d lanes have settled a page elsewhere %v later", len(replicaStreams)/2, took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("the lanes were handed over within %v, want a few seconds and no lease waited for", took)
	}
	if code := codeOf(t, first); code != 0 {
		t.Errorf("exit code %d after SIGTERM; it said:\n%s", code, first.log.tail())
	}
}

// What a replica had that is killed is taken over when its leases have expired,
// and its last request is surely dead.
func TestLanesOfAKilledReplicaAreTakenOver(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; run it without -short")
	}
	ttl, quarantine := shortLease, time.Second
	if os.Getenv("SKOPEFLOW_CHAOS") == "long" {
		ttl, quarantine = 30*time.Second, 65*time.Second
	}
	g := liveGroup(t, ttl, quarantine)
	first := g.begin(t)
	w := g.watchCursors(t)
	w.settledBy(t, len(replicaStreams), 30*time.Second)
	g.begin(t)
	w.settledBy(t, len(replicaStreams)/2, 30*time.Second)

	begin := time.Now()
	first.kill()
	w.settledBy(t, len(replicaStreams)/2, ttl+quarantine+30*time.Second)
	took := time.Since(begin)
	t.Logf("one that is killed, with leases of %v and a quarantine of %v: its %d lanes have settled a page elsewhere %v later", ttl, quarantine, len(replicaStreams)/2, took.Round(time.Millisecond))
	if least := ttl*3/4 - ttl/20 + quarantine; took < least || took > ttl+quarantine+10*time.Second {
		t.Errorf("taken over within %v, want %v for the lease and the quarantine, and little more", took, ttl+quarantine)
	}
}

// liveGroup reads streams in which something happens all the time.
func liveGroup(t *testing.T, ttl, quarantine time.Duration) *group {
	t.Helper()
	file := buildProgram(t)
	tenant := startSimulation(t, file, "-rate", "160", "-page-size", "250", "-history", "1m", "-streams", strings.Join(replicaStreams, ","))
	return newGroup(t, file, tenant, ttl, quarantine)
}

// A cursorWatch sees each cursor as it is saved.
type cursorWatch struct {
	updates <-chan jetstream.KeyValueEntry
	owner   map[string]string // of each lane, once it has settled a page
}

func (g *group) watchCursors(t *testing.T) *cursorWatch {
	t.Helper()
	bucket, err := g.js.KeyValue(t.Context(), checkpoint.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := bucket.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &cursorWatch{updates: watcher.Updates(), owner: map[string]string{}}
}

// settledBy waits until so many lanes have settled a page under another owner
// than before. The first cursor of an owner is its claim, and has the mark of
// the one before.
func (w *cursorWatch) settledBy(t *testing.T, lanes int, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	claimed := map[string]uint64{} // the epoch of each lane's claim that was seen
	for moved := 0; moved < lanes; {
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d lanes have settled a page under another owner within %v", moved, lanes, within)
		case entry := <-w.updates:
			if entry == nil {
				continue
			}
			c := cursorIn(t, entry)
			switch {
			case c.Owner == w.owner[entry.Key()] || c.Released:
			case claimed[entry.Key()] != c.Epoch:
				claimed[entry.Key()] = c.Epoch
			default:
				w.owner[entry.Key()] = c.Owner
				moved++
			}
		}
	}
}

func cursorIn(t *testing.T, entry jetstream.KeyValueEntry) checkpoint.Cursor {
	t.Helper()
	var c checkpoint.Cursor
	if err := json.Unmarshal(entry.Value(), &c); err != nil {
		t.Fatal(err)
	}
	return c
}
