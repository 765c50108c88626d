package filter

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/skopeflow/skopeflow/schema"
)

// A vocabulary is the names that an expression may use, with their types and where their values are.
// It is what tells CEL of types, and never changes once it is made.
type vocabulary struct {
	*types.Registry
	names   []string            // every field, dotted, and every group, in the order of the schema
	values  map[string][]string // field with a fixed vocabulary → what it may be, but for ""
	top     map[string]*field   // fields that are in no group
	groups  map[string]int      // group → index in objects
	objects []*objectType       // first the groups, then the elements of lists
	byName  map[string]*objectType
}

// A field is one member of an object.
type field struct {
	typ *types.Type
	get func(e *evaluation, at any) ref.Val // at is what the object is made of: *schema.Artifact for a group
	set func(at any) bool
}

// An objectType is a group of fields, or the element of a list of objects.
type objectType struct {
	typ    *types.Type
	names  []string
	fields map[string]*field
	access map[string]*types.FieldType // the fields, as CEL reads them
}

func newObjectType(name string) *objectType {
	return &objectType{
		typ:    types.NewObjectType("artifact." + name),
		fields: make(map[string]*field), access: make(map[string]*types.FieldType),
	}
}

func (t *objectType) add(name string, f *field) {
	t.names = append(t.names, name)
	t.fields[name] = f
	t.access[name] = &types.FieldType{
		Type:  f.typ,
		IsSet: func(target any) bool { return f.set(target.(*object).at) },
		GetFrom: func(target any) (any, error) {
			o := target.(*object)
			return f.get(o.evaluation, o.at), nil
		},
	}
}

func newVocabulary() (*vocabulary, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("prepare types: %w", err)
	}
	v := &vocabulary{Registry: registry, values: make(map[string][]string), top: make(map[string]*field), groups: make(map[string]int), byName: make(map[string]*objectType)}
	elements := newElements()
	for _, row := range schema.Fields() {
		f := elements.bind(row)
		if f == nil {
			return nil, fmt.Errorf("bind field %s: no type of expressions fits %s", row.Name, row.Type)
		}
		v.names = append(v.names, row.Name)
		switch {
		case row.Name == "class":
			v.values[row.Name] = classes
		case row.Type == "enum":
			v.values[row.Name] = strings.Split(row.Unit, "|")
		}
		group, name, grouped := strings.Cut(row.Name, ".")
		if !grouped {
			v.top[row.Name] = f
			continue
		}
		i, known := v.groups[group]
		if !known {
			i = len(v.objects)
			v.groups[group] = i
			v.names = append(v.names, group)
			v.objects = append(v.objects, newObjectType(group))
		}
		v.objects[i].add(name, f)
	}
	v.objects = append(v.objects, elements.match, elements.rule, elements.enrichment)
	for _, t := range v.objects {
		v.byName[t.typ.TypeName()] = t
	}
	return v, nil
}

// FindStructType is a method of types.Provider.
func (v *vocabulary) FindStructType(name string) (*types.Type, bool) {
	if t, ok := v.byName[name]; ok {
		return types.NewTypeTypeWithParam(t.typ), true
	}
	return v.Registry.FindStructType(name)
}

// FindStructFieldNames is a method of types.Provider.
func (v *vocabulary) FindStructFieldNames(name string) ([]string, bool) {
	if t, ok := v.byName[name]; ok {
		return t.names, true
	}
	return v.Registry.FindStructFieldNames(name)
}

// FindStructFieldType is a method of types.Provider.
func (v *vocabulary) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if t, ok := v.byName[name]; ok {
		access, ok := t.access[field]
		return access, ok
	}
	return v.Registry.FindStructFieldType(name, field)
}

// elements are the types of the objects that lists hold.
type elements struct{ match, rule, enrichment *objectType }

func newElements() elements {
	rule := newObjectType("dlp.rule")
	rule.add("name", member(types.StringType, func(r *schema.DLPRule) string { return r.Name }, text))
	rule.add("severity", member(types.StringType, func(r *schema.DLPRule) string { return r.Severity }, text))
	rule.add("score", member(types.IntType, func(r *schema.DLPRule) int64 { return r.Score }, number))
	rule.add("count", member(types.IntType, func(r *schema.DLPRule) int64 { return r.Count }, number))
	rule.add("unique", member(types.IntType, func(r *schema.DLPRule) int64 { return r.Unique }, number))
	rule.add("identifiers", texts(func(r *schema.DLPRule) *[]string { return &r.Identifiers }))

	match := newObjectType("dlp.match")
	match.add("policy", member(types.StringType, func(m *schema.DLPMatch) string { return m.Policy }, text))
	match.add("profile", member(types.StringType, func(m *schema.DLPMatch) string { return m.Profile }, text))
	match.add("action", member(types.StringType, func(m *schema.DLPMatch) string { return m.Action }, text))
	match.add("forensic_id", member(types.StringType, func(m *schema.DLPMatch) string { return m.ForensicID }, text))
	match.add("rules", objects(rule, func(m *schema.DLPMatch) *[]schema.DLPRule { return &m.Rules }))

	enrichment := newObjectType("enrichment")
	enrichment.add("name", member(types.StringType, func(e *schema.Enrichment) string { return e.Name }, text))
	enrichment.add("provider", member(types.StringType, func(e *schema.Enrichment) string { return e.Provider }, text))
	enrichment.add("field", member(types.StringType, func(e *schema.Enrichment) string { return e.Field }, text))
	enrichment.add("value", member(types.StringType, func(e *schema.Enrichment) string { return e.Value }, text))
	enrichment.add("data", document(types.DynType, types.NullValue, func(e *schema.Enrichment) *schema.RawJSON { return &e.Data }, nil))
	enrichment.add("time", member(types.TimestampType, func(e *schema.Enrichment) schema.Time { return e.Time }, instant))
	return elements{match, rule, enrichment}
}

// bind returns how a field of the artifact is read, or nil if it is of a Go type that is not known here.
func (t elements) bind(row schema.Field) *field {
	for _, f := range []*field{
		bind(row, types.StringType, text[string]),
		bind(row, types.StringType, text[schema.Kind]),
		bind(row, types.StringType, text[schema.Class]),
		bind(row, types.StringType, text[schema.Severity]),
		bind(row, types.StringType, text[schema.Action]),
		bind(row, types.StringType, text[schema.Outcome]),
		bind(row, types.StringType, printed[schema.ID]),
		bind(row, types.StringType, printed[schema.Digest]),
		bind(row, types.IntType, number[int]),
		bind(row, types.IntType, number[int64]),
		bind(row, types.DoubleType, func(f float64) ref.Val { return types.Double(f) }),
		bind(row, types.BoolType, func(t schema.Tri) ref.Val { return types.Bool(t == schema.True) }),
		bind(row, types.TimestampType, instant),
	} {
		if f != nil {
			return f
		}
	}
	if at := schema.Place[[]string](row.Name); at != nil {
		return texts(at)
	}
	if at := schema.Place[[]schema.DLPMatch](row.Name); at != nil {
		return objects(t.match, at)
	}
	if at := schema.Place[[]schema.Enrichment](row.Name); at != nil {
		return objects(t.enrichment, at)
	}
	at := schema.Place[schema.RawJSON](row.Name)
	switch {
	case at == nil:
		return nil
	case row.Type == "map":
		return document(types.NewMapType(types.StringType, types.DynType), lenient(emptyMap()), at, lenient)
	}
	return document(types.DynType, types.NullValue, at, nil)
}

// classes are those that there are. The contract leaves the list open, but no other is written by this version.
var classes = []string{
	string(schema.ClassDataSecurity), string(schema.ClassDetection), string(schema.ClassMalware), string(schema.ClassMaliciousSite),
	string(schema.ClassIntrusion), string(schema.ClassAnomaly), string(schema.ClassCredentialExposure), string(schema.ClassPolicyMatch),
	string(schema.ClassCompliance), string(schema.ClassIncident), string(schema.ClassHTTP), string(schema.ClassNetwork), string(schema.ClassDNS),
	string(schema.ClassAppActivity), string(schema.ClassFileActivity), string(schema.ClassAuthentication), string(schema.ClassAccountChange),
	string(schema.ClassEntityManagement), string(schema.ClassAPI), string(schema.ClassTunnel), string(schema.ClassAppLifecycle),
	string(schema.ClassInventory), string(schema.ClassPeripheral), string(schema.ClassMetric), string(schema.ClassOther),
}
