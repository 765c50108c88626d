package privacy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/skopeflow/skopeflow/internal/typo"
	"github.com/skopeflow/skopeflow/schema"
)

// The aliases.
const (
	aliasIdentity = "identity"
	aliasIP       = "ip"
	aliasQuery    = "url_query"
)

// minKey is the least length of a key, in bytes.
const minKey = 16

// envelope are the fields that identify, order or route an artifact.
var envelope = []string{
	"schema_version", "id", "entity_id", "revision", "kind", "class", "source", "dataset", "subtype", "vendor", "product", "tenant",
	"source_tenant", "connector", "source_api", "mapping_version", "time", "time_precision", "collected_time", "severity",
	"severity_id", "action", "outcome", "count", "raw_size", "raw_sha256",
}

// gone are the fields that no artifact has left once there is a rule.
var gone = []string{"raw", "raw_format", "unmapped"}

// untouched are fields that are not searched for values of others: they hold nothing that a source's user writes.
var untouched = []string{"time_raw", "severity_source"}

// identity are the fields that name a person: whoever acts, owns, shares, receives, answers for, or is breached.
var identity = []string{
	"user.email", "user.name", "user.id", "user.upn", "user.sam_account", "user.full_name", "user.manager", "user.attributes",
	"target_user.email", "app.user", "file.owner", "file.shared_with", "finding.assignee", "cred.username",
	"audit.object", "audit.values", "audit.details", "process.user", "email.cc", "email.bcc",
}

// identityOthers are the fields of identity of which IP addresses are none: those belong to the alias ip.
var identityOthers = []string{"audit.object", "audit.values"}

// ipWithin are the fields that are no addresses, and may hold one all the same, alone or as the host of a URL.
var ipWithin = []string{
	"audit.object", "audit.values", "url.full", "url.host", "url.site", "url.referrer", "url.page", "dst.hostname", "device.hostname", "threat.indicator",
}

// verbs are the fields that are put in snake_case.
var verbs = []string{"activity", "finding.status"}

// identityGone are the fields of identity that go even if identity is hashed, because they are JSON of any form.
var identityGone = []string{"user.attributes", "audit.details"}

// New returns the rules; nil if nothing is named. hash and remove are names as the package says. Space around the key is no part
// of it, so that a file with a line break at its end is the same key. The error says which name is wrong and what to do.
func New(hash, remove []string, key []byte) (*Rules, error) {
	if len(hash) == 0 && len(remove) == 0 {
		return nil, nil
	}
	if len(hash) > 0 {
		if err := CheckKey(key); err != nil {
			return nil, fmt.Errorf("hash fields: %w", err)
		}
	}
	p := plan{fields: schema.Fields(), todo: make(map[string]step)}
	for _, name := range remove {
		if err := p.remove(strings.TrimSpace(name)); err != nil {
			return nil, err
		}
	}
	for _, name := range hash {
		if err := p.hash(strings.TrimSpace(name)); err != nil {
			return nil, err
		}
	}
	return p.rules(bytes.Clone(bytes.TrimSpace(key)))
}

// CheckKey says whether a key is long enough to hash with.
func CheckKey(key []byte) error {
	if n := len(bytes.TrimSpace(key)); n < minKey {
		return fmt.Errorf("the key has %d bytes and needs %d: make one with openssl rand -hex 32 > file", n, minKey)
	}
	return nil
}

// A plan collects the steps of rules.
type plan struct {
	fields          []schema.Field
	todo            map[string]step
	queries, logins bool
}

// add has a deed done to a field as far as the name that it was given by means the field.
func (p *plan) add(name, field string, d deed) {
	s := p.todo[field]
	if name != aliasIdentity || !slices.Contains(identityOthers, field) {
		s.addresses = max(s.addresses, d)
	}
	if name != aliasIP || !slices.Contains(ipWithin, field) {
		s.others = max(s.others, d)
	}
	s.within = s.within || name == aliasIP && (field == "src.forwarded_for" || slices.Contains(ipWithin, field))
	p.logins = p.logins || name == aliasIdentity
	p.todo[field] = s
}

func (p *plan) remove(name string) error {
	if name == aliasQuery {
		p.queries = true
		p.add(name, "url.query", removed)
		return nil
	}
	fields, err := p.expand("remove", name)
	for _, f := range fields {
		p.add(name, f.Name, removed)
	}
	return err
}

func (p *plan) hash(name string) error {
	if name == aliasQuery {
		return fmt.Errorf("hash %s: a part of a URL cannot be hashed, remove it instead", name)
	}
	fields, err := p.expand("hash", name)
	var not []string
	for _, f := range fields {
		switch {
		case name == aliasIdentity && slices.Contains(identityGone, f.Name):
			p.add(name, f.Name, removed)
		case canHash(f):
			p.add(name, f.Name, hashed)
		case p.todo[f.Name].others != removed:
			not = append(not, f.Name)
		}
	}
	if len(not) > 0 {
		return fmt.Errorf("hash %s: only texts and addresses can be hashed, remove instead: %s", name, strings.Join(not, ", "))
	}
	return err
}

// canHash says whether the hash of a field is a valid value of it. A digest of a file must look like one, and tells of the file only.
func canHash(f schema.Field) bool {
	switch f.Type {
	case "ip", "string[]":
		return true
	case "string":
		return f.Unit != "lower hex" && !slices.Contains(gone, f.Name)
	}
	return false
}

// expand returns the fields that a name stands for.
func (p *plan) expand(verb, name string) ([]schema.Field, error) {
	if slices.Contains(envelope, name) {
		return nil, fmt.Errorf("%s %s: the field identifies or routes artifacts and stays as it is", verb, name)
	}
	if name == "message" {
		return nil, fmt.Errorf("%s message: it is required, and is written without any named field as soon as there is a rule", verb)
	}
	var fields []schema.Field
	for _, f := range p.fields {
		group, _, grouped := strings.Cut(f.Name, ".")
		switch {
		case f.Name == name, grouped && group == name,
			name == aliasIdentity && slices.Contains(identity, f.Name),
			name == aliasIP && (f.Type == "ip" || f.Name == "src.forwarded_for" || slices.Contains(ipWithin, f.Name)):
			fields = append(fields, f)
		}
	}
	if len(fields) > 0 {
		return fields, nil
	}
	if near := p.nearest(name); near != "" {
		return nil, fmt.Errorf("%s %s: there is no such field, did you mean %s?", verb, name, near)
	}
	return nil, fmt.Errorf("%s %s: there is no such field, group or alias (%s, %s, %s)", verb, name, aliasIdentity, aliasIP, aliasQuery)
}

// rules binds the steps to their fields, and gathers the fields that are searched.
func (p *plan) rules(key []byte) (*Rules, error) {
	r := &Rules{
		named: make(map[string]bool), queries: p.queries, logins: p.logins,
		macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }},
	}
	if p.todo["user.email"].others != leave && p.todo["user.name"].others == leave {
		r.notes = []string{"user.email goes and user.name stays, which with user.domain is the same address; name user.name too, or identity"}
	}
	for _, f := range p.fields {
		s, known := p.todo[f.Name]
		if known {
			r.named[f.Name] = s.others != leave
			if err := s.bind(f); err != nil {
				return nil, err
			}
			r.steps = append(r.steps, s)
		}
		if s.addresses == leave || s.others == leave {
			r.search(f)
		}
	}
	return r, nil
}

func (s *step) bind(f schema.Field) error {
	s.comma = f.Name == "src.forwarded_for"
	s.parts = slices.Contains(identity, f.Name)
	if f.Type != "enum" && !slices.Contains(gone, f.Name) {
		s.text, s.list, s.json = schema.Place[string](f.Name), schema.Place[[]string](f.Name), schema.Place[schema.RawJSON](f.Name)
	}
	if s.text == nil && s.list == nil && s.json == nil {
		if s.clear = clearOf(f.Name); s.clear == nil {
			return fmt.Errorf("remove %s: a field of type %s cannot be removed", f.Name, f.Type)
		}
	}
	return nil
}

// search has a field that holds text searched for the values of others.
func (r *Rules) search(f schema.Field) {
	text, list := schema.Place[string](f.Name), schema.Place[[]string](f.Name)
	switch {
	case slices.Contains(envelope, f.Name), slices.Contains(untouched, f.Name), f.Type == "enum", f.Unit == "lower hex",
		f.Name == "warnings", f.Name == "message":
	case slices.Contains(verbs, f.Name):
		r.verbs = append(r.verbs, text)
	case f.Type == "ip":
		r.addrs = append(r.addrs, text)
	case text != nil:
		r.texts = append(r.texts, text)
	case list != nil:
		r.lists = append(r.lists, list)
	}
}

// clearOf returns what empties a field, or nil if it is of a Go type that is not known here.
func clearOf(name string) func(*schema.Artifact) {
	for _, empty := range []func(*schema.Artifact){
		clearing[string](name), clearing[[]string](name), clearing[int](name), clearing[int64](name), clearing[float64](name), clearing[schema.Tri](name),
		clearing[schema.Time](name), clearing[schema.RawJSON](name), clearing[[]schema.DLPMatch](name), clearing[[]schema.Enrichment](name),
	} {
		if empty != nil {
			return empty
		}
	}
	return nil
}

func clearing[T any](name string) func(*schema.Artifact) {
	place := schema.Place[T](name)
	if place == nil {
		return nil
	}
	return func(a *schema.Artifact) {
		var none T
		*place(a) = none
	}
}

// nearest returns the name that was meant; "" if none is near enough.
func (p *plan) nearest(written string) string {
	names := []string{aliasIdentity, aliasIP, aliasQuery}
	for _, f := range p.fields {
		if !slices.Contains(envelope, f.Name) {
			group, _, _ := strings.Cut(f.Name, ".")
			names = append(names, group, f.Name)
		}
	}
	return typo.Meant(written, names)
}
