package normalize

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/schema"
)

var datasets = []string{
	"alert", "page", "connection", "application", "network", "audit", "incident", "endpoint", "clientstatus", "infrastructure", "transaction",
}

// mapped returns the artifact of an event.
func mapped(t *testing.T, env *Envelope, raw string) schema.Artifact {
	t.Helper()
	var a schema.Artifact
	if err := NewMapper().Map(env, []byte(raw), &a); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return a
}

func TestEveryLineFitsItsField(t *testing.T) {
	for _, name := range datasets {
		d, ok := datasetOf(name)
		if !ok {
			t.Fatalf("no dataset %s", name)
		}
		known := make(map[string]bool)
		for _, f := range schema.Fields() {
			known[f.Name] = true
		}
		for field, line := range d.table {
			if !known[field] {
				t.Errorf("%s: %s is no field", name, field)
			} else if line.bind(field) == nil {
				t.Errorf("%s: %s is not for %s", name, line.rule, field)
			}
		}
		for key, reason := range d.dropped {
			if len(reason) < 10 {
				t.Errorf("%s: %s is dropped for %q", name, key, reason)
			}
		}
	}
}

// readMap reads one of the published maps.
func readMap(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile("../schema/testdata/maps/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func TestSeverityTablesAreThePublishedOnes(t *testing.T) {
	var want struct {
		Levels       map[string]struct{ ID int }
		Spellings    map[schema.Severity][]string
		FieldOrder   map[string][]string        `json:"field_order"`
		AuditNumeric map[string]schema.Severity `json:"audit_numeric"`
		Bands        [][]any                    `json:"breach_score_bands"`
		Never        []string                   `json:"never_use_as_severity"`
	}
	readMap(t, "severity_map.json", &want)
	spellings := make(map[string]schema.Severity)
	for severity, words := range want.Spellings {
		for _, word := range words {
			spellings[word] = severity
		}
	}
	if !maps.Equal(severitySpellings, spellings) {
		t.Errorf("spellings: got %v, want %v", severitySpellings, spellings)
	}
	if !reflect.DeepEqual(severityOrder, want.FieldOrder) {
		t.Errorf("order: got %v, want %v", severityOrder, want.FieldOrder)
	}
	if !maps.Equal(auditSeverities, want.AuditNumeric) {
		t.Errorf("audit: got %v, want %v", auditSeverities, want.AuditNumeric)
	}
	for i, band := range want.Bands {
		if got := breachBands[i]; float64(got.floor) != band[0] || string(got.severity) != band[1] {
			t.Errorf("band %d: got %v, want %v", i, got, band)
		}
	}
	for level, l := range want.Levels {
		if got := schema.Severity(level).ID(); got != l.ID {
			t.Errorf("%s is %d, want %d", level, got, l.ID)
		}
	}
	for name, order := range severityOrder {
		for _, key := range order {
			if slices.Contains(want.Never, key) {
				t.Errorf("%s takes %s for a severity", name, key)
			}
		}
	}
}

func TestActionTableIsThePublishedOne(t *testing.T) {
	var want struct {
		Raw        map[string]struct{ Action schema.Action }
		Normalized map[schema.Action]any
		Unlisted   struct{ Action schema.Action }
	}
	readMap(t, "action_map.json", &want)
	for raw, w := range want.Raw {
		if got, ok := actions[raw]; !ok || got != w.Action {
			t.Errorf("%q: got %q, want %q", raw, got, w.Action)
		}
	}
	if len(actions) != len(want.Raw) {
		t.Errorf("%d words, want %d", len(actions), len(want.Raw))
	}
	m := NewMapper()
	for raw, w := range map[string]schema.Action{
		"User Alert": schema.ActionCoached, "proceed (Cached)": schema.ActionAllowed, "Do not decrypt": schema.ActionBypassed,
		"restrictToView": schema.ActionRestricted, "LEGAL_HOLD": schema.ActionObserved, "-": schema.ActionUnknown,
		"teleport": want.Unlisted.Action,
	} {
		if got := m.actionOf(raw); got != w {
			t.Errorf("%q: got %q, want %q", raw, got, w)
		}
	}
}

func TestClassTableIsThePublishedOne(t *testing.T) {
	var want struct {
		Classes map[schema.Class]any
		Alerts  map[string]schema.Class `json:"alert_subtype_to_class"`
	}
	readMap(t, "class_map.json", &want)
	if !maps.Equal(alertClasses, want.Alerts) {
		t.Errorf("got %v, want %v", alertClasses, want.Alerts)
	}
	for subtype, class := range alertClasses {
		if _, ok := want.Classes[class]; !ok {
			t.Errorf("%s: no class %s", subtype, class)
		}
	}
}

func TestDatasetOfAStream(t *testing.T) {
	for stream, want := range map[string][2]string{
		"page":                         {"page", ""},
		"events/page":                  {"page", ""},
		"events/alert":                 {"alert", ""},
		"events/epdlp":                 {"endpoint", ""},
		"alerts/dlp":                   {"alert", "dlp"},
		"alerts/securityassessment":    {"alert", "security_assessment"},
		"alerts/compromisedcredential": {"alert", "compromised_credential"},
	} {
		dataset, subtype, ok := Dataset(stream)
		if !ok || dataset != want[0] || subtype != want[1] {
			t.Errorf("Dataset(%q) = %q, %q, %v", stream, dataset, subtype, ok)
		}
	}
	for _, stream := range []string{"", "events/none", "alerts/", "other/page", "alerts/a/b"} {
		if _, _, ok := Dataset(stream); ok {
			t.Errorf("Dataset(%q) is ok", stream)
		}
	}
}

func TestSubtypeComesFromTheEventThenTheStreamThenTheDetector(t *testing.T) {
	env := envelope("alert")
	env.Subtype = "dlp"
	for raw, want := range map[string]string{
		`{"alert_type":"Security Assessment","type":"policy"}`: "security_assessment",
		`{"type":"nspolicy"}`: "dlp",
	} {
		if got := mapped(t, env, raw).Subtype; got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
	env.Subtype = ""
	for raw, want := range map[string]string{
		`{"type":"nspolicy"}`:         "policy",
		`{"type":"malsite"}`:          "malsite",
		`{"alert_type":"Legal Hold"}`: "legal_hold",
		`{"alert_type":"CTEP"}`:       "ctep",
		`{}`:                          "unknown",
	} {
		if got := mapped(t, env, raw).Subtype; got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

func TestSeverityIsNeverInvented(t *testing.T) {
	for _, c := range []struct {
		dataset, raw   string
		want           schema.Severity
		source, rawSay string
	}{
		{"alert", `{"alert_type":"policy","severity":"unknown","ccl":"high","severity_level_id":1}`, "unknown", "severity", "unknown"},
		{"alert", `{"alert_type":"policy","ccl":"poor","cci":3}`, "unknown", "", ""},
		{"alert", `{"alert_type":"DLP","dlp_rule_severity":"N/A","severity":"Informational"}`, "info", "severity", "Informational"},
		{"alert", `{"alert_type":"malsite","severity":"high","severity_level":"med"}`, "medium", "severity_level", "med"},
		{"alert", `{"alert_type":"Compromised Credential","breach_score":39}`, "low", "breach_score", "39"},
		{"alert", `{"alert_type":"ctep","serverity":"CRIT"}`, "critical", "serverity", "CRIT"},
		{"audit", `{"severity_level":1}`, "high", "severity_level", "1"},
		{"audit", `{"severity_level":"low"}`, "low", "severity_level", "low"},
		{"incident", `{"dlp_match_info":[{"dlp_rules":[{"dlp_rule_severity":"High"}]}]}`, "high", "dlp_match_info[0].dlp_rules[0].dlp_rule_severity", "High"},
		{"infrastructure", `{"severity":"high"}`, "unknown", "", ""},
		{"transaction", `{"x-tp-severity":"low"}`, "low", "x-tp-severity", "low"},
	} {
		a := mapped(t, envelope(c.dataset), c.raw)
		if a.Severity != c.want || a.SeveritySource != c.source || a.SeverityRaw != c.rawSay || a.SeverityID != c.want.ID() {
			t.Errorf("%s: got %s (%d) from %q %q", c.raw, a.Severity, a.SeverityID, a.SeveritySource, a.SeverityRaw)
		}
	}
	a := mapped(t, envelope("page"), `{"severity":"purple"}`)
	if len(a.Warnings) != 2 || a.Unmapped != `{"severity":"purple"}` {
		t.Errorf("purple: %v, %s", a.Warnings, a.Unmapped)
	}
}

func TestActionAndOutcome(t *testing.T) {
	for _, c := range []struct {
		dataset, raw string
		action       schema.Action
		outcome      schema.Outcome
	}{
		{"page", `{}`, "unknown", "unknown"},
		{"network", `{"action":"allow"}`, "allowed", "success"},
		{"network", `{"action":"allow","flow_status":"failed"}`, "allowed", "failure"},
		{"alert", `{"action":"allow"}`, "allowed", "unknown"},
		{"application", `{"action":"block","activity":"Login Successful"}`, "blocked", "failure"},
		{"application", `{"activity":"Login Successful"}`, "unknown", "success"},
		{"application", `{"activity":"Access Denied"}`, "unknown", "failure"},
		{"application", `{"activity":"LoginFailed"}`, "unknown", "failure"},
		{"application", `{"activity":"Unsuccessful Login"}`, "unknown", "failure"},
		{"audit", `{"audit_log_event":"Updated failover settings"}`, "unknown", "unknown"},
		{"transaction", `{"sc-status":"404"}`, "unknown", "failure"},
		{"transaction", `{"sc-status":204}`, "unknown", "success"},
	} {
		a := mapped(t, envelope(c.dataset), c.raw)
		if a.Action != c.action || a.Outcome != c.outcome {
			t.Errorf("%s %s: got %s, %s", c.dataset, c.raw, a.Action, a.Outcome)
		}
	}
}

func TestTimeIsBelievedWithinBounds(t *testing.T) {
	at := collected.Unix()
	for _, c := range []struct {
		stamp string
		want  time.Time
		warns bool
	}{
		{itoa(at - 60), collected.Add(-time.Minute), false},
		{`"` + itoa(at-60) + `"`, collected.Add(-time.Minute), false},
		{itoa(at*1000 - 250), collected.Add(-250 * time.Millisecond), false},
		{itoa(at*1e6 - 1e6), collected.Add(-time.Second), false},
		{itoa(at*1e9 - 1e9), collected.Add(-time.Second), false},
		{`"2026-01-15T12:30:00+01:00"`, collected.Add(-30 * time.Minute), false},
		{`"2026-01-15 11:00:00.123456789"`, collected.Add(-time.Hour + 123*time.Millisecond), false},
		{`"2026-01-15"`, collected.Add(-12 * time.Hour), false},
		{itoa(at - 30*86400), collected.AddDate(0, 0, -30), false},
		{itoa(at - 30*86400 - 1), collected, true},
		{itoa(at + 3600), collected.Add(time.Hour), false},
		{itoa(at + 3601), collected, true},
		{`0`, collected, true},
		{`-5`, collected, true},
		{`"None"`, collected, true},
		{`"soon"`, collected, true},
		{`1e300`, collected, true},
		{`{"a":1}`, collected, true},
	} {
		a := mapped(t, envelope("page"), `{"timestamp":`+c.stamp+`}`)
		if !a.Time.Time().Equal(c.want) || (len(a.Warnings) > 0) != c.warns {
			t.Errorf("%s: got %s, want %s; warnings %v", c.stamp, a.Time, c.want, a.Warnings)
		}
	}
	env := envelope("page")
	env.Late = 90 * 24 * time.Hour
	if a := mapped(t, env, `{"timestamp":`+itoa(at-60*86400)+`}`); len(a.Warnings) > 0 {
		t.Errorf("an event within the bound of a backfill: %v", a.Warnings)
	}
}

func itoa(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestIDsDoNotDependOnTheWayOfAnEvent(t *testing.T) {
	env := envelope("page")
	first := mapped(t, env, `{"_id":"x1","timestamp":1768478400,"count":1}`)
	other := *env
	other.SourceAPI, other.Connector, other.Collected, other.KeepRaw = "v1", "second", collected.Add(time.Minute), false
	again := mapped(t, &other, `{"timestamp":"2026-01-15T12:00:00Z","_id":"x1","_insertion_epoch_timestamp":1768478401}`)
	if first.ID != again.ID || first.ID != first.EntityID || again.Raw != "" || again.RawFormat != "" {
		t.Errorf("ids %s and %s", first.ID, again.ID)
	}
	for name, raw := range map[string]string{
		"another _id": `{"_id":"x2","timestamp":1768478400}`, "another time": `{"_id":"x1","timestamp":1768478401}`,
	} {
		if mapped(t, env, raw).ID == first.ID {
			t.Errorf("%s has the same id", name)
		}
	}
	if mapped(t, envelope("connection"), `{"_id":"x1","timestamp":1768478400}`).ID == first.ID {
		t.Error("another dataset has the same id")
	}
	a := mapped(t, envelope("network"), `{"_id":"n","timestamp":1768478400,"network_session_id":"1"}`)
	b := mapped(t, envelope("network"), `{"_id":"n","timestamp":1768478400,"network_session_id":"2"}`)
	if a.ID == b.ID {
		t.Error("two sessions have the same id")
	}
}

func TestIDWithoutNativeIDIsOfTheContent(t *testing.T) {
	for _, e := range examples(t) {
		if e.name != "alert_dlp" {
			continue
		}
		raw := strings.Replace(string(e.raw), `"_id":"5182808a2a99fc688d4a8057",`, "", 1)
		const want = "4afa3237-193c-5c05-a57e-b5ad7cc5e48c"
		if got := mapped(t, envelope("alert"), raw).ID.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		filled := strings.Replace(raw, "{", `{"os":"an earlier value","_new":1,"ns_x":2,"to_user":"","cc":[],"n":0,"flag":false,"x":"N/A","x":null,`, 1)
		if got := mapped(t, envelope("alert"), filled).ID.String(); got != want {
			t.Errorf("with defaults filled in: got %s, want %s", got, want)
		}
	}
}

func TestIncidentKeepsItsEntityAndChangesItsRevision(t *testing.T) {
	env := envelope("incident")
	first := mapped(t, env, `{"dlp_incident_id":7,"status":"new","title":"a"}`)
	same := mapped(t, env, `{"title":"b","status":"new","dlp_incident_id":7,"assignee":"","latest_incident_id":0}`)
	next := mapped(t, env, `{"dlp_incident_id":7,"status":"closed","title":"a"}`)
	if first.ID != same.ID || first.Revision != same.Revision {
		t.Error("a revision depends on more than what is mutable")
	}
	if first.EntityID != next.EntityID || first.ID == next.ID || first.Revision == next.Revision || len(next.Revision) != 8 {
		t.Errorf("entity %s and %s, revision %s and %s", first.EntityID, next.EntityID, first.Revision, next.Revision)
	}
}

func TestUnmappedIsIJSONOnOneLine(t *testing.T) {
	for value, want := range map[string]string{
		"[[\n]]":                       `[[]]`,
		"{\"a\":{\n}}":                 `{"a":{}}`,
		"[{\r}, [ ], 1]":               `[{},[],1]`,
		`{"a":1,"b":2,"a":3}`:          `{"b":2,"a":3}`,
		`[{"a":{"b":1,"\u0062":"x"}}]`: `[{"a":{"b":"x"}}]`,
		`{"a" : 1, "b":[ ]}`:           `{"a" : 1, "b":[ ]}`,
		`"x\ud800y"`:                   `"x` + "\uFFFD" + `y"`,
		`{"a":["\uDC00"]}`:             `{"a":["` + "\uFFFD" + `"]}`,
	} {
		a := mapped(t, envelope("page"), `{"new":`+value+`}`)
		if got, want := string(a.Unmapped), `{"new":`+want+`}`; got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
		if value[0] == '"' {
			continue
		}
		if a := mapped(t, envelope("audit"), `{"details":`+value+`}`); string(a.Audit.Details) != want {
			t.Errorf("%q: details are %s, want %s", value, a.Audit.Details, want)
		}
	}
	var many strings.Builder
	for i := range int64(100) {
		many.WriteString(`"k` + itoa(i%50) + `":` + itoa(i) + `,`)
	}
	a := mapped(t, envelope("page"), `{"new":{`+many.String()+`"k7":"last"}}`)
	if strings.Count(string(a.Unmapped), `"k7":`) != 1 || !strings.HasSuffix(string(a.Unmapped), `,"k49":99,"k7":"last"}}`) {
		t.Errorf("unmapped %s", a.Unmapped)
	}
}

func TestPartOfAValueLeavesTheValueInUnmapped(t *testing.T) {
	for _, c := range []struct {
		dataset, members, field string
		want                    any
		kept                    bool
	}{
		{"page", `"protocol":"TLS/1.2"`, "net.protocol", "tls", true},
		{"page", `"protocol":"ftp/2"`, "url.scheme", "ftp", true},
		{"page", `"protocol":"HTTPS/1.1"`, "net.protocol", "https", false},
		{"network", `"protocol_port":"TCP:8443"`, "net.transport", "tcp", true},
		{"network", `"protocol_port":"TCP:8443","dstport":443`, "net.transport", "tcp", true},
		{"network", `"protocol_port":"TCP:8443","dstport":8443`, "net.transport", "tcp", false},
		{"endpoint", `"policy_id":"abc 2024-01-01 10:00:00"`, "policy.id", "abc", true},
		{"endpoint", `"policy_id":"0 2024-01-01 10:00:00"`, "policy.id", nil, true},
		{"page", `"policy_id":"abc 2024-01-01 10:00:00"`, "policy.id", "abc", false},
		{"page", `"policy_id":"0"`, "policy.id", nil, false},
		{"alert", `"compliance_standards":[{"standard":"CIS","id":1},"PCI"]`, "posture.standards", []any{"CIS", "PCI"}, true},
		{"alert", `"compliance_standards":["CIS",5]`, "posture.standards", []any{"CIS"}, true},
		{"alert", `"compliance_standards":[{"standard":"A","standard":"B"}]`, "posture.standards", []any{"B"}, true},
		{"alert", `"compliance_standards":[{"standard":"CIS"},"PCI","cis",null]`, "posture.standards", []any{"CIS", "PCI"}, false},
		{"clientstatus", `"host_info":{"mac_addresses":["a","b"]}`, "device.mac", "a", true},
		{"clientstatus", `"host_info":{"mac_addresses":["a",null]}`, "device.mac", "a", false},
		{"clientstatus", `"host_info":{"mac_addresses":["",null]}`, "device.mac", nil, false},
	} {
		raw := `{"timestamp":1768478400,` + c.members + `}`
		rows, a, err := Explain(envelope(c.dataset), []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(a.AppendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		if value := pathOf(got, c.field); !reflect.DeepEqual(value, c.want) || (a.Unmapped != "") != c.kept || len(a.Warnings) > 0 {
			t.Errorf("%s: %s is %v, unmapped %s, warnings %v", raw, c.field, value, a.Unmapped, a.Warnings)
		}
		if said := strings.HasSuffix(rows[1].Field, "unmapped"); said != c.kept {
			t.Errorf("%s: explained as %q", raw, rows[1].Field)
		}
	}
}

func TestKeyWithADotIsNotAMemberOfAnObject(t *testing.T) {
	var many strings.Builder
	for i := range int64(70) {
		many.WriteString(`"k` + itoa(i) + `":1,`)
	}
	a := mapped(t, envelope("clientstatus"), `{"host_info.zzz":"dotted","zzz":"top",`+many.String()+`"host_info":{"zzz":"inner"}}`)
	var unmapped map[string]any
	if err := a.Unmapped.Decode(&unmapped); err != nil {
		t.Fatal(err)
	}
	if within, _ := unmapped["host_info"].(map[string]any); unmapped["host_info.zzz"] != "dotted" || unmapped["zzz"] != "top" || within["zzz"] != "inner" {
		t.Errorf("unmapped %s", a.Unmapped)
	}
}

// The events are so large that work which grows with the square of their size would not end before the test does.
func TestWorkGrowsWithTheSizeOfTheEvent(t *testing.T) {
	const n = 400_000
	repeated := func(each func(i int64) string) string {
		var b strings.Builder
		for i := range int64(n) {
			b.WriteString(each(i) + ",")
		}
		return b.String()
	}
	for name, event := range map[string][2]string{
		"standards":          {"alert", `{"compliance_standards":[` + repeated(func(i int64) string { return `"s` + itoa(i) + `"` }) + `"last"]}`},
		"repeated object":    {"audit", `{` + repeated(func(int64) string { return `"supporting_data":{"a":1}` }) + `"supporting_data":{"last":1}}`},
		"object and no one":  {"audit", `{` + repeated(func(int64) string { return `"supporting_data":1,"supporting_data":{"data_type":2}` }) + `"last":1}`},
		"keys of an object":  {"audit", `{"supporting_data":{` + repeated(func(i int64) string { return `"k` + itoa(i) + `":1` }) + `"last":1}}`},
		"addresses of users": {"audit", `{"audit_log_event":"` + strings.Repeat("long ", n) + `","supporting_data":{"data_values":[` + repeated(func(int64) string { return `"@a@"` }) + `"last"]}}`},
		"unknown keys":       {"page", `{` + repeated(func(i int64) string { return `"k` + itoa(i) + `":1` }) + `"last":1}`},
		"nested keys":        {"page", `{"x":{` + repeated(func(i int64) string { return `"k` + itoa(i%1000) + `":1` }) + `"last":1}}`},
	} {
		_, a, err := Explain(envelope(event[0]), []byte(event[1]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !strings.Contains(string(a.AppendJSON(nil)), `last"`) {
			t.Errorf("%s: the last is lost", name)
		}
	}
}

func TestExplainSurvivesAMapperThatPanics(t *testing.T) {
	m := NewMapper()
	m.plans["page"] = compile(dataset{derive: []func(*Mapper, *schema.Artifact){func(*Mapper, *schema.Artifact) { panic("no way out") }}})
	if rows, _, err := m.explain(envelope("page"), []byte(`{"a":1}`)); err == nil || !strings.Contains(err.Error(), "no way out") || rows != nil || m.trace != nil {
		t.Errorf("got %v, %v", rows, err)
	}
}

func TestLoginIsWrittenInOneWordOrTwo(t *testing.T) {
	for activity, want := range map[string]string{"Log In": "login", "Log in": "login", "Log Out": "logout", "log_in failed": "login_failed", "Log Insight": "log_insight"} {
		a := mapped(t, envelope("application"), `{"activity":"`+activity+`"}`)
		if login := a.Class == schema.ClassAuthentication; a.Activity != want || login != (want != "log_insight") {
			t.Errorf("%s: %s, %s", activity, a.Activity, a.Class)
		}
	}
}

func TestLastOfTwoKeysCounts(t *testing.T) {
	a := mapped(t, envelope("audit"), `{"user":"a@x.example","n":1,"supporting_data":{"data_type":"user","odd":1},"user":"b@x.example","n":2,
		"supporting_data":{"data_values":["v"],"more":{"k":1}},"\u006e":3}`)
	if a.User.Email != "b@x.example" || a.Audit.ObjectType != "" || a.Audit.Object != "v" {
		t.Errorf("user %q, object %q of type %q", a.User.Email, a.Audit.Object, a.Audit.ObjectType)
	}
	if want := schema.RawJSON(`{"supporting_data":{"more":{"k":1}},"n":3}`); a.Unmapped != want {
		t.Errorf("unmapped %s, want %s", a.Unmapped, want)
	}
	a = mapped(t, envelope("audit"), `{"supporting_data":{"data_type":"user"},"supporting_data":"gone"}`)
	if a.Audit.ObjectType != "" || a.Unmapped != `{"supporting_data":"gone"}` {
		t.Errorf("object type %q, unmapped %s", a.Audit.ObjectType, a.Unmapped)
	}
	var many strings.Builder
	for range 3 {
		for i := range int64(200) {
			many.WriteString(`"k` + itoa(i) + `":` + itoa(i+1) + `,`)
		}
	}
	a = mapped(t, envelope("page"), "{"+many.String()+`"k7":"last"}`)
	var unmapped map[string]any
	if err := a.Unmapped.Decode(&unmapped); err != nil || len(unmapped) != 200 || unmapped["k7"] != "last" || strings.Count(string(a.Unmapped), `"k7":`) != 1 {
		t.Errorf("%v, %d keys in %s", err, len(unmapped), a.Unmapped)
	}
}

func TestOtherValueOfAFieldStaysInUnmapped(t *testing.T) {
	a := mapped(t, envelope("alert"), `{"policy":"A","policy_name":"B","policy_name_enforced":"a","type":"nspolicy","alert_type":"DLP"}`)
	if a.Policy.Name != "A" || a.Unmapped != `{"policy_name":"B"}` {
		t.Errorf("policy %q, unmapped %s", a.Policy.Name, a.Unmapped)
	}
}

func TestUnmappedKeepsValuesAsTheyStand(t *testing.T) {
	a := mapped(t, envelope("page"), `{ "big": 18446744073709551615, "edge": 9007199254740992, "over": 9007199254740993, "sci": 2e+23, "half": 0.5,
		"deep": {"id": 5824906510398970489, "list": [1, 1.50, 5824906510398970489, {"a b": "x\u0000\n"}]}, "ok": true, "no": false, "nil": null,
		"zero": 0, "none": "None", "quote\"key": "é", "lines": [
		1]}`)
	want := `{"big":"18446744073709551615","edge":9007199254740992,"over":"9007199254740993","sci":"2e+23","half":0.5,` +
		`"deep":{"id":"5824906510398970489","list":[1,1.50,"5824906510398970489",{"a b":"x\u0000\n"}]},"ok":true,"quote\"key":"é","lines":[1]}`
	if string(a.Unmapped) != want {
		t.Errorf("\n got %s\nwant %s", a.Unmapped, want)
	}
}

func TestBadEventIsRefused(t *testing.T) {
	m := NewMapper()
	var a schema.Artifact
	for _, raw := range []string{"", "[]", "7", `"x"`, `{"a":1`, `{"a":1}x`, `{"a":}`, "null", "{\"a\":\"\xff\"}", `{"supporting_data":{"a":1,}}`} {
		if err := m.Map(envelope("audit"), []byte(raw), &a); err == nil {
			t.Errorf("%q is an event", raw)
		} else if !strings.HasPrefix(err.Error(), "map event: ") {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if err := m.Map(envelope("weather"), []byte("{}"), &a); err == nil {
		t.Error("weather is a dataset")
	}
	if err := m.Map(envelope("audit"), []byte(`{"user":"a"}`), &a); err != nil || a.User.Name != "a" {
		t.Errorf("after bad events: %v, user %q", err, a.User.Name)
	}
}

func TestAuditVerbAndClass(t *testing.T) {
	for event, want := range map[string][2]string{
		"Login Successful": {"login", "authentication"},
		"Admin logged out because of successive login failures": {"logout", "authentication"},
		"Created new admin":                {"create", "account_change"},
		"Deleted rbi template":             {"delete", "entity_management"},
		"Client Disable Request Submitted": {"disable", "entity_management"},
		"Edit policy":                      {"update", "entity_management"},
		"Pushed config":                    {"push", "entity_management"},
		"Rest API V2 Call":                 {"other", "api"},
		"Updated admin logout timeout":     {"update", "entity_management"},
		"Changed password policy":          {"update", "entity_management"},
		"Changed admin password":           {"update", "account_change"},
		"Updated failover settings":        {"update", "entity_management"},
		"Disabled login for a user":        {"disable", "entity_management"},
		"User signed in, updated nothing":  {"login", "authentication"},
		"New login from a new place":       {"login", "authentication"},
		"Log out":                          {"logout", "authentication"},
		"New admin":                        {"create", "account_change"},
		"Address already spread":           {"other", "entity_management"},
	} {
		a := mapped(t, envelope("audit"), `{"audit_log_event":"`+event+`","supporting_data":{"data_type":"x","data_values":["203.0.113.9"]}}`)
		if a.Audit.Verb != want[0] || string(a.Class) != want[1] || a.Src.IP != "203.0.113.9" || a.User.Type != "admin" {
			t.Errorf("%s: got %s, %s", event, a.Audit.Verb, a.Class)
		}
	}
	if a := mapped(t, envelope("audit"), `{"is_netskope_personnel":true,"supporting_data":{"data_values":"HOST-1"}}`); a.User.Type != "vendor_support" || a.Audit.Object != "HOST-1" {
		t.Errorf("type %q, object %q", a.User.Type, a.Audit.Object)
	}
}

func TestExplainSaysWhatBecameOfEachKey(t *testing.T) {
	rows, _, err := Explain(envelope("alert"), []byte(`{"alert_type":"DLP","type":"nspolicy","srcip":"8.12.xxx.x","category":"","new":5,"protocol":"HTTPS/2"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{
		{Key: "alert_type", Value: "DLP", Rule: "alert type, text", Field: "subtype, finding.type"},
		{Key: "type", Value: "nspolicy", Field: "dropped: the detector's internal name; alert_type says what it is"},
		{Key: "srcip", Value: "8.12.xxx.x", Field: "unmapped", Warning: "src.ip: not an address '8.12.xxx.x'"},
		{Key: "category", Field: "empty"},
		{Key: "new", Value: "5", Field: "unmapped", Warning: "not in Netskope's published schema"},
		{Key: "protocol", Value: "HTTPS/2", Rule: "scheme, HTTP version, protocol", Field: "url.scheme, http.version, net.protocol"},
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("\n got %+v\nwant %+v", rows, want)
	}
}

func TestPlaceholdersHoldNothing(t *testing.T) {
	for _, word := range []string{`""`, `" "`, `"   "`, `"-"`, `"N/A"`, `"NA"`, `"None"`, `"null"`, `"Unknown"`, `"NotAvailable"`, `"NotChecked"`, `"NoSSL"`, `null`, `[]`, `[ ]`, `{}`} {
		a := mapped(t, envelope("page"), `{"timestamp":1768478400,"browser":`+word+`,"other":`+word+`}`)
		if a.HTTP.Browser != "" || a.Unmapped != "" || len(a.Warnings) > 0 {
			t.Errorf("%s: browser %q, unmapped %s, warnings %v", word, a.HTTP.Browser, a.Unmapped, a.Warnings)
		}
	}
	a := mapped(t, envelope("page"), `{"browser":"Nonesuch","other":"nope"}`)
	if a.HTTP.Browser != "Nonesuch" || a.Unmapped != `{"other":"nope"}` {
		t.Errorf("browser %q, unmapped %s", a.HTTP.Browser, a.Unmapped)
	}
}

func TestUnitOfATimeIsToldByItsSize(t *testing.T) {
	for text, want := range map[string]schema.Time{
		"99999999999": 99999999999000, "100000000000": 100000000000, "99999999999999": 99999999999999,
		"100000000000000": 100000000000, "99999999999999999": 99999999999999, "100000000000000000": 100000000000,
		"9e18": 9000000000000, "9999-12-31T23:59:59Z": lastTime - 999,
		"1768478470.25": 1768478470250, "1.76847847025e9": 1768478470250, "1.768e18": 1768000000000,
	} {
		if got, problem := parseTime(text); got != want || problem != fits {
			t.Errorf("%s: %d, %q, want %d", text, got, problem, want)
		}
	}
	for _, text := range []string{"9999-12-31T23:59:59-13:00", "1e19", "1e300", "NaN"} {
		if got, problem := parseTime(text); problem != "not a time" {
			t.Errorf("%s: %d, %q", text, got, problem)
		}
	}
}

func TestMatchWithMoreInItThanItsFormStaysInUnmapped(t *testing.T) {
	plain := mapped(t, envelope("incident"), `{"dlp_match_info":[{"dlp_policy":"P","dlp_forensic_id":18446744073709551615,
		"dlp_rules":[{"dlp_rule_name":"R","dlp_incident_rule_count":3,"dlp_data_identifiers":["a"]}]}]}`)
	want := []schema.DLPMatch{{Policy: "P", ForensicID: "18446744073709551615", Rules: []schema.DLPRule{{Name: "R", Count: 3, Identifiers: []string{"a"}}}}}
	if !reflect.DeepEqual(plain.DLP.Matches, want) || plain.Unmapped != "" {
		t.Errorf("matches %+v, unmapped %s", plain.DLP.Matches, plain.Unmapped)
	}
	for _, more := range []string{`{"dlp_policy":"P","odd":1}`, `{"dlp_policy":"P","dlp_rules":[{"odd":1}]}`, `{"dlp_policy":"P","dlp_rules":[7]}`,
		`{"dlp_policy":"P","dlp_profile":"A","dlp_profile_name":"B"}`, `{"dlp_policy":"P","dlp_action":["a"]}`,
		`{"dlp_policy":"P","dlp_rules":[{"dlp_rule_count":5,"dlp_incident_rule_count":7}]}`,
		`{"dlp_policy":"P","dlp_rules":[{"dlp_rule_count":5,"dlp_incident_rule_count":"many"}]}`} {
		a := mapped(t, envelope("incident"), `{"dlp_match_info":[`+more+`]}`)
		if a.Policy.Name != "P" || a.Unmapped != schema.RawJSON(`{"dlp_match_info":[`+more+`]}`) {
			t.Errorf("%s: policy %q, unmapped %s", more, a.Policy.Name, a.Unmapped)
		}
	}
	same := mapped(t, envelope("incident"), `{"dlp_match_info":[{"dlp_profile":"A","dlp_profile_name":"A","dlp_rules":[{"dlp_data_identifiers":["x",null,"N/A"]}]}]}`)
	if got := same.DLP.Matches[0].Rules[0].Identifiers; !slices.Equal(got, []string{"x"}) || same.Unmapped != "" {
		t.Errorf("identifiers %q, unmapped %s", got, same.Unmapped)
	}
}

func TestNothingIsLeftOfAnEarlierEvent(t *testing.T) {
	var many strings.Builder
	for i := range int64(150) {
		many.WriteString(`"k` + itoa(i) + `":1,`)
	}
	m := NewMapper()
	for _, raw := range []string{"{" + many.String() + `"last":1}`, `{"last":1,"user":"a@x.example",` + many.String() + `"k149":2}`, `{"k3":1}`} {
		for _, dataset := range datasets {
			var a schema.Artifact
			if err := m.Map(envelope(dataset), []byte(raw), &a); err != nil {
				t.Fatal(err)
			}
			fresh := mapped(t, envelope(dataset), raw)
			if got, want := string(a.AppendJSON(nil)), string(fresh.AppendJSON(nil)); got != want {
				t.Errorf("%s:\n got %s\nwant %s", dataset, got, want)
			}
		}
	}
}
