package ocsf_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ocsf"
)

// A judge holds the published class definitions of every version against events.
type judge struct {
	views   map[string]*ocsf.View
	schemas map[string]*jsonschema.Schema
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	j := &judge{make(map[string]*ocsf.View), make(map[string]*jsonschema.Schema)}
	for _, version := range ocsf.Versions() {
		file := "../../../shared/ocsf/ocsf-" + version + "-classes.schema.json"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Skipf("the class definitions of the framework are not beside the repository: %v", err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(version, document); err != nil {
			t.Fatal(err)
		}
		if j.schemas[version], err = c.Compile(version); err != nil {
			t.Fatal(err)
		}
		if j.views[version], err = ocsf.New(version); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func (j *judge) check(t testing.TB, name string, a *schema.Artifact) {
	t.Helper()
	for version, v := range j.views {
		text := v.Append(nil, a)
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: OCSF %s is no JSON: %v\n%s", name, version, err, text)
		}
		if err := j.schemas[version].Validate(document); err != nil {
			t.Errorf("%s: OCSF %s: %v\n%.1500s", name, version, err, text)
		}
	}
}

func TestExamplesAreValidInEveryVersion(t *testing.T) {
	j := newJudge(t)
	for name, e := range examples(t) {
		var a schema.Artifact
		if err := json.Unmarshal(e.Artifact, &a); err != nil {
			t.Fatal(err)
		}
		j.check(t, name, &a)
	}
}

func TestPublishedEventsAreValidInEveryVersion(t *testing.T) {
	j, m, n := newJudge(t), normalize.NewMapper(), 0
	err := filepath.WalkDir("../../../shared/corpus", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".ndjson" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dataset, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".ndjson"), "_")
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for ; lines.Scan(); n++ {
			var a schema.Artifact
			if err := m.Map(envelope(dataset), lines.Bytes(), &a); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			j.check(t, filepath.Base(path), &a)
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, valid in %d versions", n, len(j.views))
}

func envelope(dataset string) *normalize.Envelope {
	return &normalize.Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "acme", Dataset: dataset, SourceAPI: "v2_dataexport",
		Collected: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Late: 20 * 365 * 24 * time.Hour, KeepRaw: true,
	}
}

// What is in an event is anybody's guess, and the events that are made of it are valid all the same.
func FuzzEventsAreValid(f *testing.F) {
	files, err := filepath.Glob("../testdata/examples/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var e struct{ Artifact struct{ Dataset, Raw string } }
		if err := json.Unmarshal(text, &e); err != nil {
			f.Fatal(err)
		}
		f.Add(e.Artifact.Dataset, e.Artifact.Raw)
	}
	j, m := newJudge(f), normalize.NewMapper()
	f.Fuzz(func(t *testing.T, dataset, raw string) {
		var a schema.Artifact
		if m.Map(envelope(dataset), []byte(raw), &a) != nil {
			return
		}
		j.check(t, dataset, &a)
	})
}
