package ocsf_test

import (
	"encoding/json"
	"slices"
	"strings"
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

// apart are the fields that are not told, or told by another name: see unmapped.
var apart = []string{
	"schema_version", "kind", "class", "source", "warnings", "time_precision", "severity_source", "message", "unmapped",
	"raw", "raw_format", "raw_size", "raw_sha256",
}

func TestNothingOfAnArtifactIsLeftOut(t *testing.T) {
	v, m := newest(t), normalize.NewMapper()
	check := func(name string, a *schema.Artifact) {
		t.Helper()
		places, event := v.Places(a), decode(t, v.Append(nil, a))
		unmapped, _ := event["unmapped"].(map[string]any)
		for _, f := range schema.Fields() {
			access, _ := schema.AccessTo(f.Name)
			if !access.Present(a) || slices.Contains(apart, f.Name) || f.Name == "action" && a.Action == schema.ActionUnknown {
				continue
			}
			_, left := unmapped[f.Name]
			if !left && !slices.ContainsFunc(places[f.Name], func(path string) bool { return path != "unmapped" && stands(event, path) }) {
				t.Errorf("%s: %s is nowhere: %s", name, f.Name, access.Append(nil, a))
			}
		}
	}
	for _, e := range sharedtest.Examples(t) {
		check(e.Name, artifactOf(t, e))
	}
	for _, e := range sharedtest.Events(t) {
		var a schema.Artifact
		if err := m.Map(envelope(e.Dataset), e.Raw, &a); err != nil {
			t.Fatal(err)
		}
		check(e.Name, &a)
	}
}

// stands reports whether a document has something at a path.
func stands(at any, path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		key, list := strings.CutSuffix(part, "[]")
		object, _ := at.(map[string]any)
		if at = object[key]; list {
			elements, _ := at.([]any)
			if len(elements) == 0 {
				return false
			}
			at = elements[0]
		}
	}
	return at != nil
}
