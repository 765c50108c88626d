package witfoo_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/witfoo"
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

// differences are where the documents are better than the examples, by example and name.
var differences = map[string]struct {
	want any
	why  string
}{
	"network startTimeUTC":          {"2026-01-15T11:53:20.000Z", "a flow starts when its session did, and not after its own end"},
	"infrastructure senderHost":     {"pub-fra-1", "the appliance reported it, and the document has no other place for its name"},
	"application_login messageType": {"auth_failure", "lead rules ask for failed logins by this type"},
	"audit_login messageType":       {"auth_failure", "lead rules ask for failed logins by this type"},
	"application action":            {"download", "no control acted, and WitFoo would fold a download and an upload into one"},
	"application_login action":      {"login_failed", "no control acted"},
	"audit action":                  {"edit_admin_record", "no control acted"},
	"audit_api action":              {"rest_api_v2_call", "no control acted"},
	"audit_login action":            {"login_failed", "no control acted"},
	"clientstatus action":           {"tunnel_up", "no control acted"},
}

func TestExamplesBecomeTheExpectedDocuments(t *testing.T) {
	differ := make(map[string]bool)
	for _, e := range sharedtest.Examples(t) {
		got, want := document(t, witfoo.Append(nil, artifact(t, e.Artifact))), document(t, e.WitFoo)
		names := maps.Clone(want)
		maps.Copy(names, got)
		for name := range names {
			if d, listed := differences[e.Name+" "+name]; listed {
				differ[e.Name+" "+name] = !reflect.DeepEqual(d.want, want[name])
				want[name] = d.want
			}
			if !reflect.DeepEqual(got[name], want[name]) {
				t.Errorf("%s: %s is %v, want %v", e.Name, name, got[name], want[name])
			}
		}
	}
	for name := range differences {
		if !differ[name] {
			t.Errorf("%s does not differ: take it off the list", name)
		}
	}
}

// nowhere are the fields that the table of fields gives a name that a parsed artifact does not have.
var nowhere = map[string]string{
	"collected_time": "created_at is set by the API that WitFoo reads artifacts with",
	"unmapped":       "metadata is an object of the ingest API; a parsed artifact is flat",
	"raw":            "a parsed artifact has no raw event",
	"client.event":   "messageType is one of the kinds that lead rules know; the event of a client is its activity, and stands in action",
}

func TestEveryFieldHasItsPlace(t *testing.T) {
	text, err := os.ReadFile("../fields.csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	places := witfoo.Places()
	field, place := slices.Index(rows[0], "field"), slices.Index(rows[0], "witfoo_field")
	known := make(map[string]bool)
	for _, row := range rows[1:] {
		known[row[field]] = true
		found := slices.Contains(places[row[field]], row[place])
		switch why, excused := nowhere[row[field]]; {
		case excused && (found || row[place] == ""):
			t.Errorf("%s needs no excuse: %s", row[field], why)
		case !excused && !found && row[place] != "":
			t.Errorf("%s is not at %s but at %v", row[field], row[place], places[row[field]])
		}
	}
	for name, names := range places {
		if !known[name] || !slices.IsSorted(names) {
			t.Errorf("%s: %v is no place of a field", name, names)
		}
	}
}

func TestClassesAreThoseOfTheMap(t *testing.T) {
	var m struct {
		Classes map[schema.Class]struct{ WitFoo string }
	}
	read(t, "../testdata/maps/class_map.json", &m)
	if len(m.Classes) != 25 {
		t.Fatalf("%d classes", len(m.Classes))
	}
	for class, want := range m.Classes {
		if got := document(t, witfoo.Append(nil, &schema.Artifact{Class: class}))["messageType"]; got != want.WitFoo {
			t.Errorf("%s is %v, want %s", class, got, want.WitFoo)
		}
	}
}

func TestSeveritiesAreThoseOfTheMap(t *testing.T) {
	var m struct {
		Levels map[string]struct {
			ID     int
			WitFoo json.Number
		}
	}
	read(t, "../testdata/maps/severity_map.json", &m)
	if len(m.Levels) != 6 {
		t.Fatalf("%d levels", len(m.Levels))
	}
	for level, want := range m.Levels {
		if got := document(t, witfoo.Append(nil, &schema.Artifact{SeverityID: want.ID}))["severityCode"]; got != want.WitFoo {
			t.Errorf("%s is %v, want %v", level, got, want.WitFoo)
		}
	}
}

func TestValuesThatAreChosen(t *testing.T) {
	for _, c := range []struct {
		artifact, name string
		want           any
	}{
		{`{"action":"blocked","activity":"upload"}`, "action", "blocked"},
		{`{"action":"blocked","action_raw":"Stop","activity":"upload"}`, "action", "Stop"},
		{`{"action":"unknown","audit":{"verb":"update"}}`, "action", "update"},
		{`{"action":"unknown"}`, "action", "unknown"},
		{`{"class":"new_in_1_1"}`, "messageType", "other"},
		{`{"class":"authentication","outcome":"success"}`, "messageType", "authentication"},
		{`{"class":"app_activity","outcome":"failure"}`, "messageType", "application_activity"},
		{`{"severity_id":6}`, "severityCode", nil},
		{`{"severity_id":-1}`, "severityCode", nil},
		{`{"time":"2026-01-15T12:00:00Z","start_time":"2026-01-15T12:01:00Z"}`, "startTimeUTC", "2026-01-15T12:00:00.000Z"},
		{`{"time":"2026-01-15T12:00:00Z","start_time":"2026-01-15T12:01:00Z"}`, "endTimeUTC", "2026-01-15T12:01:00.000Z"},
		{`{"time":"2026-01-15T12:00:00Z","end_time":"2026-01-15T11:59:00Z"}`, "startTimeUTC", "2026-01-15T11:59:00.000Z"},
		{`{"end_time":"2026-01-15T11:59:00Z"}`, "startTimeUTC", "2026-01-15T11:59:00.000Z"},
		{`{}`, "endTimeUTC", nil},
		{`{"src":{"ip":"192.0.2.1","port":443}}`, "clientPort", "443"},
		{`{"src":{"ip":"192.0.2.1"},"device":{"ip":"10.0.0.1"}}`, "clientIP", "10.0.0.1"},
		{`{"process":{"pid":4242}}`, "pid", "4242"},
		{`{"file":{"md5":"m","sha1":"s"}}`, "fileHash", "s"},
		{`{"net":{"transport":"UDP","protocol":"dns"}}`, "protocol", "UDP"},
		{`{"user":{"name":"svc"},"cred":{"username":"x@y"}}`, "userName", "svc"},
		{`{"cred":{"username":"x@y"}}`, "userName", "x@y"},
		{`{"policy":{"name":"p"},"finding":{"title":"t"},"threat":{"name":"n"},"dlp":{"rule":"r"}}`, "ruleName", "r"},
		{`{"policy":{"name":"p"},"finding":{"title":"t"},"threat":{"name":"n"}}`, "ruleName", "n"},
		{`{"policy":{"name":"p"},"finding":{"title":"t"}}`, "ruleName", "t"},
	} {
		if got := document(t, witfoo.Append(nil, artifact(t, []byte(c.artifact))))[c.name]; got != c.want {
			t.Errorf("%s of %s is %v, want %v", c.name, c.artifact, got, c.want)
		}
	}
}

func TestDocumentsAllocateNothing(t *testing.T) {
	for _, e := range sharedtest.Examples(t) {
		a := artifact(t, e.Artifact)
		dst := witfoo.Append(nil, a)
		if n := testing.AllocsPerRun(20, func() { dst = witfoo.Append(dst[:0], a) }); n > 0 {
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
		doc := witfoo.Append([]byte("before"), &a)
		again := witfoo.Append(nil, &a)
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
			dst := witfoo.Append(nil, a)
			b.ReportAllocs()
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				dst = witfoo.Append(dst[:0], a)
			}
		})
	}
}
