package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/filter"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// A maker makes batches of parts. Each worker has one.
type maker struct {
	p        *Pipeline
	mapper   *normalize.Mapper
	artifact schema.Artifact
	arena    []byte
}

func newMaker(p *Pipeline) *maker {
	m := &maker{p: p, mapper: normalize.NewMapper()}
	m.mapper.Drift = p.Drift
	return m
}

// sourceAPIs names the API family in artifacts by the lane's mode.
var sourceAPIs = map[string]string{"dataexport": "v2_dataexport", "data": "v2_data"}

// batch maps the events of a part, leaves out those that the operator does not
// want and those that are stored already, and encodes the rest. The part's bytes are given back.
func (m *maker) batch(part *ingest.Part) (work, error) {
	page := part.Page
	dataset, subtype, _ := normalize.Dataset(page.Stream)
	env := &normalize.Envelope{
		Tenant: page.Instance, SourceTenant: m.p.Tenants[page.Instance], Connector: page.Instance,
		Dataset: dataset, Subtype: subtype, SourceAPI: sourceAPIs[page.Mode],
		Collected: page.Received, Late: m.p.Late[page.Instance], KeepRaw: m.p.KeepRaw,
	}
	arena, _ := arenas.Get().(*[]byte)
	m.arena = (*arena)[:0]
	w := work{part: part, arena: arena, batch: &publish.Batch{Lane: page.Lane, Instance: page.Instance, Stream: page.Stream, Replay: page.Replay, Fence: page.Fence, Claim: page.Claim}}
	w.batch.Messages = make([]publish.Message, 0, part.Len())
	ends := make([]int, 0, part.Len())
	rules := m.p.Rules[page.Instance]
	for i := range part.Len() {
		raw := part.Event(i)
		if err := m.mapEvent(env, raw); err != nil {
			w.batch.Dead = append(w.batch.Dead, publish.DeadLetter{Reason: err.Error(), Raw: bytes.Clone(raw), Page: page.Received, Event: part.First + i})
			continue
		}
		a := &m.artifact
		if !m.wanted(page, rules.Filter) {
			page.LeaveOut()
			continue
		}
		key := schema.Key{ID: a.ID, Raw: binary.BigEndian.Uint64(a.RawSHA256[:])}
		if !page.Admit(key) {
			continue
		}
		rules.Privacy.Apply(a)
		if err := m.encode(page.Context, raw, rules.Privacy != nil); err != nil {
			return work{}, err
		}
		ends = append(ends, len(m.arena))
		w.keys = append(w.keys, key)
		w.batch.Messages = append(w.batch.Messages, message(a, key.Raw))
	}
	part.Release()
	start := 0
	for i, end := range ends {
		w.batch.Messages[i].Data = m.arena[start:end:end]
		start = end
	}
	*arena = m.arena
	return w, nil
}

func message(a *schema.Artifact, raw uint64) publish.Message {
	return publish.Message{
		ID: a.ID, EntityID: a.EntityID, Raw: raw,
		Tenant: a.Tenant, SourceTenant: a.SourceTenant, Dataset: a.Dataset, Subtype: strings.Clone(a.Subtype), // which is part of the whole event
		Kind: string(a.Kind), Class: string(a.Class), Severity: string(a.Severity), Time: a.Time.String(),
	}
}

// wanted asks the operator's expression about the artifact. An expression that
// fails has not said that the artifact is to go, so it stays, with a warning. The
// warning quotes the reason as it would a value: a reason may hold one, and
// privacy rules cut quotes off. The log has the sort of the failure only, and not
// each of them.
func (m *maker) wanted(page *ingest.Page, f *filter.Filter) bool {
	pass, err := f.Pass(&m.artifact)
	if err == nil {
		return pass
	}
	m.artifact.Warnings = append(m.artifact.Warnings, fmt.Sprintf("filter: expression failed '%v'", err))
	if n, why := f.Failures(); n&(n-1) == 0 { // 1, 2, 4, 8, …
		m.p.Log.WarnContext(page.Context, "a filter fails, and keeps what it fails on", "instance", page.Instance, "stream", page.Stream, "why", why, "times", n)
	}
	return pass
}

// encode appends the artifact to the arena. One that is too large for the
// broker goes without its raw event; one that is too large even so goes as a
// stub, and the bytes of the event are kept beside; those of the artifact,
// where the event holds what nobody may see.
func (m *maker) encode(ctx context.Context, raw []byte, private bool) error {
	start := len(m.arena)
	limit := m.p.Publisher.MaxBytes()
	m.write()
	if len(m.arena)-start <= limit {
		return nil
	}
	a := &m.artifact
	if a.Raw != "" {
		a.Raw, a.RawFormat = "", ""
		a.Warnings = append(a.Warnings, "raw: left out, the message would be larger than the broker takes")
	}
	m.arena = m.arena[:start]
	if m.write(); len(m.arena)-start <= limit {
		return nil
	}
	if private {
		raw = a.AppendJSON(nil)
	}
	where, err := m.p.Publisher.Keep(ctx, "artifacts/"+a.ID.String(), raw)
	if err != nil {
		return err
	}
	*a = stub(a, where)
	m.arena = m.arena[:start]
	m.write()
	return nil
}

// write appends the artifact in the form that is published.
func (m *maker) write() {
	if m.p.Form != nil {
		m.arena = m.p.Form(m.arena, &m.artifact)
		return
	}
	m.arena = m.artifact.AppendJSON(m.arena)
}

// stubText bounds what a stub keeps of text from the event, in bytes.
const stubText = 1 << 10

// stub returns an artifact that says what an event was and where its bytes are.
func stub(a *schema.Artifact, where string) schema.Artifact {
	return schema.Artifact{
		SchemaVersion: a.SchemaVersion, ID: a.ID, EntityID: a.EntityID, Revision: a.Revision, NativeID: cut(a.NativeID),
		Kind: a.Kind, Class: a.Class, Source: a.Source, Dataset: a.Dataset, Subtype: cut(a.Subtype),
		Vendor: a.Vendor, Product: a.Product, Tenant: a.Tenant, SourceTenant: a.SourceTenant, Connector: a.Connector,
		SourceAPI: a.SourceAPI, MappingVersion: a.MappingVersion,
		Time: a.Time, TimePrecision: a.TimePrecision, CollectedTime: a.CollectedTime,
		Severity: a.Severity, SeverityID: a.SeverityID, Action: a.Action, Outcome: a.Outcome,
		Message: cut(a.Message) + ", whose bytes are in " + where, Count: a.Count, RawSize: a.RawSize, RawSHA256: a.RawSHA256,
		Warnings: []string{"event: too large for a message, see unmapped.object"},
		Unmapped: schema.RawJSON(fmt.Sprintf(`{"object":%q}`, where)),
	}
}

func cut(s string) string {
	if len(s) <= stubText {
		return s
	}
	return s[:stubText] // AppendJSON mends a character that was cut in two
}
