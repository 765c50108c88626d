package ocsf

import (
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// observed are the attributes that are listed again as observables, so that they can be searched for wherever a class has
// them, and the values of observable.type_id.
var observed = []struct {
	path string
	kind int64
}{
	{"src_endpoint.ip", 2}, {"dst_endpoint.ip", 2}, {"dst_endpoint.hostname", 1}, {"device.ip", 2}, {"device.hostname", 1},
	{"actor.user.email_addr", 5}, {"actor.user.name", 4}, {"user.email_addr", 5}, {"user.name", 4}, {"file.name", 7},
}

// An observable is an attribute of a class, ready to be listed.
type observable struct {
	prefix string // of the element, up to its value
	value  view.Value
}

// observables returns what appends the list of observables of a class.
func observables(t view.Table) func(dst []byte, a *schema.Artifact) []byte {
	var all []observable
	for _, o := range observed {
		for _, path := range []string{o.path, "evidences[]." + o.path} {
			if v, ok := t[path]; ok {
				name := strings.ReplaceAll(path, "[]", "[0]")
				all = append(all, observable{`,{"name":"` + name + `","type_id":` + strconv.FormatInt(o.kind, 10) + `,"value":`, v})
				break
			}
		}
	}
	hashes := ""
	for _, path := range []string{"file.hashes", "evidences[].file.hashes"} {
		if _, ok := t[path]; ok {
			hashes = `,{"name":"` + strings.ReplaceAll(path, "[]", "[0]") + `.value","type_id":8,"value":`
			break
		}
	}
	return func(dst []byte, a *schema.Artifact) []byte {
		start := len(dst)
		for i := range all {
			dst = all[i].append(dst, a)
		}
		if hashes != "" && hasFile(a) {
			for _, hash := range [...]string{a.File.MD5, a.File.SHA1, a.File.SHA256} {
				if hash != "" {
					dst = append(jsonscan.AppendString(append(dst, hashes...), hash), '}')
				}
			}
		}
		return closeList(dst, start)
	}
}

func (o *observable) append(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	dst = append(dst, o.prefix...)
	open := len(dst)
	if dst = o.value.Append(dst, a); len(dst) == open {
		return dst[:start]
	}
	return append(dst, '}')
}
