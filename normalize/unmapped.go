package normalize

import (
	"bytes"
	"hash/crc32"
	"slices"
	"strconv"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// collectUnmapped gathers what no field took, as it stands, but for empty values and defaults. The members of an object are
// gathered in an object.
func (m *Mapper) collectUnmapped(a *schema.Artifact) {
	dst := append(m.out[:0], '{')
	var inside *object
	for i := range m.members {
		v := &m.members[i]
		if v.used || v.dead || v.missing || filledIn(v.kind, v.text) || v.slot >= 0 && m.plan.keys[v.slot].reason != "" {
			continue
		}
		if v.object != inside {
			dst = m.turnTo(dst, inside, v.object)
			inside = v.object
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(m.appendName(dst, v), ':')
		dst = appendIJSON(dst, v.value())
	}
	dst = m.turnTo(dst, inside, nil)
	m.out = dst
	if len(dst) > 1 {
		a.Unmapped = schema.RawJSON(append(dst, '}'))
	}
}

// turnTo ends one nested object and begins another.
func (m *Mapper) turnTo(dst []byte, from, to *object) []byte {
	if from != nil {
		dst = append(dst, '}')
	}
	if to == nil {
		return dst
	}
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(jsonscan.AppendString(dst, to.name), ':', '{')
}

func (m *Mapper) appendName(dst []byte, v *member) []byte {
	if v.slot >= 0 {
		return jsonscan.AppendString(dst, m.plan.keys[v.slot].inner)
	}
	return jsonscan.AppendString(dst, m.unknownName(v))
}

// appendIJSON appends a value as it stands where that is I-JSON on one line, and written anew where it is not.
func appendIJSON(dst []byte, v jsonscan.Value) []byte {
	if isIJSON(v) {
		return append(dst, v.Raw...)
	}
	return appendAnew(dst, v)
}

// appendAnew appends a value with numbers beyond 2^53 as strings, because many readers would round them; without white space
// between tokens, because artifacts are written one a line; and with the last one of each key only.
func appendAnew(dst []byte, v jsonscan.Value) []byte {
	switch {
	case v.Kind == jsonscan.Object:
		return appendObjectAnew(dst, v.Raw)
	case v.Kind == jsonscan.Array:
		dst = append(dst, '[')
		start := len(dst)
		// The scanner has read v before.
		_ = jsonscan.Elements(v.Raw, func(v jsonscan.Value) error {
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = appendAnew(dst, v)
			return nil
		})
		return append(dst, ']')
	case v.Kind == jsonscan.Number && !isSafe(v.Raw):
		return append(append(append(dst, '"'), v.Raw...), '"')
	case v.Kind == jsonscan.String && hasSurrogate(v.Raw):
		return jsonscan.AppendString(dst, jsonscan.AppendText(nil, v))
	}
	return append(dst, v.Raw...)
}

func appendObjectAnew(dst, object []byte) []byte {
	last := make(map[string]int)
	n := 0
	_ = jsonscan.Members(object, func(key []byte, _ jsonscan.Value) error {
		last[string(key)] = n
		n++
		return nil
	})
	dst = append(dst, '{')
	start := len(dst)
	n = 0
	_ = jsonscan.Members(object, func(key []byte, v jsonscan.Value) error {
		if last[string(key)] == n {
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = append(jsonscan.AppendString(dst, key), ':')
			dst = appendAnew(dst, v)
		}
		n++
		return nil
	})
	return append(dst, '}')
}

// isIJSON reports whether a value can be copied.
func isIJSON(v jsonscan.Value) bool {
	switch v.Kind {
	case jsonscan.Number:
		return isSafe(v.Raw)
	case jsonscan.String:
		return !hasSurrogate(v.Raw)
	case jsonscan.Array, jsonscan.Object:
		return isPlain(v.Raw) && !repeats(v)
	}
	return true
}

// isPlain reports whether an array or object has neither a long number nor a line break nor a surrogate in it.
func isPlain(raw []byte) bool {
	run := 0
	for _, c := range raw {
		switch {
		case c == '\n' || c == '\r':
			return false
		case c-'0' <= 9:
			if run++; run > 15 {
				return false
			}
		case c == 'e' || c == 'E':
			// An exponent makes any number long.
			if run > 0 {
				return false
			}
		default:
			run = 0
		}
	}
	return !hasSurrogate(raw)
}

// hasSurrogate reports whether there may be half of a character in a text, which I-JSON has no place for.
func hasSurrogate(raw []byte) bool {
	return bytes.IndexByte(raw, '\\') >= 0 && (bytes.Contains(raw, []byte(`\ud`)) || bytes.Contains(raw, []byte(`\uD`)))
}

// repeats reports whether an object in a value may have a key twice. It compares checksums of a few keys, so that it needs no
// memory. What it suspects without a reason is only written anew.
func repeats(v jsonscan.Value) bool {
	if v.Kind != jsonscan.Object && v.Kind != jsonscan.Array || bytes.IndexByte(v.Raw, '{') < 0 {
		return false
	}
	found := false
	if v.Kind == jsonscan.Array {
		_ = jsonscan.Elements(v.Raw, func(v jsonscan.Value) error {
			found = found || repeats(v)
			return nil
		})
		return found
	}
	var sums [32]uint32
	n := 0
	_ = jsonscan.Members(v.Raw, func(key []byte, v jsonscan.Value) error {
		sum := crc32.ChecksumIEEE(key)
		if found = found || n == len(sums) || slices.Contains(sums[:n], sum) || repeats(v); !found {
			sums[n] = sum
			n++
		}
		return nil
	})
	return found
}

// isSafe reports whether a number is within 2^53 of zero, which is as far as every float64 is exact.
func isSafe(number []byte) bool {
	const limit = "9007199254740992"
	n := bytes.TrimPrefix(number, []byte{'-'})
	if bytes.IndexAny(n, ".eE") < 0 {
		return len(n) < len(limit) || len(n) == len(limit) && string(n) <= limit
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return err == nil && f <= 1<<53
}
