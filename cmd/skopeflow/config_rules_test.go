package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/schema"
)

const keyOfTests = "0123456789abcdef0123456789abcdef"

func TestBadRuleOrFormatIsOneSentenceThatSaysWhatToDo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nowhere")
	short, long := "NETSKOPE_HASH_KEY_FILE="+writeFile(t, "t00short\n", 0o600), "NETSKOPE_HASH_KEY_FILE="+writeFile(t, keyOfTests, 0o600)
	for _, tt := range []struct {
		name string
		set  []string
		want string
	}{
		{"misspelt field", []string{"NETSKOPE_KEEP_IF=user.emial == 'x'"}, "NETSKOPE_KEEP_IF: compile keep: column 5: there is no field user.emial, did you mean user.email?"},
		{"no condition", []string{"NETSKOPE_DROP_IF=user.email"}, "NETSKOPE_DROP_IF: compile drop: the expression is of type string, and a filter needs true or false"},
		{"syntax", []string{"NETSKOPE_DROP_IF=user.email =="}, "NETSKOPE_DROP_IF: compile drop: column "},
		{"hash without a key", []string{"NETSKOPE_HASH_FIELDS=user.email"}, "NETSKOPE_HASH_KEY_FILE: not set; name a file with the key of NETSKOPE_HASH_FIELDS, made with openssl rand -hex 32"},
		{"missing key", []string{"NETSKOPE_HASH_FIELDS=user.email", "NETSKOPE_HASH_KEY_FILE=" + missing}, "NETSKOPE_HASH_KEY_FILE: open " + missing + ": no such file or directory; name a readable file that holds the key alone"},
		{"short key", []string{"NETSKOPE_HASH_FIELDS=user.email", short}, "NETSKOPE_HASH_KEY_FILE: the key has 8 bytes and needs 16: make one with openssl rand -hex 32 > file"},
		{"key and nothing to hash", []string{long}, "NETSKOPE_HASH_KEY_FILE: no field is hashed; name some in NETSKOPE_HASH_FIELDS, or remove it"},
		{"key and only fields to remove", []string{long, "NETSKOPE_REMOVE_FIELDS=ip"}, "NETSKOPE_HASH_KEY_FILE: no field is hashed; name some in NETSKOPE_HASH_FIELDS, or remove it"},
		{"misspelt field to hash", []string{"NETSKOPE_HASH_FIELDS=ip,user.emial", long}, "NETSKOPE_HASH_FIELDS: hash user.emial: there is no such field, did you mean user.email?"},
		{"field that must stay", []string{"NETSKOPE_REMOVE_FIELDS=tenant"}, "NETSKOPE_REMOVE_FIELDS: remove tenant: the field identifies or routes artifacts and stays as it is"},
		{"good condition beside a bad one", []string{"NETSKOPE_KEEP_IF=true", "NETSKOPE_DROP_IF=severity == 'hihg'"}, `NETSKOPE_DROP_IF: compile drop: column 13: severity is never "hihg", did you mean "high"?`},
		{"field to remove beside one to hash", []string{"NETSKOPE_HASH_FIELDS=ip", "NETSKOPE_REMOVE_FIELDS=usr", long}, "NETSKOPE_REMOVE_FIELDS: remove usr: there is no such field, did you mean user?"},
		{"field to hash beside one to remove", []string{"NETSKOPE_HASH_FIELDS=net.bytes", "NETSKOPE_REMOVE_FIELDS=user", long}, "NETSKOPE_HASH_FIELDS: hash net.bytes: only texts and addresses can be hashed, remove instead: net.bytes"},
		{"format", []string{"PUBLISH_FORMAT=xml"}, `PUBLISH_FORMAT: "xml" is not a format; choose one of ["artifact" "ocsf" "ecs" "witfoo"]`},
		{"version of OCSF", []string{"PUBLISH_FORMAT=ocsf", "PUBLISH_OCSF_VERSION=1.4.0"}, `PUBLISH_OCSF_VERSION: OCSF "1.4.0" is not known here; choose one of ["1.5.0" "1.6.0" "1.7.0" "1.8.0"]`},
		{"version of OCSF that is not used", []string{"PUBLISH_OCSF_VERSION=2"}, `PUBLISH_OCSF_VERSION: OCSF "2" is not known here; choose one of ["1.5.0" "1.6.0" "1.7.0" "1.8.0"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := loadProblems(t, slices.Concat(acme, tt.set)...)
			whole := tt.name != "syntax" // the rest of which is the parser's
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) || whole && got[0] != tt.want {
				t.Errorf("problems are %q, want %q", got, tt.want)
			}
			if strings.Contains(got[0], "t00short") || strings.Contains(got[0], keyOfTests) {
				t.Errorf("the problem %q quotes the key", got[0])
			}
		})
	}
}

func TestKeyThatOthersMayReadIsNoted(t *testing.T) {
	file := writeFile(t, keyOfTests, 0o644)
	c := mustLoad(t, append(acme, "NETSKOPE_HASH_FIELDS=user.name", "NETSKOPE_HASH_KEY_FILE="+file)...)
	if len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "NETSKOPE_HASH_KEY_FILE: ") {
		t.Errorf("notes are %q", c.Notes)
	}
}

func TestAddressThatIsLeftInItsPartsIsNoted(t *testing.T) {
	c := mustLoad(t, append(acme, "NETSKOPE_REMOVE_FIELDS=user.email")...)
	if len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "NETSKOPE_HASH_FIELDS, NETSKOPE_REMOVE_FIELDS: user.email goes and user.name stays") {
		t.Errorf("notes are %q", c.Notes)
	}
}

func TestNoRuleChangesNothing(t *testing.T) {
	c := mustLoad(t, acme...)
	if rules := c.Rules["acme"]; rules.Filter != nil || rules.Privacy != nil {
		t.Errorf("rules %+v", rules)
	}
}

// dropped tells whether the rules of an instance leave out what a user did.
func dropped(t *testing.T, rules pipeline.Rules, email string) bool {
	t.Helper()
	var a schema.Artifact
	a.User.Email = email
	pass, err := rules.Filter.Pass(&a)
	if err != nil {
		t.Fatal(err)
	}
	return !pass
}

func TestExpressionMayHoldCommas(t *testing.T) {
	c := mustLoad(t, append(acme, `NETSKOPE_DROP_IF=user.email in ["a@x.example", "b@x.example"] || user.email.replace("c,", "d") == "d, e"`)...)
	for email, want := range map[string]bool{"a@x.example": true, "b@x.example": true, "c,, e": true, "c@x.example": false, "": false} {
		if got := dropped(t, c.Rules["acme"], email); got != want {
			t.Errorf("%q is dropped: %t, want %t", email, got, want)
		}
	}
}

func TestInstancesAreRuledByTheirOwnVariables(t *testing.T) {
	c := mustLoad(t, "NETSKOPE_INSTANCES=acme,globex-eu",
		"NETSKOPE_ACME_BASE_URL=acme", "NETSKOPE_ACME_API_TOKEN=t", "NETSKOPE_ACME_DROP_IF=user.email == 'a'",
		"NETSKOPE_GLOBEX_EU_BASE_URL=globex", "NETSKOPE_GLOBEX_EU_API_TOKEN=t", "NETSKOPE_GLOBEX_EU_KEEP_IF=user.email == 'a'",
		"NETSKOPE_GLOBEX_EU_HASH_FIELDS=user.email, user.name", "NETSKOPE_GLOBEX_EU_HASH_KEY_FILE="+writeFile(t, keyOfTests+"\n", 0o600),
		"NETSKOPE_GLOBEX_EU_REMOVE_FIELDS=ip,app.name")
	for _, tt := range []struct {
		instance, email string
		want            bool
	}{{"acme", "a", true}, {"acme", "b", false}, {"globex-eu", "a", false}, {"globex-eu", "b", true}} {
		if got := dropped(t, c.Rules[tt.instance], tt.email); got != tt.want {
			t.Errorf("%s: %q is dropped: %t, want %t", tt.instance, tt.email, got, tt.want)
		}
	}
	redacted := func(instance string) *schema.Artifact {
		var a schema.Artifact
		a.User.Email, a.User.Name, a.App.Name, a.Src.IP = "jane@acme.example", "jane", "Slack", "192.0.2.1"
		c.Rules[instance].Privacy.Apply(&a)
		return &a
	}
	if a := redacted("acme"); a.User.Email != "jane@acme.example" || a.App.Name != "Slack" || a.Src.IP != "192.0.2.1" {
		t.Errorf("an instance without rules has %+v %q %q", a.User, a.App.Name, a.Src.IP)
	}
	if a := redacted("globex-eu"); !strings.HasSuffix(a.User.Email, "@hashed.invalid") || !strings.HasPrefix(a.User.Name, "h-") || a.App.Name != "" || a.Src.IP != "" {
		t.Errorf("the instance with rules has %+v %q %q", a.User, a.App.Name, a.Src.IP)
	}
	got := loadProblems(t, "NETSKOPE_INSTANCES=acme", "NETSKOPE_ACME_BASE_URL=acme", "NETSKOPE_ACME_API_TOKEN=t", "NETSKOPE_DROP_IF=true")
	if want := "NETSKOPE_DROP_IF: not read beside NETSKOPE_INSTANCES; write NETSKOPE_ACME_DROP_IF"; len(got) != 1 || got[0] != want {
		t.Errorf("problems are %q, want %q", got, want)
	}
}

// rowOf returns the fields of the row of a table that begins with a key.
func rowOf(t *testing.T, table, key string) []string {
	t.Helper()
	for line := range strings.Lines(table) {
		if cells := columns(line); cells[0] == key {
			return cells
		}
	}
	t.Fatalf("no row of %s in\n%s", key, table)
	return nil
}

// columns splits a line of a table, of which cells may hold single spaces.
func columns(line string) []string {
	var cells []string
	for cell := range strings.SplitSeq(strings.TrimSpace(line), "  ") {
		if cell = strings.TrimSpace(cell); cell != "" {
			cells = append(cells, cell)
		}
	}
	return append(cells, "") // so that an empty line has one too
}

func TestExplainShowsWhatAViewMakesOfAnEvent(t *testing.T) {
	setEnv(t)
	file := writeFile(t, `{"_id":"5182808a2a99fc688d4a8057","timestamp":1768478400,"alert_type":"DLP","user":"jane@acme.example","x_new":"kept"}`, 0o600)
	const id = "77a0f8e9-8b21-5abf-a57c-dee87c72828e"
	type document struct {
		ID, Dataset, Hash string
		Metadata          struct{ UID, Version string }
		ECS               struct{ Version string }
		Event             struct{ ID string }
	}
	for _, tt := range []struct {
		name  string
		flags []string
		says  func(d document) bool
		title string // of the column of the view
		user  string // where the table says that the user is
		other string // and what no table knows
	}{
		{"the artifact", []string{"-format", "artifact"}, func(d document) bool { return d.ID == id && d.Dataset == "alert" }, "WARNING", "", ""},
		{"OCSF", []string{"-format", "ocsf"}, func(d document) bool { return d.Metadata.UID == id && d.Metadata.Version == "1.8.0" }, "OCSF", "actor.user.email_addr, actor.user.name", "unmapped"},
		{"an older OCSF", []string{"-format", "ocsf", "-ocsf-version", "1.5.0"}, func(d document) bool { return d.Metadata.UID == id && d.Metadata.Version == "1.5.0" }, "OCSF", "actor.user.email_addr, actor.user.name", "unmapped"},
		{"ECS", []string{"-format", "ecs"}, func(d document) bool { return d.Event.ID == id && d.ECS.Version == "9.4.0" }, "ECS", "related.user, user.email, user.name", "netskope.unmapped"},
		{"WitFoo", []string{"-format", "witfoo"}, func(d document) bool { return d.ID == id && d.Hash == id && d.Dataset == "" }, "WITFOO", "userName", "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, said := call(t, slices.Concat([]string{"explain"}, tt.flags, []string{"alerts/dlp", file})...)
			var d document
			if err := json.Unmarshal([]byte(out), &d); code != exitOK || err != nil || !tt.says(d) || strings.Count(out, "\n") != 1 {
				t.Errorf("exit %d, %v, %s%s", code, err, out, said)
			}
			code, out, said = call(t, slices.Concat([]string{"explain", "-o", "table"}, tt.flags, []string{"alerts/dlp", file})...)
			if code != exitOK {
				t.Fatalf("exit %d, %s", code, said)
			}
			_, text, _ := strings.Cut(out, "\n\n")
			indented, rest, _ := strings.Cut(text, "\n}\n\n")
			if err := json.Unmarshal([]byte(indented+"\n}"), &d); err != nil || !tt.says(d) {
				t.Errorf("the document below the table is %s: %v", indented, err)
			}
			if !strings.HasPrefix(rest, "id "+id+"\nsubject artifacts.acme.netskope.alert.dlp\n") {
				t.Errorf("the end is %q", rest)
			}
			titles, user, other := rowOf(t, out, "NETSKOPE"), rowOf(t, out, "user"), rowOf(t, out, "x_new")
			if titles[4] != tt.title {
				t.Errorf("titles %q, want %s in the fifth column", titles, tt.title)
			}
			if user[3] != "user.email, user.name=jane" || user[4] != tt.user {
				t.Errorf("the user's row is %q, want %s in the fifth column", user, tt.user)
			}
			if tt.other != "" && other[3] != tt.other { // it has no rule
				t.Errorf("the row of the key that no table knows is %q, want %s in the view's column", other, tt.other)
			}
		})
	}
	for _, tt := range []struct {
		flags []string
		want  string
	}{
		{[]string{"-format", "xml"}, `explain: "xml" is not a format; choose one of ["artifact" "ocsf" "ecs" "witfoo"]`},
		{[]string{"-format", "ocsf", "-ocsf-version", "1.4.0"}, `explain: OCSF "1.4.0" is not known here; choose one of ["1.5.0" "1.6.0" "1.7.0" "1.8.0"]`},
		{nil, "explain: name the stream, such as alerts/dlp or page, and a file with one raw event (or pipe it in); or give the id of an artifact"},
	} {
		args := append([]string{"explain"}, tt.flags...)
		if tt.flags != nil {
			args = append(args, "alerts/dlp", file)
		}
		if code, out, said := call(t, args...); code != exitMisuse || !strings.Contains(said, tt.want) || strings.Count(said, "\n") != 1 || out != "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, said, out)
		}
	}
}
