package contract_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"
	"go.yaml.in/yaml/v3"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

const documents = "../../docs/schema"

// document reads the AsyncAPI document.
func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := contract.AsyncAPI(shown(t))
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows a JSON pointer without its leading slash; nil if it leads nowhere.
func at(v any, pointer string) any {
	for part := range strings.SplitSeq(pointer, "/") {
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

// resolve follows a $ref of the document; nil if it leads nowhere.
func resolve(t *testing.T, d map[string]any, ref string) any {
	t.Helper()
	if pointer, ok := strings.CutPrefix(ref, "#/"); ok {
		return at(d, pointer)
	}
	text, err := os.ReadFile(filepath.Join(documents, filepath.FromSlash(ref)))
	if err != nil {
		t.Error(err)
		return nil
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
	return v
}

func TestReferencesLeadSomewhere(t *testing.T) {
	d := document(t)
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				found++
				if resolve(t, d, ref) == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(d)
	if found < 10 {
		t.Errorf("only %d references were found", found)
	}
}

func TestDocumentHasWhatAsyncAPIAsksFor(t *testing.T) {
	d := document(t)
	if d["asyncapi"] != "3.0.0" || at(d, "info/version") != schema.Version || at(d, "info/title") == nil {
		t.Errorf("it begins with %v, %v", d["asyncapi"], d["info"])
	}
	channels, _ := d["channels"].(map[string]any)
	operations, _ := d["operations"].(map[string]any)
	if len(channels) != 3 || len(operations) != len(channels) {
		t.Errorf("%d channels and %d operations, want 3 of each", len(channels), len(operations))
	}
	for name, c := range channels {
		c, _ := c.(map[string]any)
		address, _ := c["address"].(string)
		parameters, _ := c["parameters"].(map[string]any)
		if address == "" || strings.Count(address, "{") != len(parameters) {
			t.Errorf("channel %s has the address %q and %d parameters", name, address, len(parameters))
		}
		for p := range parameters {
			if !strings.Contains(address, "{"+p+"}") {
				t.Errorf("channel %s: %s is not in its address", name, p)
			}
		}
	}
	for name, o := range operations {
		channel, _ := at(o, "channel/$ref").(string)
		if at(o, "action") != "send" || !strings.HasPrefix(channel, "#/channels/") {
			t.Errorf("operation %s does %v on %q", name, at(o, "action"), channel)
		}
		messages, _ := at(o, "messages").([]any)
		for _, m := range messages {
			if ref, _ := at(m, "$ref").(string); !strings.HasPrefix(ref, channel+"/messages/") {
				t.Errorf("operation %s: the message %s is not one of its channel", name, ref)
			}
		}
	}
	for name, s := range d["servers"].(map[string]any) {
		if at(s, "host") == nil || at(s, "protocol") != "nats" {
			t.Errorf("server %s has no host, or another protocol than nats", name)
		}
	}
}

// stored publishes a batch and returns what a stream then holds below a subject.
func stored(t *testing.T, js jetstream.JetStream, stream, subject string, batches ...*publish.Batch) []jetstream.Msg {
	t.Helper()
	n, err := publish.OpenNATS(t.Context(), js, publish.NATSConfig{Stream: "ARTIFACTS", Prefix: "artifacts", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := n.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []jetstream.Msg
	for range info.NumPending {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// checkHeaders holds the headers of real messages against those of a message of the document.
func checkHeaders(t *testing.T, d map[string]any, message string, msgs []jetstream.Msg) {
	t.Helper()
	documented, _ := at(d, "components/messages/"+message+"/headers/properties").(map[string]any)
	required, _ := at(d, "components/messages/"+message+"/headers/required").([]any)
	seen := make(map[string]bool)
	for _, m := range msgs {
		for name := range m.Headers() {
			seen[name] = true
			if documented[name] == nil {
				t.Errorf("%s: the header %s is not in the document", message, name)
				continue
			}
			if want := at(documented[name], "const"); want != nil && want != m.Headers().Get(name) {
				t.Errorf("%s: %s is %q, the document says always %q", message, name, m.Headers().Get(name), want)
			}
			if at(documented[name], "format") == "date-time" {
				if _, err := time.Parse(time.RFC3339, m.Headers().Get(name)); err != nil {
					t.Errorf("%s: %s: %v", message, name, err)
				}
			}
		}
		for _, name := range required {
			if m.Headers().Get(name.(string)) == "" {
				t.Errorf("%s: the document promises the header %s, a message lacks it", message, name)
			}
		}
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("%s: no message has the header %s of the document", message, name)
		}
	}
}

func TestArtifactsHaveTheSubjectsAndHeadersOfTheDocument(t *testing.T) {
	d := document(t)
	plain := &publish.Batch{Lane: "acme.events.alert", Instance: "acme", Stream: "events/alert"}
	for _, r := range records(t) {
		plain.Messages = append(plain.Messages, r.message())
	}
	full := &publish.Batch{Lane: plain.Lane, Instance: plain.Instance, Stream: plain.Stream, Replay: true, Messages: plain.Messages[:1], Header: make(map[string]string)}
	for _, name := range (propagation.TraceContext{}).Fields() {
		full.Header[name] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	}
	js, _ := natstest.JetStream(t)
	msgs := stored(t, js, "ARTIFACTS", "artifacts.>", plain, full)
	if len(msgs) != len(plain.Messages)+1 {
		t.Fatalf("%d messages are stored, want %d", len(msgs), len(plain.Messages)+1)
	}
	checkHeaders(t, d, "artifact", msgs)
	for _, m := range msgs {
		if want := subjectOf(t, d, m.Data()); m.Subject() != want {
			t.Errorf("an artifact is on %s, by the document it is on %s", m.Subject(), want)
		}
	}
}

// subjectOf makes the subject of an artifact by what the document says of the address and of where its parts are.
func subjectOf(t *testing.T, d map[string]any, artifact []byte) string {
	t.Helper()
	var payload any
	if err := json.Unmarshal(artifact, &payload); err != nil {
		t.Fatal(err)
	}
	address, _ := at(d, "channels/artifacts/address").(string)
	parameters, _ := at(d, "channels/artifacts/parameters").(map[string]any)
	for name, p := range parameters {
		value, _ := at(p, "default").(string)
		if location, ok := at(p, "location").(string); ok {
			text, _ := at(payload, strings.TrimPrefix(location, "$message.payload#/")).(string)
			value = schema.SubjectToken(text)
		}
		if name == "dataset" && !slices.Contains(at(p, "examples").([]any), any(value)) {
			t.Errorf("the document does not know the dataset %s", value)
		}
		address = strings.ReplaceAll(address, "{"+name+"}", value)
	}
	return address
}

func TestExamplesOfTheDocumentAreRealMessages(t *testing.T) {
	d := document(t)
	listed, _ := at(d, "components/messages/artifact/examples").([]any)
	for i, e := range shown(t) {
		if i >= len(listed) {
			t.Fatalf("the document shows %d examples, want that of %s", len(listed), e.Name)
		}
		js, _ := natstest.JetStream(t)
		m := stored(t, js, "ARTIFACTS", "artifacts.>", &publish.Batch{Lane: e.Lane, Messages: []publish.Message{e.Message}})[0]
		payload, err := json.Marshal(at(listed[i], "payload"))
		if err != nil {
			t.Fatal(err)
		}
		var shown, sent any
		if json.Unmarshal(payload, &shown) != nil || json.Unmarshal(m.Data(), &sent) != nil || fmt.Sprint(shown) != fmt.Sprint(sent) {
			t.Errorf("%s: the document shows %s, want %s", e.Name, payload, m.Data())
		}
		headers, _ := at(listed[i], "headers").(map[string]any)
		for name, value := range headers {
			switch name {
			case "ce-recordedtime", "Nats-Batch-Id": // of the moment
			default:
				if got := m.Headers().Get(name); got != value {
					t.Errorf("%s: the document shows %s %v, the message has %q", e.Name, name, value, got)
				}
			}
		}
		for _, h := range contract.Headers() {
			if h.Always && headers[h.Name] == nil {
				t.Errorf("%s: the document shows no %s", e.Name, h.Name)
			}
		}
	}
}

func TestDeadLettersAndLargeEventsAreWhereTheDocumentSays(t *testing.T) {
	d := document(t)
	js, nc := natstest.JetStream(t)
	page := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	lane := ingest.LaneName("acme", "events/page")
	large := []byte(strings.Repeat("x", int(nc.MaxPayload())))
	msgs := stored(t, js, "ARTIFACTS_DEAD", ">", &publish.Batch{Lane: lane, Instance: "acme", Stream: "events/page", Dead: []publish.DeadLetter{
		{Reason: "not an object", Raw: []byte("7"), Page: page, Event: 0},
		{Reason: "not an object", Raw: large, Page: page, Event: 1},
	}})
	if len(msgs) != 2 {
		t.Fatalf("%d dead letters, want 2", len(msgs))
	}
	checkHeaders(t, d, "deadLetter", msgs)
	address, _ := at(d, "channels/deadLetters/address").(string)
	want := strings.NewReplacer("{stream}", "ARTIFACTS", "{instance}", "acme", "{family}", "events", "{feed}", "page").Replace(address)
	for i, m := range msgs {
		if m.Subject() != want || m.Headers().Get("page-event") != strconv.Itoa(i) {
			t.Errorf("dead letter %d is on %s with the number %s, by the document it is on %s", i, m.Subject(), m.Headers().Get("page-event"), want)
		}
	}
	object := msgs[1].Headers().Get("object")
	place, _ := at(d, "channels/largeEvents/address").(string)
	prefix, _, _ := strings.Cut(strings.Replace(place, "{stream}", "ARTIFACTS", 1), "{name}")
	name, ok := strings.CutPrefix(object, prefix)
	if !ok || len(msgs[1].Data()) != 0 {
		t.Fatalf("the large event is at %q, by the document it is below %q", object, prefix)
	}
	store, err := js.ObjectStore(t.Context(), "ARTIFACTS_LARGE")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.GetBytes(t.Context(), name); err != nil || string(got) != string(large) {
		t.Errorf("the object has %d bytes, %v; want %d", len(got), err, len(large))
	}
}
