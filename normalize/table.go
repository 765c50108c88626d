package normalize

import (
	"maps"
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// A table says what goes where: the artifact's field, then how a value is converted, then the vendor's keys, best first.
// A key with a dot is a member of an object. The first key that has a value that fits gives it to the field; the others are
// looked at only to tell whether they say the same, in which case they need not stay in Unmapped.
type table map[string]line

// with returns the table extended by more, whose lines replace those of the same field.
func (t table) with(more table) table {
	all := maps.Clone(t)
	maps.Copy(all, more)
	return all
}

// A line is what a table says about one field. bind makes it a function for the field of that name; nil if the field is
// not of the conversion's type.
type line struct {
	rule string
	keys []string
	bind func(field string) applyFunc
}

// An applyFunc carries out one line for one event.
type applyFunc func(m *Mapper, a *schema.Artifact, s *step)

// A dataset is everything there is to know about one kind of record.
type dataset struct {
	table   table
	dropped map[string]string                     // key → why its value is let go where no field takes it
	derive  []func(m *Mapper, a *schema.Artifact) // what needs several fields, in this order, after the table
	native  func(m *Mapper, a *schema.Artifact, name []byte) []byte
	mutable []string // the keys whose values make a revision; none where records do not change
	class   func(m *Mapper, a *schema.Artifact) schema.Class
	kind    schema.Kind
}

// A plan is a dataset made ready for use: each key has a number, its slot, and the lines are in the order of the schema.
type plan struct {
	dataset
	slots   map[string]int // top-level key → slot
	objects map[string]*object
	keys    []key
	steps   []step
}

// A key is a vendor key that some line reads.
type key struct {
	name    string // dotted
	inner   string // within its object; the name itself at the top
	reason  string // why it is dropped if no field takes it
	literal bool   // takes part even if it looks like a placeholder: NA is Namibia
	shapes  shapes // the dictionary's; 0 where only a table knows the key
}

// An object is a member whose own members are keys.
type object struct {
	name   string
	number int            // counted from 0 within the plan
	slots  map[string]int // inner key → slot
}

type step struct {
	field string
	rule  string
	slots []int
	apply applyFunc
}

func compile(d dataset) *plan {
	p := &plan{dataset: d, slots: make(map[string]int), objects: make(map[string]*object)}
	for _, f := range schema.Fields() {
		l, ok := d.table[f.Name]
		if !ok {
			continue
		}
		s := step{field: f.Name, rule: l.rule, apply: l.bind(f.Name)}
		for _, name := range l.keys {
			slot := p.slot(name)
			s.slots = append(s.slots, slot)
			p.keys[slot].literal = p.keys[slot].literal || l.rule == "country"
		}
		p.steps = append(p.steps, s)
	}
	for _, name := range slices.Sorted(maps.Keys(d.dropped)) {
		p.keys[p.slot(name)].reason = d.dropped[name]
	}
	return p
}

// slot returns the number of a key, a new one if it is new.
func (p *plan) slot(name string) int {
	slots, inner := p.slots, name
	if outer, rest, nested := strings.Cut(name, "."); nested {
		o := p.objects[outer]
		if o == nil {
			o = &object{name: outer, number: len(p.objects), slots: make(map[string]int)}
			p.objects[outer] = o
		}
		slots, inner = o.slots, rest
	}
	slot, ok := slots[inner]
	if !ok {
		slot = len(p.keys)
		slots[inner] = slot
		p.keys = append(p.keys, key{name: name, inner: inner, shapes: dictionary()[name]})
	}
	return slot
}

// lookup returns the slot of a dotted key.
func (p *plan) lookup(name string) (int, bool) {
	if outer, inner, nested := strings.Cut(name, "."); nested {
		if p.objects[outer] == nil {
			return 0, false
		}
		slot, ok := p.objects[outer].slots[inner]
		return slot, ok
	}
	slot, ok := p.slots[name]
	return slot, ok
}
