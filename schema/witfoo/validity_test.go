package witfoo_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/witfoo"
)

// typed are the fields of WitFoo's index template that the documents use, by type.
var typed = map[string]string{
	"keyword": `id hash org_id appliance_id action application clientPort clientHostname clientMAC serverPort serverHostname protocol
		userName emailTo fileName fileHash streamName messageType severityLabel senderHost sourceInfo program pid ruleCategory fqdn
		geoRegion`,
	"keyword[]": "tags",
	"ip":        "clientIP serverIP",
	"long":      "clientBytes clientPackets serverBytes serverPackets totalBytes",
	"integer":   "severityCode",
	"text":      "message emailSubject filePath ruleName uri",
	"date":      "startTimeUTC endTimeUTC",
}

func types() map[string]string {
	all := make(map[string]string)
	for kind, names := range typed {
		for _, name := range strings.Fields(names) {
			all[name] = kind
		}
	}
	return all
}

func TestTableOfTypesIsThatOfTheDocuments(t *testing.T) {
	known, emitted := types(), make(map[string]bool)
	for _, names := range witfoo.Places() {
		for _, name := range names {
			emitted[name] = true
			if known[name] == "" {
				t.Errorf("%s has no type", name)
			}
		}
	}
	for name := range known {
		if !emitted[name] {
			t.Errorf("%s is in no document", name)
		}
	}
}

// judge reports what of a document WitFoo would not take.
func judge(t *testing.T, name string, text []byte) {
	t.Helper()
	known, doc := types(), document(t, text)
	for key, v := range doc {
		if !fits(known[key], v) {
			t.Errorf("%s: %s is %v, want type %q", name, key, v, known[key])
		}
	}
	for _, must := range []string{"id", "hash", "org_id", "streamName", "messageType", "action", "message", "severityCode", "startTimeUTC", "endTimeUTC"} {
		if doc[must] == nil {
			t.Errorf("%s: no %s", name, must)
		}
	}
	if start, end := fmt.Sprint(doc["startTimeUTC"]), fmt.Sprint(doc["endTimeUTC"]); start > end {
		t.Errorf("%s: from %s to %s", name, start, end)
	}
}

func fits(kind string, v any) bool {
	s, _ := v.(string)
	n, _ := v.(json.Number)
	switch kind {
	case "keyword", "text":
		return s != ""
	case "keyword[]":
		list, _ := v.([]any)
		return len(list) > 0 && !slices.ContainsFunc(list, func(v any) bool { return !fits("keyword", v) })
	case "ip":
		ip, err := netip.ParseAddr(s)
		return err == nil && ip.Zone() == ""
	case "long", "integer":
		bits := map[string]int{"long": 64, "integer": 32}[kind]
		_, err := strconv.ParseInt(n.String(), 10, bits)
		return err == nil
	case "date":
		return timestamp.MatchString(s)
	}
	return false
}

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

func TestExamplesAreValid(t *testing.T) {
	for _, e := range sharedtest.Examples(t) {
		judge(t, e.Name, witfoo.Append(nil, artifact(t, e.Artifact)))
	}
}

func envelope(dataset, subtype string) *normalize.Envelope {
	api := "v2_dataexport"
	if dataset == "transaction" {
		api = "transaction"
	}
	return &normalize.Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "netskope-main", Dataset: dataset, Subtype: subtype, SourceAPI: api,
		Collected: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Late: 20 * 365 * 24 * time.Hour, KeepRaw: true,
	}
}

func TestPublishedEventsAreValid(t *testing.T) {
	m := normalize.NewMapper()
	for _, e := range sharedtest.Events(t) {
		var a schema.Artifact
		if err := m.Map(envelope(e.Dataset, ""), e.Raw, &a); err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		judge(t, e.Name, witfoo.Append(nil, &a))
	}
}

func TestGeneratedEventsAreValid(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	tenant := netskopesim.New(netskopesim.Config{Seed: 2, Clock: func() time.Time { return now }})
	m, n := normalize.NewMapper(), 0
	for _, stream := range netskopesim.Streams() {
		if err := tenant.Feed(stream, 130, now.Add(-time.Hour), now.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		dataset, subtype, _ := normalize.Dataset(stream)
		for raw := range tenant.Records(stream) {
			n++
			var a schema.Artifact
			if err := m.Map(envelope(dataset, subtype), raw, &a); err != nil {
				t.Fatalf("%s: %v", stream, err)
			}
			judge(t, stream+" "+a.NativeID, witfoo.Append(nil, &a))
		}
	}
	if n < 3000 {
		t.Errorf("only %d events", n)
	}
}
