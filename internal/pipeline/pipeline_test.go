package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/publish"
)

// An example is an event as Netskope sends it, and what it must become.
type example struct {
	name, stream string
	raw          string
	want         map[string]any
}

// examples reads the examples of the normalizer that a dataexport iterator can
// bring. Transaction events have a way of their own.
func examples(t *testing.T) []example {
	t.Helper()
	files, err := filepath.Glob("../../schema/testdata/examples/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []example
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Artifact map[string]any }
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		dataset, _ := e.Artifact["dataset"].(string)
		raw, _ := e.Artifact["raw"].(string)
		if dataset == "transaction" {
			continue
		}
		stream := "events/" + dataset
		if kind, isAlert := strings.CutPrefix(name, "alert_"); isAlert {
			stream = "alerts/" + strings.ReplaceAll(kind, "_", "")
		}
		all = append(all, example{name, stream, raw, e.Artifact})
	}
	return all
}

// normalized are the fields in which the normalizer departs from an example on
// purpose; its own tests say how.
var normalized = map[string]string{"endpoint_usb": "unmapped", "infrastructure": "unmapped", "clientstatus": "unmapped", "alert_security_assessment": "unmapped", "network": "net"}

func TestExamplesArriveAtTheBrokerAsTheirArtifacts(t *testing.T) {
	r := newRig(t)
	all := examples(t)
	vectors := idVectors(t)
	streams := make(map[string]bool)
	for _, e := range all {
		r.add(e.stream, []byte(e.raw))
		streams[e.stream] = true
	}
	r.collect(t, keys(streams)...)
	got := make(map[string]map[string]any)
	for _, a := range r.artifacts(t) {
		got[a["id"].(string)] = a
	}
	if len(got) != len(all) {
		t.Errorf("%d events became %d artifacts", len(all), len(got))
	}
	for _, e := range all {
		if v, ok := vectors[e.name]; !ok || v.ID != e.want["id"] || v.EntityID != e.want["entity_id"] {
			t.Errorf("%s: the id vector is %+v, the example's id %v", e.name, v, e.want["id"])
		}
		a := got[e.want["id"].(string)]
		if a == nil {
			t.Errorf("%s: no artifact has its id", e.name)
			continue
		}
		// The one field of the envelope that a running program fills otherwise.
		e.want["connector"] = instance
		for field := range merged(a, e.want) {
			if field != normalized[e.name] && !reflect.DeepEqual(a[field], e.want[field]) {
				t.Errorf("%s: %s\n got %v\nwant %v", e.name, field, a[field], e.want[field])
			}
		}
	}
}

type vector struct {
	Case, ID string
	EntityID string `json:"entity_id"`
}

func idVectors(t *testing.T) map[string]vector {
	t.Helper()
	text, err := os.ReadFile("../../schema/testdata/maps/id_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	byCase := make(map[string]vector)
	for _, v := range file.Vectors {
		byCase[v.Case] = v
	}
	return byCase
}

func keys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

func merged(a, b map[string]any) map[string]bool {
	all := make(map[string]bool)
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func event(n int) []byte {
	return fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","url":"example.com/%d","user":"jane@example.com"}`, n, received.Unix(), n)
}

func TestEventThatIsNoObjectGoesToTheDeadLetters(t *testing.T) {
	r := newRig(t)
	bad := []string{`7`, `"x"`, `[]`, `null`}
	for i := range 1200 { // three parts
		r.add("events/page", event(i))
		if i%400 == 200 {
			r.add("events/page", []byte(bad[i/400]))
		}
	}
	r.add("events/page", []byte(bad[3]))
	s := r.collect(t, "events/page")["events/page"]
	if s.Stored != 1200 || s.DeadLettered != 4 || s.Received != 1204 || s.Failures != 0 {
		t.Errorf("status %+v, want 1204 received, 1200 stored, 4 dead letters", s)
	}
	if n := len(r.artifacts(t)); n != 1200 {
		t.Errorf("%d artifacts, want 1200", n)
	}
	found := make(map[string]bool)
	for _, m := range r.consume(t, "ARTIFACTS_DEAD", ">") {
		found[string(m.data)] = true
		if reason := m.header["reason"]; len(reason) != 1 || !strings.Contains(reason[0], "not a JSON object") {
			t.Errorf("dead letter %s: reason %q", m.data, reason)
		}
		if lane := m.header["skopeflow-lane"]; len(lane) != 1 || lane[0] != "acme.events.page" {
			t.Errorf("dead letter %s: lane %q", m.data, lane)
		}
	}
	for _, raw := range bad {
		if !found[raw] {
			t.Errorf("%s is not among the dead letters %v", raw, found)
		}
	}
	c, _, err := r.kv.Load(t.Context(), "acme.events.page")
	if err != nil || c.Page == 0 || c.HWM.IsZero() {
		t.Errorf("cursor %+v, %v, want the page settled", c, err)
	}
}

func TestEventFromFarBackKeepsItsTimeIfThatWasAskedFor(t *testing.T) {
	happened := received.AddDate(0, 0, -60)
	raw := fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","url":"example.com"}`, 1, happened.Unix())
	for late, want := range map[time.Duration]time.Time{0: received, 61 * 24 * time.Hour: happened} {
		r := newRig(t)
		r.late = late
		r.add("events/page", raw)
		r.collect(t, "events/page")
		a := r.artifacts(t)
		if text := want.Format("2006-01-02T15:04:05.000Z"); len(a) != 1 || a[0]["time"] != text {
			t.Errorf("believed for %v: %v, want time %s", late, a, text)
		}
	}
}

// large returns an event whose only large value no table knows.
func large(n, size int) []byte {
	return fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","url":"example.com","x_blob":"%s"}`, n, received.Unix(), strings.Repeat("b", size))
}

func TestEventTooLargeForAMessageGoesWithoutRaw(t *testing.T) {
	r := newRig(t)
	raw := large(1, 5<<20) // raw and unmapped together are more than a message holds
	r.add("events/page", raw)
	r.add("events/page", event(2))
	s := r.collect(t, "events/page")["events/page"]
	if s.Stored != 2 || s.DeadLettered != 0 {
		t.Errorf("status %+v, want 2 stored", s)
	}
	a := bySize(t, r.artifacts(t), len(raw))
	if a["raw"] != nil || a["raw_sha256"] != digest(raw) || !strings.Contains(fmt.Sprint(a["warnings"]), "raw: left out") {
		t.Errorf("raw present: %v, raw_sha256 %v, warnings %v", a["raw"] != nil, a["raw_sha256"], a["warnings"])
	}
	unmapped, _ := a["unmapped"].(map[string]any)
	if blob, _ := unmapped["x_blob"].(string); len(blob) != 5<<20 {
		t.Errorf("the large value has %d bytes in unmapped, want all", len(blob))
	}
}

func TestEventTooLargeEvenSoBecomesAStubWithItsBytesKept(t *testing.T) {
	r := newRig(t)
	raw := large(1, 10<<20)
	r.add("events/page", raw)
	r.add("events/page", event(2))
	s := r.collect(t, "events/page")["events/page"]
	if s.Stored != 2 || s.DeadLettered != 0 {
		t.Errorf("status %+v, want 2 stored", s)
	}
	a := bySize(t, r.artifacts(t), len(raw))
	if a["raw"] != nil || a["raw_sha256"] != digest(raw) || a["native_id"] == nil {
		t.Errorf("stub %v", a)
	}
	unmapped, _ := a["unmapped"].(map[string]any)
	where, _ := unmapped["object"].(string)
	name, ok := strings.CutPrefix(where, "nats-object://ARTIFACTS_LARGE/")
	if !ok {
		t.Fatalf("the stub names %q, want an object of ARTIFACTS_LARGE", where)
	}
	if kept := r.object(t, name); !bytes.Equal(kept, raw) {
		t.Errorf("the object has %d bytes, the event %d", len(kept), len(raw))
	}
}

func TestDeadLetterTooLargeForAMessageIsKeptBeside(t *testing.T) {
	r := newRig(t)
	raw := []byte(`"` + strings.Repeat("x", 9<<20) + `"`)
	r.add("events/page", raw)
	s := r.collect(t, "events/page")["events/page"]
	if s.DeadLettered != 1 {
		t.Errorf("status %+v, want one dead letter", s)
	}
	letters := r.consume(t, "ARTIFACTS_DEAD", ">")
	if len(letters) != 1 || len(letters[0].header["object"]) != 1 {
		t.Fatalf("%d dead letters, want one that names an object", len(letters))
	}
	name := strings.TrimPrefix(letters[0].header["object"][0], "nats-object://ARTIFACTS_LARGE/")
	if kept := r.object(t, name); !bytes.Equal(kept, raw) {
		t.Errorf("the object has %d bytes, the event %d", len(kept), len(raw))
	}
}

func (r *rig) object(t *testing.T, name string) []byte {
	t.Helper()
	store, err := r.js.ObjectStore(t.Context(), "ARTIFACTS_LARGE")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := store.GetBytes(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func bySize(t *testing.T, artifacts []map[string]any, size int) map[string]any {
	t.Helper()
	for _, a := range artifacts {
		if a["raw_size"] == float64(size) {
			return a
		}
	}
	t.Fatalf("no artifact of an event of %d bytes", size)
	return nil
}

// An unsure publisher stores its first batches and says that it does not know.
type unsure struct {
	*publish.NATS
	calls atomic.Int32
	times int32
}

func (u *unsure) Publish(ctx context.Context, b *publish.Batch) error {
	err := u.NATS.Publish(ctx, b)
	if u.calls.Add(1) <= u.times && err == nil {
		err = errors.New("no answer from the broker")
	}
	return err
}

func TestBatchOfUnclearFateIsStoredOnce(t *testing.T) {
	r := newRig(t)
	r.publisher = &unsure{NATS: r.nats, times: 2}
	for i := range 1700 {
		r.add("events/page", event(i))
	}
	s := r.collect(t, "events/page")["events/page"]
	if s.Failures == 0 || s.Resends+s.Pages < 2 || s.Duplicates == 0 {
		t.Errorf("status %+v, want a failure, and the page again", s)
	}
	ids := make(map[any]int)
	for _, a := range r.artifacts(t) {
		ids[a["id"]]++
	}
	if len(ids) != 1700 {
		t.Errorf("%d artifacts, want 1700", len(ids))
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s is stored %d times", id, n)
		}
	}
}
