package contract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// IDs makes the ids of the vectors, which is a file such as schema/testdata/maps/id_vectors.json, from their names: a line
// "case\tid\tentity id" for each, in the order of the file. What the file says the ids are is not read.
func IDs(vectors []byte) ([]string, error) {
	var file struct {
		Vectors []struct {
			Case       string `json:"case"`
			EntityName string `json:"entity_name"`
			Revision   string `json:"revision"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(vectors, &file); err != nil {
		return nil, fmt.Errorf("read id vectors: %w", err)
	}
	var lines []string
	for _, v := range file.Vectors {
		name := []byte(v.EntityName)
		entity := schema.NameID(name)
		id := entity
		if v.Revision != "" {
			id = schema.NameID(schema.AppendRevision(name, v.Revision))
		}
		lines = append(lines, v.Case+"\t"+id.String()+"\t"+entity.String())
	}
	return lines, nil
}

// CompareIDs holds the present ids against those of a baseline, both as [IDs] returns them.
func CompareIDs(baseline, now []string) (breaks, added []string) {
	const who = "tell by the id what they have already: each record that is read again would be a new one to them"
	for _, was := range baseline {
		name, ids, _ := strings.Cut(was, "\t")
		i := slices.IndexFunc(now, func(line string) bool { return strings.HasPrefix(line, name+"\t") })
		switch {
		case i < 0:
			breaks = append(breaks, sentence("the id recipe", "has lost the vector "+name, who))
		case now[i] != was:
			_, other, _ := strings.Cut(now[i], "\t")
			breaks = append(breaks, sentence("the id recipe", fmt.Sprintf("makes %q of %s instead of %q", other, name, ids), who))
		}
	}
	for _, line := range now {
		name, _, _ := strings.Cut(line, "\t")
		if !slices.ContainsFunc(baseline, func(was string) bool { return strings.HasPrefix(was, name+"\t") }) {
			added = append(added, line)
		}
	}
	return breaks, added
}
