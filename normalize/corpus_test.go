package normalize

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/schema"
)

// corpus calls fn for every published event that lies beside the repository.
func corpus(t testing.TB, fn func(name, dataset string, raw []byte)) {
	t.Helper()
	for _, e := range sharedtest.Events(t) {
		fn(e.Name, e.Dataset, e.Raw)
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
	shares := make(map[string]*share)
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
		if shares[dataset] == nil {
			shares[dataset] = new(share)
		}
		for _, row := range keptOrLost(t, name, raw, rows, text) {
			shares[dataset].count(row)
		}
	})
	for _, dataset := range slices.Sorted(maps.Keys(shares)) {
		s := shares[dataset]
		t.Logf("%-12s %3d populated keys: %3d in fields, %2d dropped for a reason, %2d unmapped: %d %% have a place",
			dataset, s.populated, s.populated-s.dropped-s.unmapped, s.dropped, s.unmapped, s.percent())
		if want := leastShare[dataset]; s.percent() < want {
			t.Errorf("%s: only %d %% have a place, want %d", dataset, s.percent(), want)
		}
	}
}

// leastShare is how many of the populated keys of published events must be known to the tables, in percent.
var leastShare = map[string]int{"alert": 90, "page": 90, "application": 90, "audit": 90, "incident": 90, "network": 80}

// A share counts what became of populated keys.
type share struct{ populated, dropped, unmapped int }

func (s *share) count(row Row) {
	s.populated++
	switch {
	case row.Field == "unmapped":
		s.unmapped++
	case strings.HasPrefix(row.Field, "dropped: "):
		s.dropped++
	}
}

func (s *share) percent() int { return 100 * (s.populated - s.unmapped) / s.populated }

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
		explained[outer], explained[row.Key] = true, true
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
		case row.Field == "empty" && (value == "0" || value == "False" || value == "false" || beforeTime(row.Key, value)):
		case strings.HasPrefix(row.Field, "dropped: ") && len(row.Field) > len("dropped: x"):
		default:
			for _, field := range strings.Split(row.Field, ", ") {
				if field == "unmapped" {
					field += "." + row.Key
				}
				if pathOf(got, field) == nil {
					t.Errorf("%s: %s (%v) should be in %s, which is empty", name, row.Key, value, field)
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

// beforeTime tells a time below zero, which is as good as none.
func beforeTime(key string, value any) bool {
	n, isNumber := value.(float64)
	return isNumber && n < 0 && (strings.Contains(key, "time") || key == "date")
}

func pathOf(object map[string]any, path string) any {
	if v, ok := object[path]; ok {
		return v
	}
	outer, inner, nested := strings.Cut(path, ".")
	if !nested {
		return nil
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
		return slices.Contains([]string{"", "-", "n/a", "na", "none", "null", "unknown", "notavailable", "notchecked", "nossl"}, strings.ToLower(strings.Trim(v, " \x00")))
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
