// Package publishtest is the contract of a [publish.Publisher]: what every
// broker must do.
package publishtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// A Stored is a message as a consumer of the broker gets it.
type Stored struct {
	ID, Lane string
	Header   map[string]string
	Data     []byte
}

// A Rig is an empty broker for one test.
type Rig struct {
	Publisher publish.Publisher
	// Consume returns every artifact that is stored, oldest first, read by
	// other means than the publisher's.
	Consume func(t *testing.T) []Stored
}

// Run holds a publisher to the contract.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	t.Run("nil means that all is stored", func(t *testing.T) { storesAll(t, open(t)) })
	t.Run("a scan finds what the lane stored after a mark", func(t *testing.T) { scans(t, open(t)) })
	t.Run("a scan from the beginning finds all of the lane and nothing of another", func(t *testing.T) { scansLane(t, open(t)) })
	t.Run("what a cancelled publish stored, a scan finds", func(t *testing.T) { cancelled(t, open(t)) })
	t.Run("the headers of a batch are on each message", func(t *testing.T) { headers(t, open(t)) })
	t.Run("what no message can carry is kept", func(t *testing.T) { keeps(t, open(t)) })
	t.Run("a later claim stands, and an earlier one is told who has claimed", func(t *testing.T) { claims(t, open(t)) })
	t.Run("of those who claim at once one succeeds", func(t *testing.T) { races(t, open(t)) })
	t.Run("a batch under an overtaken claim stores nothing", func(t *testing.T) { fences(t, open(t)) })
	t.Run("nothing is stored under a claim after the next one stands", func(t *testing.T) { overtakes(t, open(t)) })
	t.Run("what is stored is not missing", func(t *testing.T) { misses(t, open(t)) })
	t.Run("a batch of nothing is stored", func(t *testing.T) {
		if err := open(t).Publisher.Publish(t.Context(), &publish.Batch{Lane: "acme.events.page"}); err != nil {
			t.Error(err)
		}
	})
}

// Batch returns n artifacts of a lane of the instance acme, numbered from first.
func Batch(lane string, first, n int) *publish.Batch {
	b := &publish.Batch{Lane: lane, Instance: "acme", Stream: "events/page"}
	for i := range n {
		id := ID(lane, first+i)
		b.Messages = append(b.Messages, publish.Message{
			ID: id, EntityID: id, Tenant: "acme", SourceTenant: "acme.goskope.com", Dataset: "page", Subtype: "page",
			Kind: "event", Class: "http", Severity: "unknown", Time: "2026-01-01T00:00:00.000Z",
			Data: fmt.Appendf(nil, `{"id":%q}`, id),
		})
	}
	return b
}

// ID returns the id of the i-th artifact of a lane.
func ID(lane string, i int) schema.ID { return schema.NameID(fmt.Appendf(nil, "%s/%d", lane, i)) }

const lane = "acme.events.page"

func storesAll(t *testing.T, r Rig) {
	const n = 1234 // more than one atomic batch
	want := Batch(lane, 0, n)
	if err := r.Publisher.Publish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := r.Consume(t)
	if len(got) != n {
		t.Fatalf("%d messages are stored, want %d", len(got), n)
	}
	for i, m := range want.Messages {
		if !slices.ContainsFunc(got, func(s Stored) bool { return s.ID == m.ID.String() && bytes.Equal(s.Data, m.Data) && s.Lane == lane }) {
			t.Fatalf("message %d is not stored as it was published", i)
		}
	}
}

func scans(t *testing.T, r Rig) {
	before := publishAndMark(t, r, Batch(lane, 0, 10))
	after := publishAndMark(t, r, Batch(lane, 10, 20))
	if got := scan(t, r, lane, before); !sameIDs(got, lane, 10, 20) {
		t.Errorf("scan after the first mark found %d ids, want the 20 of the second batch", len(got))
	}
	if got := scan(t, r, lane, after); len(got) != 0 {
		t.Errorf("scan after the last mark found %d ids, want none", len(got))
	}
}

func scansLane(t *testing.T, r Rig) {
	other := "acme.events.audit"
	publishAndMark(t, r, Batch(other, 0, 7))
	publishAndMark(t, r, Batch(lane, 0, 600))
	publishAndMark(t, r, Batch(other, 7, 7))
	if got := scan(t, r, lane, ""); !sameIDs(got, lane, 0, 600) {
		t.Errorf("scan found %d ids, want the lane's 600", len(got))
	}
}

func cancelled(t *testing.T, r Rig) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := r.Publisher.Publish(ctx, Batch(lane, 0, 50))
	stored := r.Consume(t)
	if err == nil && len(stored) != 50 {
		t.Errorf("Publish under a cancelled context = nil, and %d of 50 are stored", len(stored))
	}
	if got := scan(t, r, lane, ""); len(got) != len(stored) {
		t.Errorf("scan found %d ids, and %d are stored", len(got), len(stored))
	}
}

func headers(t *testing.T, r Rig) {
	b := Batch(lane, 0, 3)
	b.Replay = true
	b.Header = map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	if err := r.Publisher.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Consume(t) {
		if m.Header["traceparent"] != b.Header["traceparent"] || m.Header["replay"] != "true" || m.Header[publish.HeaderLane] != lane {
			t.Errorf("headers are %v", m.Header)
		}
	}
}

func keeps(t *testing.T, r Rig) {
	large := bytes.Repeat([]byte("x"), r.Publisher.MaxBytes()+1)
	where, err := r.Publisher.Keep(t.Context(), "artifacts/some-id", large)
	if err != nil || where == "" {
		t.Errorf("Keep = %q, %v, want where it is", where, err)
	}
}

func publishAndMark(t *testing.T, r Rig, b *publish.Batch) string {
	t.Helper()
	if err := r.Publisher.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	mark, err := r.Publisher.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

func scan(t *testing.T, r Rig, lane, from string) []schema.ID {
	t.Helper()
	var ids []schema.ID
	if _, err := r.Publisher.Scan(t.Context(), lane, from, func(key schema.Key) { ids = append(ids, key.ID) }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func sameIDs(got []schema.ID, lane string, first, n int) bool {
	if len(got) != n {
		return false
	}
	for i := range n {
		if !slices.Contains(got, ID(lane, first+i)) {
			return false
		}
	}
	return true
}
