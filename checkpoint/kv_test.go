package checkpoint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/checkpoint/checkpointtest"
	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
)

func openKV(t *testing.T) (*checkpoint.KV, jetstream.JetStream) {
	t.Helper()
	js, _ := natstest.JetStream(t)
	kv, err := checkpoint.OpenKV(t.Context(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	return kv, js
}

func TestKVKeepsTheContract(t *testing.T) {
	checkpointtest.Run(t, func(t *testing.T) checkpoint.Store {
		kv, _ := openKV(t)
		return kv
	})
}

func TestHistoryKeepsTheLast64Revisions(t *testing.T) {
	kv, _ := openKV(t)
	rev := uint64(0)
	for page := range uint64(70) {
		var err error
		if rev, err = kv.Save(t.Context(), "lane", checkpoint.Cursor{Page: page}, rev); err != nil {
			t.Fatal(err)
		}
	}
	all, err := kv.History(t.Context(), "lane")
	all = slices.DeleteFunc(all, func(r checkpoint.Revision) bool { return r.Snapshot })
	if err != nil || len(all) != 64 {
		t.Fatalf("History has %d revisions, %v, want 64", len(all), err)
	}
	if first, last := all[0].Cursor.Page, all[63].Cursor.Page; first != 6 || last != 69 {
		t.Errorf("History runs from page %d to %d, want 6 to 69", first, last)
	}
}

func TestListHasOneRevisionOfEachLane(t *testing.T) {
	kv, _ := openKV(t)
	for _, lane := range []string{"a.events.page", "b.events.page"} {
		rev, err := kv.Save(t.Context(), lane, checkpoint.Cursor{Page: 1}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Save(t.Context(), lane, checkpoint.Cursor{Page: 2}, rev); err != nil {
			t.Fatal(err)
		}
	}
	all, err := kv.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Cursor.Page != 2 || all[1].Cursor.Page != 2 {
		t.Errorf("List = %+v, %v, want two lanes at page 2", all, err)
	}
}

func TestCursorOfAnOlderProgramIsRead(t *testing.T) {
	kv, js := openKV(t)
	old := `{"version":1,"epoch":3,"owner":"host","start":"2026-01-01T00:00:00Z","page":7,"events":9,"saved":"2026-01-01T01:00:00Z"}`
	if _, err := bucketOf(t, js, checkpoint.Bucket).PutString(t.Context(), "lane", old); err != nil {
		t.Fatal(err)
	}
	c, revision, err := kv.Load(t.Context(), "lane")
	if err != nil || c.Page != 7 || c.Released || c.Replay || !c.Reached.IsZero() {
		t.Fatalf("Load = %+v, %v, want page 7, and nothing of what it did not know", c, err)
	}
	if _, err := kv.Save(t.Context(), "lane", c, revision); err != nil {
		t.Fatal(err)
	}
	entry, err := bucketOf(t, js, checkpoint.Bucket).Get(t.Context(), "lane")
	if err != nil || string(entry.Value()) != old {
		t.Errorf("saved again it is %s, %v, want as it was, which an older program reads", entry.Value(), err)
	}
}

func TestCursorOfANewerProgramIsRefused(t *testing.T) {
	kv, js := openKV(t)
	bucket, err := js.KeyValue(t.Context(), checkpoint.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutString(t.Context(), "lane", `{"version":99}`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := kv.Load(t.Context(), "lane"); err == nil || !strings.Contains(err.Error(), "run the newer skopeflow") {
		t.Errorf("Load = %v, want a sentence that says what to do", err)
	}
}
