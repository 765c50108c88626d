package privacy

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/skopeflow/skopeflow/schema"
)

// scrub replaces the words in all fields that are not named.
func (r *Rules) scrub(a *schema.Artifact, w *words) {
	if len(w.list) == 0 && !w.queries && !w.logins {
		return
	}
	for _, place := range r.texts {
		if at := place(a); *at != "" {
			*at = w.replaceIn(*at)
		}
	}
	for _, place := range r.verbs {
		if at := place(a); *at != "" {
			*at = w.replaceInVerb(*at)
		}
	}
	for _, place := range r.addrs {
		if at := place(a); *at != "" {
			*at = addressOrNone(w.replaceIn(*at))
		}
	}
	for _, place := range r.lists {
		at := place(a)
		*at = w.replaceInAll(*at)
	}
	a.User.Attributes = w.replaceInJSON(a.User.Attributes)
	a.Audit.Details = w.replaceInJSON(a.Audit.Details)
	a.DLP.Matches = w.replaceInMatches(a.DLP.Matches)
	for i := range a.Enrichments {
		e := &a.Enrichments[i]
		e.Name, e.Value, e.Data = w.replaceIn(e.Name), w.replaceIn(e.Value), w.replaceInJSON(e.Data)
	}
}

func addressOrNone(s string) string {
	if _, err := netip.ParseAddr(s); err != nil {
		return ""
	}
	return s
}

func (w *words) replaceInMatches(matches []schema.DLPMatch) []schema.DLPMatch {
	matches = slices.Clone(matches)
	for i := range matches {
		m := &matches[i]
		m.Policy, m.Profile, m.Action = w.replaceIn(m.Policy), w.replaceIn(m.Profile), w.replaceIn(m.Action)
		m.ForensicID, m.Rules = w.replaceIn(m.ForensicID), slices.Clone(m.Rules)
		for j := range m.Rules {
			rule := &m.Rules[j]
			rule.Name, rule.Severity, rule.Identifiers = w.replaceIn(rule.Name), w.replaceIn(rule.Severity), w.replaceInAll(rule.Identifiers)
		}
	}
	return matches
}

func (w *words) replaceInAll(list []string) []string {
	for i, s := range list {
		if changed := w.replaceIn(s); changed != s {
			list = slices.Clone(list)
			list[i] = changed
		}
	}
	return list
}

// replaceIn returns text without the words. A text beyond ASCII in which one is found is returned in lower case, because
// letters may change their length with their case.
func (w *words) replaceIn(text string) string {
	text = w.bareURLsIn(text)
	lower := strings.ToLower(text)
	if !isASCII(text) {
		if changed := w.replaceAligned(lower, lower); changed != lower {
			return changed
		}
		return text
	}
	return w.replaceAligned(text, lower)
}

// replaceAligned finds in lower and replaces in text, which differ in case only.
func (w *words) replaceAligned(text, lower string) string {
	for i := range w.list {
		word := &w.list[i]
		if !strings.Contains(lower, word.from) {
			continue
		}
		var out, outLower strings.Builder
		copied, from := 0, 0
		for {
			next := strings.Index(lower[from:], word.from)
			if next < 0 {
				break
			}
			start := from + next
			end := start + len(word.from)
			if !isWhole(lower, start, end) {
				from = start + 1
				continue
			}
			out.WriteString(text[copied:start] + word.to)
			outLower.WriteString(lower[copied:start] + word.to)
			copied, from = end, end
		}
		text, lower = out.String()+text[copied:], outLower.String()+lower[copied:]
	}
	return text
}

// replaceInVerb replaces in a text that was put in snake_case, where no separator is what it was: it compares without them.
func (w *words) replaceInVerb(text string) string {
	text = w.bareURLsIn(text)
	verb := strings.ToLower(text)
	letters, at := squeezed(verb)
	changed := false
	for i := range w.list {
		from, _ := squeezed(w.list[i].from)
		for next := 0; from != "" && strings.Contains(letters[next:], from); {
			first := next + strings.Index(letters[next:], from)
			start, end := at[first], at[first+len(from)-1]+1
			if next = first + 1; isWhole(verb, start, end) {
				changed = true
				verb = verb[:start] + w.list[i].to + verb[end:]
				letters, at = squeezed(verb)
				next = first + len(strings.Map(unseparated, w.list[i].to))
			}
		}
	}
	if changed {
		return verb
	}
	return text
}

// squeezed returns a text without separators of words, and where each of its bytes stood.
func squeezed(text string) (letters string, at []int) {
	at = make([]int, 0, len(text))
	for i := range len(text) {
		if unseparated(rune(text[i])) >= 0 {
			at = append(at, i)
		}
	}
	return strings.Map(unseparated, text), at
}

func unseparated(r rune) rune {
	if r == '_' || r == '-' || r == ' ' {
		return -1
	}
	return r
}

// isWhole says that no letter and no digit touches s[start:end].
func isWhole(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	return !isWordRune(before) && !isWordRune(after)
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// replaceInJSON replaces in every string, key and number of a document. One that is no JSON goes.
func (w *words) replaceInJSON(raw schema.RawJSON) schema.RawJSON {
	if raw == "" {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return ""
	}
	changed := false
	v = w.replaceInValue(v, &changed)
	if !changed {
		return raw
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil { //nolint:errchkjson // it was decoded from JSON
		return ""
	}
	return schema.RawJSON(bytes.TrimSpace(out.Bytes()))
}

func (w *words) replaceInValue(v any, changed *bool) any {
	switch v := v.(type) {
	case string:
		text := w.replaceIn(v)
		*changed = *changed || text != v
		return text
	case json.Number:
		if text := w.replaceIn(v.String()); text != v.String() {
			*changed = true
			return text
		}
	case []any:
		for i := range v {
			v[i] = w.replaceInValue(v[i], changed)
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, inner := range v {
			text := w.replaceIn(key)
			*changed = *changed || text != key
			clean[text] = w.replaceInValue(inner, changed)
		}
		return clean
	}
	return v
}
