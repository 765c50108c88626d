package filter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/schema"
)

func artifact() *schema.Artifact {
	return &schema.Artifact{
		ID:   schema.NameID([]byte("one")),
		Kind: schema.KindAlert, Class: schema.ClassDataSecurity, Dataset: "alert", Subtype: "dlp",
		Severity: schema.SeverityHigh, SeverityID: 4, Action: schema.ActionBlocked, Count: 1,
		Time: schema.TimeOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)),
		Tags: []string{"vip"},
		User: schema.User{Email: "jane.doe@acme.example", Attributes: `{"site":"Fra","floor":3}`},
		Src:  schema.Src{IP: "203.0.113.7", Lat: 50.1},
		Device: schema.Device{
			IP: "10.1.2.3", Managed: schema.True,
		},
		App:      schema.App{Name: "Slack", CCI: 90, Sanctioned: schema.False},
		Net:      schema.Net{Bytes: 1 << 40},
		DLP:      schema.DLP{Matches: []schema.DLPMatch{{Policy: "PCI", Rules: []schema.DLPRule{{Name: "card", Count: 150, Identifiers: []string{"pan"}}}}}},
		Audit:    schema.Audit{Details: `[1,{"a":null}]`},
		Unmapped: `{"shadow_it":"yes","score":7.5,"list":["a","b"]}`,
		Enrichments: []schema.Enrichment{
			{Name: "owner", Field: "src.ip", Value: "Acme", Data: `{"asn":64500}`},
		},
	}
}

const typical = `severity_id >= 3 && app.name == "Slack" && user.email.endsWith("@acme.example")`

func TestExpressionSeesTheFieldsWithTheirTypes(t *testing.T) {
	tests := []struct {
		expression string
		want       bool
	}{
		{typical, true},
		{`severity == "high" && kind == "alert" && class == "data_security" && action == "blocked"`, true},
		{`id == "` + artifact().ID.String() + `"`, true},
		{`entity_id == "" && raw_sha256 == "" && revision == ""`, true},
		{`net.bytes == 1099511627776 && app.cci > 89.5 && src.lat < 51.0`, true},
		{`device.managed && !app.sanctioned && has(app.sanctioned) && !app.managed && !has(app.managed)`, true},
		{`time > timestamp("2026-01-15T11:59:59Z") && time.getFullYear() == 2026`, true},
		{`start_time == timestamp(0)`, true},
		{`"vip" in tags && tags.exists(t, t.startsWith("v")) && size(user.groups) == 0`, true},
		{`dlp.matches.exists(m, m.policy == "PCI" && m.rules.exists(r, r.count > 100 && "pan" in r.identifiers))`, true},
		{`dlp.matches[0].profile == "" && !has(dlp.matches[0].profile)`, true},
		{`user.attributes.floor == 3 && user.attributes["site"] == "Fra"`, true},
		{`unmapped.shadow_it == "yes" && unmapped.score > 7 && unmapped.list.size() == 2 && !has(unmapped.other)`, true},
		{`audit.details[0] == 1 && audit.details[1].a == null`, true},
		{`enrichments.exists(e, e.field == "src.ip" && e.data.asn == 64500)`, true},
		{`has(user.email) && !has(user.name) && user.name == "" && src.port == 0`, true},
		{`user.email.matches("^[a-z.]+@acme[.]example$") && user.email.upperAscii() == "JANE.DOE@ACME.EXAMPLE"`, true},
		{`device.ip.inNetwork("10.0.0.0/8") && !src.ip.inNetwork("10.0.0.0/8") && !dst.ip.inNetwork("0.0.0.0/0")`, true},
		{`["192.168.0.0/16", "10.0.0.0/8"].exists(n, device.ip.inNetwork(n))`, true},
		{`"::ffff:10.1.2.3".inNetwork("10.0.0.0/8") && "2001:db8::1".inNetwork("2001:db8::/32")`, true},
		{`user == user && dyn(user).email == user.email && has(dyn(user).email) && !has(dyn(user).name) && [app, app][0].name == "Slack"`, true},
		{`dyn(user) == dyn(app)`, false},
		{`type(user) == type(user)`, true},
		{`unmapped.other == null && unmapped["other"] != "x" && !("other" in unmapped) && "score" in unmapped && unmapped.size() == 3`, true},
		{`unmapped.other == "x" || user.attributes.other == 1 || has(unmapped.other) || has(user.attributes.other)`, false},
		{`unmapped.exists(k, k == "score") && unmapped == unmapped && unmapped != user.attributes && user.attributes == {"site": "Fra", "floor": 3}`, true},
		{`tags.exists(severity, severity == "vip") && app.name in ["Slack", "x"] && kind != "" && kind in ["alert", "event"]`, true},
		{`app.name.replace("S", "s", 1) == "slack" && "a-a".replace("a", "b") == "b-b" && ["a", "b"].join("-") == "a-b" && ["a"].join() == "a"`, true},
		{`"aXb".split("X").size() == 2 && app.name.indexOf("a") == 2 && matches(app.name, "^S") && app.name.matches(app.name) && app.name.substring(1).trim().lowerAscii() == "lack"`, true},
		{`severity_id > 4 || !(dataset in ["alert", "incident"])`, false},
	}
	a := artifact()
	for _, test := range tests {
		f, err := Compile(test.expression, "")
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := f.Pass(a); err != nil || got != test.want {
			t.Errorf("%s: %v, %v; want %v", test.expression, got, err, test.want)
		}
	}
}

func TestEveryFieldOfAnEmptyArtifactCanBeRead(t *testing.T) {
	var empty schema.Artifact
	for _, field := range schema.Fields() {
		same, there := field.Name+" == "+field.Name, ""
		if strings.Contains(field.Name, ".") {
			there = "has(" + field.Name + ")"
		}
		f, err := Compile(same, there)
		if err != nil {
			t.Error(err)
			continue
		}
		if pass, err := f.Pass(&empty); err != nil || !pass {
			t.Errorf("%s and not %s: %v, %v", same, there, pass, err)
		}
	}
}

func TestArtifactPassesIfItIsToBeKeptAndNotToBeDropped(t *testing.T) {
	for _, test := range []struct {
		keep, drop string
		want       bool
	}{
		{"", "", true},
		{"true", "", true},
		{"false", "", false},
		{"", "true", false},
		{"", "false", true},
		{"true", "true", false},
		{"true", "false", true},
		{"false", "false", false},
	} {
		f, err := Compile(test.keep, test.drop)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Pass(artifact()); err != nil || got != test.want {
			t.Errorf("keep %q, drop %q: %v, %v", test.keep, test.drop, got, err)
		}
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, test := range []struct{ keep, drop, want string }{
		{`user.emial == "a"`, "", "compile keep: column 5: there is no field user.emial, did you mean user.email?"},
		{"", `severity_id > 3 && usr.email == "a"`, "compile drop: column 20: there is no field usr, did you mean user?"},
		{"severty == 'high'", "", "compile keep: column 1: there is no field severty, did you mean severity?"},
		{"true &&\n app.nme == ''", "", "compile keep: line 2, column 5: there is no field app.nme, did you mean app.name?"},
		{"qwertyuiop", "", "compile keep: column 1: there is no field qwertyuiop"},
		{"severity_id", "", "compile keep: the expression is of type int, and a filter needs true or false"},
		{"", `severity_id == "high"`, "compile drop: column 13: found no matching overload"},
		{"severity_id >", "", "compile keep: column 14: Syntax error"},
		{`user.name.matches("(")`, "", "compile keep: column 19: "},
		{`time > timestamp("yesterday")`, "", "compile keep: column 18: "},
		{`src.ip.inNetwork("10.0.0.0")`, "", `compile keep: column 18: "10.0.0.0" is not a network such as 10.0.0.0/8`},
		{`dlp.matches.exists(m, m.polcy == "x")`, "", "compile keep: column 24: there is no field m.polcy"},
		{`artifact.user{email: "x"} == user`, "", "compile keep: column 14: a filter reads objects and cannot make one (artifact.user)"},
		{"severity == 'hihg'", "", `compile keep: column 13: severity is never "hihg", did you mean "high"?`},
		{"'high' == severity && dataset != 'alerts'", "", `compile keep: column 34: dataset is never "alerts", did you mean "alert"?`},
		{"class in ['http', 'htpp']", "", `compile keep: column 19: class is never "htpp", did you mean "http"?`},
		{"outcome == 'maybe'", "", `compile keep: column 12: outcome is never "maybe", it is one of success, failure, unknown`},
		{"", "action == 'block' || kind == 'x'", `compile drop: column 11: action is never "block", did you mean "blocked"?`},
		{"user.type == 'amdin'", "", `compile keep: column 14: user.type is never "amdin", did you mean "admin"?`},
		{"source_api == 'v3'", "", `compile keep: column 15: source_api is never "v3", did you mean "v1"?`},
		{"severity = 'high'", "", "compile keep: column 10: a single = compares nothing, write =="},
		{"user.name == 'a = b' &&\n  app.name == 'b' and true", "", "compile keep: line 2, column 19: write && for and"},
		{"true or false", "", "compile keep: column 6: write || for or"},
		{`user.name == "a \" or" OR true`, "", "compile keep: column 24: write || for OR"},
		{"true & false", "", "compile keep: column 6: write && for &"},
		{"not true", "", "compile keep: column 1: write ! for not"},
		{"severity_id <> 3", "", "compile keep: column 13: write != for <>"},
		{"user.name in ['a', 'b'], true", "", "compile keep: column 24: a comma joins nothing, write && or || between conditions"},
		{"user.email == jane@acme.example", "", "compile keep: column 19: a text stands in quotes; put other quotes"},
		{"dataset == page", "", `compile keep: column 12: page is no field with a text; if the text is meant, write "page", and put other quotes around the whole so that a shell leaves these`},
		{"dataset in [page, 'alert']", "", "compile keep: column 13: page is no field with a text"},
		{"dataset == audit", "", "compile keep: column 9: audit is no field with a text"},
		{"user.name == usr.name", "", "compile keep: column 14: there is no field usr, did you mean user?"},
		{"has(dataset)", "", `compile keep: column 5: has() takes a field of a group, such as has(user.email); for any other, write dataset != ""`},
		{"'%s'.format([app.name]) == ''", "", "compile keep: column 1: a filter has no function format"},
		{"strings.quote(app.name) == ''", "", "compile keep: column 1: a filter has no function quote"},
		{"severity_id.matches('x')", "", "compile keep: column 20: found no matching overload for 'matches'"},
		{`raw.matches(".{0,900}x")`, "", "compile keep: column 13: regex program size"},
		{strings.Repeat(" ", 5000) + "true", "", "compile keep: the expression has 5004 bytes, and 4096 are allowed"},
		{strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "", "compile keep: "},
	} {
		_, err := Compile(test.keep, test.drop)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("keep %.40q, drop %q: %v; want %s", test.keep, test.drop, err, test.want)
		}
	}
}

func TestFailedEvaluationLosesNothing(t *testing.T) {
	many := artifact()
	for range 500 {
		many.Tags = append(many.Tags, "vip")
	}
	for _, test := range []struct{ keep, drop, want string }{
		{"1 / src.port > 0", "", "evaluate keep: division by zero"},
		{"false", "1 / src.port > 0", ""},
		{"", "1 / src.port > 0", "evaluate drop: division by zero"},
		{"1 / src.port > 0", "true", "evaluate keep: division by zero"},
		{"unmapped.shadow_it.other == 1", "", "evaluate keep: no such key: other"},
		{"enrichments[0].data.other == 1", "", "evaluate keep: no such key: other"},
		{"dyn(user).other == 1", "", "evaluate keep: no such field: other"},
		{"unmapped.shadow_it", "", "evaluate keep: result is string, not true or false"},
		{"src.ip.inNetwork(app.name)", "", `evaluate keep: "Slack" is not a network such as 10.0.0.0/8`},
		{"tags.all(x, tags.all(y, x == y))", "", "evaluate keep: operation cancelled: actual cost limit exceeded"},
	} {
		f, err := Compile(test.keep, test.drop)
		if err != nil {
			t.Error(err)
			continue
		}
		pass, err := f.Pass(many)
		if test.want == "" {
			if pass || err != nil {
				t.Errorf("keep %s, drop %s: %v, %v", test.keep, test.drop, pass, err)
			}
			continue
		}
		if !pass || err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("keep %s, drop %s: %v, %v; want %s", test.keep, test.drop, pass, err, test.want)
		}
	}
}

func TestBrokenJSONIsAnErrorOnlyIfItIsLookedAt(t *testing.T) {
	a := artifact()
	a.Unmapped = `{"x":`
	f, err := Compile(`severity_id == 4 || unmapped.x == 1`, "")
	if err != nil {
		t.Fatal(err)
	}
	if pass, err := f.Pass(a); !pass || err != nil {
		t.Errorf("not needed: %v, %v", pass, err)
	}
	a.SeverityID = 1
	if pass, err := f.Pass(a); !pass || err == nil {
		t.Errorf("needed: %v, %v", pass, err)
	}
}

func TestFilterServesManyGoroutinesAndForgetsArtifacts(t *testing.T) {
	f, err := Compile(`unmapped.n == severity_id && dlp.matches.exists(m, m.policy == user.name)`, "")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 200 {
				n, name := worker*1000+i, fmt.Sprint(worker, i)
				a := &schema.Artifact{
					SeverityID: n, User: schema.User{Name: name}, Unmapped: schema.RawJSON(fmt.Sprintf(`{"n":%d}`, n)),
					DLP: schema.DLP{Matches: []schema.DLPMatch{{Policy: name}}},
				}
				if pass, err := f.Pass(a); !pass || err != nil {
					t.Errorf("%s: %v, %v", name, pass, err)
				}
				a.User.Name = "other"
				if pass, err := f.Pass(a); pass || err != nil {
					t.Errorf("%s, renamed: %v, %v", name, pass, err)
				}
			}
		})
	}
	all.Wait()
}

func TestLoopDecodesJSONOnce(t *testing.T) {
	f, err := Compile(`tags.all(x, x == "vip" && unmapped.shadow_it == "yes")`, "")
	if err != nil {
		t.Fatal(err)
	}
	a := artifact()
	a.Unmapped = schema.RawJSON(`{"shadow_it":"yes","filler":[` + strings.Repeat("1,", 1000) + `1]}`)
	once := testing.AllocsPerRun(20, func() { f.Pass(a) })
	for range 49 {
		a.Tags = append(a.Tags, "vip")
	}
	if often := testing.AllocsPerRun(20, func() { f.Pass(a) }); often > 2*once {
		t.Errorf("%v allocations for one round, %v for fifty", once, often)
	}
}

func TestEveryFieldWithAFixedVocabularyHasOne(t *testing.T) {
	v, err := newVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range schema.Fields() {
		if values := v.values[f.Name]; (f.Type == "enum") != (len(values) > 1) {
			t.Errorf("%s is one of %q", f.Name, values)
		}
	}
	var contract struct {
		Properties map[string]struct{ Examples []string }
	}
	if err := json.Unmarshal(schema.JSON, &contract); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(contract.Properties["class"].Examples, classes) {
		t.Errorf("classes %q, the contract has %q", classes, contract.Properties["class"].Examples)
	}
}

func TestFailuresAreCountedWithoutValues(t *testing.T) {
	var none *Filter
	if n, last := none.Failures(); n != 0 || last != "" {
		t.Errorf("%d, %q", n, last)
	}
	a := artifact()
	a.App.Name = "jane"
	a.Unmapped = `{"jane":{"a":1}}`
	for _, test := range []struct{ keep, drop, want string }{
		{"", "unmapped[app.name][app.name] == 1", "drop: no such key"},
		{"1 / src.port > 0", "", "keep: division by zero"},
		{"src.ip.inNetwork(app.name)", "", "keep: is not a network"},
		{"int(app.name) > 1", "", "keep: type conversion error"},
		{"unmapped.shadow_it < 1", "", "keep: no such overload"},
		{"time > timestamp(app.name)", "", "keep: invalid RFC 3339 timestamp"},
		{"tags[int(severity_id)] == ''", "", "keep: out of bounds"},
		{"app.name.charAt(99) == ''", "", "keep: out of range"},
		{"app.name.matches(app.name + '(')", "", "keep: error parsing regexp"},
		{"dyn(app.name)", "", "keep: not true or false"},
		{"tags.map(x, 1).all(x, tags.all(y, raw == raw))", "", "keep: cost limit exceeded"},
	} {
		f, err := Compile(test.keep, test.drop)
		if err != nil {
			t.Error(err)
			continue
		}
		if n, last := f.Failures(); n != 0 || last != "" {
			t.Errorf("before: %d, %q", n, last)
		}
		a.Raw = strings.Repeat("x", 2<<20)
		f.Pass(a)
		_, err = f.Pass(a)
		if n, last := f.Failures(); n != 2 || last != test.want {
			t.Errorf("%s%s: %d, %q, %v", test.keep, test.drop, n, last, err)
		}
	}
}

func TestFunctionsOnTooLongATextFail(t *testing.T) {
	long, longer := strings.Repeat("a", maxText), strings.Repeat("a", maxText+1)
	for _, expression := range []string{
		`raw.matches("b")`, `matches(raw, "b")`, `raw.replace("b", "c") == "x"`, `raw.split("b") == []`, `raw.lowerAscii() == ""`, `raw.upperAscii() == ""`,
		`raw.indexOf("b") == 1`, `raw.lastIndexOf("b", 3) == 1`, `raw.charAt(1) == "b"`, `raw.substring(1, 2) == "b"`, `raw.trim() == ""`, `raw.reverse() == ""`,
		`[raw.startsWith("b") ? "" : raw].join() == ""`, `dyn(raw).matches("b")`,
	} {
		f, err := Compile(expression, "")
		if err != nil {
			t.Error(err)
			continue
		}
		a := &schema.Artifact{Raw: longer}
		if pass, err := f.Pass(a); !pass || err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s: %v, %.200v", expression, pass, err)
		}
		a.Raw = long[:1000]
		if pass, err := f.Pass(a); pass || err != nil {
			t.Errorf("%s: %v, %.200v", expression, pass, err)
		}
	}
	for _, expression := range []string{
		`raw.replace("", "bc") == ""`, `"a".replace("a", raw + raw) == ""`, `raw.indexOf(raw) == 1`, `app.name.matches(raw)`, `["a", "b", "c"].join(raw) == ""`, `[raw, raw].join() == ""`,
		`tags.join(" ") == ""`,
	} {
		f, err := Compile(expression, "")
		if err != nil {
			t.Error(err)
			continue
		}
		if pass, err := f.Pass(&schema.Artifact{Raw: long, Tags: []string{long}}); !pass || err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s: %v, %.200v", expression, pass, err)
		}
	}
}

func TestLoopOverALongTextIsCharged(t *testing.T) {
	a := &schema.Artifact{Raw: strings.Repeat("a", 1<<20), Tags: make([]string, 10_000), App: schema.App{Name: strings.Repeat("x", 60<<10)}}
	for _, expression := range []string{
		`app.name.matches("y") || app.name.matches("z")`, `tags.all(x, size(raw) > 3)`, `tags.all(x, raw + x != "")`, `tags.all(x, raw == raw)`,
		`tags.all(x, app.name.lowerAscii() != "")`, `tags.all(x, bytes(raw) != b"")`, `tags.all(x, tags.join() == "")`, `tags.all(x, !raw.contains("b"))`,
		`tags.all(x, !raw.startsWith(raw + "b"))`, `tags.all(x, !raw.inNetwork("10.0.0.0/8"))`,
	} {
		f, err := Compile(expression, "")
		if err != nil {
			t.Error(err)
			continue
		}
		if pass, err := f.Pass(a); !pass || err == nil || !strings.Contains(err.Error(), "cost limit exceeded") {
			t.Errorf("%s: %v, %v", expression, pass, err)
		}
	}
}

// To count the characters of the text in every round takes half a minute.
func TestLoopThatComparesWithALongTextIsFast(t *testing.T) {
	a := &schema.Artifact{Raw: strings.Repeat("ä", 512<<10), Tags: make([]string, 10_000)}
	a.Unmapped = schema.RawJSON(`{"a":"` + a.Raw + `","b":["` + a.Raw + `"]}`)
	for _, expression := range []string{`tags.all(x, unmapped.a != x)`, `tags.all(x, unmapped.b[0] != x)`, `tags.all(x, raw > x)`} {
		f, err := Compile(expression, "")
		if err != nil {
			t.Error(err)
			continue
		}
		start := time.Now()
		pass, err := f.Pass(a)
		if took := time.Since(start); !pass || err != nil || took > 5*time.Second {
			t.Errorf("%s took %v: %v, %v", expression, took, pass, err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		typical, "", "true", "user.emial", "1/0 > 0", `src.ip.inNetwork("10.0.0.0/8")`, "tags.map(t, t + t).exists(t, t == '')",
		`dlp.matches.exists(m, m.rules.all(r, r.count > 1))`, `"%s".format([user])`, "has(unmapped.a.b)", "artifact.user{}", "type(user)", "dyn(user)[0]",
		`google.protobuf.Struct{fields: {"a": google.protobuf.Value{}}} == unmapped`, "[user, app, time, tags]", "user in {user: 1}", "\x00", "é.é", "string(user)",
	} {
		f.Add(seed)
	}
	a := artifact()
	f.Fuzz(func(t *testing.T, expression string) {
		filter, err := Compile(expression, "")
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" || filter != nil {
				t.Errorf("error %q with filter %v", err, filter)
			}
			return
		}
		if pass, err := filter.Pass(a); err != nil && !pass {
			t.Errorf("%q lost an artifact: %v", expression, err)
		}
	})
}

func BenchmarkPass(b *testing.B) {
	for _, test := range []struct{ name, keep string }{
		{"typical", typical},
		{"network", `device.ip.inNetwork("10.0.0.0/8")`},
		{"regular expression", `user.email.matches("^[a-z.]+@acme[.]example$")`},
		{"unmapped", `unmapped.shadow_it == "yes"`},
	} {
		b.Run(test.name, func(b *testing.B) {
			f, err := Compile(test.keep, "")
			if err != nil {
				b.Fatal(err)
			}
			a := artifact()
			b.ReportAllocs()
			for b.Loop() {
				if pass, err := f.Pass(a); !pass || err != nil {
					b.Fatal(pass, err)
				}
			}
		})
	}
}
