package ocsf

import (
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// apart are the fields that are not looked for in unmapped: they describe the artifact, or are told in another way.
var apart = []string{
	"schema_version", "kind", "class", "source", "warnings", "time_precision", "severity_source", "message", "unmapped",
	"raw", "raw_format", "raw_size", "raw_sha256",
}

// also are the fields that stand in unmapped even where they have a place: a metric's host is more than a device's name.
var also = []string{"infra.host"}

// A leftover is a field that an event has no attribute for, or none whose object meets its definition.
type leftover struct {
	key    string // as it stands in the document, with a comma before and a colon after
	access schema.Access
	places [][]func(*schema.Artifact) bool // the conditions of each place that the class has for it
}

// unmapped is what has no place in an event of a class with this table: the vendor's keys that no field took, and the
// artifact's fields, by their names.
func unmapped(t view.Table, version string) view.Value {
	var all []leftover
	names := []string{"unmapped"}
	places := t.Places()
	for _, f := range schema.Fields() {
		if slices.Contains(apart, f.Name) {
			continue
		}
		l := leftover{key: `,"` + f.Name + `":`}
		placed := false
		for _, path := range places[f.Name] {
			if path == "observables" || t[path].Since > version {
				continue
			}
			conditions := t.Conditions(path, version)
			placed = placed || len(conditions) == 0
			l.places = append(l.places, conditions)
		}
		if slices.Contains(also, f.Name) {
			placed, l.places = false, nil
		}
		if !placed {
			l.access, _ = schema.AccessTo(f.Name)
			all, names = append(all, l), append(names, f.Name)
		}
	}
	return view.Func(func(dst []byte, a *schema.Artifact) []byte {
		start := len(dst)
		if inner := strings.TrimSpace(string(a.Unmapped)); len(inner) > 2 {
			dst = append(append(dst, ','), inner[1:len(inner)-1]...)
		}
		for i := range all {
			dst = all[i].append(dst, a)
		}
		if len(dst) == start {
			return dst
		}
		dst[start] = '{'
		return append(dst, '}')
	}, names...)
}

func (l *leftover) append(dst []byte, a *schema.Artifact) []byte {
	if !l.access.Present(a) || l.stands(a) {
		return dst
	}
	if name := l.key[1 : len(l.key)-1]; strings.Contains(string(a.Unmapped), name) { // a vendor's key may be called so
		dst = append(jsonscan.AppendString(append(dst, ','), "artifact."+strings.Trim(name, `"`)), ':')
	} else {
		dst = append(dst, l.key...)
	}
	return l.access.Append(dst, a)
}

// stands reports whether the field has a place in the event of an artifact.
func (l *leftover) stands(a *schema.Artifact) bool {
	return slices.ContainsFunc(l.places, func(conditions []func(*schema.Artifact) bool) bool {
		return !slices.ContainsFunc(conditions, func(holds func(*schema.Artifact) bool) bool { return !holds(a) })
	})
}
