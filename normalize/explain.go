package normalize

import (
	"fmt"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// A Row says what became of one key of an event.
type Row struct {
	Key     string // dotted, for a member of an object that the tables look into
	Value   string // a string's text; the JSON of other values
	Rule    string // the conversions that took the value
	Field   string // the artifact's fields that have it, and "unmapped" where they have a part only; "empty"; or "dropped: " and the reason
	Warning string // what did not fit, and what Netskope has not published
}

// trace notes what happens to each member.
type trace struct {
	fields, rules, warnings map[*member][]string
}

func (t *trace) used(v *member, field, rule string) {
	t.fields[v] = appendNew(t.fields[v], field)
	t.rules[v] = appendNew(t.rules[v], rule)
}

func (t *trace) warned(v *member, warning string) {
	t.warnings[v] = append(t.warnings[v], warning)
}

// Explain maps one event, and tells of each of its keys, in the order of the event, what became of it.
// An event that the Mapper cannot cope with is an error, whatever the reason.
func Explain(env *Envelope, raw []byte) ([]Row, schema.Artifact, error) {
	return NewMapper().explain(env, raw)
}

func (m *Mapper) explain(env *Envelope, raw []byte) (rows []Row, a schema.Artifact, err error) {
	m.trace = &trace{make(map[*member][]string), make(map[*member][]string), make(map[*member][]string)}
	defer func() {
		m.trace = nil
		if p := recover(); p != nil {
			rows, err = nil, fmt.Errorf("map event: the mapper panicked, which is a fault of this program: %v", p)
		}
	}()
	if err := m.Map(env, raw, &a); err != nil {
		return nil, a, err
	}
	for i := range m.members {
		v := &m.members[i]
		if v.dead {
			continue
		}
		rows = append(rows, Row{
			Key:     m.keyOf(v),
			Value:   v.text,
			Rule:    strings.Join(m.trace.rules[v], ", "),
			Field:   m.fate(v, m.trace.fields[v]),
			Warning: strings.Join(m.trace.warnings[v], "; "),
		})
	}
	return rows, a, nil
}

func (m *Mapper) fate(v *member, fields []string) string {
	switch {
	case len(fields) > 0 && !v.used:
		return strings.Join(fields, ", ") + ", unmapped"
	case len(fields) > 0:
		return strings.Join(fields, ", ")
	case v.used, v.missing, filledIn(v.kind, v.text):
		return "empty"
	case v.slot >= 0 && m.plan.keys[v.slot].reason != "":
		return "dropped: " + m.plan.keys[v.slot].reason
	}
	return "unmapped"
}
