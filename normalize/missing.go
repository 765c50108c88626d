package normalize

import (
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// missing says whether a value holds nothing: null, "", [] or {}, or one of the words that Netskope writes instead.
// Zero is not among them: what it means depends on the field.
func missing(v jsonscan.Value, text string) bool {
	switch v.Kind {
	case jsonscan.Null:
		return true
	case jsonscan.String:
		return placeholder(text)
	case jsonscan.Array, jsonscan.Object:
		return len(v.Raw) == 2 || strings.TrimSpace(text[1:len(text)-1]) == ""
	}
	return false
}

func placeholder(s string) bool {
	if s != "" && s[0] == ' ' {
		s = strings.TrimSpace(s)
	}
	switch len(s) {
	case 0:
		return true
	case 1:
		return s == "-"
	case 2:
		return strings.EqualFold(s, "NA")
	case 3:
		return strings.EqualFold(s, "N/A")
	case 4:
		return strings.EqualFold(s, "None") || strings.EqualFold(s, "null")
	case 5:
		return strings.EqualFold(s, "NoSSL")
	case 7:
		return strings.EqualFold(s, "unknown")
	case 10:
		return strings.EqualFold(s, "NotChecked")
	case 12:
		return strings.EqualFold(s, "NotAvailable")
	}
	return false
}

// filledIn says whether a value is a default that newer exports write for every key they know: zero or false.
func filledIn(kind jsonscan.Kind, text string) bool {
	switch kind {
	case jsonscan.False:
		return true
	case jsonscan.Number:
		return strings.Trim(text, "-0.") == ""
	}
	return false
}
