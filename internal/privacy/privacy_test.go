package privacy

import (
	"bytes"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skopeflow/skopeflow/schema"
)

const key = "0123456789abcdef0123456789abcdef"

func rules(t testing.TB, hash, remove []string) *Rules {
	t.Helper()
	r, err := New(hash, remove, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	hashedText = regexp.MustCompile(`^h-[0-9a-f]{32}$`)
	hashedMail = regexp.MustCompile(`^h-[0-9a-f]{32}@hashed\.invalid$`)
)

func TestHashKeepsEqualValuesEqualAndKinds(t *testing.T) {
	r := rules(t, []string{"identity", "ip"}, nil)
	a := schema.Artifact{
		User:   schema.User{Email: "jane@acme.example", UPN: "Jane@ACME.example", Name: "jane", FullName: "Jane Doe"},
		App:    schema.App{User: "JANE@acme.example"},
		Email:  schema.Email{CC: []string{"jane@acme.example", "Bob Roe", ""}},
		Src:    schema.Src{IP: "203.0.113.7", ForwardedFor: "203.0.113.7, 10.0.0.1"},
		Dst:    schema.Dst{IP: "::ffff:203.0.113.7"},
		Device: schema.Device{IP: "2001:DB8::1"},
	}
	cc := a.Email.CC
	r.Apply(&a)
	if !hashedMail.MatchString(a.User.Email) || a.User.UPN != a.User.Email || a.App.User != a.User.Email || a.Email.CC[0] != a.User.Email {
		t.Errorf("e-mail addresses: %q, %q, %q, %q", a.User.Email, a.User.UPN, a.App.User, a.Email.CC)
	}
	if !hashedText.MatchString(a.User.Name) || !hashedText.MatchString(a.User.FullName) || len(a.Email.CC) != 2 || !hashedText.MatchString(a.Email.CC[1]) {
		t.Errorf("texts: %q, %q, %q", a.User.Name, a.User.FullName, a.Email.CC)
	}
	if a.User.Name == a.User.FullName || strings.HasPrefix(a.User.Email, a.User.Name) {
		t.Errorf("different values are equal: %+v", a.User)
	}
	if cc[0] != "jane@acme.example" {
		t.Errorf("the list that the artifact had was written to: %q", cc)
	}
	private := netip.MustParsePrefix("fd00::/8")
	for _, ip := range []string{a.Src.IP, a.Dst.IP, a.Device.IP} {
		if address, err := netip.ParseAddr(ip); err != nil || !private.Contains(address) {
			t.Errorf("address: %q, %v", ip, err)
		}
	}
	if a.Src.IP != a.Dst.IP || a.Src.IP == a.Device.IP {
		t.Errorf("addresses: %q, %q, %q", a.Src.IP, a.Dst.IP, a.Device.IP)
	}
	if first, second, _ := strings.Cut(a.Src.ForwardedFor, ", "); first != a.Src.IP || second == first || !strings.HasPrefix(second, "fd") {
		t.Errorf("forwarded for %q", a.Src.ForwardedFor)
	}
}

func TestHashDependsOnTheKeyButNotOnSpaceAroundIt(t *testing.T) {
	hash := func(key string) string {
		r, err := New([]string{"user.name"}, nil, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		a := schema.Artifact{User: schema.User{Name: "jane"}}
		r.Apply(&a)
		return a.User.Name
	}
	// HMAC-SHA-256 of "jane", by an independent implementation.
	if got, want := hash(key), "h-8bfdd9ff2c70e0e9d314b991b9844132"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if hash(key) != hash(key+"\n") || hash(key) == hash(key+"0") {
		t.Errorf("%s, %s, %s", hash(key), hash(key+"\n"), hash(key+"0"))
	}
}

func TestRemovedFieldsGo(t *testing.T) {
	a := schema.Artifact{
		User:   schema.User{Email: "jane@acme.example", Type: "admin", ConfidenceIndex: 900, Attributes: `{"a":1}`, Groups: []string{"staff"}},
		Net:    schema.Net{Bytes: 7},
		Src:    schema.Src{Lat: 50},
		Device: schema.Device{Managed: schema.True},
		Cred:   schema.Cred{BreachTime: 1},
		DLP:    schema.DLP{Matches: []schema.DLPMatch{{Policy: "PCI"}}},
		Audit:  schema.Audit{Event: "admin logged in"},
	}
	rules(t, nil, []string{"user", "net.bytes", "src.lat", "device.managed", "cred.breach_time", "dlp.matches"}).Apply(&a)
	want := schema.Artifact{Audit: schema.Audit{Event: "admin logged in"}, Message: "/:  by -"}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v", a)
	}
}

func TestRemovalOfAddressesWinsOverHash(t *testing.T) {
	a := schema.Artifact{Src: schema.Src{IP: "192.0.2.7"}, Dst: schema.Dst{IP: "192.0.2.7"}, Audit: schema.Audit{Object: "192.0.2.7"}}
	rules(t, []string{"ip"}, []string{"src.ip", "audit.object"}).Apply(&a)
	if a.Src.IP != "" || a.Audit.Object != "" || !strings.HasPrefix(a.Dst.IP, "fd") {
		t.Errorf("%+v, %+v, %q", a.Src, a.Dst, a.Audit.Object)
	}
}

func TestFieldThatIsNamedInPartIsSearchedAndKeepsItsEnrichments(t *testing.T) {
	a := schema.Artifact{
		Src: schema.Src{IP: "192.0.2.7"}, Audit: schema.Audit{Object: "192.0.2.7", Values: []string{"192.0.2.7"}},
		Enrichments: []schema.Enrichment{{Field: "url.host", Value: "bad"}, {Field: "audit.object", Value: "Bob"}},
	}
	rules(t, nil, []string{"src.ip", "identity"}).Apply(&a)
	if a.Audit.Object != mark || a.Audit.Values[0] != mark || len(a.Enrichments) != 1 {
		t.Errorf("%+v, %+v", a.Audit, a.Enrichments)
	}
	rules(t, nil, []string{"ip"}).Apply(&a)
	if len(a.Enrichments) != 1 {
		t.Errorf("%+v", a.Enrichments)
	}
}

func TestEveryFieldCanBeRemovedOrSaysWhyNot(t *testing.T) {
	for _, f := range schema.Fields() {
		_, err := New(nil, []string{f.Name}, nil)
		refused := slices.Contains(envelope, f.Name) || f.Name == "message"
		if refused != (err != nil) {
			t.Errorf("remove %s: %v", f.Name, err)
		}
	}
}

func TestRemovalWinsOverHash(t *testing.T) {
	a := schema.Artifact{User: schema.User{Email: "jane@acme.example", FullName: "Jane Doe", ConfidenceIndex: 3, Type: "user"}}
	rules(t, []string{"user"}, []string{"user.full_name", "user.confidence_index", "user.attributes", "user.type"}).Apply(&a)
	if a.User.FullName != "" || a.User.ConfidenceIndex != 0 || a.User.Type != "" || !hashedMail.MatchString(a.User.Email) {
		t.Errorf("%+v", a.User)
	}
}

func TestWrongNamesAreExplained(t *testing.T) {
	for _, test := range []struct {
		hash, remove, key, want string
	}{
		{"", "user.emial", "", "remove user.emial: there is no such field, did you mean user.email?"},
		{"usr", "", key, "hash usr: there is no such field, did you mean user?"},
		{"", "identty", "", "remove identty: there is no such field, did you mean identity?"},
		{"", "qwertyuiop", "", "remove qwertyuiop: there is no such field, group or alias (identity, ip, url_query)"},
		{"", "", "", ""},
		{"user.email", "", "short", "hash fields: the key has 5 bytes and needs 16: make one with openssl rand -hex 32 > file"},
		{"", "entity_id", "", "remove entity_id: the field identifies or routes artifacts and stays as it is"},
		{"subtype", "", key, "hash subtype: the field identifies or routes artifacts and stays as it is"},
		{"", "message", "", "remove message: it is required, and is written without any named field as soon as there is a rule"},
		{"url_query", "", key, "hash url_query: a part of a URL cannot be hashed, remove it instead"},
		{"user", "", key, "hash user: only texts and addresses can be hashed, remove instead: user.type, user.confidence_index, user.attributes"},
		{"net.bytes", "", key, "hash net.bytes: only texts and addresses can be hashed, remove instead: net.bytes"},
		{"file.md5", "", key, "hash file.md5: only texts and addresses can be hashed, remove instead: file.md5"},
		{"raw", "", key, "hash raw: only texts and addresses can be hashed, remove instead: raw"},
		{"", "", key, ""},
	} {
		var hash, remove []string
		if test.hash != "" {
			hash = []string{test.hash}
		}
		if test.remove != "" {
			remove = []string{test.remove}
		}
		r, err := New(hash, remove, []byte(test.key))
		if test.want == "" {
			if r != nil || err != nil {
				t.Errorf("nothing named: %v, %v", r, err)
			}
			r.Apply(&schema.Artifact{})
			continue
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("%v\nwant %s", err, test.want)
		}
	}
}

func TestWhatHeldTheValuesGoesToo(t *testing.T) {
	a := schema.Artifact{
		Dataset: "alert", Subtype: "dlp", Class: schema.ClassDataSecurity, Action: schema.ActionBlocked,
		Raw: `{"user":"jane"}`, RawFormat: "json", RawSize: 15, RawSHA256: schema.Digest{1}, Unmapped: `{"user2":"jane"}`, TimeRaw: "1768478400",
		Message:     "alert/dlp: x by jane",
		Warnings:    []string{"src.lat: packed coordinates '1|2 by 'x''", "time: missing"},
		Enrichments: []schema.Enrichment{{Field: "user.name", Value: "x"}, {Field: "src.ip", Value: "owner: Jane", Data: `{"by":"\u004aane","n":1.0}`}},
		Audit:       schema.Audit{Details: `["jane",7]`},
		User:        schema.User{Name: "jane", Attributes: `{"manager":"jane","jane":[3]}`},
	}
	enrichments := a.Enrichments
	rules(t, nil, []string{"user.name"}).Apply(&a)
	if a.Raw != "" || a.RawFormat != "" || a.Unmapped != "" || a.RawSize != 15 || a.RawSHA256 != (schema.Digest{1}) || a.TimeRaw == "" {
		t.Errorf("raw: %+v", a)
	}
	if want := "alert/dlp: alert by - [blocked]"; a.Message != want {
		t.Errorf("message %q", a.Message)
	}
	if want := []string{"src.lat: packed coordinates", "time: missing"}; !slices.Equal(a.Warnings, want) {
		t.Errorf("warnings %q", a.Warnings)
	}
	if want := []schema.Enrichment{{Field: "src.ip", Value: "owner: [removed]", Data: `{"by":"[removed]","n":1.0}`}}; !slices.Equal(a.Enrichments, want) {
		t.Errorf("enrichments %+v", a.Enrichments)
	}
	if enrichments[1].Value != "owner: Jane" {
		t.Errorf("the list that the artifact had was written to: %+v", enrichments)
	}
	if want := schema.RawJSON(`{"[removed]":[3],"manager":"[removed]"}`); a.User.Attributes != want {
		t.Errorf("attributes %s", a.User.Attributes)
	}
	if want := schema.RawJSON(`["[removed]",7]`); a.Audit.Details != want {
		t.Errorf("details %s", a.Audit.Details)
	}
}

func TestIdentityTakesEveryFieldThatNamesAPerson(t *testing.T) {
	a := schema.Artifact{
		User: schema.User{
			Email: "a@x.example", Name: "name1", ID: "id1", UPN: "b@x.example", SamAccount: "sam1", FullName: "Full One", Manager: "Manager One", Domain: "x.example",
		},
		TargetUser: schema.TargetUser{Email: "c@x.example"}, App: schema.App{Name: "Slack", User: "app1"},
		File: schema.File{Owner: "owner1", SharedWith: []string{"d@x.example"}}, Finding: schema.Finding{Assignee: "assignee1"},
		Cred: schema.Cred{Username: "cred1"}, Process: schema.Process{User: "os1"}, Email: schema.Email{CC: []string{"e"}, BCC: []string{"f"}},
	}
	rules(t, nil, []string{"identity"}).Apply(&a)
	if want := (schema.Artifact{User: schema.User{Domain: "x.example"}, App: schema.App{Name: "Slack"}, Message: "/:  by - on Slack"}); !reflect.DeepEqual(a, want) {
		t.Errorf("%+v", a)
	}
}

func TestRemovedWordOfAVocabularyIsNotLookedFor(t *testing.T) {
	a := schema.Artifact{User: schema.User{Type: "vendor_support"}, Object: schema.Object{Name: "vendor_support"}}
	rules(t, nil, []string{"user.type"}).Apply(&a)
	if a.User.Type != "" || a.Object.Name != "vendor_support" {
		t.Errorf("%q, %q", a.User.Type, a.Object.Name)
	}
}

func TestIdentityTakesJSONAndAllButIPAddressesOfAudits(t *testing.T) {
	values := []string{"Bob Smith", "bob@acme.example,eve@acme.example", "192.0.2.7"}
	for _, hash := range []bool{true, false} {
		a := schema.Artifact{
			User:  schema.User{Attributes: `{"a":1}`},
			Audit: schema.Audit{Event: "eve@acme.example asked", Object: "Bob Smith", ObjectType: "user", Values: values, Details: `{"new":"x"}`},
		}
		r := rules(t, nil, []string{"identity"})
		if hash {
			r = rules(t, []string{"identity"}, nil)
		}
		r.Apply(&a)
		if a.User.Attributes != "" || a.Audit.Details != "" || a.Audit.ObjectType != "user" || a.Audit.Values[len(a.Audit.Values)-1] != "192.0.2.7" {
			t.Errorf("hash %v: %+v, %+v", hash, a.User, a.Audit)
		}
		if !hash && (a.Audit.Object != "" || len(a.Audit.Values) != 1 || a.Audit.Event != "[removed] asked") {
			t.Errorf("%+v", a.Audit)
		}
		whole := len(a.Audit.Values) == 3 && hashedText.MatchString(a.Audit.Values[0]) && hashedText.MatchString(a.Audit.Values[1])
		if asked, _, _ := strings.Cut(a.Audit.Event, " "); hash && (!whole || a.Audit.Object != a.Audit.Values[0] || !hashedMail.MatchString(asked)) {
			t.Errorf("%+v", a.Audit)
		}
	}
	address := schema.Artifact{Audit: schema.Audit{Object: "192.0.2.7"}}
	rules(t, nil, []string{"identity"}).Apply(&address)
	if address.Audit.Object != "192.0.2.7" {
		t.Errorf("object %q", address.Audit.Object)
	}
	rules(t, []string{"ip"}, []string{"identity"}).Apply(&address)
	if !strings.HasPrefix(address.Audit.Object, "fd") {
		t.Errorf("object %q", address.Audit.Object)
	}
	byName := schema.Artifact{Audit: schema.Audit{Object: "192.0.2.7"}}
	rules(t, nil, []string{"identity", "audit.object"}).Apply(&byName)
	if byName.Audit.Object != "" {
		t.Errorf("named by an alias and by itself: %q is left", byName.Audit.Object)
	}
	whole := schema.Artifact{Audit: schema.Audit{Object: "Block list 7"}}
	rules(t, []string{"audit.object"}, []string{"identity"}).Apply(&whole)
	if whole.Audit.Object != "" {
		t.Errorf("all but addresses removed, the whole hashed: %q is left", whole.Audit.Object)
	}
}

func TestValueIsFoundInVerbsAsTheyAreSpelt(t *testing.T) {
	for value, verbs := range map[string][3]string{
		"mary-jane.watson@acme.example": {"created_admin_mary_jane.watson@acme.example", "created_admin_[removed]", "created_admin_h-"},
		"Jane Doe":                      {"edited_user_jane_doe", "edited_user_[removed]", "edited_user_h-"},
		"janedoe":                       {"edited_jane_doe_and_jane_doe", "edited_[removed]_and_[removed]", "edited_h-"},
		"jane_doe":                      {"edited_jane_does_cat", "edited_jane_does_cat", "edited_jane_does_cat"},
		"----":                          {"edited_user", "edited_user", "edited_user"},
		"Jörg-Uwe":                      {"edited_jörg_uwe", "edited_[removed]", "edited_h-"},
	} {
		for _, hash := range []bool{false, true} {
			a := schema.Artifact{Activity: verbs[0], User: schema.User{FullName: value}, Finding: schema.Finding{Status: verbs[0]}}
			r, want := rules(t, nil, []string{"user.full_name"}), verbs[1]
			if hash {
				r, want = rules(t, []string{"user.full_name"}, nil), verbs[2]
			}
			r.Apply(&a)
			if same := a.Activity == want || hash && strings.HasPrefix(a.Activity, want); !same || a.Finding.Status != a.Activity {
				t.Errorf("%s, hash %v: %q, %q; want %q", value, hash, a.Activity, a.Finding.Status, want)
			}
		}
	}
}

func TestAuditLosesTheValuesOfItsEvent(t *testing.T) {
	for _, raw := range []string{
		`{"user":"root@acme.example","audit_log_event":"Created admin mary-jane.watson@acme.example","supporting_data":{"data_type":"user","data_values":["Mary-Jane.Watson@acme.example"]}}`,
		`{"user":"root@acme.example","audit_log_event":"Edited user MaryJane Watson","supporting_data":{"data_type":"user","data_values":["maryjane watson"]}}`,
		`{"user":"root@acme.example","audit_log_event":"Edited user Mary-Jane","details":{"old":[{"name":"mary-jane"}]}}`,
		`{"user":"root@acme.example","audit_log_event":"Edited user Mary-Jane","details":"{\"new\":\"{\\\"by\\\":\\\"Mary-Jane\\\"}\"}"}`,
	} {
		for _, r := range []*Rules{rules(t, nil, []string{"identity"}), rules(t, []string{"identity"}, nil)} {
			a := mapped(t, "audit", []byte(raw))
			if !strings.Contains(a.Activity, "mary_jane") {
				t.Fatalf("activity %q", a.Activity)
			}
			r.Apply(a)
			if text := strings.ToLower(string(a.AppendJSON(nil))); strings.Contains(text, "mary") || strings.Contains(text, "watson") {
				t.Errorf("%s: left in %s", raw, text)
			}
		}
	}
}

func TestTextsInRemovedJSONAreLookedFor(t *testing.T) {
	a := schema.Artifact{
		User:  schema.User{Attributes: `{"boss":"Eve Adams","floor":1234}`},
		Audit: schema.Audit{Event: "boss of floor 1234: Eve Adams, not Bob Roe", Details: `[["Bob Roe <bob@x.example>"]]`},
	}
	rules(t, nil, []string{"user.attributes", "audit.details"}).Apply(&a)
	if want := "boss of floor 1234: [removed], not [removed]"; a.Audit.Event != want {
		t.Errorf("%q", a.Audit.Event)
	}
	many := schema.Artifact{User: schema.User{Name: "jane"}, Object: schema.Object{Name: "jane"}, Audit: schema.Audit{Details: schema.RawJSON("[" + manyTexts(2*maxWords) + "]")}}
	rules(t, nil, []string{"audit.details", "user.name"}).Apply(&many)
	if many.Object.Name != mark || many.Audit.Details != "" {
		t.Errorf("the JSON before it leaves no room for a field: %q", many.Object.Name)
	}
	unmapped := schema.Artifact{Unmapped: `{"a":"Slack"}`, App: schema.App{Name: "Slack"}}
	rules(t, nil, []string{"unmapped"}).Apply(&unmapped)
	if unmapped.App.Name != "Slack" {
		t.Errorf("app %q", unmapped.App.Name)
	}
}

func manyTexts(n int) string {
	var texts []string
	for i := range n {
		texts = append(texts, strconv.Quote(strconv.Itoa(1_000_000+i)))
	}
	return strings.Join(texts, ",")
}

func TestPartsOfAListOfPersonsAreLookedFor(t *testing.T) {
	for _, test := range []struct{ list, in string }{
		{"bob@x.example, eve@x.example", "for bob@x.example and eve@x.example"},
		{"alice; bert", "for alice and bert"},
		{"Bob Roe <bob@x.example>", "for Bob Roe or bob@x.example"},
		{"Bob bob@x.example", "for bob@x.example"},
	} {
		a := schema.Artifact{TargetUser: schema.TargetUser{Email: test.list}, File: schema.File{SharedWith: []string{test.list}}, Object: schema.Object{Name: test.in}}
		rules(t, nil, []string{"identity"}).Apply(&a)
		if got := strings.NewReplacer("for ", "", " and ", "", " or ", "", mark, "").Replace(a.Object.Name); got != "" || a.TargetUser.Email != "" || a.File.SharedWith != nil {
			t.Errorf("%q: %q is left", test.list, a.Object.Name)
		}
	}
}

func TestAddressesAreFoundInFieldsOfOtherTypes(t *testing.T) {
	original := schema.Artifact{
		Audit:  schema.Audit{Values: []string{"Block list 7", "192.0.2.7"}, Object: "192.0.2.7"},
		URL:    schema.URL{Host: "[2001:db8::1]", Full: "http://[2001:db8::1]:8080/a/198.51.100.3", Site: "192.0.2.8:443", Referrer: "http://jane@192.0.2.9/", Page: "192.0.2.9/x"},
		Dst:    schema.Dst{Hostname: "::ffff:198.51.100.3"},
		Threat: schema.Threat{Indicator: "203.0.113.9"},
		Object: schema.Object{Name: "192.0.2.7 192.0.2.8 192.0.2.9 203.0.113.9 192.0.2.77"},
	}
	a := original
	rules(t, nil, []string{"ip"}).Apply(&a)
	want := schema.Artifact{
		Audit:   schema.Audit{Values: []string{"Block list 7"}},
		URL:     schema.URL{Host: "[[removed]]", Full: "http://[[removed]]:8080/a/[removed]", Site: "[removed]:443", Referrer: "http://jane@[removed]/", Page: "[removed]/x"},
		Object:  schema.Object{Name: "[removed] [removed] [removed] [removed] 192.0.2.77"},
		Message: a.Message,
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v", a)
	}
	a = original
	rules(t, []string{"ip"}, nil).Apply(&a)
	host := strings.Trim(a.URL.Host, "[]")
	if address, err := netip.ParseAddr(host); err != nil || address.As16()[0] != 0xfd || !strings.HasPrefix(a.URL.Full, "http://["+host+"]:8080/") {
		t.Errorf("%+v", a.URL)
	}
	if a.Audit.Values[0] != "Block list 7" || a.Audit.Values[1] != a.Audit.Object || !strings.HasPrefix(a.Object.Name, a.Audit.Object+" fd") || !strings.HasSuffix(a.URL.Full, a.Dst.Hostname) {
		t.Errorf("%+v, %+v, %q", a.Audit, a.URL, a.Object.Name)
	}
}

func TestIdentityTakesUserAndPasswordOfURLs(t *testing.T) {
	for _, r := range []*Rules{rules(t, nil, []string{"identity"}), rules(t, []string{"identity"}, nil)} {
		a := schema.Artifact{
			URL: schema.URL{
				Full: "http://jane:PW12@acme.example/a@b?u=http://bob:x@y.example/", Page: "jane:PW12@acme.example", Path: "/a@b", Referrer: "https://acme.example/a@b", Site: "acme.example",
			},
			Threat: schema.Threat{Indicator: "ftp://eve@acme.example"},
			Object: schema.Object{Name: `from "http://a.example","http://jane:PW12@b.example/" by JANE, http://c.example`},
		}
		r.Apply(&a)
		want := schema.URL{Full: "http://acme.example/a@b?u=http://y.example/", Page: "acme.example", Path: "/a@b", Referrer: "https://acme.example/a@b", Site: "acme.example"}
		if !reflect.DeepEqual(a.URL, want) || a.Threat.Indicator != "ftp://acme.example" {
			t.Errorf("%+v, %q", a.URL, a.Threat.Indicator)
		}
		if want := `from "http://b.example/" by [removed], http://c.example`; a.Object.Name != want && a.Object.Name != `from "http://a.example","http://b.example/" by [removed], http://c.example` {
			t.Errorf("object %q", a.Object.Name)
		}
	}
}

func TestQuoteWithinAURLDoesNotEndIt(t *testing.T) {
	for text, want := range map[string]string{
		"see https://a.example/p?x='s'&token=abcdef now":                 "see https://a.example/p now",
		`see https://a.example/p?x="s"&token=abcdef`:                     "see https://a.example/p",
		"see 'https://a.example/p?x='s'&token=abcdef', ok":               "see 'https://a.example/p', ok",
		`{"a":"https://a.example/p?x=<1>&token=abcdef"}`:                 `{"a":"https://a.example/p"}`,
		`"https://a.example/p?x="y"&token=abcdef`:                        `"https://a.example/p`,
		"(https://a.example/p;jsessionid=abcdef) and https://b.example/": "(https://a.example/p) and https://b.example/",
		"https://a.example/#token=abcdef":                                "https://a.example/",
		"a;b? c#d":                                                       "a;b? c#d",
	} {
		a := schema.Artifact{Object: schema.Object{Name: text}, Activity: text}
		rules(t, nil, []string{"url_query"}).Apply(&a)
		if a.Object.Name != want || strings.Contains(a.Activity, "abcdef") {
			t.Errorf("%s: %q, %q", text, a.Object.Name, a.Activity)
		}
	}
}

func TestPathParametersGoWithTheQuery(t *testing.T) {
	a := schema.Artifact{
		URL:    schema.URL{Full: "acme.example/a;jsessionid=abcdef/b?x=1000", Path: "/a;jsessionid=abcdef/b", Query: "x=1000"},
		Object: schema.Object{Name: "jsessionid=abcdef/b and x=1000"},
	}
	rules(t, nil, []string{"url_query"}).Apply(&a)
	if want := (schema.URL{Full: "acme.example/a", Path: "/a"}); !reflect.DeepEqual(a.URL, want) || a.Object.Name != "[removed] and [removed]" {
		t.Errorf("%+v, %q", a.URL, a.Object.Name)
	}
}

func TestWarningsLoseWhateverTheyQuote(t *testing.T) {
	for _, quoted := range []string{"jane", "it's jane's", "' jane", "no such key: 'jane'", "\n'jane"} {
		a := schema.Artifact{Warnings: []string{"filter: expression failed '" + quoted + "'"}}
		rules(t, nil, []string{"ip"}).Apply(&a)
		if want := []string{"filter: expression failed"}; !slices.Equal(a.Warnings, want) {
			t.Errorf("%q", a.Warnings)
		}
	}
}

func TestRulesThatLeaveTheAddressInItsPartsAreNoted(t *testing.T) {
	const note = "user.email goes and user.name stays, which with user.domain is the same address; name user.name too, or identity"
	for _, test := range []struct {
		hash, remove []string
		noted        bool
	}{
		{nil, []string{"user.email"}, true},
		{[]string{"user.email"}, []string{"ip"}, true},
		{[]string{"user.email"}, []string{"user.name"}, false},
		{nil, []string{"identity"}, false},
		{nil, []string{"user"}, false},
		{nil, []string{"ip"}, false},
		{nil, nil, false},
	} {
		notes := rules(t, test.hash, test.remove).Notes()
		if test.noted && !slices.Equal(notes, []string{note}) || !test.noted && notes != nil {
			t.Errorf("hash %q, remove %q: %q", test.hash, test.remove, notes)
		}
	}
}

func TestNamedValueIsReplacedInOtherFieldsAsAWholeWord(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"jane", "Report of JANE, by Jane", "Report of [removed], by [removed]"},
		{"jane", `C:\Users\jane\x, jane_doe.xls`, `C:\Users\[removed]\x, [removed]_doe.xls`},
		{"jane", "janet, marjane, jane2, 2jane", "janet, marjane, jane2, 2jane"},
		{"bob", "bob", "bob"},
		{"Admin", "edit_admin_record", "edit_admin_record"},
		{"jane@acme.example", "?u=jane%40acme.example&v=1", "?u=[removed]&v=1"},
		{"jörg", "Für JÖRG", "für [removed]"},
		{"jane", "Für Jörg", "Für Jörg"},
		{"jane", "İjane jane", "ijane [removed]"},
		{"jane", "jane\xff", "[removed]\ufffd"},
		{"jane", strings.Repeat("jane ", 3) + "janejane", "[removed] [removed] [removed] janejane"},
	} {
		a := schema.Artifact{
			Kind: "alert", Connector: "jane", Severity: "jane", TimeRaw: "jane", User: schema.User{Name: test.name}, Object: schema.Object{Name: test.in},
			URL: schema.URL{Categories: []string{"x", test.in}},
			DLP: schema.DLP{Matches: []schema.DLPMatch{{Policy: test.in, Rules: []schema.DLPRule{{Name: test.in, Identifiers: []string{test.in}}}}}},
		}
		categories, matches := a.URL.Categories, a.DLP.Matches
		rules(t, nil, []string{"user.name"}).Apply(&a)
		rule := a.DLP.Matches[0].Rules[0]
		for _, got := range []string{a.Object.Name, a.URL.Categories[1], a.DLP.Matches[0].Policy, rule.Name, rule.Identifiers[0]} {
			if got != test.want {
				t.Errorf("%s in %q: %q, want %q", test.name, test.in, got, test.want)
			}
		}
		if categories[1] != test.in || matches[0].Rules[0].Name != test.in {
			t.Errorf("the lists that the artifact had were written to: %q, %+v", categories, matches)
		}
		if a.Connector != "jane" || a.Severity != "jane" || a.TimeRaw != "jane" {
			t.Errorf("the envelope was written to: %+v", a)
		}
	}
}

func TestValueIsLookedForInEveryTextThatIsNotFixed(t *testing.T) {
	fixed := append([]string{
		"time_raw", "severity_source", "risk_level", "user.type", "audit.verb", "file.md5", "file.sha1", "file.sha256",
	}, envelope...)
	var a schema.Artifact
	for _, f := range schema.Fields() {
		if at := schema.Place[string](f.Name); at != nil {
			*at(&a) = "of Jane"
		}
		if at := schema.Place[[]string](f.Name); at != nil {
			*at(&a) = []string{"y", "of Jane"}
		}
	}
	a.User.Name = "jane"
	rules(t, nil, []string{"user.name"}).Apply(&a)
	for _, f := range schema.Fields() {
		text, list := schema.Place[string](f.Name), schema.Place[[]string](f.Name)
		left := text != nil && strings.Contains(*text(&a), "Jane") || list != nil && strings.Contains((*list(&a))[1], "Jane")
		if f.Name == "warnings" || f.Name == "message" {
			continue // They are written anew, from what is the mapper's.
		}
		if left != (text != nil && slices.Contains(fixed, f.Name)) {
			t.Errorf("%s: left is %v", f.Name, left)
		}
	}
}

func TestListedFieldsExist(t *testing.T) {
	for _, name := range slices.Concat(envelope, gone, untouched, identity, identityOthers, identityGone, ipWithin, verbs) {
		if !slices.ContainsFunc(schema.Fields(), func(f schema.Field) bool { return f.Name == name }) {
			t.Errorf("there is no field %s", name)
		}
	}
}

func TestLongestValueIsReplacedFirst(t *testing.T) {
	a := schema.Artifact{User: schema.User{Name: "jane", FullName: "Jane Doe"}, Object: schema.Object{Name: "for Jane Doe"}}
	rules(t, []string{"user"}, []string{"user.type", "user.confidence_index", "user.attributes"}).Apply(&a)
	if a.Object.Name != "for "+a.User.FullName {
		t.Errorf("%q, want the hash %q", a.Object.Name, a.User.FullName)
	}
}

func TestAddressFieldNeverHoldsAMark(t *testing.T) {
	a := schema.Artifact{Src: schema.Src{IP: "10.0.0.1"}, Device: schema.Device{IP: "10.0.0.1"}, Dst: schema.Dst{IP: "10.0.0.11"}}
	rules(t, nil, []string{"src.ip"}).Apply(&a)
	if a.Device.IP != "" || a.Dst.IP != "10.0.0.11" {
		t.Errorf("%q, %q", a.Device.IP, a.Dst.IP)
	}
}

func TestURLsLoseTheirQueries(t *testing.T) {
	a := schema.Artifact{
		URL: schema.URL{
			Full: "acme.example/a?token=abc&x=1", Path: "/a?token=abc&x=1", Query: "token=abc&x=1", Referrer: "b.example/?q=secret",
			Page: "c.example?p=1000", Site: "acme.example",
		},
		Threat: schema.Threat{Indicator: "d.example/x?y=z"},
		Object: schema.Object{Name: "why? see https://e.example/f?g=h#i and <http://f.example?x>, ok?"},
		File:   schema.File{Name: "acme.example/a?token=abc&x=1", Path: "c.example?p=1000"},
		HTTP:   schema.HTTP{UserAgent: "what? http://plain.example/"},
	}
	rules(t, nil, []string{"url_query"}).Apply(&a)
	want := schema.URL{Full: "acme.example/a", Path: "/a", Referrer: "b.example/", Page: "c.example", Site: "acme.example"}
	if !reflect.DeepEqual(a.URL, want) || a.Threat.Indicator != "d.example/x" {
		t.Errorf("%+v, %q", a.URL, a.Threat.Indicator)
	}
	if want := "why? see https://e.example/f and <http://f.example>, ok?"; a.Object.Name != want {
		t.Errorf("object %q", a.Object.Name)
	}
	if want := "acme.example/a?[removed]"; a.File.Name != want || a.File.Path != "c.example?[removed]" {
		t.Errorf("file %+v", a.File)
	}
	if want := "what? http://plain.example/"; a.HTTP.UserAgent != want {
		t.Errorf("user agent %q", a.HTTP.UserAgent)
	}
}

func TestManyValuesAreLookedForUpToABound(t *testing.T) {
	var w words
	for i := range 2 * maxWords {
		w.add(strconv.Itoa(1_000_000+i), mark)
	}
	if len(w.list) != maxWords {
		t.Errorf("%d values are looked for", len(w.list))
	}
	a := schema.Artifact{User: schema.User{Email: "jane@acme.example"}}
	for i := range 100_000 {
		a.Email.CC = append(a.Email.CC, strings.Repeat("x", i%1000)+"@b.example")
	}
	a.Object.Name = strings.Repeat("jane@acme.example ", 5_000)
	rules(t, nil, []string{"identity"}).Apply(&a)
	if strings.Contains(a.Object.Name, "jane") || a.Email.CC != nil {
		t.Errorf("%.100q, %d", a.Object.Name, len(a.Email.CC))
	}
}

func TestRulesServeManyGoroutines(t *testing.T) {
	r := rules(t, []string{"identity", "ip"}, []string{"url_query"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				a := schema.Artifact{User: schema.User{Name: "jane"}, Object: schema.Object{Name: "jane"}}
				r.Apply(&a)
				if a.User.Name != "h-8bfdd9ff2c70e0e9d314b991b9844132" || a.Object.Name != a.User.Name {
					t.Errorf("%q, %q", a.User.Name, a.Object.Name)
				}
			}
		})
	}
	all.Wait()
}

// validator returns what checks an artifact against the schema.
func validator(t testing.TB) func(name string, artifact []byte) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(schema.URI, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(schema.URI)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string, artifact []byte) {
		t.Helper()
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(artifact))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if err := compiled.Validate(document); err != nil {
			t.Errorf("%s: %v\n%s", name, err, artifact)
		}
	}
}
