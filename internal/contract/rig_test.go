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
	"github.com/skopeflow/skopeflow/schema/ocsf"
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
		r := record{name: strings.TrimSuffix(filepath.Base(file), ".json"), raw: []byte(e.Artifact.Raw), envelope: envelope(e.Artifact.Dataset)}
		r.envelope.KeepRaw = e.Artifact.Dataset != "page"
		if err := m.Map(&r.envelope, r.raw, &r.artifact); err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		all = append(all, r)
	}
	return all
}

func envelope(dataset string) normalize.Envelope {
	return normalize.Envelope{
		Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "acme", Dataset: dataset, SourceAPI: "v2_dataexport",
		Collected: time.Date(2026, 1, 15, 13, 0, 0, 0, time.UTC),
	}
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

// shown are the messages that the AsyncAPI document shows.
func shown(t *testing.T) []contract.Example {
	t.Helper()
	var examples []contract.Example
	for _, r := range records(t) {
		e := contract.Example{Name: r.name, Lane: ingest.LaneName("acme", "events/"+r.artifact.Dataset), Message: r.message()}
		switch r.name {
		case "alert_dlp":
			e.Summary = "An upload that a DLP policy blocked, with the raw event"
		case "page":
			e.Summary = "A visit to a site, published with PUBLISH_RAW=false"
		default:
			continue
		}
		examples = append(examples, e)
		if r.name == "page" {
			e.Name, e.Summary, e.Profile = "page_ocsf", "The same visit with PUBLISH_FORMAT=ocsf", "ocsf-"+ocsf.Latest
			e.Message.Data = view(t, &r.artifact)
			examples = append(examples, e)
		}
	}
	if len(examples) != 3 {
		t.Fatalf("%d examples are there, want 3", len(examples))
	}
	return examples
}

// view returns the view of an artifact in the newest version of OCSF.
func view(t *testing.T, a *schema.Artifact) []byte {
	t.Helper()
	v, err := ocsf.New(ocsf.Latest)
	if err != nil {
		t.Fatal(err)
	}
	return v.Append(nil, a)
}
