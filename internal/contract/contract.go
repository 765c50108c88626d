// Package contract writes down what consumers of artifacts may rely on, and tells a change that breaks them from one that
// does not.
//
// The documents in docs/schema are what [ArtifactSchema], [AsyncAPI] and [FieldTable] return; they depend on their
// arguments and on the program alone. The baseline in schema/testdata/v1 is what version 1.0 of the contract promised, as
// text: [Compare] and [CompareIDs] hold the present against it. Within one major version the baseline only grows.
package contract

import (
	"encoding/json"
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
	Name     string   // dotted; "$" is the artifact itself
	Type     string   // of JSON: string, integer, number, boolean, object, any; string[] and object[] for arrays
	Presence string   // always, optional, or the condition: "if dataset=alert"
	Model    string   // open or closed: whether values, or members of an object, may be added; empty where there is no list
	Format   string   // format, pattern and bounds
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

// node is the part of JSON Schema that the artifact's schema uses.
type node struct {
	Type                 string           `json:"type"`
	Format               string           `json:"format"`
	Pattern              string           `json:"pattern"`
	Description          string           `json:"description"`
	Enum                 []string         `json:"enum"`
	Examples             []string         `json:"examples"`
	Const                *string          `json:"const"`
	Required             []string         `json:"required"`
	Properties           map[string]*node `json:"properties"`
	AdditionalProperties *bool            `json:"additionalProperties"`
	Items                *node            `json:"items"`
	Minimum              json.Number      `json:"minimum"`
	Maximum              json.Number      `json:"maximum"`
	MinLength            json.Number      `json:"minLength"`
	AnyOf                []*node          `json:"anyOf"`
	AllOf                []rule           `json:"allOf"`
}

// A rule makes members required on a condition.
type rule struct {
	If   *node `json:"if"`
	Then *node `json:"then"`
}

// Parse reads the promises out of the JSON Schema of an artifact, sorted by name.
func Parse(document []byte) ([]Field, error) {
	var root node
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	conditions := make(map[string]string)
	for _, rule := range root.AllOf {
		if rule.If == nil || rule.Then == nil {
			return nil, fmt.Errorf("read schema: allOf holds something else than if and then")
		}
		for _, name := range rule.Then.Required {
			conditions[name] = "if " + condition(rule.If)
		}
	}
	fields := collect([]Field{field("$", &root, Always)}, "", &root, conditions)
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return fields, nil
}

// collect appends the fields below n. A condition holds for the top level only.
func collect(fields []Field, prefix string, n *node, conditions map[string]string) []Field {
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		inner, presence := n.Properties[name], Optional
		if slices.Contains(n.Required, name) {
			presence = Always
		} else if c := conditions[name]; c != "" {
			presence = c
		}
		fields = append(fields, field(prefix+name, inner, presence))
		fields = collect(fields, prefix+name+".", inner, nil)
	}
	return fields
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
	return strings.Join(parts, " ")
}

// unitOf returns what the description names as unit or format.
func unitOf(n *node) string {
	_, unit, _ := strings.Cut(n.Description, "Unit/format: ")
	return strings.TrimSuffix(unit, ".")
}

func condition(n *node) string {
	var parts []string
	for _, name := range n.Required {
		p := n.Properties[name]
		switch {
		case p == nil:
			parts = append(parts, name)
		case p.Const != nil:
			parts = append(parts, name+"="+*p.Const)
		default:
			parts = append(parts, name+"="+strings.Join(p.Enum, "|"))
		}
	}
	return strings.Join(parts, " and ")
}
