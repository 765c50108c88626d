package normalize

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/schema"
)

var collected = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func envelope(dataset string) *Envelope {
	api := "v2_dataexport"
	if dataset == "transaction" {
		api = "transaction"
	}
	return &Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "netskope-main",
		Dataset: dataset, SourceAPI: api, Collected: collected, KeepRaw: true,
	}
}

// An example is an event as it comes, and the artifact that it must become.
type example struct {
	name string
	raw  []byte
	want map[string]any
}

func examples(t testing.TB) []example {
	t.Helper()
	var all []example
	for _, e := range sharedtest.Examples(t) {
		var want map[string]any
		if err := json.Unmarshal(e.Artifact, &want); err != nil {
			t.Fatal(err)
		}
		all = append(all, example{e.Name, e.Raw, want})
	}
	return all
}

// differences are where this package departs from the examples on purpose. A nil value means that the field is not there.
var differences = map[string]map[string]any{
	// The type has become the subtype, so that it is no longer unmapped.
	"endpoint_usb":   {"unmapped": nil},
	"infrastructure": {"unmapped": nil},
	// actor has no field, and timestamp is another instant than the event's: neither may be lost.
	"clientstatus": {"unmapped": map[string]any{
		"timestamp":              1768479300.0,
		"last_seen_device_event": map[string]any{"actor": "System"},
	}},
	// The control and the section of a standard have no field.
	"alert_security_assessment": {"unmapped": map[string]any{
		"compliance_standards": []any{map[string]any{"id": 1.0, "standard": "CIS-1.4", "control": "2.1.5", "section": "Storage"}},
	}},
	// HTTP2 is a version, though it is written without a slash.
	"transaction": {"http": map[string]any{
		"method": "POST", "status": 403.0, "version": "2", "user_agent": "Mozilla/5.0", "request_content_type": "application/json",
		"response_content_type": "text/html", "transaction_id": "3190329835230083099",
	}},
	// The field's values are in lower case: tcp, udp, icmp.
	"network": {"net": map[string]any{
		"transport": "tcp", "bytes_out": 123456.0, "bytes_in": 7890123.0, "bytes": 8013579.0, "packets": 9001.0,
		"session_id": "18446744073709551615", "traffic_type": "PrivateApp", "publisher": "pub-fra-1",
	}},
}

func TestExamplesBecomeTheirArtifacts(t *testing.T) {
	m := NewMapper()
	validate := validator(t)
	for _, e := range examples(t) {
		want := maps.Clone(e.want)
		for field, value := range differences[e.name] {
			if value == nil {
				delete(want, field)
				continue
			}
			if reflect.DeepEqual(want[field], value) {
				t.Errorf("%s: %s does not differ", e.name, field)
			}
			want[field] = value
		}
		var a schema.Artifact
		if err := m.Map(envelope(e.want["dataset"].(string)), e.raw, &a); err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		text := a.AppendJSON(nil)
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v in %s", e.name, err, text)
		}
		for _, field := range slices.Sorted(maps.Keys(merged(got, want))) {
			if !reflect.DeepEqual(got[field], want[field]) {
				t.Errorf("%s: %s\n got %v\nwant %v", e.name, field, got[field], want[field])
			}
		}
		validate(e.name, text)
	}
}

func merged(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// validator returns a function that checks an artifact against the JSON Schema.
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
