package ecs_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
)

// read decodes a JSON file.
func read(t testing.TB, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func artifact(t testing.TB, text []byte) *schema.Artifact {
	t.Helper()
	a := new(schema.Artifact)
	if err := json.Unmarshal(text, a); err != nil {
		t.Fatal(err)
	}
	return a
}

// document decodes a document, numbers kept as they are written.
func document(t testing.TB, text []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var doc map[string]any
	if err := decoder.Decode(&doc); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return doc
}

// leaves flattens a document to dotted paths. Lists are leaves, and so is what Netskope sent as it came.
func leaves(doc map[string]any) map[string]any {
	flat := make(map[string]any)
	var walk func(prefix string, object map[string]any)
	walk = func(prefix string, object map[string]any) {
		for key, v := range object {
			inner, nested := v.(map[string]any)
			if path := prefix + key; nested && len(inner) > 0 && !verbatim[path] {
				walk(path+".", inner)
			} else {
				flat[path] = v
			}
		}
	}
	walk("", doc)
	return flat
}

// verbatim are the places whose inside is the vendor's.
var verbatim = map[string]bool{"netskope.unmapped": true, "netskope.user.attributes": true, "netskope.audit.details": true}

// A difference is where the documents are better than the examples.
type difference struct {
	why  string
	want func(expected any, a *schema.Artifact) any // nil is nothing
}

func lower(expected any, _ *schema.Artifact) any {
	s, ok := expected.(string)
	if !ok {
		return nil
	}
	return strings.ToLower(s)
}

var differences = map[string]difference{
	"labels.action": {"nothing else in the document says quarantined, coached or restricted in one spelling",
		func(_ any, a *schema.Artifact) any { return string(a.Action) }},
	"network.application": {"ECS demands lower case, so that one application has one name across sources", lower},
	"network.transport":   {"ECS demands lower case", lower},
	"netskope.app.name": {"the name as displayed, because network.application is in lower case",
		func(_ any, a *schema.Artifact) any { return a.App.Name }},
	"netskope.audit.verb": {"event.type has a word for a few verbs only",
		func(_ any, a *schema.Artifact) any { return a.Audit.Verb }},
	"tls.version":          {"ECS wants the number alone", func(any, *schema.Artifact) any { return "1.3" }},
	"tls.version_protocol": {"ECS wants the protocol's name here", func(any, *schema.Artifact) any { return "tls" }},
	"url.full": {"an absolute URL belongs here, where Elastic's own views look for it",
		func(_ any, a *schema.Artifact) any { return a.URL.Full }},
	"threat.indicator.type": {"ECS takes the types of STIX only", func(any, *schema.Artifact) any { return "domain-name" }},
}

func TestExamplesBecomeTheExpectedDocuments(t *testing.T) {
	differ := make(map[string]bool)
	for _, e := range sharedtest.Examples(t) {
		a := artifact(t, e.Artifact)
		got, want := leaves(document(t, ecs.Append(nil, a))), leaves(document(t, e.ECS))
		paths := maps.Clone(want)
		maps.Copy(paths, got)
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			if reflect.DeepEqual(got[path], want[path]) {
				continue
			}
			d, listed := differences[path]
			if !listed {
				t.Errorf("%s: %s is %v, want %v", e.Name, path, got[path], want[path])
				continue
			}
			differ[path] = true
			if better := d.want(want[path], a); !reflect.DeepEqual(got[path], better) {
				t.Errorf("%s: %s is %v, want %v: %s", e.Name, path, got[path], better, d.why)
			}
		}
	}
	for path := range differences {
		if !differ[path] {
			t.Errorf("%s differs in no example: take it off the list", path)
		}
	}
}

// elsewhere are the fields that the table of fields has at a path where ECS cannot take them.
var elsewhere = map[string]struct{ path, why string }{
	"action":                {"labels.action", "event.type has words for two verdicts; the path holds those, the label every action"},
	"threat.confidence":     {"netskope.threat.confidence", "ECS takes four words, which the path holds; the number stays beside it"},
	"src.forwarded_for":     {"related.ip", "the header may list several; the path holds the client's"},
	"threat.indicator_type": {"netskope.threat.indicator_type", "ECS takes the types of STIX; a word of another kind stays under netskope"},
}

// leftOut are the fields that documents do without.
var leftOut = []string{"time_raw", "insertion_time", "raw_size", "enrichments"}

func TestEveryFieldHasItsPlace(t *testing.T) {
	text, err := os.ReadFile("../fields.csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	places := ecs.Places()
	name, path := slices.Index(rows[0], "field"), slices.Index(rows[0], "ecs_path")
	known := make(map[string]bool)
	for _, row := range rows[1:] {
		known[row[name]] = true
		if row[path] != "" && !slices.Contains(places[row[name]], row[path]) {
			t.Errorf("%s is not at %s but at %v", row[name], row[path], places[row[name]])
		}
		if e, ok := elsewhere[row[name]]; ok && !slices.Contains(places[row[name]], e.path) {
			t.Errorf("%s is not at %s too: %s", row[name], e.path, e.why)
		}
	}
	for field := range known {
		if out := slices.Contains(leftOut, field); out != (len(places[field]) == 0) {
			t.Errorf("%s is at %v", field, places[field])
		}
	}
	for field, paths := range places {
		if !known[field] || !slices.IsSorted(paths) {
			t.Errorf("%s: %v is no place of a field", field, paths)
		}
	}
}

// A field that yields its place in ECS to another is still in the document.
func TestNothingIsLostWhereFieldsShareAPlace(t *testing.T) {
	for field := range ecs.Places() {
		for _, place := range ecs.Places()[field] {
			if strings.HasPrefix(place, "related.") {
				continue
			}
			for other, theirs := range ecs.Places() {
				if other == field || !slices.Contains(theirs, place) || place == "event.type" || place == "threat.indicator.type" {
					continue
				}
				doc := document(t, ecs.Append(nil, with(t, map[string]string{field: "the one", other: "the other"})))
				delete(doc, "related")
				found := slices.Collect(maps.Values(leaves(doc)))
				if !holds(found, "the one") || !holds(found, "the other") {
					t.Errorf("%s and %s are not both in %v", field, other, doc)
				}
			}
		}
	}
}

// holds reports whether a text is one of the values, or of their elements.
func holds(values []any, text string) bool {
	return slices.ContainsFunc(values, func(v any) bool { return v == text || slices.Contains(words(v), text) })
}

// with is an artifact with some texts.
func with(t testing.TB, texts map[string]string) *schema.Artifact {
	t.Helper()
	a := new(schema.Artifact)
	for field, text := range texts {
		place := schema.Place[string](field)
		if place == nil {
			t.Fatalf("%s is no text", field)
		}
		*place(a) = text
	}
	return a
}

func TestClassesAreThoseOfTheMap(t *testing.T) {
	var m struct {
		Classes map[string]struct {
			ECS  []string
			Type []string `json:"ecs_type"`
		}
	}
	read(t, "../testdata/maps/class_map.json", &m)
	if len(m.Classes) != 25 {
		t.Fatalf("%d classes", len(m.Classes))
	}
	for class, want := range m.Classes {
		event, _ := document(t, ecs.Append(nil, &schema.Artifact{Class: schema.Class(class), Kind: schema.KindEvent}))["event"].(map[string]any)
		if got := words(event["category"]); !slices.Equal(got, want.ECS) {
			t.Errorf("%s: categories %v, want %v", class, got, want.ECS)
		}
		got := words(event["type"])
		slices.Sort(got)
		slices.Sort(want.Type)
		if !slices.Equal(got, want.Type) {
			t.Errorf("%s: types %v, want %v", class, got, want.Type)
		}
	}
}

func words(v any) []string {
	list, _ := v.([]any)
	all := make([]string, len(list))
	for i, v := range list {
		all[i], _ = v.(string)
	}
	return all
}

func TestVerdictsAreThoseOfTheMap(t *testing.T) {
	var m struct {
		Normalized map[schema.Action]struct{ ECS []string }
	}
	read(t, "../testdata/maps/action_map.json", &m)
	if len(m.Normalized) != 14 {
		t.Fatalf("%d actions", len(m.Normalized))
	}
	for action, of := range m.Normalized {
		want := slices.DeleteFunc(of.ECS, func(s string) bool { return s != "allowed" && s != "denied" })
		for class, takes := range map[schema.Class]bool{schema.ClassNetwork: true, schema.ClassAnomaly: true, schema.ClassDataSecurity: false} {
			event := document(t, ecs.Append(nil, &schema.Artifact{Class: class, Action: action}))["event"].(map[string]any)
			got := words(event["type"])[1:]
			if takes && !slices.Equal(got, want) || !takes && len(got) > 0 {
				t.Errorf("%s %s: verdict %v, want %v (%t)", class, action, got, want, takes)
			}
		}
	}
}

func TestSeveritiesAreThoseOfTheMap(t *testing.T) {
	var m struct {
		Levels map[string]struct {
			ID  int
			ECS *json.Number
		}
	}
	read(t, "../testdata/maps/severity_map.json", &m)
	if len(m.Levels) != 6 {
		t.Fatalf("%d levels", len(m.Levels))
	}
	for level, want := range m.Levels {
		event, _ := document(t, ecs.Append(nil, &schema.Artifact{SeverityID: want.ID}))["event"].(map[string]any)
		if got := event["severity"]; want.ECS == nil && got != nil || want.ECS != nil && got != *want.ECS {
			t.Errorf("%s is %v", level, got)
		}
	}
}

func TestSharedListIsNotReordered(t *testing.T) {
	a := artifact(t, []byte(`{"file":{"shared_with":["b@x","a@x"]}}`))
	ecs.Append(nil, a)
	if !slices.Equal(a.File.SharedWith, []string{"b@x", "a@x"}) {
		t.Errorf("the artifact's list became %v", a.File.SharedWith)
	}
}

func TestMostDocumentsAllocateNothing(t *testing.T) {
	for _, e := range sharedtest.Examples(t) {
		a := artifact(t, e.Artifact)
		dst := ecs.Append(nil, a)
		if n := testing.AllocsPerRun(20, func() { dst = ecs.Append(dst[:0], a) }); n > 0 {
			t.Errorf("%s: %g allocations", e.Name, n)
		}
	}
}

func FuzzAppend(f *testing.F) {
	for _, e := range sharedtest.Examples(f) {
		f.Add([]byte(e.Artifact))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a schema.Artifact
		if json.Unmarshal(text, &a) != nil {
			return
		}
		doc := ecs.Append([]byte("before"), &a)
		again := ecs.Append(nil, &a)
		if string(doc) != "before"+string(again) {
			t.Fatalf("two documents of one artifact:\n%s\n%s", doc, again)
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(again, &object); err != nil || object == nil {
			t.Fatalf("%v: %s", err, again)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, e := range sharedtest.Examples(b) {
		if e.Name != "alert_dlp" && e.Name != "page" {
			continue
		}
		b.Run(e.Name, func(b *testing.B) {
			a := artifact(b, e.Artifact)
			dst := ecs.Append(nil, a)
			b.ReportAllocs()
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				dst = ecs.Append(dst[:0], a)
			}
		})
	}
}
