package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
)

// examples returns the artifact of every published example, by its name.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	artifacts := make(map[string][]byte)
	for _, e := range sharedtest.Examples(t) {
		artifacts[e.Name] = e.Artifact
	}
	return artifacts
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSON))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(URI, document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(URI)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryExampleSurvivesTheStructAndTheEncoder(t *testing.T) {
	s := compiled(t)
	for name, want := range examples(t) {
		decoder := json.NewDecoder(bytes.NewReader(want))
		decoder.DisallowUnknownFields()
		var a Artifact
		if err := decoder.Decode(&a); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := a.AppendJSON([]byte("x"))[1:]
		if !jsonEqual(t, got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		reflected, err := json.Marshal(&a)
		if err != nil || !jsonEqual(t, reflected, want) {
			t.Errorf("%s: encoding/json: %v\n got %s\nwant %s", name, err, reflected, want)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncoderWritesEveryField(t *testing.T) {
	var a Artifact
	fill(reflect.ValueOf(&a).Elem())
	got := a.AppendJSON(nil)
	want, err := json.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	if !jsonEqual(t, got, want) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	var back Artifact
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, back) {
		t.Errorf("the artifact changed on its way through JSON:\n got %+v\nwant %+v", back, a)
	}
}

// fill sets every field below v to something that is not its zero value.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case Tri:
		v.Set(reflect.ValueOf(True))
		return
	case RawJSON:
		v.SetString(`{"n":18446744073709551615}`)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("a \"quote\" \\ \u2028 é\n")
	case reflect.Int, reflect.Int64:
		v.SetInt(1768478400123)
	case reflect.Uint8:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(-0.000125)
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

func TestEncoderLeavesOutWhatIsEmpty(t *testing.T) {
	var a Artifact
	if got, want := string(a.AppendJSON(nil)), `{"severity_id":0,"count":0,"raw_size":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	a.DNS.Type = "A"
	if got, want := string(a.AppendJSON(nil)), `{"severity_id":0,"count":0,"dns":{"type":"A"},"raw_size":0}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEncoderDoesNotAllocate(t *testing.T) {
	var a Artifact
	fill(reflect.ValueOf(&a).Elem())
	dst := a.AppendJSON(nil)
	if n := testing.AllocsPerRun(100, func() { dst = a.AppendJSON(dst[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryFieldOfTheJSONSchemaHasAPlace(t *testing.T) {
	type property struct {
		Properties map[string]json.RawMessage
	}
	var document struct{ Properties map[string]property }
	if err := json.Unmarshal(JSON, &document); err != nil {
		t.Fatal(err)
	}
	published := make(map[string]bool)
	for name, p := range document.Properties {
		for inner := range p.Properties {
			published[name+"."+inner] = true
		}
		if len(p.Properties) == 0 {
			published[name] = true
		}
	}
	for _, f := range Fields() {
		if !published[f.Name] {
			t.Errorf("%s is not in the JSON Schema", f.Name)
		}
		delete(published, f.Name)
	}
	for name := range published {
		t.Errorf("%s is only in the JSON Schema", name)
	}
	if Place[string]("src.ip") == nil || Place[int]("src.ip") != nil || Place[string]("src.none") != nil {
		t.Error("Place does not tell fields and types apart")
	}
}

func TestIDsAreThoseOfTheVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/maps/id_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Namespace string
		Vectors   []struct {
			EntityName string `json:"entity_name"`
			Revision   string
			ID         string
			EntityID   string `json:"entity_id"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if namespace.String() != file.Namespace || len(file.Vectors) == 0 {
		t.Fatalf("namespace %s, want %s", namespace, file.Namespace)
	}
	for _, v := range file.Vectors {
		name := []byte(v.EntityName)
		if got := NameID(name).String(); got != v.EntityID {
			t.Errorf("%s: entity id %s, want %s", name, got, v.EntityID)
		}
		if v.Revision != "" {
			name = AppendRevision(name, v.Revision)
		}
		if got := NameID(name).String(); got != v.ID {
			t.Errorf("%s: id %s, want %s", name, got, v.ID)
		}
		if reference := uuid.NewSHA1(uuid.UUID(namespace), name).String(); reference != v.ID {
			t.Errorf("%s: google/uuid says %s", name, reference)
		}
	}
	name := []byte(file.Vectors[0].EntityName)
	if n := testing.AllocsPerRun(100, func() { NameID(name) }); n != 0 {
		t.Errorf("NameID: %v allocations", n)
	}
	if long := bytes.Repeat([]byte("n"), 2000); NameID(long) != ID(uuid.NewSHA1(uuid.UUID(namespace), long)) {
		t.Error("a long name has another id")
	}
}

func TestIDReadsOnlyUUIDs(t *testing.T) {
	want := NameID([]byte("x"))
	if got, err := ParseID(want.String()); err != nil || got != want {
		t.Errorf("ParseID(String) = %v, %v", got, err)
	}
	for _, bad := range []string{"", "77a0f8e9-8b21-5abf-a57c-dee87c72828", "77a0f8e9x8b21-5abf-a57c-dee87c72828e", "77a0f8e9-8b21-5abf-a57c-dee87c72828g"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = nil error", bad)
		}
	}
}

func TestTimeHasThreeDecimals(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), "2026-01-15T12:00:00.000Z"},
		{time.Date(2026, 12, 31, 23, 59, 59, 7_999_999, time.FixedZone("", -3600)), "2027-01-01T00:59:59.007Z"},
		{time.Date(1969, 12, 31, 23, 59, 59, 5e8, time.UTC), "1969-12-31T23:59:59.500Z"},
		{time.Time{}, ""},
	} {
		got := TimeOf(c.at)
		if got.String() != c.want {
			t.Errorf("%v = %s, want %s", c.at, got, c.want)
		}
		var back Time
		if c.want != "" {
			if err := back.UnmarshalText([]byte(c.want)); err != nil || back != got {
				t.Errorf("%s reads as %v, %v", c.want, back, err)
			}
		}
	}
	if err := new(Time).UnmarshalText([]byte("yesterday")); err == nil {
		t.Error("yesterday is a time")
	}
}

func TestSubjectToken(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "_",
		"dlp":                 "dlp",
		"Security Assessment": "security_assessment",
		"a.b>c*":              "a_b_c_",
		"Größe-1":             "gr____e-1",
		"0123456789012345678901234567890123456789": "01234567890123456789012345678901",
	} {
		if got := SubjectToken(in); got != want {
			t.Errorf("SubjectToken(%q) = %q, want %q", in, got, want)
		}
	}
}

func jsonEqual(t *testing.T, a, b []byte) bool {
	t.Helper()
	return reflect.DeepEqual(decode(t, a), decode(t, b))
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func BenchmarkAppendJSON(b *testing.B) {
	var a Artifact
	if err := json.Unmarshal(sharedtest.ExampleNamed(b, "page").Artifact, &a); err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = a.AppendJSON(dst[:0])
	}
}
