package normalize

import (
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// A Row says what became of one key of an event.
type Row struct {
	Key     string // dotted, for a member of an object that the tables look into
	Value   string // a string's text; the JSON of other values
	Rule    string // the conversions that took the value
	Field   string // the artifact's fields that have it; "unmapped"; "empty"; or "dropped: " and the reason
	Warning string // what did not fit, and what Netskope has not published
}

// trace notes what happens to each member, by its index.
type trace struct {
	fields, rules, warnings map[int][]string
}

func (t *trace) used(i int, field, rule string) {
	t.fields[i] = appendNew(t.fields[i], field)
	t.rules[i] = appendNew(t.rules[i], rule)
}

func (t *trace) warned(i int, warning string) {
	t.warnings[i] = append(t.warnings[i], warning)
}

// Explain maps one event, and tells of each of its keys, in the order of the event, what became of it.
func Explain(env *Envelope, raw []byte) ([]Row, schema.Artifact, error) {
	return NewMapper().explain(env, raw)
}

func (m *Mapper) explain(env *Envelope, raw []byte) ([]Row, schema.Artifact, error) {
	m.trace = &trace{make(map[int][]string), make(map[int][]string), make(map[int][]string)}
	defer func() { m.trace = nil }()
	var a schema.Artifact
	if err := m.Map(env, raw, &a); err != nil {
		return nil, a, err
	}
	var rows []Row
	for i := range m.members {
		v := &m.members[i]
		if v.dead {
			continue
		}
		rows = append(rows, Row{
			Key:     m.keyOf(v),
			Value:   v.text,
			Rule:    strings.Join(m.trace.rules[i], ", "),
			Field:   m.fate(v, m.trace.fields[i]),
			Warning: strings.Join(m.trace.warnings[i], "; "),
		})
	}
	return rows, a, nil
}

func (m *Mapper) fate(v *member, fields []string) string {
	switch {
	case len(fields) > 0:
		return strings.Join(fields, ", ")
	case v.used, v.missing, filledIn(v.kind, v.text):
		return "empty"
	case v.slot >= 0 && m.plan.keys[v.slot].reason != "":
		return "dropped: " + m.plan.keys[v.slot].reason
	}
	return "unmapped"
}
