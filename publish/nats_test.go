package publish_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/publish/publishtest"
	"github.com/skopeflow/skopeflow/schema"
)

func config() publish.NATSConfig {
	return publish.NATSConfig{Stream: "ARTIFACTS", Prefix: "artifacts", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour}
}

func open(t *testing.T, c publish.NATSConfig) (*publish.NATS, jetstream.JetStream) {
	t.Helper()
	js, _ := natstest.JetStream(t)
	n, err := publish.OpenNATS(t.Context(), js, c)
	if err != nil {
		t.Fatal(err)
	}
	return n, js
}

func TestNATSKeepsTheContract(t *testing.T) {
	publishtest.Run(t, func(t *testing.T) publishtest.Rig {
		n, js := open(t, config())
		return publishtest.Rig{Publisher: n, Consume: func(t *testing.T) []publishtest.Stored { return consume(t, js, "ARTIFACTS", "artifacts.>") }}
	})
}

// consume reads what a stream holds under a subject.
func consume(t *testing.T, js jetstream.JetStream, stream, subject string) []publishtest.Stored {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []publishtest.Stored
	for range info.NumPending {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		s := publishtest.Stored{ID: m.Headers().Get(publish.HeaderID), Lane: m.Headers().Get(publish.HeaderLane), Data: m.Data(), Header: map[string]string{"subject": m.Subject()}}
		for key := range m.Headers() {
			s.Header[key] = m.Headers().Get(key)
		}
		all = append(all, s)
	}
	return all
}

func TestArtifactsCarryCloudEventsHeaders(t *testing.T) {
	n, js := open(t, config())
	b := publishtest.Batch("acme.alerts.dlp", 0, 1)
	b.Messages[0].Dataset, b.Messages[0].Subtype = "alert", "Compromised Credential.>"
	if err := n.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got := consume(t, js, "ARTIFACTS", "artifacts.>")[0].Header
	for key, want := range map[string]string{
		"subject":            "artifacts.acme.netskope.alert.compromised_credential__",
		"ce-specversion":     "1.0",
		"ce-id":              b.Messages[0].ID.String(),
		"ce-source":          "//netskope/acme.goskope.com/alert",
		"ce-type":            "skopeflow.artifact.v1",
		"ce-time":            "2026-01-01T00:00:00.000Z",
		"ce-dataschema":      schema.URI,
		"ce-datacontenttype": "application/json",
		"artifact_severity":  "unknown",
		"skopeflow-lane":     "acme.alerts.dlp",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if got["Nats-Msg-Id"] != "" {
		t.Error("there is a Nats-Msg-Id, by which one known id would refuse a whole batch")
	}
}

func TestProfileOfAViewStandsInTheContentType(t *testing.T) {
	for _, tt := range []struct{ profile, contentType, dataSchema string }{
		{"", "application/json", schema.URI},
		{"ocsf-1.8.0", "application/json; profile=ocsf-1.8.0", ""},
	} {
		c := config()
		c.Profile = tt.profile
		n, js := open(t, c)
		if err := n.Publish(t.Context(), publishtest.Batch("acme.events.page", 0, 2)); err != nil {
			t.Fatal(err)
		}
		for _, m := range consume(t, js, "ARTIFACTS", "artifacts.>") {
			if got := m.Header["ce-datacontenttype"]; got != tt.contentType {
				t.Errorf("profile %q: ce-datacontenttype is %q, want %q", tt.profile, got, tt.contentType)
			}
			got, named := m.Header["ce-dataschema"]
			if got != tt.dataSchema || named != (tt.dataSchema != "") {
				t.Errorf("profile %q: ce-dataschema is %q, there: %t, want %q", tt.profile, got, named, tt.dataSchema)
			}
			if m.Header["ce-type"] != "skopeflow.artifact.v1" || m.ID == "" {
				t.Errorf("profile %q: the other headers are %v", tt.profile, m.Header)
			}
		}
	}
}

func TestDeadLettersKeepTheBytesAndTheReason(t *testing.T) {
	n, js := open(t, config())
	b := publishtest.Batch("acme.events.page", 0, 1)
	b.Dead = []publish.DeadLetter{{Reason: "not an object", Raw: []byte("7"), Page: time.Unix(0, 0), Event: 3}}
	if err := n.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got := consume(t, js, "ARTIFACTS_DEAD", "skopeflow.ARTIFACTS.dead.acme.events.page")
	if len(got) != 1 || string(got[0].Data) != "7" || got[0].Header["reason"] != "not an object" || got[0].Header["page-event"] != "3" {
		t.Errorf("dead letters are %+v", got)
	}
}

func TestFullStreamSaysSoAndKeepsWhatItHas(t *testing.T) {
	c := config()
	c.MaxBytes = 300 << 10
	n, js := open(t, c)
	var err error
	stored := 0
	for ; err == nil && stored < 10000; stored += 100 {
		err = n.Publish(t.Context(), publishtest.Batch("acme.events.page", stored, 100))
	}
	var full *publish.FullError
	if !errors.As(err, &full) {
		t.Fatalf("publishing to a full stream = %v, want a FullError", err)
	}
	if got := len(consume(t, js, "ARTIFACTS", "artifacts.>")); got != stored-100 {
		t.Errorf("%d messages are stored, want the %d of whole batches", got, stored-100)
	}
	if _, err := n.Mark(t.Context()); !errors.As(err, &full) {
		t.Errorf("Mark of a full stream = %v, want a FullError", err)
	}
}

func TestStreamThatDropsOldMessagesIsRefused(t *testing.T) {
	js, _ := natstest.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ARTIFACTS", Subjects: []string{"artifacts.>"}, Discard: jetstream.DiscardOld}); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.OpenNATS(t.Context(), js, config()); err == nil || !strings.Contains(err.Error(), "set its discard policy to new") {
		t.Errorf("OpenNATS = %v, want a sentence", err)
	}
}

func TestPublishEndsWhenTheServerIsGone(t *testing.T) {
	js, nc := natstest.JetStream(t)
	n, err := publish.OpenNATS(t.Context(), js, config())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := n.Publish(ctx, publishtest.Batch("acme.events.page", 0, 10)); err == nil {
		t.Error("Publish without a server = nil")
	}
}
