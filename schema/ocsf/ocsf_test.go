package ocsf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skopeflow/skopeflow/internal/sharedtest"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ocsf"
)

// additions are where this package says more than the expected documents, and why. Nothing they say may be missing or different.
var additions = map[string]string{
	"status_id":                        "the outcome of an event on a peripheral is known as well",
	"risk_level_id":                    "the vendor's risk level has an attribute of its own",
	"dst_endpoint":                     "the service that somebody logged in to has an address",
	"http_request":                     "file hosting and authentication have the request, and with it the URL",
	"connection_info.session":          "the tunnel's session joins the events of one connection",
	"tls.ja3_hash":                     "the fingerprint of the client is what hunters search for",
	"data_security.discovery_details":  "an incident names its rules in its matches",
	"osint":                            "the indicator that matched is the point of a malicious site",
	"peripheral_device.vendor_id_list": "the vendor of a device tells whether it is an approved one",
	"observables":                      "users outside of actor, names and hashes of files in evidences, and the new attributes are searchable too",
	"unmapped":                         "every fact without an attribute stands there, as those of a metric do",
	"metadata.profiles":                "threat intelligence is named as a profile",
}

func artifactOf(t testing.TB, e sharedtest.Example) *schema.Artifact {
	t.Helper()
	a := new(schema.Artifact)
	if err := json.Unmarshal(e.Artifact, a); err != nil {
		t.Fatal(err)
	}
	return a
}

func newest(t testing.TB) *ocsf.View {
	t.Helper()
	v, err := ocsf.New(ocsf.Latest)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func decode(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return document
}

func TestExamplesBecomeTheExpectedEvents(t *testing.T) {
	v, used := newest(t), make(map[string]bool)
	for _, e := range sharedtest.Examples(t) {
		compare(t, e.Name, "", decode(t, e.OCSF), decode(t, v.Append(nil, artifactOf(t, e))), used)
	}
	for path := range additions {
		if !used[path] {
			t.Errorf("no example has the addition %s any more", path)
		}
	}
}

// compare reports what an event lacks of the expected one, and what it has beyond it that is not among the additions.
func compare(t *testing.T, name, path string, want, got any, used map[string]bool) {
	t.Helper()
	wanted, isObject := want.(map[string]any)
	has, too := got.(map[string]any)
	switch {
	case isObject && too:
		for _, key := range slices.Sorted(maps.Keys(wanted)) {
			compare(t, name, strings.TrimPrefix(path+"."+key, "."), wanted[key], has[key], used)
		}
		for _, key := range slices.Sorted(maps.Keys(has)) {
			inner := strings.TrimPrefix(path+"."+key, ".")
			if _, ok := wanted[key]; ok {
				continue
			}
			if strings.HasPrefix(inner, "unmapped.") {
				inner = "unmapped"
			}
			if additions[inner] == "" {
				t.Errorf("%s: %s is not expected: %v", name, inner, has[key])
			}
			used[inner] = true
		}
	case !reflect.DeepEqual(want, got):
		if additions[path] != "" && holdsAll(want, got) {
			used[path] = true
			return
		}
		t.Errorf("%s: %s is %v, want %v", name, path, brief(got), brief(want))
	}
}

// holdsAll reports whether a list has every element of another.
func holdsAll(want, got any) bool {
	elements, _ := want.([]any)
	all, _ := got.([]any)
	for _, e := range elements {
		if !slices.ContainsFunc(all, func(x any) bool { return reflect.DeepEqual(e, x) }) {
			return false
		}
	}
	return want == nil || len(elements) > 0
}

func brief(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func TestVersionThatIsNotKnownIsRefusedWithAChoice(t *testing.T) {
	_, err := ocsf.New("1.9.0")
	if err == nil || !strings.Contains(err.Error(), "1.8.0") {
		t.Errorf("got %v", err)
	}
}

func TestViewIsAFunctionOfTheArtifactAlone(t *testing.T) {
	v := newest(t)
	for _, e := range sharedtest.Examples(t) {
		a := artifactOf(t, e)
		before := a.AppendJSON(nil)
		first, second := v.Append(nil, a), v.Append([]byte("x"), a)
		if !bytes.Equal(first, second[1:]) || !bytes.Equal(before, a.AppendJSON(nil)) {
			t.Errorf("%s: the view differs from one time to the next, or changed the artifact", e.Name)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	v := newest(b)
	for _, name := range []string{"alert_dlp", "page"} {
		a := artifactOf(b, sharedtest.ExampleNamed(b, name))
		b.Run(name, func(b *testing.B) {
			var dst []byte
			for b.Loop() {
				dst = v.Append(dst[:0], a)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func ExampleView_Append() {
	v, err := ocsf.New("1.8.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	a := schema.Artifact{Class: schema.ClassHTTP, URL: schema.URL{Full: "intranet.example/"}}
	var event struct {
		ClassName string `json:"class_name"`
	}
	if err := json.Unmarshal(v.Append(nil, &a), &event); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(event.ClassName)
	// Output: HTTP Activity
}
