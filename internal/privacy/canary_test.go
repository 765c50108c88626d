package privacy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
)

func mapped(t testing.TB, dataset string, raw []byte) *schema.Artifact {
	t.Helper()
	api := "v2_dataexport"
	if dataset == "transaction" {
		api = "transaction"
	}
	var a schema.Artifact
	err := normalize.NewMapper().Map(&normalize.Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "netskope-main", Dataset: dataset, SourceAPI: api,
		Collected: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Late: 20 * 365 * 24 * time.Hour, KeepRaw: true,
	}, raw, &a)
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// examples calls fn for the raw event of every example.
func examples(t testing.TB, fn func(name, dataset string, raw []byte)) {
	t.Helper()
	for _, e := range sharedtest.Examples(t) {
		var a struct{ Dataset string }
		if err := json.Unmarshal(e.Artifact, &a); err != nil {
			t.Fatal(err)
		}
		fn(e.Name, a.Dataset, e.Raw)
	}
}

// corpus calls fn for every published event that lies beside the repository.
func corpus(t testing.TB, fn func(name, dataset string, raw []byte)) {
	t.Helper()
	for _, e := range sharedtest.Events(t) {
		fn(e.Name, e.Dataset, e.Raw)
	}
}

func TestNoNamedValueOfAnExampleIsLeft(t *testing.T) {
	canaries(t, examples)
}

func TestNoNamedValueOfAPublishedEventIsLeft(t *testing.T) {
	canaries(t, corpus)
}

func canaries(t *testing.T, events func(testing.TB, func(name, dataset string, raw []byte))) {
	validate := validator(t)
	seen := 0
	for _, rules := range []struct {
		name  string
		rules *Rules
	}{
		{"remove", rules(t, nil, []string{"identity", "ip", "url_query"})},
		{"hash", rules(t, []string{"identity", "ip"}, nil)},
	} {
		events(t, func(name, dataset string, raw []byte) {
			a := mapped(t, dataset, raw)
			values := secrets(a, rules.name == "remove")
			rules.rules.Apply(a)
			text := a.AppendJSON(nil)
			validate(name, text)
			left := strings.ToLower(decoded(t, text))
			for field, value := range values {
				seen++
				if strings.Contains(left, strings.ToLower(value)) {
					t.Errorf("%s, %s: %s %q is left in %s", rules.name, name, field, value, text)
				}
			}
		})
	}
	if seen < 20 {
		t.Errorf("only %d values were looked for", seen)
	}
	t.Logf("%d values looked for", seen)
}

// secrets returns what must not be left of an artifact, by where it stood. The list of fields is the test's own.
func secrets(a *schema.Artifact, queries bool) map[string]string {
	values := map[string]string{
		"user.email": a.User.Email, "user.name": a.User.Name, "user.id": a.User.ID, "user.upn": a.User.UPN, "user.sam_account": a.User.SamAccount,
		"user.full_name": a.User.FullName, "user.manager": a.User.Manager, "target_user.email": a.TargetUser.Email, "app.user": a.App.User,
		"process.user": a.Process.User, "cred.username": a.Cred.Username, "file.owner": a.File.Owner, "finding.assignee": a.Finding.Assignee,
		"src.ip": a.Src.IP, "dst.ip": a.Dst.IP, "device.ip": a.Device.IP, "net.proxy_egress_ip": a.Net.ProxyEgressIP, "src.forwarded_for": a.Src.ForwardedFor,
		"user.attributes": string(a.User.Attributes), "audit.object": a.Audit.Object,
	}
	for _, host := range []string{a.URL.Host, a.URL.Site, a.Dst.Hostname, a.Threat.Indicator} {
		if isAddress(host) {
			values["the host "+host] = host
		}
	}
	for _, list := range [][]string{a.File.SharedWith, a.Email.CC, a.Email.BCC, a.Audit.Values} {
		for _, v := range list {
			values["a list, "+v] = v
		}
	}
	if queries {
		values["url.query"] = a.URL.Query
		for _, url := range []string{a.URL.Full, a.URL.Referrer, a.URL.Page, a.URL.Path} {
			_, values["the query of "+url], _ = strings.Cut(url, "?")
		}
	}
	for field, v := range values {
		switch {
		case len(v) < minWord, v == "admin", v == "user", v == "test":
			delete(values, field)
		}
	}
	return values
}

// decoded returns all strings and keys of an artifact, so that no escape hides anything.
func decoded(t *testing.T, text []byte) string {
	t.Helper()
	var all strings.Builder
	d := json.NewDecoder(bytes.NewReader(text))
	for d.More() {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(string); ok {
			all.WriteString(s + "\n")
		}
	}
	return all.String()
}

func BenchmarkApply(b *testing.B) {
	for _, bench := range []struct {
		name  string
		rules *Rules
	}{
		{"remove", rules(b, nil, []string{"identity", "ip", "url_query"})},
		{"hash", rules(b, []string{"identity", "ip"}, nil)},
	} {
		examples(b, func(name, dataset string, raw []byte) {
			if name != "alert_dlp.json" && name != "page.json" {
				return
			}
			b.Run(bench.name+"/"+strings.TrimSuffix(name, ".json"), func(b *testing.B) {
				original := mapped(b, dataset, raw)
				b.ReportAllocs()
				for b.Loop() {
					a := *original
					bench.rules.Apply(&a)
				}
			})
		})
	}
}
