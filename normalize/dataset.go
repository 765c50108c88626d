package normalize

import (
	"maps"
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// Datasets returns the canonical names of all datasets.
func Datasets() []string {
	return []string{"alert", "page", "connection", "application", "audit", "network", "incident", "endpoint", "clientstatus", "infrastructure", "transaction"}
}

// A Line is a line of a dataset's table: which keys may give a field its value, best first, and by which conversion.
type Line struct {
	Field string // of the artifact, dotted
	Rule  string
	Keys  []string // of the event; dotted, for a member of an object
}

// Table returns the table of a dataset in the order of the schema; none for an unknown one.
func Table(name string) []Line {
	d, _ := datasetOf(name)
	var lines []Line
	for _, f := range schema.Fields() {
		if l, ok := d.table[f.Name]; ok {
			lines = append(lines, Line{f.Name, l.rule, slices.Clone(l.keys)})
		}
	}
	return lines
}

// Dropped returns the keys of a dataset whose values are let go where no field takes them, and why.
func Dropped(name string) map[string]string {
	d, _ := datasetOf(name)
	return maps.Clone(d.dropped)
}

// datasetOf returns the dataset with a canonical name.
func datasetOf(name string) (dataset, bool) {
	switch name {
	case "alert":
		return alert, true
	case "page":
		return page, true
	case "connection":
		return connection, true
	case "application":
		return application, true
	case "network":
		return network, true
	case "audit":
		return audit, true
	case "incident":
		return incident, true
	case "endpoint":
		return endpoint, true
	case "clientstatus":
		return clientstatus, true
	case "infrastructure":
		return infrastructure, true
	case "transaction":
		return transaction, true
	}
	return dataset{}, false
}

// Dataset says which dataset a stream such as "events/page", "page" or "alerts/dlp" carries and, for alerts/*, which subtype.
func Dataset(stream string) (dataset, subtype string, ok bool) {
	family, name, split := strings.Cut(stream, "/")
	if !split {
		family, name = "events", stream
	}
	switch family {
	case "events":
		if name == "epdlp" {
			name = "endpoint"
		}
		if _, ok := datasetOf(name); !ok {
			return "", "", false
		}
		return name, "", true
	case "alerts":
		if name == "" || strings.Contains(name, "/") {
			return "", "", false
		}
		if known, ok := subtypes[string(appendFolded(nil, name))]; ok {
			return "alert", known, true
		}
		return "alert", strings.ReplaceAll(strings.ToLower(name), "-", "_"), true
	}
	return "", "", false
}
