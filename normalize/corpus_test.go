package normalize

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/schema"
)

// corpus calls fn for every published event that lies beside the repository.
func corpus(t testing.TB, fn func(name, dataset string, raw []byte)) {
	t.Helper()
	const folder = "../../shared/corpus"
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no published events: %v", err)
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".ndjson" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dataset, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".ndjson"), "_")
		scanner := bufio.NewScanner(bytes.NewReader(text))
		scanner.Buffer(nil, 1<<20)
		for n := 1; scanner.Scan(); n++ {
			fn(fmt.Sprintf("%s:%d", strings.TrimPrefix(path, folder), n), dataset, bytes.Clone(scanner.Bytes()))
		}
		return scanner.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// old is an envelope for events of years ago.
func old(dataset string) *Envelope {
	env := envelope(dataset)
	env.Late = 20 * 365 * 24 * time.Hour
	return env
}

func TestPublishedEventsLoseNothing(t *testing.T) {
	validate := validator(t)
	mapped, populated := make(map[string]int), make(map[string]int)
	corpus(t, func(name, dataset string, raw []byte) {
		rows, a, err := Explain(old(dataset), raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		text := a.AppendJSON(nil)
		validate(name, text)
		if a.Raw != string(raw) {
			t.Errorf("%s: raw differs from the event", name)
		}
		for _, row := range keptOrLost(t, name, raw, rows, text) {
			populated[dataset]++
			if row.Field != "unmapped" {
				mapped[dataset]++
			}
		}
	})
	for _, dataset := range slices.Sorted(maps.Keys(populated)) {
		t.Logf("%-12s %3d of %3d populated keys mapped, %2d %%", dataset, mapped[dataset], populated[dataset], 100*mapped[dataset]/populated[dataset])
		if share := 100 * mapped[dataset] / populated[dataset]; share < 70 {
			t.Errorf("%s: only %d %% mapped", dataset, share)
		}
	}
}

// keptOrLost returns the rows of the keys that hold something, and reports each that the artifact does not account for.
func keptOrLost(t *testing.T, name string, raw []byte, rows []Row, artifact []byte) []Row {
	t.Helper()
	var event, got map[string]any
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(artifact, &got); err != nil {
		t.Fatal(err)
	}
	unmapped, _ := got["unmapped"].(map[string]any)
	explained := make(map[string]bool)
	var populated []Row
	for _, row := range rows {
		outer, _, _ := strings.Cut(row.Key, ".")
		explained[outer] = true
		value := pathOf(event, row.Key)
		if holdsNothing(value) {
			continue
		}
		populated = append(populated, row)
		switch {
		case row.Field == "unmapped":
			if pathOf(unmapped, row.Key) == nil {
				t.Errorf("%s: %s is nowhere", name, row.Key)
			}
		case row.Field == "empty" && (value == "0" || value == "False" || value == "false"):
		case strings.HasPrefix(row.Field, "dropped: ") && len(row.Field) > len("dropped: x"):
		default:
			for _, field := range strings.Split(row.Field, ", ") {
				if pathOf(got, field) == nil {
					t.Errorf("%s: %s should be in %s, which is empty", name, row.Key, field)
				}
			}
		}
	}
	for key, value := range event {
		if !explained[key] && !holdsNothing(value) {
			t.Errorf("%s: %s is not explained", name, key)
		}
	}
	return populated
}

func pathOf(object map[string]any, path string) any {
	outer, inner, nested := strings.Cut(path, ".")
	if !nested {
		return object[path]
	}
	within, _ := object[outer].(map[string]any)
	return pathOf(within, inner)
}

// holdsNothing is the contract's list of what counts as missing, said once more.
func holdsNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case string:
		return slices.Contains([]string{"", "-", "n/a", "na", "none", "null", "unknown", "notavailable", "notchecked", "nossl"}, strings.ToLower(strings.TrimSpace(v)))
	}
	return false
}

func TestExampleEventsLoseNothing(t *testing.T) {
	for _, e := range examples(t) {
		rows, a, err := Explain(envelope(e.want["dataset"].(string)), e.raw)
		if err != nil {
			t.Fatal(err)
		}
		keptOrLost(t, e.name, e.raw, rows, a.AppendJSON(nil))
	}
}

func TestArtifactOutlivesTheBufferOfItsEvent(t *testing.T) {
	m := NewMapper()
	for _, e := range examples(t) {
		raw := bytes.Clone(e.raw)
		env := envelope(e.want["dataset"].(string))
		var a, again schema.Artifact
		if err := m.Map(env, raw, &a); err != nil {
			t.Fatal(err)
		}
		want := string(a.AppendJSON(nil))
		for i := range raw {
			raw[i] = '#'
		}
		if err := m.Map(env, []byte(`{"_id":"1","url":"other.example/x","other_categories":["x"],"user":"Q@Q.example","new":1}`), &again); err != nil {
			t.Fatal(err)
		}
		if got := string(a.AppendJSON(nil)); got != want {
			t.Errorf("%s changed when its buffer was used again:\n got %s\nwant %s", e.name, got, want)
		}
	}
}
