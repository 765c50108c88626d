// Package ocsftest holds events against the published class definitions of the framework, which lie beside the repository.
package ocsftest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ocsf"
)

// A Judge knows the definitions of every version.
type Judge struct {
	views   map[string]*ocsf.View
	schemas map[string]*jsonschema.Schema
}

// NewJudge reads the definitions; the test is skipped where there are none.
func NewJudge(t testing.TB) *Judge {
	t.Helper()
	folder := sharedtest.Folder(t, "ocsf")
	j := &Judge{make(map[string]*ocsf.View), make(map[string]*jsonschema.Schema)}
	for _, version := range ocsf.Versions() {
		text, err := os.ReadFile(filepath.Join(folder, "ocsf-"+version+"-classes.schema.json"))
		if err != nil {
			t.Fatal(err)
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

// Check reports each version in which the event of an artifact is not valid.
func (j *Judge) Check(t testing.TB, name string, a *schema.Artifact) {
	t.Helper()
	for version, v := range j.views {
		text := v.Append(nil, a)
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: OCSF %s is no JSON: %v\n%s", name, version, err, text)
		}
		if err := j.schemas[version].Validate(document); err != nil {
			t.Errorf("%s: OCSF %s: %v\n%.2000s", name, version, err, text)
		}
	}
}
