// Package sharedtest gives tests the data that several packages are tested with: the published events that lie beside the
// repository, and the examples in it.
package sharedtest

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Folder returns the path of a folder in ../shared, which lies beside the repository. Where it is absent the test is skipped; it
// fails where SKOPEFLOW_SHARED_REQUIRED is 1.
func Folder(t testing.TB, name string) string {
	t.Helper()
	folder := filepath.Join(filepath.Dir(root(t)), "shared", name)
	if _, err := os.Stat(folder); err != nil {
		if os.Getenv("SKOPEFLOW_SHARED_REQUIRED") == "1" {
			t.Fatalf("required here: %v", err)
		}
		t.Skipf("not beside the repository: %v", err)
	}
	return folder
}

func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// An Event is one published event.
type Event struct {
	Name    string // file and line
	Dataset string
	Raw     []byte
}

// Events returns all published events.
func Events(t testing.TB) []Event {
	t.Helper()
	folder := Folder(t, "corpus")
	var all []Event
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".ndjson" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, folder+string(filepath.Separator))
		dataset, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".ndjson"), "_")
		for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			all = append(all, Event{name + ":" + strconv.Itoa(i+1), dataset, line})
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d published events in %s: %v", len(all), folder, err)
	}
	return all
}

// An Example is an event, the artifact that it becomes, and the artifact's views.
type Example struct {
	Name     string
	Raw      []byte
	Artifact json.RawMessage
	OCSF     json.RawMessage `json:"ocsf_1_8_0"`
	ECS      json.RawMessage
	WitFoo   json.RawMessage
}

// Examples returns the published examples, 19 of them.
func Examples(t testing.TB) []Example {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "schema/testdata/examples/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []Example
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Example
			Raw json.RawMessage // as an object; the event's bytes are in the artifact
		}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		var artifact struct{ Raw string }
		if err := json.Unmarshal(e.Artifact, &artifact); err != nil {
			t.Fatal(err)
		}
		e.Name, e.Example.Raw = strings.TrimSuffix(filepath.Base(file), ".json"), []byte(artifact.Raw)
		all = append(all, e.Example)
	}
	return all
}

// ExampleNamed returns the example with a name.
func ExampleNamed(t testing.TB, name string) Example {
	t.Helper()
	for _, e := range Examples(t) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no example %s", name)
	return Example{}
}
