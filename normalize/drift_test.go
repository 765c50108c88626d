package normalize

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skopeflow/skopeflow/schema"
)

// driftsOf maps events of one dataset, and returns what was counted, in the counter's order, as "kind field count example".
func driftsOf(t *testing.T, dataset string, events ...string) []string {
	t.Helper()
	m := NewMapper()
	m.Drift = new(DriftCounter)
	for _, raw := range events {
		var a schema.Artifact
		if err := m.Map(envelope(dataset), []byte(raw), &a); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, c := range m.Drift.Counts() {
		if c.Dataset != dataset {
			t.Errorf("a drift of %q, want %q", c.Dataset, dataset)
		}
		got = append(got, strings.TrimSpace(fmt.Sprint(c.Kind, " ", c.Field, " ", c.Count, " ", c.Example)))
	}
	return got
}

func TestDriftIsCountedByField(t *testing.T) {
	for _, test := range []struct {
		name, dataset, event string
		want                 []string
	}{
		{"a key that nobody knows", "page", `{"brand_new":1}`, []string{"new_key brand_new 1"}},
		{"a new key that holds nothing", "page", `{"brand_new":null}`, []string{"new_key brand_new 1"}},
		{"a new key twice in an event", "page", `{"brand_new":1,"brand_new":[2]}`, []string{"new_key brand_new 1"}},
		{"a new key within an object", "audit", `{"supporting_data":{"data_type":"user","brand_new":1}}`, []string{"new_key supporting_data.brand_new 1"}},
		{"a new key within an object that no table looks into", "page", `{"custom_attr":{"brand_new":1}}`, nil},
		{"a key of another dataset", "page", `{"x-cs-url":"a.example","sa_rule_name":"r"}`, nil},
		{"a documented key without a field", "page", `{"http_status":"200","browser_session_id":7}`, nil},
		{"a key seen in published events", "page", `{"_category_id":"9"}`, nil},

		{"an object for a number", "page", `{"numbytes":{"in":1}}`, []string{"changed_type numbytes 1"}},
		{"an object that no conversion warns of", "page", `{"device_classification":{"name":"a"}}`, []string{"changed_type device_classification 1"}},
		{"words for a number", "page", `{"numbytes":"many"}`, []string{"changed_type numbytes 1"}},
		{"a number in a text", "page", `{"numbytes":"12"}`, nil},
		{"two fields that a value does not fit", "page", `{"app":["a"],"user":["b"]}`, []string{"changed_type app 1", "changed_type user 1"}},
		{"an object for a text without a field", "page", `{"browser_session_id":{"id":7}}`, []string{"changed_type browser_session_id 1"}},
		{"a text for an object that tables look into", "audit", `{"supporting_data":"user"}`, []string{"changed_type supporting_data 1"}},
		{"nothing where an object should be", "audit", `{"supporting_data":"","browser_session_id":[],"custom_attr":0}`, nil},
		{"a value that is out of bounds", "page", `{"src_latitude":456,"numbytes":-1,"dstport":70000}`, nil},
		{"packed coordinates", "page", `{"src_latitude":"13.4|52.5","src_longitude":"13.4|52.5"}`, nil},
		{"a value that a field takes in any shape", "audit", `{"details":{"a":1}}`, nil},
		{"a documented list where a word is read", "transaction", `{"x-tp-severity":["High"]}`, nil},

		{"a new action", "page", `{"action":"Vaporize"}`, []string{"new_value action 1 Vaporize"}},
		{"a new action by another key", "page", `{"policy_action":"vaporize"}`, []string{"new_value policy_action 1 vaporize"}},
		{"an action that is no word", "page", `{"action":"alice@acme.example"}`, []string{"new_value action 1"}},
		{"a new action within a value", "incident", `{"dlp_match_info":[{"dlp_action":"vaporize"}]}`, []string{"new_value action_raw 1 vaporize"}},
		{"an action that is other by design", "page", `{"action":"decrypt"}`, nil},
		{"a new severity", "page", `{"severity":"apocalyptic"}`, []string{"new_value severity 1 apocalyptic"}},
		{"a new severity of a rule", "application", `{"severity":"high","dlp_rule_severity":"apocalyptic"}`, []string{"new_value dlp_rule_severity 1 apocalyptic"}},
		{"a new severity within a value", "incident", `{"dlp_match_info":[{"dlp_rules":[{"dlp_rule_severity":"apocalyptic"}]}]}`, []string{"new_value dlp.rule_severity 1 apocalyptic"}},
		{"a severity that is an object", "page", `{"severity":{"level":"high"}}`, []string{"changed_type severity 1"}},
		{"a new number of the audit log", "audit", `{"severity_level":17}`, []string{"new_value severity_level 1 17"}},
		{"a severity and a level by one key", "alert", `{"alert_type":"uba","risk_level":"odd"}`, []string{"new_value risk_level 1 odd"}},
		{"a new alert type", "alert", `{"alert_type":"Quantum Leak"}`, []string{"new_value alert_type 1 Quantum Leak"}},
		{"alert types that vary in spelling", "alert", `{"alert_type":"Legal Hold"}`, nil},
		{"an alert type of an event that is no alert", "application", `{"alert_type":"quantum"}`, nil},
		{"a detector's internal name", "alert", `{"type":"quantum"}`, nil},
		{"neither yes nor no", "page", `{"managed_app":"alice"}`, []string{"new_value managed_app 1"}},
		{"no country", "page", `{"src_country":"Atlantis"}`, []string{"new_value src_country 1"}},
	} {
		if got := driftsOf(t, test.dataset, test.event); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestDriftIsCountedMostFirst(t *testing.T) {
	got := driftsOf(t, "page", `{"b":1,"action":"first"}`, `{"b":2,"c":2,"action":"second"}`, `{"b":3,"a":1}`)
	want := []string{"new_key b 3", "new_value action 2 second", "new_key a 1", "new_key c 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDriftKeepsNoValueButAWord(t *testing.T) {
	for word, want := range map[string]string{
		"vaporize (cached)":      "vaporize (cached)",
		"alice@acme.example":     "",
		"203.0.113.7":            "",
		`{"a":1}`:                "",
		"Größe":                  "",
		"a\nb":                   "",
		strings.Repeat("w", 200): strings.Repeat("w", 32),
	} {
		if got := exampleOf(word); got != want {
			t.Errorf("the example of %q is %q, want %q", word, got, want)
		}
	}
	for _, line := range driftsOf(t, "page", `{"brand_new":"secret","numbytes":"secret","managed_app":"secret","src_country":"secret"}`) {
		if strings.Contains(line, "secret") {
			t.Errorf("a value was kept: %s", line)
		}
	}
}

func TestOddKeysAreCountedTogether(t *testing.T) {
	long := strings.Repeat("k", 65)
	got := driftsOf(t, "page", `{"`+long+`":1,"a b":1,"<script>":1,"ключ":1,"":1,"new\nline":1,"`+long[1:]+`":1}`)
	if want := []string{"new_key other 6", "new_key " + long[1:] + " 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDriftIsBounded(t *testing.T) {
	const keys = 250
	var event strings.Builder
	for i := range keys {
		fmt.Fprintf(&event, `,"key_%d":%d`, i, i)
	}
	raw := `{"other":0` + event.String() + "}"
	// A key that is really called other takes no place.
	got := driftsOf(t, "page", raw, raw, `{"numbytes":[1]}`)
	if len(got) != MaxDrifts+2 {
		t.Fatalf("%d drifts, want %d and two others", len(got), MaxDrifts)
	}
	if want := fmt.Sprint("new_key other ", 2*(1+keys-MaxDrifts)); got[0] != want {
		t.Errorf("the first is %q, want %q", got[0], want)
	}
	if !slices.Contains(got, "changed_type other 1") || !slices.Contains(got, "new_key key_99 2") {
		t.Errorf("got %q", got)
	}
}

// boundedDrifts reports a counter that holds more than it may.
func boundedDrifts(t *testing.T, c *DriftCounter) {
	t.Helper()
	named, others := 0, make(map[Drift]bool)
	for _, d := range c.Counts() {
		switch {
		case d.Count < 1 || len(d.Field) > 64 || len(d.Example) > 32 || !printable([]byte(d.Field)):
			t.Errorf("a drift that cannot be shown: %+v", d)
		case d.Field != DriftOther:
			named++
		case others[Drift{Kind: d.Kind, Dataset: d.Dataset}]:
			t.Errorf("others of %s, %s more than once", d.Dataset, d.Kind)
		default:
			others[Drift{Kind: d.Kind, Dataset: d.Dataset}] = true
		}
	}
	if named > MaxDrifts {
		t.Errorf("%d drifts by name, want at most %d", named, MaxDrifts)
	}
}

func TestMappersShareACounter(t *testing.T) {
	const mappers, events = 8, 200
	c := new(DriftCounter)
	var wg sync.WaitGroup
	for i := range mappers {
		wg.Go(func() {
			m := NewMapper()
			m.Drift = c
			for j := range events {
				var a schema.Artifact
				raw := fmt.Sprintf(`{"common":1,"action":"vaporize","own_%d":1}`, i*events+j)
				if err := m.Map(envelope("page"), []byte(raw), &a); err != nil {
					t.Error(err)
				}
				boundedDrifts(t, c)
			}
		})
	}
	wg.Wait()
	counts := make(map[string]int64)
	for _, d := range c.Counts() {
		switch d.Field {
		case "common", "action":
			counts[d.Field] += d.Count
		default:
			counts["own"] += d.Count
		}
	}
	if want := map[string]int64{"common": mappers * events, "action": mappers * events, "own": mappers * events}; !maps.Equal(counts, want) {
		t.Errorf("got %v, want %v", counts, want)
	}
}

func TestANilCounterCountsNothing(t *testing.T) {
	var c *DriftCounter
	if got := c.Counts(); got != nil {
		t.Errorf("got %v", got)
	}
	m := NewMapper()
	var a schema.Artifact
	if err := m.Map(envelope("page"), []byte(`{"brand_new":1,"action":"vaporize","numbytes":[1]}`), &a); err != nil {
		t.Error(err)
	}
}

func TestCountingChangesNoArtifact(t *testing.T) {
	raw := []byte(`{"brand_new":1,"action":"vaporize","numbytes":[1],"severity":"odd","custom_attr":{"a":1}}`)
	m, counting := NewMapper(), NewMapper()
	counting.Drift = new(DriftCounter)
	var want, got schema.Artifact
	if err := m.Map(envelope("page"), raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := counting.Map(envelope("page"), raw, &got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.AppendJSON(nil), want.AppendJSON(nil)) {
		t.Errorf("got %s, want %s", got.AppendJSON(nil), want.AppendJSON(nil))
	}
	if len(counting.Drift.Counts()) != 4 {
		t.Errorf("counted %v", counting.Drift.Counts())
	}
}

func TestNoDriftCostsNoAllocation(t *testing.T) {
	for _, e := range examples(t) {
		m, counting := NewMapper(), NewMapper()
		counting.Drift = new(DriftCounter)
		env := envelope(e.want["dataset"].(string))
		var a schema.Artifact
		allocations := func(m *Mapper) float64 {
			return testing.AllocsPerRun(100, func() {
				if err := m.Map(env, e.raw, &a); err != nil {
					t.Fatal(err)
				}
			})
		}
		if without, with := allocations(m), allocations(counting); with > without {
			t.Errorf("%s: %v allocations, %v without a counter", e.name, with, without)
		}
	}
}

func TestExampleEventsHaveNoDrift(t *testing.T) {
	for _, e := range examples(t) {
		if got := driftsOf(t, e.want["dataset"].(string), string(e.raw)); len(got) > 0 {
			t.Errorf("%s: %q", e.name, got)
		}
	}
}

// published is the drift of published events that is truly news.
var published = map[string]string{
	"alert changed_type dstip":        "what stands for an address is the name of a variable",
	"alert changed_type srcip":        "what stands for an address is the name of a variable",
	"alert changed_type userip":       "what stands for an address is the name of a variable",
	"application changed_type dstip":  "what stands for an address is the name of a variable",
	"application changed_type srcip":  "what stands for an address is the name of a variable",
	"application changed_type userip": "what stands for an address is the name of a variable",
	"incident changed_type md5":       "what stands for a hash is one letter",
	"alert new_value alert_type":      "an alert type that is called test",
}

func TestPublishedEventsHaveNoDriftThatIsNoNews(t *testing.T) {
	m := NewMapper()
	m.Drift = new(DriftCounter)
	corpus(t, func(name, dataset string, raw []byte) {
		var a schema.Artifact
		if err := m.Map(old(dataset), raw, &a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	got := make(map[string]bool)
	for _, d := range m.Drift.Counts() {
		drift := fmt.Sprint(d.Dataset, " ", d.Kind, " ", d.Field)
		if got[drift] = true; published[drift] == "" {
			t.Errorf("%s %d times: %q", drift, d.Count, d.Example)
		}
	}
	for drift, reason := range published {
		if !got[drift] {
			t.Errorf("no %s, though %s", drift, reason)
		}
	}
}

func TestExplainTellsDrift(t *testing.T) {
	rows, _, err := Explain(envelope("alert"), []byte(`{"brand_new":1,"browser_session_id":[7],"action":"vaporize","severity":"odd","alert_type":"quantum","app":"Box"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, row := range rows {
		got[row.Key] = row.Warning
	}
	want := map[string]string{
		"brand_new":          "not in Netskope's published schema",
		"browser_session_id": "not of the type that Netskope's schema has",
		"action":             "not a known action",
		"severity":           "severity: not a severity 'odd'",
		"alert_type":         "not a known alert type",
		"app":                "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDictionaryIsWellFormed(t *testing.T) {
	known := dictionary()
	if len(known) < 800 {
		t.Errorf("only %d keys", len(known))
	}
	for name, shapes := range known {
		if shapes == 0 || !printable([]byte(name)) {
			t.Errorf("%q has the shapes %b", name, shapes)
		}
	}
	if rows := strings.Count(dictionaryRows, "\n") - strings.Count(dictionaryRows, "#"); rows != len(known) {
		t.Errorf("%d rows for %d keys", rows, len(known))
	}
	if known["custom_attr"] != mapping || known["smtp_to"] != listing || known["numbytes"] != scalar || known["details"] != scalar|listing {
		t.Error("shapes are read wrongly")
	}
}
