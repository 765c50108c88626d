package privacy

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// roles are logins that name no person, and are words of the vendor's own besides. In their own fields they go as any other.
var roles = []string{"admin", "administrator", "anonymous", "default", "guest", "none", "root", "service", "system", "test", "unknown", "user"}

// words are the values to be replaced in the fields that are not named, in lower case, with what replaces them.
type words struct {
	queries, logins bool // what URLs lose besides
	list            []word
}

type word struct{ from, to string }

// add also notes an e-mail address as URLs spell it, and an IP address as most do.
func (w *words) add(from, to string) {
	if isEmail(from) {
		w.note(strings.Replace(from, "@", "%40", 1), to)
	}
	if address, err := netip.ParseAddr(from); err == nil {
		w.note(address.Unmap().String(), to)
	}
	w.note(from, to)
}

// addJSON notes the texts in a document to be removed, and those in the documents that are texts in it. Keys are no values.
func (w *words) addJSON(document string) {
	var v any
	if json.Unmarshal([]byte(document), &v) == nil {
		w.addValue(v)
	}
}

func (w *words) addValue(v any) {
	switch v := v.(type) {
	case string:
		text := strings.ToLower(strings.TrimSpace(v))
		if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
			w.addJSON(text)
		}
		w.add(text, mark)
		for _, part := range parts(text) {
			w.add(part, mark)
		}
	case []any:
		for i := 0; i < len(v) && len(w.list) < maxWords; i++ {
			w.addValue(v[i])
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) { // so that the bound cuts equal documents alike
			w.addValue(v[key])
		}
	}
}

func (w *words) note(from, to string) {
	if len(from) < minWord || len(w.list) == maxWords || slices.Contains(roles, from) || slices.ContainsFunc(w.list, func(x word) bool { return x.from == from }) {
		return
	}
	w.list = append(w.list, word{from, to})
}

// sort puts a value before those that are parts of it: an e-mail address before the login in it.
func (w *words) sort() {
	slices.SortStableFunc(w.list, func(x, y word) int { return cmp.Compare(len(y.from), len(x.from)) })
}

// parts returns the persons that a value lists ("Bob <bob@x.example>, Eve"), if it is a list.
func parts(v string) []string {
	list := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",;|<>()[]{}\"\t\r\n", r) })
	for _, part := range list {
		if strings.Contains(part, "@") && strings.Contains(part, " ") {
			list = append(list, slices.DeleteFunc(strings.Fields(part), func(word string) bool { return !isEmail(word) })...)
		}
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}
