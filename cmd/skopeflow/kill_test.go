package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/publish"
)

// killStreams have equal shares of what `simulate` holds.
var killStreams = []string{
	"alerts/dlp", "alerts/malware", "alerts/policy", "alerts/uba",
	"events/audit", "events/connection", "events/endpoint", "events/infrastructure",
}

// A carnage is how often the program is killed over how many events.
type carnage struct{ kills, events, pageSize int }

func chosenCarnage() carnage {
	switch {
	case testing.Short():
		return carnage{kills: 5, events: 40_000, pageSize: 2000}
	case os.Getenv("SKOPEFLOW_CHAOS") == "long":
		return carnage{kills: 100, events: 400_000, pageSize: 10_000}
	}
	return carnage{kills: 20, events: 200_000, pageSize: 10_000}
}

// The program is killed at random moments, most of them while events flow.
// SKOPEFLOW_SEED repeats the moments of an earlier run, as far as a machine
// repeats anything; SKOPEFLOW_CHAOS=long kills a hundred times.
func TestKilledAtRandomMomentsLosesNothing(t *testing.T) {
	c := chosenCarnage()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SKOPEFLOW_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SKOPEFLOW_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	file, dir := buildProgram(t), t.TempDir()
	tenant := startSimulation(t, file, "-events", strconv.Itoa(c.events), "-page-size", strconv.Itoa(c.pageSize),
		"-history", "50m", "-streams", strings.Join(killStreams, ","))
	settings := tenant.settingsFor(dir, "55m", killStreams)

	for left := c.kills; left > 0; left-- {
		p := startProgram(t, file, settings, "run")
		t.Logf("killed %s", awaitMoment(t, p, dir, random, c.events, left))
		p.kill()
	}
	p := startProgram(t, file, settings, "run")
	nc, _ := p.connect(t, dir)
	p.drained(t, nc, len(killStreams), time.Minute)
	nc.Close()
	if code := p.stop(t, 25*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM; it said:\n%s", code, p.log.tail())
	}

	held := readArtifacts(t, dir)
	served := tenant.ledger(t)
	if len(served) != c.events {
		t.Errorf("the tenant holds %d events and has served %d", c.events, len(served))
	}
	lost, twice := 0, 0
	for e := range served {
		if held.events[e] == 0 {
			lost++
		}
	}
	for _, copies := range held.ids {
		twice += copies - 1
	}
	t.Logf("%d events, %d kills: %d lost, %d twice", c.events, c.kills, lost, twice)
	if lost != 0 || twice != 0 || len(held.events) != c.events || held.dead != 0 {
		t.Errorf("%d lost, %d twice, %d different events in the stream, %d dead letters; want 0, 0, %d, 0", lost, twice, len(held.events), held.dead, c.events)
	}
}

// awaitMoment waits for a moment to kill the process, and describes it. One of
// four comes within its first 600 ms; the others when it has stored a share of
// what is left, so that there is enough for the kills to come, or after 20 s,
// which is more than it needs unless events are lost.
func awaitMoment(t *testing.T, p *process, dir string, random *rand.Rand, events, left int) string {
	t.Helper()
	if random.IntN(4) == 0 {
		early := time.Duration(random.IntN(600)) * time.Millisecond
		<-time.After(early)
		return fmt.Sprintf("%v after its start", early)
	}
	nc, js := p.connect(t, dir)
	defer nc.Close()
	before, err := stored(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	now, goal := before, before+random.IntN(max(1, 2*(events-before)/(left+1)))
	eventually(20*time.Second, func() bool {
		if n, err := stored(t.Context(), js); err == nil {
			now = n
		}
		return now >= goal
	})
	more := time.Duration(random.IntN(20_000)) * time.Microsecond
	<-time.After(more)
	if p.ended() {
		t.Fatalf("run ended by itself; it said:\n%s", p.log.tail())
	}
	return fmt.Sprintf("%v after %d of %d events, %d of them its own", more, now, events, now-before)
}

// An occurrence is an event as the tenant tells one from another.
type occurrence struct {
	lane string
	id   string // _id
	at   int64  // timestamp
}

// ledger returns what the tenant has served by calls that moved an index.
func (s *simulated) ledger(t *testing.T) map[occurrence]bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.control+"/ledger", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	served := make(map[occurrence]bool)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		var line struct {
			Endpoint  string `json:"endpoint"`
			ID        string `json:"_id"`
			Timestamp int64  `json:"timestamp"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		served[occurrence{ingest.LaneName("acme", line.Endpoint), line.ID, line.Timestamp}] = true
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return served
}

// artifacts is what the broker holds, with the number of copies.
type artifacts struct {
	events map[occurrence]int
	ids    map[string]int // by lane and id
	dead   uint64
}

// readArtifacts reads the directory of a program that has ended.
func readArtifacts(t *testing.T, dir string) artifacts {
	t.Helper()
	server, err := natsrun.Start(natsrun.Config{Dir: dir, Listen: natsrun.None, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := server.Connect(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
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

func (a *artifacts) read(ctx context.Context, t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	consumer, err := js.OrderedConsumer(ctx, "ARTIFACTS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"artifacts.>"}})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range n {
		msg, err := messages.Next()
		if err != nil {
			t.Fatal(err)
		}
		var event struct {
			NativeID string    `json:"native_id"`
			Time     time.Time `json:"time"`
		}
		if err := json.Unmarshal(msg.Data(), &event); err != nil {
			t.Fatalf("%s: %v:\n%s", msg.Subject(), err, msg.Data())
		}
		lane := msg.Headers().Get(publish.HeaderLane)
		a.events[occurrence{lane, event.NativeID, event.Time.Unix()}]++
		a.ids[lane+" "+msg.Headers().Get(publish.HeaderID)]++
	}
}
