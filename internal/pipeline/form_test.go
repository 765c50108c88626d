package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
)

func TestMessagesAreTheDocumentsOfTheFormThatIsSet(t *testing.T) {
	all := examples(t)
	streams := make(map[string]bool)
	for _, e := range all {
		streams[e.stream] = true
	}
	collected := func(r *rig) map[string]stored {
		for _, e := range all {
			r.add(e.stream, []byte(e.raw))
		}
		r.collect(t, keys(streams)...)
		messages := make(map[string]stored)
		for _, m := range r.consume(t, "ARTIFACTS", "artifacts.>") {
			messages[m.header[publish.HeaderID][0]] = m
		}
		if len(messages) != len(all) {
			t.Fatalf("%d events became %d messages", len(all), len(messages))
		}
		return messages
	}
	plain := collected(newRig(t))
	for id, m := range collected(newECSRig(t)) {
		var a schema.Artifact
		if err := json.Unmarshal(plain[id].data, &a); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if want := ecs.Append(nil, &a); !bytes.Equal(m.data, want) {
			t.Errorf("%s:\n got %s\nwant %s", id, m.data, want)
		}
		if got := m.header["ce-datacontenttype"]; len(got) != 1 || got[0] != "application/json; profile=ecs-9.4.0" {
			t.Errorf("%s: ce-datacontenttype is %q", id, got)
		}
		if got, there := m.header["ce-dataschema"]; there {
			t.Errorf("%s: ce-dataschema is %q, which is that of artifacts", id, got)
		}
		if m.subject != plain[id].subject || fmt.Sprint(m.header["ce-subject"]) != fmt.Sprint(plain[id].header["ce-subject"]) {
			t.Errorf("%s: subject %s, as an artifact %s", id, m.subject, plain[id].subject)
		}
	}
}

func newECSRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	c := natsConfig()
	c.Profile = "ecs-" + ecs.Version
	var err error
	if r.nats, err = publish.OpenNATS(t.Context(), r.js, c); err != nil {
		t.Fatal(err)
	}
	r.publisher = r.nats
	r.setting = func(p *pipeline.Pipeline) { p.Form = ecs.Append }
	return r
}

func TestEventTooLargeForAViewNamesItsBytesThere(t *testing.T) {
	r := newECSRig(t)
	raw := large(1, 10<<20)
	r.add("events/page", raw)
	r.add("events/page", large(2, 5<<20))
	s := r.collect(t, "events/page")["events/page"]
	if s.Stored != 2 {
		t.Errorf("status %+v, want 2 stored", s)
	}
	objects := r.objects(t)
	if len(objects) != 1 {
		t.Fatalf("%d objects, want one", len(objects))
	}
	for name, kept := range objects {
		if !bytes.Equal(kept, raw) {
			t.Errorf("the object has %d bytes, the event %d", len(kept), len(raw))
		}
		naming := 0
		for _, m := range r.consume(t, "ARTIFACTS", "artifacts.>") {
			var d struct {
				Message string
				Event   struct{ ID, Original string }
			}
			if err := json.Unmarshal(m.data, &d); err != nil || d.Event.ID != m.header[publish.HeaderID][0] {
				t.Errorf("the message %.300s is no document of ECS: %v", m.data, err)
			}
			if len(m.data) > r.nats.MaxBytes() || d.Event.Original != "" {
				t.Errorf("a message has %d bytes, and a raw event of %d", len(m.data), len(d.Event.Original))
			}
			if strings.Contains(d.Message, "nats-object://ARTIFACTS_LARGE/"+name) {
				naming++
			}
		}
		if naming != 1 {
			t.Errorf("%d messages name the object, want one", naming)
		}
	}
}

func TestKeysThatNoTableKnowsAreCountedForAllWorkers(t *testing.T) {
	r := newRig(t)
	drift := new(normalize.DriftCounter)
	r.setting = func(p *pipeline.Pipeline) { p.Drift = drift }
	for i := range 1100 { // three parts
		rest := ""
		if i%2 == 0 {
			rest = `,"x_quantum":"jane@example.com"`
		}
		r.add("events/page", fmt.Appendf(nil, `{"_id":"%024x","timestamp":%d,"type":"page","url":"example.com/%d"%s}`, i, received.Unix(), i, rest))
	}
	r.collect(t, "events/page")
	want := normalize.DriftCount{Drift: normalize.Drift{Kind: normalize.DriftKey, Dataset: "page", Field: "x_quantum"}, Count: 550}
	if got := drift.Counts(); len(got) != 1 || got[0] != want {
		t.Errorf("drift %+v, want %+v", got, want)
	}
}
