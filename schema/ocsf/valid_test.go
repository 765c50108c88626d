package ocsf_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ocsf/ocsftest"
)

func TestExamplesAreValidInEveryVersion(t *testing.T) {
	j := ocsftest.NewJudge(t)
	for _, e := range sharedtest.Examples(t) {
		j.Check(t, e.Name, artifactOf(t, e))
	}
}

func TestPublishedEventsAreValidInEveryVersion(t *testing.T) {
	j, m := ocsftest.NewJudge(t), normalize.NewMapper()
	for _, e := range sharedtest.Events(t) {
		var a schema.Artifact
		if err := m.Map(envelope(e.Dataset), e.Raw, &a); err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		j.Check(t, e.Name, &a)
	}
}

func envelope(dataset string) *normalize.Envelope {
	return &normalize.Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "acme", Dataset: dataset, SourceAPI: "v2_dataexport",
		Collected: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Late: 20 * 365 * 24 * time.Hour, KeepRaw: true,
	}
}

// What is in an event is anybody's guess, and the events that are made of it are valid all the same.
func FuzzEventsAreValid(f *testing.F) {
	for _, e := range sharedtest.Examples(f) {
		var a struct{ Dataset string }
		if err := json.Unmarshal(e.Artifact, &a); err != nil {
			f.Fatal(err)
		}
		f.Add(a.Dataset, string(e.Raw))
	}
	j, m := ocsftest.NewJudge(f), normalize.NewMapper()
	f.Fuzz(func(t *testing.T, dataset, raw string) {
		var a schema.Artifact
		if m.Map(envelope(dataset), []byte(raw), &a) != nil {
			return
		}
		j.Check(t, dataset, &a)
	})
}
