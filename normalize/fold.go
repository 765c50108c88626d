package normalize

import (
	"strings"
	"unicode"
)

// lower returns s in lower case, and remembers the few words that come again and again.
func (m *Mapper) lower(s string) string {
	if !hasUpper(s) {
		return s
	}
	return m.fold(s, "l", strings.ToLower)
}

// snake returns s in snake_case.
func (m *Mapper) snake(s string) string {
	if !hasUpper(s) && !strings.ContainsAny(s, " -") {
		return s
	}
	return m.fold(s, "s", snakeCase)
}

// fold applies a change that is remembered by kind and text. The memory is bounded, and keeps no event alive.
func (m *Mapper) fold(s, kind string, change func(string) string) string {
	const words, longest = 4096, 48
	if len(s) > longest {
		return change(s)
	}
	m.out = append(append(m.out[:0], kind...), s...)
	if known, ok := m.folded[string(m.out)]; ok {
		return known
	}
	changed := strings.Clone(change(s))
	if len(m.folded) < words {
		m.folded[string(m.out)] = changed
	}
	return changed
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return true
		}
	}
	return false
}

func lowerASCII(s string) string {
	if !hasUpper(s) {
		return s
	}
	return strings.ToLower(s)
}

// snakeCase puts an underscore for what separates words: space, hyphen, and a capital after a small letter.
func snakeCase(s string) string {
	b := make([]byte, 0, len(s)+4)
	small := false
	for _, r := range s {
		if r == ' ' || r == '-' || r == '_' {
			if len(b) > 0 && b[len(b)-1] != '_' {
				b = append(b, '_')
			}
			small = false
			continue
		}
		if small && 'A' <= r && r <= 'Z' {
			b = append(b, '_')
		}
		small = 'a' <= r && r <= 'z'
		b = append(b, strings.ToLower(string(r))...)
	}
	return strings.TrimRight(string(b), "_")
}

// spaced returns the words of a text in lower case with a space on either side of each: " created new admin ".
func spaced(s string) string {
	words := strings.FieldsFunc(snakeCase(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return " " + strings.Join(words, " ") + " "
}
