package contract_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// A record is an example: an event, and what it was mapped to.
type record struct {
	name     string
	raw      []byte
	envelope normalize.Envelope
	artifact schema.Artifact
}

// records maps every example of package schema.
func records(t *testing.T) []record {
	t.Helper()
	files, err := filepath.Glob("../../schema/testdata/examples/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []record
	m := normalize.NewMapper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Artifact struct{ Dataset, Raw string } }
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		r := record{name: strings.TrimSuffix(filepath.Base(file), ".json"), raw: []byte(e.Artifact.Raw), envelope: normalize.Envelope{
			Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "acme", Dataset: e.Artifact.Dataset, SourceAPI: "v2_dataexport",
			Collected: time.Date(2026, 1, 15, 13, 0, 0, 0, time.UTC), KeepRaw: e.Artifact.Dataset != "page",
		}}
		if err := m.Map(&r.envelope, r.raw, &r.artifact); err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		all = append(all, r)
	}
	return all
}

// message makes a message of a record, as the pipeline does.
func (r *record) message() publish.Message {
	a := &r.artifact
	return publish.Message{
		ID: a.ID, EntityID: a.EntityID, Raw: binary.BigEndian.Uint64(a.RawSHA256[:]),
		Tenant: a.Tenant, SourceTenant: a.SourceTenant, Dataset: a.Dataset, Subtype: a.Subtype,
		Kind: string(a.Kind), Class: string(a.Class), Severity: string(a.Severity), Time: a.Time.String(), Data: a.AppendJSON(nil),
	}
}

// shown are the records that the AsyncAPI document shows.
func shown(t *testing.T) []contract.Example {
	t.Helper()
	summaries := map[string]string{
		"alert_dlp": "An upload that a DLP policy blocked, with the raw event",
		"page":      "A visit to a site, published with PUBLISH_RAW=false",
	}
	var examples []contract.Example
	for _, r := range records(t) {
		if summary, ok := summaries[r.name]; ok {
			lane := ingest.LaneName("acme", "events/"+r.artifact.Dataset)
			examples = append(examples, contract.Example{Name: r.name, Summary: summary, Lane: lane, Message: r.message()})
		}
	}
	if len(examples) != len(summaries) {
		t.Fatalf("%d examples are there, want %d", len(examples), len(summaries))
	}
	return examples
}
