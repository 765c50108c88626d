package normalize

import (
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// list takes an array, each element as text. A string is one element, unless it holds a JSON array.
func list(keys ...string) line { return convert("list", asList, keys) }

func asList(m *Mapper, _ *schema.Artifact, v *member) ([]string, problem) {
	if v.kind == jsonscan.String && strings.HasPrefix(v.text, "[") {
		if list, ok := m.elements(bytesOf(v.text)); ok {
			return list, nonEmpty(list)
		}
	}
	if v.kind == jsonscan.Array {
		list, ok := m.elements(v.raw)
		if !ok {
			return nil, "not a list of texts"
		}
		return list, nonEmpty(list)
	}
	if v.kind == jsonscan.Object {
		return nil, "not a list"
	}
	one := m.list(1)
	one[0] = v.text
	return one, fits
}

func nonEmpty(list []string) problem {
	if len(list) == 0 {
		return empty
	}
	return fits
}

// elements returns the texts in a JSON array, without its placeholders; not ok if there is anything else in it.
// array is a part of the event or a string that nothing will write to.
func (m *Mapper) elements(array []byte) ([]string, bool) {
	n, ok := 0, true
	err := jsonscan.Elements(array, func(v jsonscan.Value) error {
		n++
		ok = ok && v.Kind != jsonscan.Object && v.Kind != jsonscan.Array
		return nil
	})
	if err != nil || !ok || n == 0 {
		return nil, err == nil && ok
	}
	list := m.list(n)[:0]
	// The walk has just succeeded.
	_ = jsonscan.Elements(array, func(v jsonscan.Value) error {
		if text := textOf(v); !missing(v, text) {
			list = append(list, text)
		}
		return nil
	})
	return list, true
}

// commaList takes a list, or a string with commas between the elements.
func commaList(keys ...string) line {
	return convert("comma list", func(m *Mapper, a *schema.Artifact, v *member) ([]string, problem) {
		all, problem := asList(m, a, v)
		if problem != fits || v.kind == jsonscan.Array || len(all) != 1 || strings.IndexByte(all[0], ',') < 0 {
			return all, problem
		}
		parts := all[:0:0]
		for part := range strings.SplitSeq(all[0], ",") {
			if part = strings.TrimSpace(part); !placeholder(part) {
				parts = append(parts, part)
			}
		}
		return parts, nonEmpty(parts)
	}, keys)
}

// list returns n strings to be filled, cut from a slab, so that many lists cost one allocation.
func (m *Mapper) list(n int) []string {
	const slab = 256
	if n > slab/4 {
		return make([]string, n)
	}
	if len(m.strings) < n {
		m.strings = make([]string, slab)
	}
	list := m.strings[:n:n]
	m.strings = m.strings[n:]
	return list
}
