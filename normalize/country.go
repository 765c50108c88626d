package normalize

import (
	_ "embed"
	"strings"
	"sync"
)

// countryNames lists alpha-2 codes and English names, a tab between them, one a line. Transaction logs have names.
//
//go:embed countries.tsv
var countryNames string

var countryCodes = sync.OnceValue(func() map[string]string {
	codes := make(map[string]string)
	for row := range strings.Lines(countryNames) {
		code, name, _ := strings.Cut(strings.TrimSuffix(row, "\n"), "\t")
		codes[strings.ToLower(name)] = code
	}
	return codes
})

// countryCode returns the code of a country by its name; "" if there is none of this name.
func countryCode(name string) string {
	return countryCodes()[strings.ToLower(name)]
}
