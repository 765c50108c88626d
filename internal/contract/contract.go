// Package contract writes down what consumers of artifacts may rely on, and tells a change that breaks them from one that
// does not.
//
// The documents in docs/schema are what [ArtifactSchema], [AsyncAPI] and [FieldTable] return; they depend on their
// arguments and on the program alone. The baseline in schema/testdata/v1 is what version 1.0 of the contract promised, as
// text: [Compare] and [CompareIDs] hold the present against it. Within one major version the baseline only grows.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// ArtifactSchema returns the JSON Schema of an artifact.
func ArtifactSchema() []byte {
	return slices.Clone(schema.JSON)
}

// A Field is what the JSON Schema promises of one member of an artifact, or of one of its groups. Two Fields that are the
// same promise the same.
type Field struct {
	Name     string   // dotted, with [] for the elements of a list; "$" is the artifact itself
	Type     string   // of JSON: string, integer, number, boolean, object, any; string[] and object[] for arrays
	Presence string   // always, optional, or the condition: "if dataset=alert"
	Model    string   // open or closed: whether values, or members of an object, may be added; empty where there is no list
	Format   string   // format, pattern and bounds, of a group how many members it has at least
	Unit     string   // unit or notation; empty where Values tell it
	Values   []string // in the order of the schema
}

// The presence of a field that is no condition.
const (
	Always   = "always"
	Optional = "optional"
)

// What may be added to a list of values, or to the members of an object.
const (
	Open   = "open"
	Closed = "closed"
)

// A root is the JSON Schema of an artifact. These types have the keywords of JSON Schema that are compared, or that promise
// nothing. Any other is an error of Parse: a change of it would go unnoticed.
type root struct {
	Dialect string `json:"$schema"`
	ID      string `json:"$id"`
	Title   string `json:"title"`
	AllOf   []rule `json:"allOf"`
	node
}

// dialect is the version of JSON Schema in which the keywords mean what is made of them here.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// node is the schema of one member of an artifact, or of the elements of a list.
type node struct {
	Type                 string          `json:"type"`
	Format               string          `json:"format"`
	Pattern              string          `json:"pattern"`
	Description          string          `json:"description"`
	Enum                 []string        `json:"enum"`
	Examples             []string        `json:"examples"`
	Required             []string        `json:"required"`
	Properties           map[string]node `json:"properties"`
	AdditionalProperties *bool           `json:"additionalProperties"`
	MinProperties        json.Number     `json:"minProperties"`
	Items                *node           `json:"items"`
	Minimum              json.Number     `json:"minimum"`
	Maximum              json.Number     `json:"maximum"`
	MinLength            json.Number     `json:"minLength"`
	AnyOf                []alternative   `json:"anyOf"`
	Map                  json.RawMessage `json:"x-map"`
}

// An alternative is one of the formats that a text may have.
type alternative struct {
	Format string `json:"format"`
}

// A rule makes members of the artifact required on a condition.
type rule struct {
	If   *premise `json:"if"`
	Then *struct {
		Required []string `json:"required"`
	} `json:"then"`
}

// A premise holds where all the required members are there, with one of the values if it names some.
type premise struct {
	Required   []string `json:"required"`
	Properties map[string]struct {
		Const string   `json:"const"`
		Enum  []string `json:"enum"`
	} `json:"properties"`
}

// Parse reads the promises out of the JSON Schema of an artifact, sorted by name. The elements of a list have the name of the list
// with [] after it: dlp.matches[].rules[].count.
func Parse(document []byte) ([]Field, error) {
	var r root
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("read schema: a keyword is unknown here or used in an unknown way, so that a change of it would go unnoticed; leave it out, or let package contract compare it: %w", err)
	}
	if r.Dialect != dialect {
		return nil, fmt.Errorf("read schema: it is written for %q, and is read here as %s", r.Dialect, dialect)
	}
	conditions, err := conditionsOf(&r)
	if err != nil {
		return nil, err
	}
	fields, err := collect(nil, "$", Always, &r.node, conditions)
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return fields, err
}

// conditionsOf returns the conditions under which members of the artifact are required, by member.
func conditionsOf(r *root) (map[string][]string, error) {
	conditions := make(map[string][]string)
	for _, rule := range r.AllOf {
		if rule.If == nil || rule.Then == nil {
			return nil, errors.New("read schema: allOf holds something else than if and then")
		}
		c, err := rule.If.condition()
		if err != nil {
			return nil, err
		}
		for _, name := range rule.Then.Required {
			if _, ok := r.Properties[name]; !ok {
				return nil, fmt.Errorf("read schema: %s is required if %s, and has no schema", name, c)
			}
			conditions[name] = append(conditions[name], c)
		}
	}
	return conditions, nil
}

// collect appends the field with a name, and those below it. Conditions are of the members of the artifact.
func collect(fields []Field, name, presence string, n *node, conditions map[string][]string) ([]Field, error) {
	fields = append(fields, field(name, n, presence))
	prefix := name + "."
	if name == "$" {
		prefix = ""
	}
	var err error
	if n.Items != nil {
		if fields, err = collect(fields, name+"[]", Optional, n.Items, nil); err != nil {
			return nil, err
		}
	}
	for _, member := range n.Required {
		if _, ok := n.Properties[member]; !ok {
			return nil, fmt.Errorf("read schema: %s is required and has no schema", prefix+member)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(n.Properties)) {
		inner, presence := n.Properties[member], Optional
		if slices.Contains(n.Required, member) {
			presence = Always
		} else if list := conditions[member]; len(list) > 0 {
			slices.Sort(list)
			presence = "if " + strings.Join(slices.Compact(list), " or if ")
		}
		if fields, err = collect(fields, prefix+member, presence, &inner, nil); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func field(name string, n *node, presence string) Field {
	f := Field{Name: name, Type: typeOf(n), Presence: presence, Format: formatOf(n), Unit: unitOf(n)}
	switch {
	case len(n.Enum) > 0:
		f.Values, f.Model, f.Unit = n.Enum, Closed, ""
	case len(n.Examples) > 0:
		f.Values, f.Model, f.Unit = n.Examples, Open, ""
	case wordList.MatchString(f.Unit):
		f.Values, f.Model, f.Unit = strings.Split(strings.TrimSuffix(f.Unit, "…"), "|"), Open, ""
	case n.Type == "object":
		f.Model = Open
		if n.AdditionalProperties != nil && !*n.AdditionalProperties {
			f.Model = Closed
		}
	}
	return f
}

// wordList matches a unit that lists the words known to come, of a field that takes any text.
var wordList = regexp.MustCompile(`^[a-z0-9_.]+(\|[a-z0-9_.]+)+…?$`)

func typeOf(n *node) string {
	switch {
	case n.Type == "array" && n.Items != nil:
		return typeOf(n.Items) + "[]"
	case n.Type == "":
		return "any"
	}
	return n.Type
}

func formatOf(n *node) string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+value)
		}
	}
	add("format", n.Format)
	var either []string
	for _, a := range n.AnyOf {
		either = append(either, a.Format)
	}
	add("format", strings.Join(either, "|"))
	add("pattern", n.Pattern)
	add("min", n.Minimum.String())
	add("max", n.Maximum.String())
	add("minLength", n.MinLength.String())
	add("minProperties", n.MinProperties.String())
	return strings.Join(parts, " ")
}

// unitOf returns what the description names as unit or format.
func unitOf(n *node) string {
	_, unit, _ := strings.Cut(n.Description, "Unit/format: ")
	return strings.TrimSuffix(unit, ".")
}

func (p *premise) condition() (string, error) {
	for name, values := range p.Properties {
		if !slices.Contains(p.Required, name) || (values.Const == "") == (len(values.Enum) == 0) {
			return "", fmt.Errorf("read schema: an if has %s, which is not required there or has not either a const or an enum", name)
		}
	}
	if len(p.Required) == 0 {
		return "", errors.New("read schema: an if requires nothing, and so always holds")
	}
	var parts []string
	for _, name := range p.Required {
		values, known := p.Properties[name]
		switch {
		case !known:
			parts = append(parts, name)
		case values.Const != "":
			parts = append(parts, name+"="+values.Const)
		default:
			parts = append(parts, name+"="+strings.Join(values.Enum, "|"))
		}
	}
	return strings.Join(parts, " and "), nil
}
