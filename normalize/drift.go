package normalize

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// A DriftKind says how an event departs from what Netskope is known to send.
type DriftKind string

// The kinds of drift.
const (
	DriftKey   DriftKind = "new_key"      // a key that no table reads and Netskope has not published
	DriftType  DriftKind = "changed_type" // a value of another type than its key has
	DriftValue DriftKind = "new_value"    // a word that is new to a closed vocabulary: an action, a severity, an alert type
)

// A Drift is one way in which the events of a dataset depart from what is known.
type Drift struct {
	Kind    DriftKind `json:"kind"`
	Dataset string    `json:"dataset"`
	Field   string    `json:"field"`             // the vendor's key, dotted; the artifact's field where the word is from within a value; or DriftOther
	Example string    `json:"example,omitempty"` // the last new word of an action, a severity or an alert type; never the value of any other key
}

// A DriftCount says how many events drifted in this way. An event that is read again counts again.
type DriftCount struct {
	Drift
	Count int64 `json:"count"`
}

const (
	// MaxDrifts is how many drifts are counted by name: distinct dataset, kind and field.
	MaxDrifts = 100
	// DriftOther is the field under which the others are counted, once per dataset and kind. So are keys that no vendor would
	// think of, so that whoever can name keys can fill no store of metrics.
	DriftOther = "other"
)

// A DriftCounter counts the drifts that Mappers meet. Its zero value is ready, a nil one counts nothing, and one serves any
// number of goroutines. An event without drift does not touch it.
type DriftCounter struct {
	mu      sync.Mutex
	tallies map[driftKey]*tally
	named   int // tallies that are not of DriftOther
}

type driftKey struct {
	kind           DriftKind
	dataset, field string
}

type tally struct {
	count   int64
	example string
}

// Counts returns what was counted so far, most first.
func (c *DriftCounter) Counts() []DriftCount {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	counts := make([]DriftCount, 0, len(c.tallies))
	for k, t := range c.tallies {
		counts = append(counts, DriftCount{Drift{k.kind, k.dataset, k.field, t.example}, t.count})
	}
	c.mu.Unlock()
	slices.SortFunc(counts, func(a, b DriftCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Dataset, b.Dataset),
			strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Field, b.Field))
	})
	return counts
}

// add counts one event. Only an example that can be shown is kept, in a copy that keeps no event alive.
func (c *DriftCounter) add(kind DriftKind, dataset string, field []byte, example string) {
	if c == nil {
		return
	}
	if !printable(field) {
		field = []byte(DriftOther)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tallies[driftKey{kind, dataset, string(field)}]
	if t == nil {
		t = c.open(driftKey{kind, dataset, string(field)})
	}
	t.count++
	if example = exampleOf(example); example != "" && example != t.example {
		t.example = strings.Clone(example)
	}
}

// open returns the tally of a drift that has none of its own yet.
func (c *DriftCounter) open(key driftKey) *tally {
	if key.field != DriftOther {
		if c.named < MaxDrifts {
			c.named++
		} else {
			key.field = DriftOther
		}
	}
	if t := c.tallies[key]; t != nil {
		return t
	}
	if c.tallies == nil {
		c.tallies = make(map[driftKey]*tally)
	}
	t := new(tally)
	c.tallies[key] = t
	return t
}

// printable reports whether a key is spelled as Netskope spells its keys, and can be shown as it is.
func printable(field []byte) bool {
	const longest = 64
	if len(field) == 0 || len(field) > longest {
		return false
	}
	for _, c := range field {
		if !isLetter(c) && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// exampleOf returns a word that can be shown: none if it has anything in it that a word of a vocabulary has not.
func exampleOf(word string) string {
	const longest = 32
	for i := range len(word) {
		if c := word[i]; !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune(" _-()/", rune(c)) {
			return ""
		}
	}
	return word[:min(len(word), longest)]
}

// drifted is what the event in hand was found to drift by.
type drifted struct {
	kind DriftKind
	v    *member
}

// noteDrift looks through what no field took, and at the vocabularies that have a word for what they do not know.
func (m *Mapper) noteDrift(a *schema.Artifact) {
	if m.Drift == nil && m.trace == nil {
		return
	}
	known := dictionary()
	for i := range m.members {
		v := &m.members[i]
		if v.used || v.dead {
			continue
		}
		var want shapes
		if v.slot >= 0 {
			want = m.plan.keys[v.slot].shapes
		} else {
			var ok bool
			if want, ok = known[string(m.nameOf(v))]; !ok {
				m.drift(DriftKey, v, "", "not in Netskope's published schema")
				continue
			}
		}
		if !v.missing && !filledIn(v.kind, v.text) && !fitsShape(want, v.kind) {
			m.drift(DriftType, v, "", "not of the type that Netskope's schema has")
		}
	}
	m.noteNewWords(a)
}

// fitsShape reports whether a value has one of the wanted shapes; a key that only a table knows may have any.
func fitsShape(want shapes, kind jsonscan.Kind) bool {
	return want == 0 || want&shapeOf(kind) != 0
}

// noteNewWords handles the vocabularies that do not always warn of a word that is new to them.
func (m *Mapper) noteNewWords(a *schema.Artifact) {
	if a.Action == schema.ActionOther {
		if _, ok := m.knownAction(a.ActionRaw); !ok {
			m.driftInWord("action_raw", a.ActionRaw, "not a known action")
		}
	}
	if s := a.DLP.RuleSeverity; s != "" {
		if _, ok := m.severityOf(s); !ok {
			m.driftInWord("dlp.rule_severity", s, "not a known severity")
		}
	}
	if m.env.Dataset == "alert" && !isAlertType(a.Subtype) {
		if v := m.get("alert_type"); v != nil {
			m.drift(DriftValue, v, v.text, "not a known alert type")
		}
	}
}

// isAlertType reports whether a subtype is one of the alert types that are known.
func isAlertType(subtype string) bool {
	if _, ok := alertClasses[subtype]; ok {
		return true
	}
	for _, known := range subtypes {
		if subtype == known {
			return true
		}
	}
	return false
}

// driftInWord notes a new word of a field: of the key that has it or, where it is from within a value, of the field.
func (m *Mapper) driftInWord(field, word, sentence string) {
	for i := range m.plan.steps {
		if s := &m.plan.steps[i]; s.field == field {
			for _, slot := range s.slots {
				if v := m.at(slot); v != nil && v.text == word {
					m.drift(DriftValue, v, word, sentence)
					return
				}
			}
		}
	}
	m.Drift.add(DriftValue, m.env.Dataset, []byte(field), word)
}

// driftOf says what a value drifted by that did not fit its field; nothing if it is a default, or of the right type and only out
// of bounds, or written in a way that is known. A truth value or a country that is none may be anything, and is no example.
func (m *Mapper) driftOf(v *member, p problem) (kind DriftKind, example string) {
	if v.kind == jsonscan.Array || v.kind == jsonscan.Object {
		if want := m.plan.keys[v.slot].shapes; want != 0 && want&shapeOf(v.kind) != 0 {
			return "", ""
		}
		return DriftType, ""
	}
	if filledIn(v.kind, v.text) {
		return "", ""
	}
	switch p {
	case "out of range", "negative", "not a port", "packed coordinates":
		return "", ""
	case "not a severity", "not a level":
		return DriftValue, v.text
	case "neither yes nor no", "not a country":
		return DriftValue, ""
	}
	return DriftType, ""
}

// drift counts one drift of the event, once for each key and kind, and tells whoever has the event explained.
func (m *Mapper) drift(kind DriftKind, v *member, example, sentence string) {
	// There is one member of each new key, and there may be very many.
	if d := (drifted{kind, v}); kind != DriftKey {
		if slices.Contains(m.drifts, d) {
			return
		}
		m.drifts = append(m.drifts, d)
	}
	m.Drift.add(kind, m.env.Dataset, m.nameOf(v), example)
	if m.trace != nil && sentence != "" {
		m.trace.warned(v, sentence)
	}
}

// nameOf is keyOf without a copy. It is good until the next call.
func (m *Mapper) nameOf(v *member) []byte {
	switch {
	case v.slot >= 0:
		return bytesOf(m.plan.keys[v.slot].name)
	case v.object == nil:
		return m.unknownName(v)
	}
	m.out = append(append(append(m.out[:0], v.object.name...), '.'), m.unknownName(v)...)
	return m.out
}
