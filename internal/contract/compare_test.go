package contract_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
)

const (
	fieldsBaseline = "../../schema/testdata/v1/fields.txt"
	idsBaseline    = "../../schema/testdata/v1/ids.txt"
)

// baseline reads a file of the baseline; with -update it need not be there.
func baseline(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && (!*update || !errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	return string(text)
}

// settle reports what breaks readers, and what the baseline lacks, which -update adds. It writes nothing that does not hold each line
// that was there.
func settle(t *testing.T, file, was, now string, breaks, added []string) {
	t.Helper()
	for _, b := range breaks {
		t.Error(b)
	}
	if len(breaks) > 0 || len(added) == 0 {
		return
	}
	if !*update {
		t.Logf("%s does not promise these yet, run go test ./internal/contract -update to add them: %s", file, strings.Join(added, ", "))
		return
	}
	have := strings.SplitAfter(now, "\n")
	for line := range strings.Lines(was) {
		if !slices.Contains(have, line) {
			t.Fatalf("%s is not written: the line %q would be lost", file, line)
		}
	}
	if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaKeepsWhatVersion1Promised(t *testing.T) {
	text := baseline(t, fieldsBaseline)
	was, err := contract.ParseBaseline(text)
	if err != nil {
		t.Fatal(err)
	}
	now, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if text == "" { // the first baseline: all of it is added
		settle(t, fieldsBaseline, text, contract.Format(now), nil, []string{"every field"})
		return
	}
	breaks, added := contract.Compare(was, now)
	settle(t, fieldsBaseline, text, contract.Format(now), breaks, added)
}

func TestIDsAreMadeAsInVersion1(t *testing.T) {
	vectors, err := os.ReadFile("../../schema/testdata/maps/id_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	now, err := contract.IDs(vectors)
	if err != nil {
		t.Fatal(err)
	}
	now = append(now, recordIDs(t)...)
	text := baseline(t, idsBaseline)
	was := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if text == "" {
		was = nil
	}
	breaks, added := contract.CompareIDs(was, now)
	settle(t, idsBaseline, text, strings.Join(now, "\n")+"\n", breaks, added)

	// The names of the vectors are those that records have.
	var mapped []string
	for _, r := range records(t) {
		mapped = append(mapped, idLine(r.name, &r.artifact))
	}
	was = slices.DeleteFunc(was, func(line string) bool {
		name, _, _ := strings.Cut(line, "\t")
		return name == "alert_dlp without _id (content hash)" || strings.Contains(name, ": ")
	})
	breaks, _ = contract.CompareIDs(was, mapped)
	for _, b := range breaks {
		t.Error("normalize: " + b)
	}
}

func idLine(name string, a *schema.Artifact) string {
	return name + "\t" + a.ID.String() + "\t" + a.EntityID.String()
}

// recordIDs maps the records beside the baseline, each for one case of the id recipe, and returns the lines of their ids. Which
// instance reads a record, by which API and when, is no part of its ids.
func recordIDs(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../schema/testdata/v1/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Case, Dataset string
		Record        json.RawMessage
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	m := normalize.NewMapper()
	var lines []string
	for _, r := range all {
		var a, b schema.Artifact
		e := envelope(r.Dataset)
		if err := m.Map(&e, r.Record, &a); err != nil {
			t.Fatalf("%s: %v", r.Case, err)
		}
		e.Tenant, e.Connector, e.SourceAPI, e.Collected = "other", "other", "v1", e.Collected.Add(time.Hour)
		if err := m.Map(&e, r.Record, &b); err != nil {
			t.Fatalf("%s: %v", r.Case, err)
		}
		line := idLine(r.Case, &a)
		if again := idLine(r.Case, &b); again != line {
			t.Errorf("read in another way it has other ids: %s, %s", line, again)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestBaselineReadsAsItWasWritten(t *testing.T) {
	fields, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	text := contract.Format(fields)
	back, err := contract.ParseBaseline(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := contract.Format(back); got != text {
		t.Errorf("it reads as\n%s", got)
	}
	if breaks, added := contract.Compare(back, fields); len(breaks)+len(added) > 0 {
		t.Errorf("it compares as %q, %q", breaks, added)
	}
	if _, err := contract.ParseBaseline("src.ip\tstring\n"); err == nil {
		t.Error("a line that was cut is read without an error")
	}
}

// changed returns the schema with one change to its text. The change is made at the first old after the member's name.
func changed(t *testing.T, member, old, with string) []byte {
	t.Helper()
	at := 0
	for name := range strings.SplitSeq(member, ".") {
		if name == "" {
			continue
		}
		i := bytes.Index(schema.JSON[at:], []byte(`"`+name+`": {`))
		if i < 0 {
			t.Fatalf("there is no %s", member)
		}
		at += i
	}
	before, rest := schema.JSON[:at], string(schema.JSON[at:])
	if !strings.Contains(rest, old) {
		t.Fatalf("%s has no %s", member, old)
	}
	mutant := append(slices.Clone(before), strings.Replace(rest, old, with, 1)...)
	if !json.Valid(mutant) {
		t.Fatalf("the change of %s makes the schema no JSON", member)
	}
	return mutant
}

func TestChangesThatBreakReadersAreFound(t *testing.T) {
	was, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, member, old, with, want string }{
		{"a field is renamed", "user.email", `"email"`, `"mail"`, "user.email is gone"},
		{"a group is renamed", "src", `"src"`, `"source_end"`, "src is gone"},
		{"a number becomes a string", "severity_id", `"type": "integer"`, `"type": "string"`, `severity_id changes its type from "integer" to "string"`},
		{"a list becomes one value", "tags", `"type": "array"`, `"type": "string"`, `tags changes its type from "string[]"`},
		{"the elements of a list change", "tags.items", `"type": "string"`, `"type": "integer"`, `tags changes its type from "string[]" to "integer[]"`},
		{"a field is required that was not", "", "\"required\": [\n", "\"required\": [\n \"native_id\",\n", `native_id changes its presence from "optional" to "always"`},
		{"a field is no longer required", "", "\n  \"message\",", "", `message changes its presence from "always" to "optional"`},
		{"a field is required under another condition", "", "\"const\": \"alert\"", "\"const\": \"page\"", `subtype changes its presence from "if dataset=alert" to "if dataset=page"`},
		{"a field is required under a condition more", "", "\"allOf\": [", `"allOf": [{"if": {"required": ["raw"]}, "then": {"required": ["revision"]}},`, `revision changes its presence from "if dataset=incident|clientstatus" to "if dataset=incident|clientstatus or if raw"`},
		{"a field is no longer required where it was", "", "\"required\": [\n     \"revision\"\n    ]", "\"required\": []", `revision changes its presence from "if dataset=incident|clientstatus" to "optional"`},
		{"a format changes", "id", `"format": "uuid"`, `"format": "uri"`, "id changes its format"},
		{"an address may be a name", "src.ip", `"format": "ipv6"`, `"format": "hostname"`, "src.ip changes its format"},
		{"a time has other decimals", "start_time", `\\.\\d{3}Z`, `\\.\\d{6}Z`, "start_time changes its format"},
		{"a bound is lifted", "risk_score", `"maximum": 100`, `"maximum": 1000`, "risk_score changes its format"},
		{"a unit changes", "duration_ms", "Unit/format: ms", "Unit/format: s", `duration_ms changes its unit from "ms" to "s"`},
		{"a closed list grows", "outcome", `"success"`, `"success", "partial"`, `outcome has the new value "partial" in a closed list`},
		{"a closed list shrinks", "action", `"isolated",`, ``, `action loses the value "isolated"`},
		{"an open list shrinks", "class", `"malware",`, ``, `class loses the value "malware"`},
		{"an open list is closed", "class", `"examples"`, `"enum"`, `class changes its list or members from "open" to "closed"`},
		{"a closed list is opened", "severity", `"enum"`, `"examples"`, `severity changes its list or members from "closed" to "open"`},
		{"a group takes no more members", "user", `"additionalProperties": true`, `"additionalProperties": false`, `user changes its list or members from "open" to "closed"`},
		{"a group may be empty", "user", `"minProperties": 1`, `"minProperties": 0`, `user changes its format`},
		{"a member of a list's elements is renamed", "dlp.matches.items.rules.items", `"unique": {`, `"unique_count": {`, "dlp.matches[].rules[].unique is gone"},
		{"a member of a list's elements has another type", "enrichments.items.value", `"string"`, `"number"`, `enrichments[].value changes its type from "string" to "number"`},
		{"a member of a list's elements is required", "dlp.matches.items", `"type": "object",`, `"type": "object", "required": ["policy"],`, `dlp.matches[].policy changes its presence from "optional" to "always"`},
		{"the elements of a list take no more members", "enrichments.items", `"additionalProperties": true`, `"additionalProperties": false`, `enrichments[] changes its list or members from "open" to "closed"`},
		{"the elements of a list get a list of values", "tags.items", `"type": "string"`, `"type": "string", "enum": ["a"]`, `tags[] changes its list or members from "" to "closed"`},
		{"the elements of a list get a format", "user.groups.items", `"type": "string"`, `"type": "string", "format": "uuid"`, `user.groups[] changes its format`},
		{"a new field is required", "", "\"required\": [\n", "\"required\": [\n \"region\",\n", "region is new and not optional"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mutant := changed(t, c.member, c.old, c.with)
			if c.want == "region is new and not optional" {
				mutant = bytes.Replace(mutant, []byte(`"properties": {`), []byte(`"properties": { "region": {"type": "string"},`), 1)
			}
			now, err := contract.Parse(mutant)
			if err != nil {
				t.Fatal(err)
			}
			breaks, _ := contract.Compare(was, now)
			i := slices.IndexFunc(breaks, func(b string) bool { return strings.HasPrefix(b, c.want) })
			if i < 0 {
				t.Fatalf("it is not found; what is: %q", breaks)
			}
			if !strings.Contains(breaks[i], "breaks readers of 1.x that ") || !strings.Contains(breaks[i], "new major version") {
				t.Errorf("%q does not say whom it breaks and what to do", breaks[i])
			}
		})
	}
}

// What is not compared would change unnoticed.
func TestSchemaWithWhatIsNotComparedIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ member, old, with string }{
		"one value":                     {"source", `"type"`, `"const": "acme", "type"`},
		"a null as the value":           {"source", `"type"`, `"const": null, "type"`},
		"a length":                      {"message", `"type"`, `"maxLength": 3, "type"`},
		"an exclusive bound":            {"src.port", `"type"`, `"exclusiveMaximum": 10, "type"`},
		"a step":                        {"duration_ms", `"type"`, `"multipleOf": 1000, "type"`},
		"a length of a list":            {"tags", `"type"`, `"minItems": 3, "type"`},
		"a set":                         {"tags", `"type"`, `"uniqueItems": true, "type"`},
		"a reference":                   {"message", `"type"`, `"$ref": "#/x", "type"`},
		"several types":                 {"message", `"string"`, `["string", "null"]`},
		"members of one schema":         {"user", `"additionalProperties": true`, `"additionalProperties": {"type": "string"}`},
		"members by a pattern":          {"user", `"type"`, `"patternProperties": {"x": false}, "type"`},
		"a member that is true":         {"", `"properties": {`, `"properties": {"region": true,`},
		"elements of any kind":          {"tags", `"items": {`, `"prefixItems": [], "items": {`},
		"a choice of the whole":         {"", `"allOf"`, `"oneOf": [{"required": ["raw"]}], "allOf"`},
		"a choice with more in it":      {"src.ip", `"format": "ipv4"`, `"format": "ipv4", "pattern": "x"`},
		"something that is ruled out":   {"", `"allOf"`, `"not": {"required": ["unmapped"]}, "allOf"`},
		"members that ask for another":  {"", `"allOf"`, `"dependentRequired": {"user": ["src"]}, "allOf"`},
		"a rule of a group":             {"user", `"type"`, `"allOf": [], "type"`},
		"a rule without a condition":    {"", `"allOf": [`, `"allOf": [{"then": {"required": ["raw"]}},`},
		"a rule with another branch":    {"", `"then": {`, `"else": {"required": ["src"]}, "then": {`},
		"a rule about values":           {"", `"then": {`, `"then": {"properties": {"action": {"enum": ["blocked"]}},`},
		"a premise that need not be":    {"", `"if": {`, `"if": {"properties": {"tenant": {"const": "x"}, "dataset": {"const": "alert"}}, "required": ["dataset"]}, "then": {"required": ["subtype"]}}, {"if": {`},
		"a premise of any value":        {"", `"allOf": [`, `"allOf": [{"if": {"properties": {"raw": {}}, "required": ["raw"]}, "then": {"required": ["src"]}},`},
		"a premise of a pattern":        {"", `"const": "alert"`, `"const": "alert", "pattern": "x"`},
		"a premise of two values":       {"", `"const": "alert"`, `"const": "alert", "enum": ["page"]`},
		"a premise that always holds":   {"", `"allOf": [`, `"allOf": [{"if": {}, "then": {"required": ["src"]}},`},
		"a member without a schema":     {"", "\"required\": [", "\"required\": [\"region\","},
		"the same on a condition":       {"", `"allOf": [`, `"allOf": [{"if": {"required": ["raw"]}, "then": {"required": ["region"]}},`},
		"the same in a list's elements": {"enrichments", `"type": "object",`, `"type": "object", "required": ["region"],`},
		"another version of the rules":  {"", "draft/2020-12", "draft/2019-09"},
	} {
		_, err := contract.Parse(changed(t, c.member, c.old, c.with))
		if err == nil || !strings.HasPrefix(err.Error(), "read schema: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAdditionsBreakNobody(t *testing.T) {
	was, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, member, old, with, want string }{
		{"an optional field", "user", `"properties": {`, `"properties": { "title": {"type": "string"},`, "user.title"},
		{"an optional member of a list's elements", "dlp.matches.items", `"properties": {`, `"properties": { "title": {"type": "string"},`, "dlp.matches[].title"},
		{"a value of an open list", "class", `"malware",`, `"malware", "deception",`, "class = deception"},
		{"another wording", "message", "One-line", "Short", ""},
	} {
		now, err := contract.Parse(changed(t, c.member, c.old, c.with))
		if err != nil {
			t.Fatal(err)
		}
		breaks, added := contract.Compare(was, now)
		if len(breaks) > 0 || strings.Join(added, ", ") != c.want {
			t.Errorf("%s: breaks %q, added %q, want %q", c.name, breaks, added, c.want)
		}
		text := contract.Format(now)
		for line := range strings.Lines(contract.Format(was)) {
			if !strings.Contains(text, line) {
				t.Errorf("%s: the line %q of the baseline would change", c.name, line)
			}
		}
	}
}

func TestChangesOfTheIDRecipeAreFound(t *testing.T) {
	was := []string{"alert\tid-1\tid-1", "incident\tid-3\tid-2"}
	for name, c := range map[string]struct {
		now           []string
		breaks, added int
	}{
		"nothing changes":         {was, 0, 0},
		"a vector is added":       {append(slices.Clone(was), "page\tid-4\tid-4"), 0, 1},
		"a vector is gone":        {was[:1], 1, 0},
		"an id is another":        {[]string{was[0], "incident\tid-9\tid-2"}, 1, 0},
		"an entity id is another": {[]string{"alert\tid-1\tid-9", was[1]}, 1, 0},
	} {
		breaks, added := contract.CompareIDs(was, c.now)
		if len(breaks) != c.breaks || len(added) != c.added {
			t.Errorf("%s: breaks %q, added %q", name, breaks, added)
		}
	}
}

func TestWordsInAUnitAreAnOpenList(t *testing.T) {
	was, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for old, c := range map[string]struct{ with, breaks, added string }{
		"|login|":    {"|login|export|", "", "audit.verb = export"},
		"|disable|":  {"|", `audit.verb loses the value "disable"`, ""},
		"create|upd": {"Create or upd", `audit.verb changes its list or members`, ""},
	} {
		now, err := contract.Parse(changed(t, "audit.verb", old, c.with))
		if err != nil {
			t.Fatal(err)
		}
		breaks, added := contract.Compare(was, now)
		if got := strings.Join(added, ", "); got != c.added || (len(breaks) > 0) != (c.breaks != "") || len(breaks) > 0 && !strings.HasPrefix(breaks[0], c.breaks) {
			t.Errorf("%s → %s: breaks %q, added %q", old, c.with, breaks, added)
		}
	}
}
