package witfoo_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
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
	for _, e := range examples(t) {
		judge(t, e.name, witfoo.Append(nil, artifact(t, e.Artifact)))
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
	const folder = "../../../shared/corpus"
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no published events: %v", err)
	}
	m, n := normalize.NewMapper(), 0
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".ndjson" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dataset, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".ndjson"), "_")
		scanner := bufio.NewScanner(bytes.NewReader(text))
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			n++
			var a schema.Artifact
			if err := m.Map(envelope(dataset, ""), bytes.Clone(scanner.Bytes()), &a); err != nil {
				return err
			}
			judge(t, fmt.Sprintf("%s, event %d", path, n), witfoo.Append(nil, &a))
		}
		return scanner.Err()
	})
	if err != nil || n == 0 {
		t.Fatalf("%d events: %v", n, err)
	}
}

func TestGeneratedEventsAreValid(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	tenant := netskopesim.New(netskopesim.Config{Seed: 2, Clock: func() time.Time { return now }, RateLimit: -1, FromHead: true})
	m, n := normalize.NewMapper(), 0
	for _, stream := range netskopesim.Streams() {
		if err := tenant.Feed(stream, 130, now.Add(-time.Hour), now.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v2/events/dataexport/"+stream+"?operation=next&index=test", nil)
		request.Header.Set("Netskope-Api-Token", netskopesim.DemoToken)
		answer := httptest.NewRecorder()
		tenant.ServeHTTP(answer, request)
		var page struct{ Result []json.RawMessage }
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil || answer.Code != http.StatusOK {
			t.Fatalf("%s: %d %v", stream, answer.Code, err)
		}
		dataset, subtype, _ := normalize.Dataset(stream)
		for _, raw := range page.Result {
			n++
			var a schema.Artifact
			if err := m.Map(envelope(dataset, subtype), raw, &a); err != nil {
				t.Fatalf("%s: %v", stream, err)
			}
			judge(t, fmt.Sprintf("%s %s", stream, a.NativeID), witfoo.Append(nil, &a))
		}
	}
	if n < 3000 {
		t.Errorf("only %d events", n)
	}
}
