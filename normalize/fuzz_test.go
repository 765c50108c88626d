package normalize

import (
	"encoding/json"
	"testing"

	"github.com/skopeflow/skopeflow/schema"
)

func FuzzMap(f *testing.F) {
	for _, e := range examples(f) {
		for i, name := range datasets {
			if name == e.want["dataset"] {
				f.Add(uint8(i), e.raw)
			}
		}
	}
	f.Add(uint8(5), []byte(`{"supporting_data":{"data_values":[1,"a\u0000"]},"supporting_data":{"x":18446744073709551615,"\u0061":1e400},"details":"[\n1]"}`))
	f.Add(uint8(6), []byte(`{"dlp_match_info":"[{\"dlp_rules\":[{\"dlp_rule_score\":1}]}]","cc":"a,b","status":"\u00c4B c"}`))
	f.Add(uint8(0), []byte("{\"x\":{\"a\":{\n},\"b\":[\n],\"b\":[[ ]]},\"compliance_standards\":[{\"standard\":\"A\",\"id\":1},\"B\"],\"y\":[[\r]]}"))
	f.Add(uint8(5), []byte("{\"details\":{\"a\":[\n],\"a\":{ }},\"audit_log_event\":\"Updated admin logout timeout\",\"supporting_data\":1,\"supporting_data\":{}}"))
	required := requiredFields(f)
	m := NewMapper()
	m.Drift = new(DriftCounter)
	f.Fuzz(func(t *testing.T, dataset uint8, raw []byte) {
		env := envelope(datasets[int(dataset)%len(datasets)])
		var a, again schema.Artifact
		if m.Map(env, raw, &a) != nil {
			return
		}
		text := a.AppendJSON(nil)
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for _, field := range required {
			if got[field] == nil {
				t.Errorf("no %s in %s", field, text)
			}
		}
		for _, c := range text {
			if c == '\n' || c == '\r' {
				t.Fatalf("a line break in %q", text)
			}
		}
		if a.Raw != string(raw) || got["raw"] != string(raw) {
			t.Errorf("raw %q, want %q", got["raw"], raw)
		}
		// A fresh Mapper gives the same artifact: nothing is left of earlier events.
		if err := NewMapper().Map(env, raw, &again); err != nil || string(again.AppendJSON(nil)) != string(text) {
			t.Errorf("%v, a second time it is\n%s\nnot\n%s", err, again.AppendJSON(nil), text)
		}
		boundedDrifts(t, m.Drift)
	})
}

func requiredFields(f *testing.F) []string {
	f.Helper()
	var document struct{ Required []string }
	if err := json.Unmarshal(schema.JSON, &document); err != nil || len(document.Required) == 0 {
		f.Fatalf("no required fields: %v", err)
	}
	return document.Required
}
