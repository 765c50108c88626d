package normalize

import (
	"crypto/sha256"
	hexadecimal "encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// subtypes are the alert types whose spelling varies, folded.
var subtypes = map[string]string{
	"compromisedcredential": "compromised_credential",
	"securityassessment":    "security_assessment",
	"legalhold":             "legal_hold",
	"anomaly":               "uba",
	"breach":                "compromised_credential",
	"nspolicy":              "policy",
}

// alertType sets the subtype of an alert: what the event says, else what the stream says, else the detector's internal name.
func alertType(spoken, internal string) line {
	return line{rule: "alert type", keys: []string{spoken, internal}, bind: func(string) applyFunc {
		return func(m *Mapper, a *schema.Artifact, s *step) {
			switch said, detector := m.at(s.slots[0]), m.at(s.slots[1]); {
			case said != nil:
				a.Subtype = m.alertSubtype(said.text)
				m.use(said, s.field, s.rule)
			case m.env.Subtype != "":
				a.Subtype = m.env.Subtype
			case detector != nil:
				a.Subtype = m.alertSubtype(detector.text)
				m.use(detector, s.field, s.rule)
			default:
				a.Subtype = "unknown"
			}
		}
	}}
}

func (m *Mapper) alertSubtype(s string) string {
	m.out = appendFolded(m.out[:0], s)
	if known, ok := subtypes[string(m.out)]; ok {
		return known
	}
	return m.lower(m.snakeWords(s))
}

// snakeWords is snake_case for words that are acronyms as often as not: capitals separate nothing.
func (m *Mapper) snakeWords(s string) string {
	return m.snake(m.lower(s))
}

// subtype takes the type of a record, else what the stream says, else the name of the dataset.
func subtype(keys ...string) line {
	return line{rule: "subtype", keys: keys, bind: func(field string) applyFunc {
		return func(m *Mapper, a *schema.Artifact, s *step) {
			first(m, a, s, schema.Place[string](field), func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
				text, problem := asText(m, a, v)
				return m.snakeWords(text), problem
			})
			if a.Subtype == "" {
				a.Subtype = m.env.Subtype
			}
			if a.Subtype == "" {
				a.Subtype = m.env.Dataset
			}
		}
	}}
}

// kind takes the flag that makes an event an alert.
func kind(key string) line {
	return convert("kind", func(_ *Mapper, a *schema.Artifact, v *member) (schema.Kind, problem) {
		switch truthOf(v.text) {
		case schema.True:
			return schema.KindAlert, fits
		case schema.False:
			return a.Kind, fits
		}
		return a.Kind, "neither yes nor no"
	}, []string{key})
}

// sameAs takes a key that names the dataset once more.
func sameAs(keys ...string) line {
	return convert("same as the stream", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		if v.text != a.Dataset {
			return "", notMine
		}
		return a.Dataset, fits
	}, keys)
}

// identify sets id, entity_id and revision.
func (m *Mapper) identify(a *schema.Artifact) {
	name := schema.AppendEntityName(m.name[:0], a.SourceTenant, a.Dataset)
	start := len(name)
	if m.plan.native != nil {
		name = m.plan.native(m, a, name)
	}
	if len(name) == start {
		name = hexadecimal.AppendEncode(append(name, "sha256="...), m.digest(identifying))
	}
	a.EntityID = schema.NameID(name)
	a.ID = a.EntityID
	if len(m.plan.mutable) > 0 {
		mutable := m.plan.mutable
		a.Revision = hexadecimal.EncodeToString(m.digest(func(key string) bool { return slices.Contains(mutable, key) }))[:8]
		name = schema.AppendRevision(name, a.Revision)
		a.ID = schema.NameID(name)
	}
	m.name = name
}

// byIDAndTime is the native part of most ids. _id alone would not do: sessions that differ have been seen with one.
func byIDAndTime(m *Mapper, a *schema.Artifact, name []byte) []byte {
	id := m.get("_id")
	if id == nil || id.text == "0" {
		return name
	}
	return m.appendTime(append(append(append(name, "_id="...), id.text...), "|ts="...), a)
}

// appendTime appends the event's own time in seconds, so that a record that comes with a number by one API and with a text by
// another has one id.
func (m *Mapper) appendTime(name []byte, a *schema.Artifact) []byte {
	t, problem := parseTime(a.TimeRaw)
	if problem != fits {
		return append(name, a.TimeRaw...)
	}
	name = strconv.AppendInt(name, int64(t/1000), 10)
	if ms := int64(t % 1000); ms != 0 {
		name = append(name, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return name
}

// identifying leaves out what differs from API to API.
func identifying(key string) bool {
	return !strings.HasPrefix(key, "_") && !strings.HasPrefix(key, "ns_")
}

// digest is the SHA-256 of the event's members that include picks, in canonical JSON, without those that hold nothing.
func (m *Mapper) digest(include func(key string) bool) []byte {
	var members []canonicalMember
	// Map has already read this object. A key is looked at before it is copied, and not kept.
	_ = jsonscan.Members(bytesOf(m.text), func(key []byte, v jsonscan.Value) error {
		if include(stringOf(key)) {
			members = append(members, canonicalMember{string(key), v})
		}
		return nil
	})
	members = slices.DeleteFunc(sorted(members), func(c canonicalMember) bool {
		text := textOf(c.value)
		return missing(c.value, text) || filledIn(c.value.Kind, text)
	})
	m.out = appendCanonicalMembers(m.out[:0], members)
	sum := sha256.Sum256(m.out)
	return sum[:]
}

type canonicalMember struct {
	key   string
	value jsonscan.Value
}

// sorted sorts members by key, the last one of a key only.
func sorted(members []canonicalMember) []canonicalMember {
	slices.SortStableFunc(members, func(a, b canonicalMember) int { return strings.Compare(a.key, b.key) })
	last := members[:0]
	for i, c := range members {
		if i+1 == len(members) || members[i+1].key != c.key {
			last = append(last, c)
		}
	}
	return last
}

// appendCanonical appends a value as canonical JSON: keys sorted, no white space, numbers as they are written.
func appendCanonical(dst []byte, v jsonscan.Value) []byte {
	switch v.Kind {
	case jsonscan.Object:
		var members []canonicalMember
		_ = jsonscan.Members(v.Raw, func(key []byte, v jsonscan.Value) error {
			members = append(members, canonicalMember{string(key), v})
			return nil
		})
		return appendCanonicalMembers(dst, sorted(members))
	case jsonscan.Array:
		dst = append(dst, '[')
		start := len(dst)
		_ = jsonscan.Elements(v.Raw, func(v jsonscan.Value) error {
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, v)
			return nil
		})
		return append(dst, ']')
	case jsonscan.String:
		if v.Escaped {
			return jsonscan.AppendString(dst, jsonscan.AppendText(nil, v))
		}
	}
	return append(dst, v.Raw...)
}

func appendCanonicalMembers(dst []byte, members []canonicalMember) []byte {
	dst = append(dst, '{')
	for i, c := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendString(dst, c.key), ':')
		dst = appendCanonical(dst, c.value)
	}
	return append(dst, '}')
}
