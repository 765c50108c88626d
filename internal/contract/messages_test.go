package contract_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.opentelemetry.io/otel/propagation"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
	"github.com/skopeflow/skopeflow/schema/ocsf"
	"github.com/skopeflow/skopeflow/schema/witfoo"
)

// opened opens the publisher of a profile.
func opened(t *testing.T, js jetstream.JetStream, profile string) *publish.NATS {
	t.Helper()
	n, err := publish.OpenNATS(t.Context(), js, publish.NATSConfig{Stream: "ARTIFACTS", Prefix: "artifacts", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour, Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stored publishes batches, each under a claim of its lane, and returns what a stream then holds below a subject.
func stored(t *testing.T, js jetstream.JetStream, profile, stream, subject string, batches ...*publish.Batch) []jetstream.Msg {
	t.Helper()
	n := opened(t, js, profile)
	for i, b := range batches {
		fence, err := n.Claim(t.Context(), publish.Claim{Lane: b.Lane, Epoch: uint64(i + 1), Owner: "skopeflow-0", HWM: time.Now(), At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		b.Fence = fence
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
			if list, ok := at(documented[name], "enum").([]any); ok && !slices.Contains(list, any(m.Headers().Get(name))) {
				t.Errorf("%s: %s is %q, the document knows %q", message, name, m.Headers().Get(name), list)
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

// checkPayloads holds the data of real messages against the schema that a message of the document has for it.
func checkPayloads(t *testing.T, d map[string]any, message string, msgs []jetstream.Msg) {
	t.Helper()
	payload := at(d, "components/messages/"+message+"/payload")
	if ref, ok := at(payload, "$ref").(string); ok {
		payload = resolve(t, d, ref)
	}
	text, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	if payload, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("payload.json", payload); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("payload.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range msgs {
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data()))
		if err == nil {
			err = s.Validate(data)
		}
		if err != nil {
			t.Errorf("%s: %v", message, err)
		}
	}
}

// everyCase returns batches that together have each header of an artifact's message.
func everyCase(t *testing.T, data func(*schema.Artifact) []byte) []*publish.Batch {
	t.Helper()
	plain := &publish.Batch{Lane: "acme.events.alert", Instance: "acme", Stream: "events/alert"}
	for _, r := range records(t) {
		m := r.message()
		m.Data = data(&r.artifact)
		plain.Messages = append(plain.Messages, m)
	}
	full := &publish.Batch{Lane: plain.Lane, Instance: plain.Instance, Stream: plain.Stream, Replay: true, Messages: plain.Messages[:1], Header: make(map[string]string)}
	for _, name := range (propagation.TraceContext{}).Fields() {
		full.Header[name] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	}
	return []*publish.Batch{plain, full}
}

func TestArtifactsHaveTheSubjectsAndHeadersOfTheDocument(t *testing.T) {
	d := document(t)
	batches := everyCase(t, func(a *schema.Artifact) []byte { return a.AppendJSON(nil) })
	js, _ := natstest.JetStream(t)
	msgs := stored(t, js, "", "ARTIFACTS", "artifacts.>", batches...)
	if len(msgs) != len(batches[0].Messages)+1 {
		t.Fatalf("%d messages are stored, want %d", len(msgs), len(batches[0].Messages)+1)
	}
	checkHeaders(t, d, "artifact", msgs)
	checkPayloads(t, d, "artifact", msgs)
	checkSubjects(t, d, msgs)
}

func TestViewsHaveTheSubjectsAndHeadersOfTheDocument(t *testing.T) {
	d := document(t)
	forms := map[string]func(*schema.Artifact) []byte{
		"witfoo":             func(a *schema.Artifact) []byte { return witfoo.Append(nil, a) },
		"ecs-" + ecs.Version: func(a *schema.Artifact) []byte { return ecs.Append(nil, a) },
	}
	for _, version := range ocsf.Versions() {
		v, err := ocsf.New(version)
		if err != nil {
			t.Fatal(err)
		}
		forms["ocsf-"+version] = func(a *schema.Artifact) []byte { return v.Append(nil, a) }
	}
	known, _ := at(d, "components/messages/view/headers/properties/ce-datacontenttype/enum").([]any)
	if len(known) != len(forms) {
		t.Errorf("the document knows the views %q, %d are there", known, len(forms))
	}
	for profile, data := range forms {
		js, _ := natstest.JetStream(t)
		msgs := stored(t, js, profile, "ARTIFACTS", "artifacts.>", everyCase(t, data)...)
		checkHeaders(t, d, "view", msgs)
		checkPayloads(t, d, "view", msgs)
		checkSubjects(t, d, msgs)
	}
}

func TestClaimsAreWhatTheDocumentSays(t *testing.T) {
	d := document(t)
	const lane = "acme.events.alert"
	batches := everyCase(t, func(a *schema.Artifact) []byte { return a.AppendJSON(nil) })
	var msgs []jetstream.Msg
	for n := range batches { // the first claim of a lane, and one that replaces another
		js, _ := natstest.JetStream(t)
		msgs = stored(t, js, "", "ARTIFACTS", "skopeflow.>", batches[:n+1]...)
		if len(msgs) != 1 {
			t.Fatalf("%d claims stand, want 1", len(msgs))
		}
		checkHeaders(t, d, "claim", msgs)
		checkPayloads(t, d, "claim", msgs)
	}
	address, _ := at(d, "channels/claims/address").(string)
	if want := strings.NewReplacer("{stream}", "ARTIFACTS", "{lane}", lane).Replace(address); msgs[0].Subject() != want {
		t.Errorf("a claim is on %s, by the document it is on %s", msgs[0].Subject(), want)
	}
	var claim map[string]any
	if err := json.Unmarshal(msgs[0].Data(), &claim); err != nil {
		t.Fatal(err)
	}
	documented := at(d, "components/messages/claim/payload/properties").(map[string]any)
	for name := range claim {
		if documented[name] == nil {
			t.Errorf("a claim has the member %s, which is not in the document", name)
		}
	}
	for name := range documented {
		if claim[name] == nil {
			t.Errorf("no claim has the member %s of the document", name)
		}
	}
}

// The headers by which JetStream holds a batch to a claim are on its first message, and name the claim.
func TestFirstMessageOfABatchNamesTheClaim(t *testing.T) {
	js, _ := natstest.JetStream(t)
	batches := everyCase(t, func(a *schema.Artifact) []byte { return a.AppendJSON(nil) })[:1]
	for i, m := range stored(t, js, "", "ARTIFACTS", "artifacts.>", batches...) {
		var want [2]string
		if i == 0 {
			want = [2]string{batches[0].Fence, "skopeflow.ARTIFACTS.claims." + batches[0].Lane}
		}
		got := [2]string{m.Headers().Get(jetstream.ExpectedLastSubjSeqHeader), m.Headers().Get(jetstream.ExpectedLastSubjSeqSubjHeader)}
		if got != want {
			t.Errorf("message %d names %q, want %q", i, got, want)
		}
	}
}

// checkSubjects holds the subjects of artifacts, or of views, against what the document says of the address and of where its parts are.
func checkSubjects(t *testing.T, d map[string]any, msgs []jetstream.Msg) {
	t.Helper()
	address, _ := at(d, "channels/artifacts/address").(string)
	parameters, _ := at(d, "channels/artifacts/parameters").(map[string]any)
	datasets, _ := at(parameters, "dataset/examples").([]any)
	for _, m := range msgs {
		dataset, subtype, _ := strings.Cut(m.Headers().Get("ce-subject"), "/")
		if !slices.Contains(datasets, any(dataset)) {
			t.Errorf("the document does not know the dataset %s", dataset)
		}
		parts := map[string]string{"dataset": dataset, "subtype": subtype}
		want := address
		for name, p := range parameters {
			value, _ := at(p, "default").(string)
			if location, ok := at(p, "location").(string); ok {
				value = schema.SubjectToken(m.Headers().Get(strings.TrimPrefix(location, "$message.header#/")))
			}
			want = strings.ReplaceAll(want, "{"+name+"}", cmp.Or(parts[name], value))
		}
		if m.Subject() != want {
			t.Errorf("an artifact is on %s, by the document it is on %s", m.Subject(), want)
		}
	}
}

func TestExamplesOfTheDocumentAreRealMessages(t *testing.T) {
	d := document(t)
	artifacts, _ := at(d, "components/messages/artifact/examples").([]any)
	views, _ := at(d, "components/messages/view/examples").([]any)
	listed := append(artifacts, views...)
	for i, e := range shown(t) {
		if i >= len(listed) || at(listed[i], "name") != e.Name {
			t.Fatalf("the document shows %d examples, want that of %s in place %d", len(listed), e.Name, i)
		}
		js, _ := natstest.JetStream(t)
		m := stored(t, js, e.Profile, "ARTIFACTS", "artifacts.>", &publish.Batch{Lane: e.Lane, Messages: []publish.Message{e.Message}})[0]
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
		documented := contract.Headers()
		if e.Profile != "" {
			documented = contract.ViewHeaders()
		}
		for _, h := range documented {
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
	msgs := stored(t, js, "", "ARTIFACTS_DEAD", ">", &publish.Batch{Lane: lane, Instance: "acme", Stream: "events/page", Dead: []publish.DeadLetter{
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
