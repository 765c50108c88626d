package normalize

import (
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// The conversions are the vocabulary of the tables. A conversion looks at a value and either returns what the field gets and
// fits, or partly, if it is only a part of the value and the rest may be in no field; or it says why not: empty, if the value
// means nothing in this field; notMine, if it belongs to another field; anything else is a problem, becomes a warning, and
// leaves the value in Unmapped. So does partly, unless another field has all of the value, or the rest.

type problem = string

const (
	fits    problem = ""
	partly  problem = "partly"
	empty   problem = "empty"
	notMine problem = "not mine"
)

type conversion[T any] func(m *Mapper, a *schema.Artifact, v *member) (T, problem)

// convert makes a line of a conversion: the first key whose value fits wins.
func convert[T any](rule string, c conversion[T], keys []string) line {
	bind := func(field string) applyFunc {
		place := schema.Place[T](field)
		if place == nil {
			return nil
		}
		return func(m *Mapper, a *schema.Artifact, s *step) {
			first(m, a, s, place, c)
		}
	}
	return line{rule: rule, keys: keys, bind: bind}
}

func first[T any](m *Mapper, a *schema.Artifact, s *step, place func(*schema.Artifact) *T, c conversion[T]) {
	var winner *member
	for _, slot := range s.slots {
		v := m.at(slot)
		if v == nil {
			continue
		}
		if winner != nil {
			if len(v.text) == len(winner.text) && strings.EqualFold(v.text, winner.text) {
				m.use(v, s.field, s.rule)
			}
			continue
		}
		x, problem := c(m, a, v)
		switch problem {
		case fits:
			*place(a), winner = x, v
			m.use(v, s.field, s.rule)
		case partly:
			*place(a), winner = x, v
			m.note(v, s.field, s.rule)
		case empty:
			v.used = true
		case notMine:
		default:
			m.warn(a, v, s.field, problem)
		}
	}
}

// text takes strings, numbers and truth values as they are written.
func text(keys ...string) line { return convert("text", asText, keys) }

func asText(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
	if v.kind == jsonscan.Array || v.kind == jsonscan.Object {
		return "", "not a text"
	}
	return v.text, fits
}

// word takes a text in lower case.
func word(keys ...string) line { return convert("word", asWord, keys) }

func asWord(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
	s, problem := asText(m, a, v)
	if problem == fits {
		s = m.lower(s)
	}
	return s, problem
}

// verb takes a text in snake_case: "Login Failed" is login_failed.
func verb(keys ...string) line { return convert("verb", asVerb, keys) }

func asVerb(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
	s, problem := asText(m, a, v)
	if problem == fits {
		s = oneWord(m.snake(s))
	}
	return s, problem
}

// oneWord makes log_in and log_out one word, as most apps write them.
func oneWord(verb string) string {
	for _, way := range []string{"in", "out"} {
		if rest, ok := strings.CutPrefix(verb, "log_"+way); ok && (rest == "" || rest[0] == '_') {
			return "log" + way + rest
		}
	}
	return verb
}

// upper takes a text in upper case.
func upper(keys ...string) line {
	return convert("upper", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		s, problem := asText(m, a, v)
		return strings.ToUpper(s), problem
	}, keys)
}

// id takes an id of up to 64 bits, digit by digit, as text; 0 is none.
func id(keys ...string) line { return convert("id", asID, keys) }

func asID(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
	s, problem := asText(m, a, v)
	if problem == fits && s == "0" {
		return "", empty
	}
	return s, problem
}

// ip takes an address as it is written. The masked and invented ones of some feeds do not fit.
func ip(keys ...string) line { return convert("ip", asIP, keys) }

func asIP(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
	if v.kind != jsonscan.String || !isAddress(v.text) {
		return "", "not an address"
	}
	return v.text, fits
}

func isAddress(s string) bool {
	if len(s) < 2 || len(s) > 45 || strings.IndexByte(s, '%') >= 0 {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

// host takes a host name. An address is not one; see addressAsHost.
func host(keys ...string) line {
	return convert("host", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		if isAddress(v.text) {
			return "", notMine
		}
		return asText(m, a, v)
	}, keys)
}

// port takes 1 to 65535.
func port(keys ...string) line { return convert("port", asPort, keys) }

func asPort(_ *Mapper, _ *schema.Artifact, v *member) (int, problem) {
	n, problem := whole(v)
	if problem == fits && n > math.MaxUint16 {
		return 0, "not a port"
	}
	return int(n), problem
}

// count takes a number that cannot be negative; 0 is none.
func count(keys ...string) line { return convert("count", asCount, keys) }

func asCount(_ *Mapper, _ *schema.Artifact, v *member) (int64, problem) { return whole(v) }

// integer takes a whole number within bounds; 0 is none.
func integer(low, high int64, keys ...string) line {
	return convert("integer", func(_ *Mapper, _ *schema.Artifact, v *member) (int, problem) {
		n, ok := wholeOf(v)
		switch {
		case !ok:
			return 0, "not a number"
		case n == 0:
			return 0, empty
		case n < low || n > high:
			return 0, "out of range"
		}
		return int(n), fits
	}, keys)
}

func whole(v *member) (int64, problem) {
	n, ok := wholeOf(v)
	switch {
	case !ok:
		return 0, "not a number"
	case n < 0:
		return 0, "negative"
	case n == 0:
		return 0, empty
	}
	return n, fits
}

// wholeOf reads a number that is whole, whether it is written as a JSON number, as a string, or as 12.0.
func wholeOf(v *member) (int64, bool) {
	if v.kind != jsonscan.Number && v.kind != jsonscan.String {
		return 0, false
	}
	n, ok := digits(v.text)
	if ok {
		return n, true
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// digits reads what most numbers are, without the error that strconv makes of the others.
func digits(s string) (int64, bool) {
	negative := s != "" && s[0] == '-'
	if negative {
		s = s[1:]
	}
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// latitude and longitude take degrees. Both coordinates may be packed into one string, "lon|lat". 0 is none.
func latitude(keys ...string) line  { return degrees("latitude", 90, keys) }
func longitude(keys ...string) line { return degrees("longitude", 180, keys) }

func degrees(rule string, limit float64, keys []string) line {
	bind := func(field string) applyFunc {
		place := schema.Place[float64](field)
		if place == nil {
			return nil
		}
		c := func(m *Mapper, a *schema.Artifact, v *member) (float64, problem) {
			s := v.text
			if lon, lat, packed := strings.Cut(s, "|"); packed {
				m.warn(a, v, field, "packed coordinates")
				if s = lat; rule == "longitude" {
					s = lon
				}
			}
			x, err := strconv.ParseFloat(s, 64)
			switch {
			case err != nil:
				return 0, "not a coordinate"
			case !(math.Abs(x) <= limit):
				return 0, "out of range"
			case x == 0:
				return 0, empty
			}
			return x, fits
		}
		return func(m *Mapper, a *schema.Artifact, s *step) { first(m, a, s, place, c) }
	}
	return line{rule: rule, keys: keys, bind: bind}
}

// truth takes yes and no in the spellings that feeds have for them.
func truth(keys ...string) line {
	return convert("truth", func(_ *Mapper, _ *schema.Artifact, v *member) (schema.Tri, problem) {
		if t := truthOf(v.text); t != schema.Absent {
			return t, fits
		}
		return schema.Absent, "neither yes nor no"
	}, keys)
}

func truthOf(s string) schema.Tri {
	switch {
	case s == "1", strings.EqualFold(s, "yes"), strings.EqualFold(s, "true"):
		return schema.True
	case s == "0", strings.EqualFold(s, "no"), strings.EqualFold(s, "false"):
		return schema.False
	}
	return schema.Absent
}

// managed takes the two classifications of a device that say whether it is managed. Tenants have others of their own.
func managed(keys ...string) line {
	return convert("managed", func(_ *Mapper, _ *schema.Artifact, v *member) (schema.Tri, problem) {
		switch {
		case strings.EqualFold(v.text, "managed"):
			return schema.True, fits
		case strings.EqualFold(v.text, "unmanaged"):
			return schema.False, fits
		}
		return schema.Absent, notMine
	}, keys)
}

// hex takes a hash of so many hexadecimal digits, in lower case.
func hex(length int, keys ...string) line {
	return convert("hex", func(m *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		if len(v.text) != length || !isHex(v.text) {
			return "", "not a hash"
		}
		return lowerASCII(v.text), fits
	}, keys)
}

// anyHash takes an MD5, SHA-1 or SHA-256 sum.
func anyHash(keys ...string) line {
	return convert("hash", func(m *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		if n := len(v.text); n != 32 && n != 40 && n != 64 || !isHex(v.text) {
			return "", "not a hash"
		}
		return lowerASCII(v.text), fits
	}, keys)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// mime takes a value that is a media type; others are file types.
func mime(keys ...string) line {
	return convert("mime", func(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		top, sub, ok := strings.Cut(v.text, "/")
		if v.kind != jsonscan.String || !ok || top == "" || sub == "" || strings.ContainsAny(v.text, " \\") {
			return "", notMine
		}
		return v.text, fits
	}, keys)
}

// country takes an alpha-2 code, or the English name of a country.
func country(keys ...string) line {
	return convert("country", func(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		if len(v.text) == 2 && isLetter(v.text[0]) && isLetter(v.text[1]) {
			return strings.ToUpper(v.text), fits
		}
		if code := countryCode(v.text); code != "" {
			return code, fits
		}
		return "", "not a country"
	}, keys)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// level takes a level of risk in one of the spellings of severities.
func level(keys ...string) line {
	return convert("level", func(m *Mapper, _ *schema.Artifact, v *member) (string, problem) {
		s, ok := m.severityOf(v.text)
		if !ok || s == schema.SeverityUnknown {
			return "", "not a level"
		}
		return string(s), fits
	}, keys)
}

// anObject takes a JSON object as it stands.
func anObject(keys ...string) line {
	return convert("object", func(m *Mapper, a *schema.Artifact, v *member) (schema.RawJSON, problem) {
		if v.kind != jsonscan.Object {
			return "", "not an object"
		}
		return asJSON(m, a, v)
	}, keys)
}

// anything takes any JSON value as it stands.
func anything(keys ...string) line { return convert("json", asJSON, keys) }

func asJSON(_ *Mapper, _ *schema.Artifact, v *member) (schema.RawJSON, problem) {
	value := v.value()
	if isIJSON(value) {
		return schema.RawJSON(stringOf(v.raw)), fits
	}
	return schema.RawJSON(appendAnew(nil, value)), fits
}
