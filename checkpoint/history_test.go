package checkpoint

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
)

func openKV(t *testing.T) (*KV, jetstream.JetStream) {
	t.Helper()
	js, _ := natstest.JetStream(t)
	kv, err := OpenKV(t.Context(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	return kv, js
}

func save(t *testing.T, kv *KV, page uint64, revision uint64) uint64 {
	t.Helper()
	saved, err := kv.Save(t.Context(), "a.events.page", Cursor{Page: page}, revision)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func snapshots(t *testing.T, kv *KV) int {
	t.Helper()
	status, err := kv.hours.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(status.Values())
}

func TestHourHasOneSnapshotOfEachLane(t *testing.T) {
	kv, js := openKV(t)
	hour := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	snap := func(kv *KV, lane string, page uint64, now time.Time) {
		t.Helper()
		if err := kv.hours.snap(t.Context(), lane, snapshot{page, Cursor{Page: page}}, now); err != nil {
			t.Fatal(err)
		}
	}
	snap(kv, "a.events.page", 1, hour)
	snap(kv, "a.events.page", 2, hour.Add(59*time.Minute).In(time.FixedZone("", 1800)))
	snap(kv, "a.events", 3, hour)
	snap(kv, "a.events.page", 4, hour.Add(time.Hour))
	restarted, err := OpenKV(t.Context(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	snap(restarted, "a.events.page", 5, hour.Add(time.Hour))
	all, err := kv.History(t.Context(), "a.events.page")
	if err != nil || len(all) != 2 || all[0].Page != 1 || all[1].Page != 4 {
		t.Fatalf("History = %+v, %v, want the snapshots of pages 1 and 4", all, err)
	}
	for _, r := range all {
		if !r.Snapshot || r.Revision != r.Page || r.Lane != "a.events.page" {
			t.Errorf("snapshot %+v is not marked, or not at its revision", r)
		}
	}
}

func TestHistoryHasEachCursorOnceInOrderOfTime(t *testing.T) {
	kv, _ := openKV(t)
	revision := save(t, kv, 1, 0) // with a snapshot
	revision = save(t, kv, 2, revision)
	all, err := kv.History(t.Context(), "a.events.page")
	if err != nil || len(all) != 2 || all[0].Snapshot || all[1].Snapshot {
		t.Fatalf("History = %+v, %v, want two revisions, and no snapshot of what is one of them", all, err)
	}
	for page := range uint64(70) {
		revision = save(t, kv, 3+page, revision)
	}
	if all, err = kv.History(t.Context(), "a.events.page"); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i, r := range all {
		if !r.Snapshot {
			kept++
		}
		if i > 0 && (r.Created.Before(all[i-1].Created) || r.Page <= all[i-1].Page) {
			t.Errorf("page %d follows page %d", r.Page, all[i-1].Page)
		}
	}
	if first := all[0]; kept != history || !first.Snapshot || first.Page != 1 || first.Revision != 1 || first.Version != Version {
		t.Errorf("History has %d revisions and begins with %+v, want %d after the snapshot of page 1", kept, first, history)
	}
}

func TestFailingSnapshotFailsNoSave(t *testing.T) {
	kv, js := openKV(t)
	var told strings.Builder
	kv.Log = slog.New(slog.NewTextHandler(&told, nil))
	if err := js.DeleteKeyValue(t.Context(), HourBucket); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	revision := save(t, kv, 1, 0)
	if took := time.Since(begin); took > 5*hourTimeout {
		t.Errorf("Save took %v", took)
	}
	if !strings.Contains(told.String(), "a.events.page") {
		t.Errorf("the log has %q, want that the snapshot is missing", told.String())
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: HourBucket}); err != nil {
		t.Fatal(err)
	}
	save(t, kv, 2, revision)
	if n := snapshots(t, kv); n != 1 {
		t.Errorf("the next Save left %d snapshots, want 1", n)
	}
}

func TestSnapshotsLast30Days(t *testing.T) {
	kv, _ := openKV(t)
	status, err := kv.hours.Status(t.Context())
	if err != nil || status.TTL() != 720*time.Hour {
		t.Errorf("the bucket keeps its keys for %v, %v, want 720h", status.TTL(), err)
	}
}
