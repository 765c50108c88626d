// Package view writes documents of other schemas from artifacts. What stands where is said in tables; this package makes a
// plan of a table once, and appends a document per artifact without building a tree. An object in which nothing stands is
// left out, and so is an array.
package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// A Table says what stands where: the path in the document, with dots between objects, and what is written there. A part of
// a path that ends in [] is an array with one object. A path that is the beginning of others names an object, and can only
// have a condition; see Only.
type Table map[string]Value

// With returns the table extended by others, whose rows replace those of the same path.
func (t Table) With(others ...Table) Table {
	all := maps.Clone(t)
	for _, o := range others {
		maps.Copy(all, o)
	}
	return all
}

// Under returns the table with every path below a prefix.
func (t Table) Under(prefix string) Table {
	moved := make(Table, len(t))
	for path, v := range t {
		moved[strings.TrimSuffix(prefix+"."+path, ".")] = v
	}
	return moved
}

// Without returns the table without a path and everything below it.
func (t Table) Without(path string) Table {
	rest := maps.Clone(t)
	maps.DeleteFunc(rest, func(p string, _ Value) bool { return p == path || strings.HasPrefix(p, path+".") })
	return rest
}

// From returns the table for documents of a version and later ones.
func (t Table) From(version string) Table {
	later := make(Table, len(t))
	for path, v := range t {
		later[path] = v.From(version)
	}
	return later
}

// Places returns where the fields of an artifact stand: field → paths.
func (t Table) Places() map[string][]string {
	places := make(map[string][]string)
	for _, path := range slices.Sorted(maps.Keys(t)) {
		for _, field := range t[path].Fields {
			places[field] = append(places[field], path)
		}
	}
	return places
}

// Conditions returns what has to hold in a version for something to stand at a path: the conditions of the objects around it,
// and its own.
func (t Table) Conditions(path, version string) []func(*schema.Artifact) bool {
	var all []func(*schema.Artifact) bool
	for i, c := range path + "." {
		if c != '.' {
			continue
		}
		if v, ok := t[path[:i]]; ok && v.when != nil && v.Since <= version {
			all = append(all, v.when)
		}
	}
	return all
}

// A Value is what stands at one place.
type Value struct {
	Fields []string // the artifact's fields that it is made of; none for a constant
	Since  string   // the version of the other schema that has the place first; "" is all of them

	write func(dst []byte, a *schema.Artifact) []byte // appends JSON, or nothing
	when  func(a *schema.Artifact) bool               // nil is always
}

// Field is the value of an artifact's field as it is.
func Field(name string) Value {
	return Value{Fields: []string{name}, write: access(name).Append}
}

// First is the value of the first of some fields that has one.
func First(names ...string) Value {
	var all []schema.Access
	for _, name := range names {
		all = append(all, access(name))
	}
	return Value{Fields: names, write: func(dst []byte, a *schema.Artifact) []byte {
		for _, f := range all {
			if f.Present(a) {
				return f.Append(dst, a)
			}
		}
		return dst
	}}
}

// List is an array with the value of a field, if there is one.
func List(name string) Value {
	f := access(name)
	return Value{Fields: []string{name}, write: func(dst []byte, a *schema.Artifact) []byte {
		if !f.Present(a) {
			return dst
		}
		return append(f.Append(append(dst, '['), a), ']')
	}}
}

// Const is the same in every document.
func Const(v any) Value {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) //nolint:forbidigo // a table holds only texts, numbers, truth values and lists of them
	}
	return Value{write: func(dst []byte, _ *schema.Artifact) []byte { return append(dst, text...) }}
}

// Func is what a function makes of some fields: it appends JSON, or nothing.
func Func(write func(dst []byte, a *schema.Artifact) []byte, fields ...string) Value {
	return Value{Fields: fields, write: write}
}

// Only is the condition of an object: it is left out unless one of the fields has a value, whatever else stands in it.
func Only(fields ...string) Value {
	var all []schema.Access
	for _, name := range fields {
		all = append(all, access(name))
	}
	return When(func(a *schema.Artifact) bool {
		for _, f := range all {
			if f.Present(a) {
				return true
			}
		}
		return false
	})
}

// When is the condition of an object.
func When(when func(a *schema.Artifact) bool) Value { return Value{when: when} }

// If returns the value with a condition.
func (v Value) If(when func(a *schema.Artifact) bool) Value {
	v.when = when
	return v
}

// From returns the value for documents of a version and later ones.
func (v Value) From(version string) Value {
	v.Since = version
	return v
}

// Append appends the value as JSON, or nothing.
func (v Value) Append(dst []byte, a *schema.Artifact) []byte {
	if v.when != nil && !v.when(a) {
		return dst
	}
	return v.write(dst, a)
}

func access(name string) schema.Access {
	f, ok := schema.AccessTo(name)
	if !ok {
		panic(fmt.Sprintf("view: an artifact has no field %q", name)) //nolint:forbidigo // a mistake in a table, found by any test
	}
	return f
}

// A Plan is a table made ready for use. It serves any number of goroutines.
type Plan struct{ root node }

type node struct {
	name  string
	key   string // name as it stands in the document, with a comma before and a colon after
	array bool
	when  func(*schema.Artifact) bool
	write func([]byte, *schema.Artifact) []byte // nil for an object
	nodes []*node
}

// Compile makes a plan of the rows that a version of the other schema has. Versions compare as text. It panics if a path is
// both a value and an object, which is a mistake in the table.
func Compile(t Table, version string) *Plan {
	p := new(Plan)
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if v := t[path]; v.Since <= version {
			p.root.add(path, v)
		}
	}
	return p
}

func (n *node) add(path string, v Value) {
	if path == "" {
		n.when, n.write = v.when, v.write
		return
	}
	name, rest, _ := strings.Cut(path, ".")
	for _, child := range n.nodes {
		if child.name == name {
			if child.write != nil {
				panic(fmt.Sprintf("view: %s is a value and has parts", name)) //nolint:forbidigo // likewise
			}
			child.add(rest, v)
			return
		}
	}
	key, array := strings.CutSuffix(name, "[]")
	child := &node{name: name, key: `,"` + key + `":`, array: array}
	n.nodes = append(n.nodes, child)
	child.add(rest, v)
}

// Append appends the document of an artifact: one JSON object.
func (p *Plan) Append(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	if dst = p.root.members(dst, a); len(dst) == start {
		return append(dst, '{', '}')
	}
	dst[start] = '{'
	return append(dst, '}')
}

// members appends the members of an object, each with a comma before it.
func (n *node) members(dst []byte, a *schema.Artifact) []byte {
	for _, child := range n.nodes {
		dst = child.append(dst, a)
	}
	return dst
}

func (n *node) append(dst []byte, a *schema.Artifact) []byte {
	if n.when != nil && !n.when(a) {
		return dst
	}
	start := len(dst)
	dst = append(dst, n.key...)
	if n.array {
		dst = append(dst, '[')
	}
	open := len(dst)
	if n.write != nil {
		dst = n.write(dst, a)
	} else {
		dst = n.members(dst, a)
	}
	if len(dst) == open {
		return dst[:start]
	}
	if n.write == nil {
		dst[open] = '{'
		dst = append(dst, '}')
	}
	if n.array {
		dst = append(dst, ']')
	}
	return dst
}
