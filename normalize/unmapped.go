package normalize

import (
	"bytes"
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
		dst = appendIJSON(dst, jsonscan.Value{Kind: v.kind, Raw: v.raw, Escaped: v.escaped})
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

// appendIJSON appends a value as it stands, but numbers beyond 2^53 as strings, because many readers would round them,
// and without line breaks between tokens, because artifacts are written one a line.
func appendIJSON(dst []byte, v jsonscan.Value) []byte {
	if isIJSON(v.Raw) {
		return append(dst, v.Raw...)
	}
	start := len(dst)
	switch v.Kind {
	case jsonscan.Number:
		dst = append(append(append(dst, '"'), v.Raw...), '"')
	case jsonscan.Object:
		// The scanner has read v before.
		_ = jsonscan.Members(v.Raw, func(key []byte, v jsonscan.Value) error {
			dst = append(jsonscan.AppendString(append(dst, ','), key), ':')
			dst = appendIJSON(dst, v)
			return nil
		})
		dst[start] = '{'
		dst = append(dst, '}')
	case jsonscan.Array:
		_ = jsonscan.Elements(v.Raw, func(v jsonscan.Value) error {
			dst = appendIJSON(append(dst, ','), v)
			return nil
		})
		dst[start] = '['
		dst = append(dst, ']')
	default:
		dst = append(dst, v.Raw...)
	}
	return dst
}

// isIJSON reports whether a value can be copied: it is a safe number, or has neither a long number nor a line break in it.
func isIJSON(raw []byte) bool {
	switch c := raw[0]; {
	case c == '"', c == 't', c == 'f', c == 'n':
		return true
	case c != '{' && c != '[':
		return isSafe(raw)
	}
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
	return true
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
