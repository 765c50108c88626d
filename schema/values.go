package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// Time is an instant in milliseconds since 1970 UTC. Zero is none: Netskope sends 0 where it has no time.
// In JSON it is RFC 3339 in UTC with exactly three decimals and a Z.
type Time int64

// TimeOf returns t, cut to milliseconds. The zero time.Time is no time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// Time returns the instant in UTC; the zero time.Time if there is none.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// timeLayout is RFC 3339 with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// AppendText appends the time as it stands in JSON, without quotes.
func (t Time) AppendText(dst []byte) ([]byte, error) {
	return t.append(dst), nil
}

func (t Time) append(dst []byte) []byte {
	at := time.UnixMilli(int64(t)).UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	if year < 0 || year > 9999 {
		return at.AppendFormat(dst, timeLayout)
	}
	dst = append(appendPair(appendPair(dst, year/100), year%100), '-')
	dst = append(appendPair(dst, int(month)), '-')
	dst = append(appendPair(dst, day), 'T')
	dst = append(appendPair(dst, hour), ':')
	dst = append(appendPair(dst, minute), ':')
	dst = append(appendPair(dst, second), '.')
	milli := at.Nanosecond() / 1e6
	return append(appendPair(append(dst, byte('0'+milli/100)), milli%100), 'Z')
}

func appendPair(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

func (t Time) appendJSON(dst []byte) []byte {
	return append(t.append(append(dst, '"')), '"')
}

// String returns the time as it stands in JSON; "" if there is none.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return string(t.append(nil))
}

// MarshalText returns the time as it stands in JSON.
func (t Time) MarshalText() ([]byte, error) {
	return t.append(nil), nil
}

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err == nil {
		*t = TimeOf(at)
	}
	return err
}

// Tri is a truth value that may be absent, which is its zero value.
type Tri uint8

// The truth values.
const (
	Absent Tri = iota
	False
	True
)

// TriOf returns True or False.
func TriOf(b bool) Tri {
	if b {
		return True
	}
	return False
}

func (t Tri) appendJSON(dst []byte) []byte {
	return strconv.AppendBool(dst, t == True)
}

// MarshalJSON returns true or false. An absent value is left out of its object before it comes to that.
func (t Tri) MarshalJSON() ([]byte, error) {
	return t.appendJSON(nil), nil
}

// UnmarshalJSON reads true or false.
func (t *Tri) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "true":
		*t = True
	case "false":
		*t = False
	default:
		return fmt.Errorf("parse truth value %q: want true or false", text)
	}
	return nil
}

// RawJSON is a JSON value as text; "" is none. It is taken over unread, so that no digit and no key of it is lost.
type RawJSON string

// Decode reads the value into v, as json.Unmarshal does.
func (r RawJSON) Decode(v any) error {
	return json.Unmarshal([]byte(r), v)
}

// MarshalJSON returns the text.
func (r RawJSON) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	return []byte(r), nil
}

// UnmarshalJSON keeps the text.
func (r *RawJSON) UnmarshalJSON(text []byte) error {
	*r = RawJSON(text)
	return nil
}

// A DLPMatch is one policy that a DLP incident violated.
type DLPMatch struct {
	Policy     string    `json:"policy,omitzero"`
	Profile    string    `json:"profile,omitzero"`
	Action     string    `json:"action,omitzero"`
	ForensicID string    `json:"forensic_id,omitzero"` // uint64 as string
	Rules      []DLPRule `json:"rules,omitempty"`
}

func (m DLPMatch) appendJSON(dst []byte) []byte {
	start := len(dst)
	dst = appendText(dst, `,"policy":`, m.Policy)
	dst = appendText(dst, `,"profile":`, m.Profile)
	dst = appendText(dst, `,"action":`, m.Action)
	dst = appendText(dst, `,"forensic_id":`, m.ForensicID)
	if len(m.Rules) > 0 {
		dst = appendObjects(append(dst, `,"rules":`...), m.Rules)
	}
	return closeObject(dst, start)
}

// A DLPRule is one rule of a DLPMatch, with how often it hit.
type DLPRule struct {
	Name        string   `json:"name,omitzero"`
	Severity    string   `json:"severity,omitzero"` // as received
	Score       int64    `json:"score,omitzero"`
	Count       int64    `json:"count,omitzero"`
	Unique      int64    `json:"unique,omitzero"`
	Identifiers []string `json:"identifiers,omitempty"`
}

func (r DLPRule) appendJSON(dst []byte) []byte {
	start := len(dst)
	dst = appendText(dst, `,"name":`, r.Name)
	dst = appendText(dst, `,"severity":`, r.Severity)
	dst = appendInt(dst, `,"score":`, r.Score)
	dst = appendInt(dst, `,"count":`, r.Count)
	dst = appendInt(dst, `,"unique":`, r.Unique)
	if len(r.Identifiers) > 0 {
		dst = appendStrings(append(dst, `,"identifiers":`...), r.Identifiers)
	}
	return closeObject(dst, start)
}

// An Enrichment is something that was added after mapping. It never replaces what the source said.
type Enrichment struct {
	Name     string  `json:"name,omitzero"`
	Provider string  `json:"provider,omitzero"`
	Field    string  `json:"field,omitzero"` // the artifact field that it is about, dotted
	Value    string  `json:"value,omitzero"`
	Data     RawJSON `json:"data,omitzero"`
	Time     Time    `json:"time,omitzero"`
}

func (e Enrichment) appendJSON(dst []byte) []byte {
	start := len(dst)
	dst = appendText(dst, `,"name":`, e.Name)
	dst = appendText(dst, `,"provider":`, e.Provider)
	dst = appendText(dst, `,"field":`, e.Field)
	dst = appendText(dst, `,"value":`, e.Value)
	if e.Data != "" {
		dst = append(append(dst, `,"data":`...), e.Data...)
	}
	if e.Time != 0 {
		dst = e.Time.appendJSON(append(dst, `,"time":`...))
	}
	return closeObject(dst, start)
}

// The encoder writes each member with a comma before it. The first comma of an object is then overwritten by its bracket.

func openGroup(dst []byte, key string) ([]byte, int) {
	dst = append(dst, key...)
	return dst, len(dst) - len(key)
}

// closeGroup ends the group whose key begins at start, or takes the key back if nothing followed it.
func closeGroup(dst []byte, start int) []byte {
	body := start + 1
	for dst[body] != ':' {
		body++
	}
	if body++; body == len(dst) {
		return dst[:start]
	}
	dst[body] = '{'
	return append(dst, '}')
}

func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, '{', '}')
	}
	dst[start] = '{'
	return append(dst, '}')
}

func appendText(dst []byte, key, s string) []byte {
	if s == "" {
		return dst
	}
	return jsonscan.AppendString(append(dst, key...), s)
}

func appendInt(dst []byte, key string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, key...), n, 10)
}

func appendStrings(dst []byte, list []string) []byte {
	for i, s := range list {
		dst = append(dst, ',')
		if i == 0 {
			dst[len(dst)-1] = '['
		}
		dst = jsonscan.AppendString(dst, s)
	}
	return append(dst, ']')
}

func appendObjects[T interface{ appendJSON([]byte) []byte }](dst []byte, list []T) []byte {
	for i := range list {
		dst = append(dst, ',')
		if i == 0 {
			dst[len(dst)-1] = '['
		}
		dst = list[i].appendJSON(dst)
	}
	return append(dst, ']')
}
