package contract_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
	"github.com/skopeflow/skopeflow/schema/ocsf"
	"github.com/skopeflow/skopeflow/schema/witfoo"
)

var notedPath = regexp.MustCompile("`([^`]+)` \\(")

// The paths where a view has a value in its own way have a note, and no other has.
func TestFieldTableSaysWhereAViewHasAnotherKindOfValue(t *testing.T) {
	table, err := contract.FieldTable()
	if err != nil {
		t.Fatal(err)
	}
	noted := make([]map[string]bool, 3) // the paths of each view, in the order of the columns
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "/"), "|")
		if len(cells) != 11 {
			continue
		}
		for i := range noted {
			if noted[i] == nil {
				noted[i] = make(map[string]bool)
			}
			for _, match := range notedPath.FindAllStringSubmatch(cells[7+i], -1) {
				noted[i][match[1]] = true
			}
		}
	}
	differs := make([]map[string]string, len(noted))
	for i := range differs {
		differs[i] = make(map[string]string)
	}
	v, err := ocsf.New(ocsf.Latest)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range kindsOfArtifacts(t) {
		note(t, differs[0], a, v.Places(a), v.Append(nil, a))
		note(t, differs[1], a, ecs.Places(), ecs.Append(nil, a))
		note(t, differs[2], a, witfoo.Places(), witfoo.Append(nil, a))
	}
	for i, view := range []string{"OCSF", "ECS", "WitFoo"} {
		for path, how := range differs[i] {
			if !noted[i][path] && !isExplained(view, path) {
				t.Errorf("%s: %s has %s, and fields.md does not say so", view, path, how)
			}
		}
		for path := range noted[i] {
			if differs[i][path] == "" {
				t.Errorf("%s: fields.md has a note at %s, which has the artifact's value", view, path)
			}
		}
	}
}

// isExplained tells the places that the introduction of fields.md is about.
func isExplained(view, path string) bool {
	return view == "OCSF" && (strings.HasSuffix(path, "_id") || strings.HasSuffix(path, "_ids") || path == "unmapped" || strings.HasPrefix(path, "evidences[].")) ||
		view == "ECS" && strings.HasPrefix(path, "related.")
}

// note adds the places of a document whose value is none of an artifact's fields that have a part in it.
func note(t *testing.T, differs map[string]string, a *schema.Artifact, places map[string][]string, text []byte) {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]any)
	for field, paths := range places {
		access, _ := schema.AccessTo(field)
		if !access.Present(a) {
			continue
		}
		var value any
		if err := json.Unmarshal(access.Append(nil, a), &value); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			values[path] = append(values[path], value)
		}
	}
	for path, made := range values {
		has := standsAt(document, path)
		isIt := func(value any) bool { return reflect.DeepEqual(has, value) || reflect.DeepEqual(has, []any{value}) }
		if has != nil && !slices.ContainsFunc(made, isIt) {
			is, _ := json.Marshal(has)
			of, _ := json.Marshal(made)
			differs[path] = string(is) + " of " + string(of)
		}
	}
}

// standsAt returns what a document has at a path, of lists the first; nil if there is nothing.
func standsAt(document map[string]any, path string) any {
	var v any = document
	for part := range strings.SplitSeq(path, ".") {
		key, list := strings.CutSuffix(part, "[]")
		object, _ := v.(map[string]any)
		if v = object[key]; list {
			elements, _ := v.([]any)
			if len(elements) == 0 {
				return nil
			}
			v = elements[0]
		}
	}
	return v
}

// kindsOfArtifacts returns the examples, and for each class an artifact that has every field.
func kindsOfArtifacts(t *testing.T) []*schema.Artifact {
	t.Helper()
	var all []*schema.Artifact
	for _, r := range records(t) {
		all = append(all, &r.artifact)
	}
	fields, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(fields, func(f contract.Field) bool { return f.Name == "class" })
	for _, class := range fields[i].Values {
		a := new(schema.Artifact)
		fill(reflect.ValueOf(a).Elem())
		a.Class = schema.Class(class)
		all = append(all, a)
	}
	return all
}

// fill sets every field below v to something that many of them can be.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case schema.Tri:
		v.Set(reflect.ValueOf(schema.True))
		return
	case schema.RawJSON:
		v.SetString(`{"n":1}`)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("192.0.2.7")
	case reflect.Int, reflect.Int64:
		v.SetInt(4)
	case reflect.Uint8:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}
