// Package ocsf shows artifacts as events of the Open Cybersecurity Schema Framework (https://schema.ocsf.io), versions 1.5.0 to
// 1.8.0. The class of the event follows the class of the artifact; what the framework has no place for stands in unmapped and
// raw_data. A view is a function of the artifact alone.
//
// The rules are those of the published class definitions: an object appears only with what its definition demands, and an
// event whose own demands are not met becomes one of a less particular class, at last a Base Event.
package ocsf

import (
	"fmt"
	"slices"

	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// Versions are the versions that artifacts can be shown in, the newest last.
func Versions() []string { return []string{"1.5.0", "1.6.0", "1.7.0", Latest} }

// Latest is the newest version.
const Latest = "1.8.0"

// A View shows artifacts in one version. It serves any number of goroutines.
type View struct {
	version string
	forms   map[schema.Class]*form
}

// A form is a class made ready for use.
type form struct {
	class     *class
	plan      *view.Plan
	otherwise *form // for an artifact that does not meet the class's demands
}

// New returns the view of a version, which is one of Versions.
func New(version string) (*View, error) {
	if !slices.Contains(Versions(), version) {
		return nil, fmt.Errorf("OCSF %q is not known here; choose one of %q", version, Versions())
	}
	made := make(map[*class]*form)
	v := &View{version: version, forms: make(map[schema.Class]*form)}
	for name, c := range classes {
		v.forms[name] = prepare(c, version, made)
	}
	return v, nil
}

func prepare(c *class, version string, made map[*class]*form) *form {
	if c.since > version {
		c = c.otherwise
	}
	if f := made[c]; f != nil {
		return f
	}
	f := &form{class: c, plan: view.Compile(c.document(version), version)}
	if c.otherwise != nil {
		f.otherwise = prepare(c.otherwise, version, made)
	}
	made[c] = f
	return f
}

// Append appends the event of an artifact as a JSON object.
func (v *View) Append(dst []byte, a *schema.Artifact) []byte {
	return v.formOf(a).plan.Append(dst, a)
}

// Places returns where the fields of an artifact stand in its event: field → paths.
func (v *View) Places(a *schema.Artifact) map[string][]string {
	return v.formOf(a).class.document(v.version).Places()
}

func (v *View) formOf(a *schema.Artifact) *form {
	f := v.forms[a.Class]
	if f == nil {
		f = v.forms[schema.ClassOther]
	}
	for f.class.needs != nil && !f.class.needs(a) {
		f = f.otherwise
	}
	return f
}

// Places returns where the fields of an artifact stand in the newest version: field → paths, over all classes.
func Places() map[string][]string {
	places := make(map[string][]string)
	for _, c := range classes {
		for field, paths := range c.document(Latest).Places() {
			places[field] = append(places[field], paths...)
		}
	}
	for field, paths := range places {
		slices.Sort(paths)
		places[field] = slices.Compact(paths)
	}
	return places
}
