// Package normalizetest makes events that no vendor would send, and that a mapper has to survive all the same.
package normalizetest

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// A Key is a key that the table of a dataset knows, and the conversion that it goes through.
type Key struct{ Name, Rule string }

// Hostile returns an event that has many of the keys and a few that no table knows. Half of the values are of the sort that
// the conversion takes, the others are anything; half of the events have white space where JSON lets it be. The same random numbers give the same event.
func Hostile(r *rand.Rand, keys []Key) []byte {
	event := make(map[string]any)
	for _, key := range keys {
		if r.IntN(3) == 0 {
			put(event, key.Name, value(r, key.Rule))
		}
	}
	for range r.IntN(4) {
		event[pick(r, texts)] = value(r, "")
	}
	text, err := json.Marshal(event)
	if err != nil {
		panic(err) //nolint:forbidigo // the values are texts, numbers, truth values, lists and objects
	}
	if r.IntN(2) == 0 {
		return text
	}
	return airy(r, text)
}

// airy puts white space and line breaks between the tokens of a JSON text, here and there.
func airy(r *rand.Rand, text []byte) []byte {
	var out []byte
	air := func() {
		if r.IntN(4) == 0 {
			out = append(out, pick(r, []string{" ", "\n", "\r\n", "\t", " \n  "})...)
		}
	}
	quoted, escaped := false, false
	for _, c := range text {
		token := !quoted && strings.IndexByte("{}[]:,", c) >= 0
		if token {
			air()
		}
		out = append(out, c)
		if token {
			air()
		}
		if c == '"' && !escaped {
			quoted = !quoted
		}
		escaped = quoted && c == '\\' && !escaped
	}
	return out
}

// put sets a key; a dotted one is set within an object.
func put(event map[string]any, key string, v any) {
	outer, inner, nested := strings.Cut(key, ".")
	if !nested {
		if _, isObject := event[key].(map[string]any); !isObject {
			event[key] = v
		}
		return
	}
	object, ok := event[outer].(map[string]any)
	if !ok {
		object = make(map[string]any)
		event[outer] = object
	}
	object[inner] = v
}

// wanted are values that conversions take, by the name of their rule.
var wanted = map[string][]any{
	"ip":         {"203.0.113.7", "10.1.2.3", "2001:db8::7", "::ffff:192.0.2.1", "0000:0000:0000:0000:0000:ffff:192.168.100.228", "1.2.3.4,5.6.7.8"},
	"port":       {443, "443", 0, 65535, 65536, -1, "http"},
	"country":    {"DE", "US", "Germany", "NA", "XX", "de"},
	"latitude":   {52.52, "13.40|52.52", 91, -90, "0", 0},
	"longitude":  {13.4, "13.40|52.52", 181, -180, "0", 0},
	"email":      {"jane@acme.example", "Jane.Doe@ACME.example", "jane doe@acme", "@", "a@b", "jane"},
	"event time": {1768478400, "1768478400", 1768478400123, 1768478400.5, 0, -1, "2026-01-15T12:00:00Z", 1e300},
	"severity":   {"high", "Critical", "med", 1, 4, "99", "worst"},
	"alert type": {"DLP", "Malware", "malsite", "policy", "uba", "Compromised Credential", "quarantine", "Security Assessment", "new sort"},
	"verb":       {"Upload", "Download", "Login Successful", "Login Failed", "Logout", "Tunnel Up", "Uninstalled", "USB insert", "Share", "Edit"},
}

var texts = []string{
	"", "x", "-", "N/A", "unknown", "jane@acme.example", "acme.example", "https://acme.example/p?q=1#f", "acme.example:99999/x", "[::1]:80/x", "http://",
	"ünï cødé", "a\x00b", "<script>alert(1)</script>", "\u2028", "GET", "PATCH", "BREW", "block", "allow", "useralert", "quarantine", "made-up action",
	"9e107d9d372bb6826bd81d3542a419d6", "00:11:22:33:44:55", "00-11-22", "18446744073709551615", "TCP", "HTTPS/2", "Windows 11", "iPadOS",
	"API Connector", "Trojan.Generic", "domain", "in_progress", "closed", "yes", "false", "True", "a.b.c", "x-new", "\"", "\\", "%zz",
	strings.Repeat("long ", 400),
}

func value(r *rand.Rand, rule string) any {
	if list := wanted[rule]; list != nil && r.IntN(2) == 0 {
		return pick(r, list)
	}
	switch r.IntN(12) {
	case 0:
		return r.Int64N(1 << 40)
	case 1:
		return json.Number("18446744073709551615")
	case 2:
		return r.Float64() * 1e6
	case 3:
		return r.IntN(2) == 0
	case 4:
		return nil
	case 5:
		return []any{pick(r, texts), pick(r, texts), r.IntN(9)}
	case 6:
		return map[string]any{pick(r, texts): pick(r, texts), "name": pick(r, texts), "standard": pick(r, texts)}
	case 7:
		return []any{map[string]any{"dlp_rules": []any{map[string]any{"dlp_rule_name": pick(r, texts), "dlp_incident_rule_count": r.IntN(9)}}}}
	case 8:
		return pick(r, []any{[]any{[]any{}}, map[string]any{"a": map[string]any{}, "b": []any{}}, []any{map[string]any{}, nil}})
	}
	return pick(r, texts)
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
