package contract

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
	"github.com/skopeflow/skopeflow/schema/ocsf"
)

// An Example is an artifact as a message, which is the first of a batch. The headers that are shown with it are those of Message.
type Example struct {
	Name    string
	Summary string
	Lane    string
	Profile string          // that of publish.NATSConfig: "" for the artifact itself
	Message publish.Message // with the artifact, or the view of it, as Data
}

// A Header is one header of a message.
type Header struct {
	Name    string
	Always  bool   // on every message
	Meaning string // with a value where it is always the same
	Format  string // of JSON Schema; may be empty
	Const   string // the only value; may be empty
	Enum    []string

	// of returns the value for an example; nil where the value is not one of the artifact's.
	of func(e *Example) string
}

// Names of two headers of messages that differ with what is published.
const (
	dataSchema  = "ce-dataschema"
	contentType = "ce-datacontenttype"
)

// Headers are those of an artifact's message, in the order of the document.
func Headers() []Header {
	return []Header{
		{Name: "ce-specversion", Always: true, Meaning: "Version of CloudEvents, whose binary mode the message is in.", Const: "1.0"},
		{Name: publish.HeaderID, Always: true, Meaning: "The artifact's id. A repeat of it, with the same skopeflow-raw, is a duplicate.", Format: "uuid", of: func(e *Example) string { return e.Message.ID.String() }},
		{Name: "ce-source", Always: true, Meaning: "//netskope/, the tenant's host, / and the dataset.", of: func(e *Example) string {
			return "//netskope/" + e.Message.SourceTenant + "/" + e.Message.Dataset
		}},
		{Name: "ce-type", Always: true, Meaning: "Changes with the schema's major version only.", Const: publish.Type},
		{Name: "ce-subject", Always: true, Meaning: "The dataset, / and the subtype.", of: func(e *Example) string {
			return e.Message.Dataset + "/" + schema.SubjectToken(e.Message.Subtype)
		}},
		{Name: "ce-time", Always: true, Meaning: "When it happened; the artifact's time.", Format: "date-time", of: func(e *Example) string { return e.Message.Time }},
		{Name: "ce-recordedtime", Always: true, Meaning: "When the message was published.", Format: "date-time"},
		{Name: dataSchema, Always: true, Meaning: "The $id of the JSON Schema; changes with its major version only.", Const: schema.URI},
		{Name: "ce-partitionkey", Always: true, Meaning: "The artifact's entity_id: the revisions of one record have it in common.", Format: "uuid", of: func(e *Example) string { return e.Message.EntityID.String() }},
		{Name: contentType, Always: true, Meaning: "The payload's type.", Const: "application/json"},
		{Name: "artifact_kind", Always: true, Meaning: "The artifact's kind.", of: func(e *Example) string { return e.Message.Kind }},
		{Name: "artifact_class", Always: true, Meaning: "The artifact's class.", of: func(e *Example) string { return e.Message.Class }},
		{Name: "artifact_severity", Always: true, Meaning: "The artifact's severity.", of: func(e *Example) string { return e.Message.Severity }},
		{Name: "artifact_tenant", Always: true, Meaning: "The artifact's tenant.", of: func(e *Example) string { return e.Message.Tenant }},
		{Name: publish.HeaderLane, Always: true, Meaning: "The instance and the stream that the record was read from, with dots between.", of: func(e *Example) string { return e.Lane }},
		{Name: publish.HeaderRaw, Always: true, Meaning: "The first 8 bytes of raw_sha256 as a hexadecimal number, without leading zeros. Records of one ce-id that differ in it are both kept.", of: func(e *Example) string { return strconv.FormatUint(e.Message.Raw, 16) }},
		{Name: publish.HeaderReplay, Meaning: "The record was read on purpose again.", Const: "true"},
		{Name: "traceparent", Meaning: "W3C trace context of the page that the record came with."},
		{Name: "tracestate", Meaning: "W3C trace state, if there is one."},
		{Name: "Nats-Batch-Id", Always: true, Meaning: "Of JetStream: the atomic batch that the message was stored with. Readers need not look at it."},
		{Name: "Nats-Batch-Sequence", Always: true, Meaning: "Of JetStream: the message's place in its atomic batch, from 1."},
		{Name: "Nats-Batch-Commit", Meaning: "Of JetStream: 1 on the last message of an atomic batch."},
		{Name: jetstream.ExpectedLastSubjSeqHeader, Meaning: "Of JetStream: on the first message of an atomic batch, the sequence of the claim under which the batch was stored."},
		{Name: jetstream.ExpectedLastSubjSeqSubjHeader, Meaning: "Of JetStream: on the first message of an atomic batch, the subject of that claim."},
	}
}

// ViewHeaders are those of the message of a view: it has no schema of ours, and its content type says which view it is.
func ViewHeaders() []Header {
	headers := slices.DeleteFunc(Headers(), func(h Header) bool { return h.Name == dataSchema })
	i := slices.IndexFunc(headers, func(h Header) bool { return h.Name == contentType })
	headers[i] = Header{
		Name: contentType, Always: true, Meaning: "The payload's type, and in its profile which view it is, in which version. A minor version may add some.",
		of: func(e *Example) string { return viewType(e.Profile) },
	}
	for _, version := range ocsf.Versions() {
		headers[i].Enum = append(headers[i].Enum, viewType("ocsf-"+version))
	}
	headers[i].Enum = append(headers[i].Enum, viewType("ecs-"+ecs.Version), viewType("witfoo"))
	return headers
}

func viewType(profile string) string { return "application/json; profile=" + profile }

// ClaimHeaders are those of a claim.
func ClaimHeaders() []Header {
	return []Header{
		{Name: jetstream.MsgTTLHeader, Always: true, Meaning: "Of JetStream: no age limit of the stream removes the claim.", Const: "never"},
		{Name: jetstream.MsgRollup, Always: true, Meaning: "Of JetStream: it replaces the claim that stood before.", Const: jetstream.MsgRollupSubject},
		{Name: jetstream.ExpectedLastSubjSeqHeader, Always: true, Meaning: "Of JetStream: the sequence of the claim that stood before; 0 if there was none."},
	}
}

// DeadHeaders are those of a dead letter.
func DeadHeaders() []Header {
	return []Header{
		{Name: publish.HeaderLane, Always: true, Meaning: "The instance and the stream that the event was read from, with dots between."},
		{Name: "reason", Always: true, Meaning: "Why the event could not become an artifact, as a sentence."},
		{Name: "stream", Always: true, Meaning: "The Netskope stream, such as events/page."},
		{Name: "page-received", Always: true, Meaning: "When the page with the event was received.", Format: "date-time"},
		{Name: "page-event", Always: true, Meaning: "The event's number in the page, from 0."},
		{Name: "object", Meaning: "Where the bytes are, if no message can carry them: nats-object:// and the address of a large event. The payload is empty then."},
	}
}

//go:embed asyncapi.tmpl
var asyncapiTemplate string

// AsyncAPI returns the AsyncAPI 3.0 document, in YAML, of what a consumer can subscribe to. It refers to the JSON Schema as
// the file artifact.v1.schema.json beside it.
func AsyncAPI(examples []Example) ([]byte, error) {
	t, err := template.New("asyncapi").Funcs(template.FuncMap{"quote": quote, "indent": indent, "values": values}).Parse(asyncapiTemplate)
	if err != nil {
		return nil, fmt.Errorf("write asyncapi document: %w", err)
	}
	var b bytes.Buffer
	var artifacts, views []Example
	for _, e := range examples {
		if e.Profile == "" {
			artifacts = append(artifacts, e)
		} else {
			views = append(views, e)
		}
	}
	err = t.Execute(&b, map[string]any{
		"Version": schema.Version, "Headers": Headers(), "ViewHeaders": ViewHeaders(), "ClaimHeaders": ClaimHeaders(), "DeadHeaders": DeadHeaders(),
		"Datasets": normalize.Datasets(), "Examples": artifacts, "Views": views,
	})
	if err != nil {
		return nil, fmt.Errorf("write asyncapi document: %w", err)
	}
	return b.Bytes(), nil
}

// quote writes a string of YAML, in its form that is JSON's as well.
func quote(s string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// indent lays out JSON below a key that stands n columns in.
func indent(n int, data []byte) (string, error) {
	var b bytes.Buffer
	err := json.Indent(&b, data, strings.Repeat(" ", n), "  ")
	return b.String(), err
}

// values returns the headers of an example that its artifact decides, and those that never change.
func values(e Example) []Header {
	headers := Headers()
	if e.Profile != "" {
		headers = ViewHeaders()
	}
	var known []Header
	for _, h := range headers {
		switch {
		case h.of != nil:
			h.Const = h.of(&e)
			known = append(known, h)
		case h.Const != "" && h.Always:
			known = append(known, h)
		}
	}
	return known
}
