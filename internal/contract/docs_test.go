package contract_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
)

var update = flag.Bool("update", false, "rewrite what is generated, instead of comparing it")

func TestDocumentsAreWhatThePackageWrites(t *testing.T) {
	table, err := contract.FieldTable()
	if err != nil {
		t.Fatal(err)
	}
	document, err := contract.AsyncAPI(shown(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{
		"artifact.v1.schema.json": contract.ArtifactSchema(),
		"asyncapi.yaml":           document,
		"fields.md":               table,
	} {
		file := filepath.Join("..", "..", "docs", "schema", name)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, want) {
			t.Errorf("docs/schema/%s is not what the program says (%v); run go test ./internal/contract -update", name, err)
		}
	}
}

func TestFieldTableHasEveryFieldOnceAndEveryKey(t *testing.T) {
	table, err := contract.FieldTable()
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][]string)
	for line := range strings.Lines(string(table)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "/"), "|")
		if want := 11; len(cells) != want && len(cells) != 5 {
			t.Errorf("%d cells, want %d: %s", len(cells), want, line)
		}
		name := strings.Trim(cells[1], " `")
		if len(cells) == 11 {
			if rows[name] != nil {
				t.Errorf("%s has two rows", name)
			}
			rows[name] = cells
		}
	}
	for _, f := range schema.Fields() {
		if rows[f.Name] == nil {
			t.Errorf("%s has no row", f.Name)
		}
	}
	for _, dataset := range normalize.Datasets() {
		for _, line := range normalize.Table(dataset) {
			for _, key := range line.Keys {
				if !strings.Contains(rows[line.Field][6], "`"+key+"`") {
					t.Errorf("the row of %s does not name %s, which %s events have", line.Field, key, dataset)
				}
			}
		}
	}
}

// A value that no line gave must have been computed, and the table must say by what.
func TestFieldTableSaysWhereEachValueOfTheExamplesComesFrom(t *testing.T) {
	table, err := contract.FieldTable()
	if err != nil {
		t.Fatal(err)
	}
	computed := make(map[string]bool)
	for line := range strings.Lines(string(table)) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok {
			computed[name] = strings.Contains(line, "computed: ")
		}
	}
	for _, r := range records(t) {
		rows, a, err := normalize.Explain(&r.envelope, r.raw)
		if err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		taken := make(map[string]bool)
		for _, row := range rows {
			for field := range strings.SplitSeq(row.Field, ", ") {
				taken[field] = true
			}
		}
		for _, f := range schema.Fields() {
			access, _ := schema.AccessTo(f.Name)
			if access.Present(&a) && !taken[f.Name] && !computed[f.Name] {
				t.Errorf("%s: %s has a value that no key gave, and fields.md does not say what did", r.name, f.Name)
			}
		}
	}
	fed := make(map[string]bool)
	for _, dataset := range normalize.Datasets() {
		for _, line := range normalize.Table(dataset) {
			fed[line.Field] = true
		}
	}
	for _, f := range schema.Fields() {
		if !fed[f.Name] && !computed[f.Name] {
			t.Errorf("fields.md does not say where %s comes from", f.Name)
		}
	}
}

// jsonTypes are the types of JSON Schema, by those of fields.csv.
var jsonTypes = map[string]string{
	"string": "string", "ip": "string", "enum": "string", "timestamp": "string", "int": "integer", "int64": "integer",
	"float": "number", "bool": "boolean", "string[]": "string[]", "object[]": "object[]", "map": "object", "json": "any",
}

func TestTableStructAndSchemaAgreeOnTypesAndPresence(t *testing.T) {
	fields, err := contract.Parse(schema.JSON)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../schema/fields.csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	inGo := make(map[string]string)
	goTypes(reflect.TypeFor[schema.Artifact](), "", inGo)
	for _, row := range rows[1:] {
		i := slices.IndexFunc(fields, func(f contract.Field) bool { return f.Name == row[0] })
		if i < 0 {
			t.Errorf("%s is not in the JSON Schema", row[0])
			continue
		}
		f := fields[i]
		if want := jsonTypes[row[1]]; f.Type != want {
			t.Errorf("%s is %s in the JSON Schema; fields.csv has %s, which is %s", row[0], f.Type, row[1], want)
		}
		if got := inGo[row[0]]; got != f.Type && got != "json" {
			t.Errorf("%s is %s in the JSON Schema and %q in the struct", row[0], f.Type, got)
		}
		if (f.Presence == contract.Always) != (row[3] == "always") {
			t.Errorf("%s is there %s by the JSON Schema, and %s by fields.csv", row[0], f.Presence, row[3])
		}
		delete(inGo, row[0])
	}
	for _, f := range fields {
		if !strings.Contains(f.Name, "[]") { // fields.csv has lists, and not what is in their elements
			continue
		}
		if got := inGo[f.Name]; got != f.Type && (got != "json" || f.Type != "any") {
			t.Errorf("%s is %s in the JSON Schema and %q in the struct", f.Name, f.Type, got)
		}
		delete(inGo, f.Name)
	}
	for name := range inGo {
		t.Errorf("%s is only in the struct", name)
	}
}

// goTypes notes the type in JSON of each member of a struct, below its groups and in the elements of its lists. RawJSON is of any type.
func goTypes(t reflect.Type, prefix string, types map[string]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		name := prefix + tag
		switch text := reflect.TypeFor[interface{ MarshalText() ([]byte, error) }](); {
		case f.Type == reflect.TypeFor[schema.RawJSON]():
			types[name] = "json"
		case f.Type == reflect.TypeFor[schema.Tri]():
			types[name] = "boolean"
		case f.Type.Implements(text), f.Type.Kind() == reflect.String:
			types[name] = "string"
		case f.Type.Kind() == reflect.Struct:
			goTypes(f.Type, name+".", types)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.String:
			types[name], types[name+"[]"] = "string[]", "string"
		case f.Type.Kind() == reflect.Slice:
			types[name], types[name+"[]"] = "object[]", "object"
			goTypes(f.Type.Elem(), name+"[].", types)
		case f.Type.Kind() == reflect.Float64:
			types[name] = "number"
		case f.Type.Kind() == reflect.Int, f.Type.Kind() == reflect.Int64:
			types[name] = "integer"
		}
	}
}

func TestSchemaHasItsNameAndVersion(t *testing.T) {
	var document struct {
		ID         string `json:"$id"`
		Properties map[string]struct{ Pattern string }
	}
	if err := json.Unmarshal(contract.ArtifactSchema(), &document); err != nil {
		t.Fatal(err)
	}
	if document.ID != schema.URI {
		t.Errorf("the JSON Schema is named %s, messages say %s", document.ID, schema.URI)
	}
	major, _, _ := strings.Cut(schema.Version, ".")
	if got, want := document.Properties["schema_version"].Pattern, `^`+major+`\.\d+\.\d+$`; got != want {
		t.Errorf("schema_version is %s, want %s", got, want)
	}
}
