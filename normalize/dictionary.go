package normalize

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
)

// dictionaryRows lists the keys that events are known to have, each with the shapes of its values, a tab between them, one a
// line. The facts are from Netskope's public Data-Schema (netskopeoss/Data-Schema) and its API documentation; a few keys are
// documented nowhere and were seen in published events. There is one list for all datasets: a key that is documented for
// another dataset is no news.
//
//go:embed dictionary.tsv
var dictionaryRows string

// shapes are what a key's values are known to be. Texts, numbers and truth values are one shape, because Netskope writes one
// and the same field in any of them.
type shapes uint8

const (
	scalar shapes = 1 << iota
	listing
	mapping
)

var shapeNames = map[string]shapes{"scalar": scalar, "list": listing, "object": mapping}

// dictionary has the shapes of each known key by its dotted name.
var dictionary = sync.OnceValue(func() map[string]shapes {
	known := make(map[string]shapes)
	for row := range strings.Lines(dictionaryRows) {
		name, names, ok := strings.Cut(strings.TrimSuffix(row, "\n"), "\t")
		if !ok {
			continue
		}
		for shape := range strings.SplitSeq(names, ",") {
			known[name] |= shapeNames[shape]
		}
	}
	return known
})

func shapeOf(kind jsonscan.Kind) shapes {
	switch kind {
	case jsonscan.Object:
		return mapping
	case jsonscan.Array:
		return listing
	}
	return scalar
}
