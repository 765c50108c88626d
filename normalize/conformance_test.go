package normalize

import (
	"encoding/json"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/normalize/normalizetest"
	"github.com/skopeflow/skopeflow/schema/ecs"
	"github.com/skopeflow/skopeflow/schema/ocsf/ocsftest"
	"github.com/skopeflow/skopeflow/schema/witfoo"
)

// generated is how many events of each dataset are made. make conformance makes 100,000.
func generated(t *testing.T) int {
	t.Helper()
	s := os.Getenv("SKOPEFLOW_GENERATED")
	if s == "" {
		return 100
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("SKOPEFLOW_GENERATED: %v", err)
	}
	return n
}

// likely yields events as the simulator makes them, of every stream that carries the dataset.
func likely(t *testing.T, dataset string, n int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, stream := range netskopesim.Streams() {
			if d, _, _ := Dataset(stream); d != dataset || stream == "events/alert" {
				continue
			}
			tenant := netskopesim.New(netskopesim.Config{Seed: 11})
			from := collected.Add(-24 * time.Hour)
			share := n
			if dataset == "alert" {
				share = n/15 + 1 // alert types
			}
			if err := tenant.Feed(stream, share, from, from.Add(12*time.Hour)); err != nil {
				t.Error(err)
				return
			}
			for event := range tenant.Records(stream) {
				if !yield(event) {
					return
				}
			}
		}
	}
}

// hostile yields events that no vendor would send.
func hostile(dataset string, n int) iter.Seq[[]byte] {
	var keys []normalizetest.Key
	for _, line := range Table(dataset) {
		for _, name := range line.Keys {
			keys = append(keys, normalizetest.Key{Name: name, Rule: line.Rule})
		}
	}
	return func(yield func([]byte) bool) {
		for i := range n {
			if !yield(normalizetest.Hostile(rand.New(rand.NewPCG(uint64(i), 7)), keys)) {
				return
			}
		}
	}
}

func TestGeneratedEventsKeepEveryContract(t *testing.T) {
	n := generated(t)
	for _, dataset := range Datasets() {
		t.Run(dataset, func(t *testing.T) {
			t.Parallel()
			events := 0
			checks := newContracts(t)
			for event := range likely(t, dataset, n/2) {
				checks.hold(t, dataset, event)
				events++
			}
			for event := range hostile(dataset, n-events) {
				checks.hold(t, dataset, event)
				events++
			}
			t.Logf("%d events", events)
		})
	}
}

// contracts are the schemas that artifacts and their views are held against.
type contracts struct {
	mapper   *Mapper
	artifact func(name string, text []byte)
	ocsf     *ocsftest.Judge
}

func newContracts(t *testing.T) *contracts {
	t.Helper()
	return &contracts{NewMapper(), validator(t), ocsftest.NewJudge(t)}
}

func (c *contracts) hold(t *testing.T, dataset string, event []byte) {
	t.Helper()
	rows, a, err := c.mapper.explain(old(dataset), event)
	if err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	text := a.AppendJSON(nil)
	const name = "event"
	c.artifact(name, text)
	if a.Raw != string(event) {
		t.Errorf("raw differs from the event %s", event)
	}
	keptOrLost(t, name, event, rows, text)
	c.ocsf.Check(t, name, &a)
	for view, text := range map[string][]byte{"ECS": ecs.Append(nil, &a), "WitFoo": witfoo.Append(nil, &a)} {
		if !json.Valid(text) {
			t.Errorf("%s is no JSON: %s", view, text)
		}
	}
	if t.Failed() {
		t.Fatalf("the event was %s", event)
	}
}
