package contract_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/skopeflow/skopeflow/internal/contract"
	"github.com/skopeflow/skopeflow/schema"
)

const documents = "../../docs/schema"

// document reads the AsyncAPI document.
func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := contract.AsyncAPI(shown(t))
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows a JSON pointer without its leading slash; nil if it leads nowhere.
func at(v any, pointer string) any {
	for part := range strings.SplitSeq(pointer, "/") {
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

// resolve follows a $ref of the document; nil if it leads nowhere.
func resolve(t *testing.T, d map[string]any, ref string) any {
	t.Helper()
	if pointer, ok := strings.CutPrefix(ref, "#/"); ok {
		return at(d, pointer)
	}
	text, err := os.ReadFile(filepath.Join(documents, filepath.FromSlash(ref)))
	if err != nil {
		t.Error(err)
		return nil
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
	return v
}

func TestReferencesLeadSomewhere(t *testing.T) {
	d := document(t)
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				found++
				if resolve(t, d, ref) == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(d)
	if found < 10 {
		t.Errorf("only %d references were found", found)
	}
}

func TestDocumentHasWhatAsyncAPIAsksFor(t *testing.T) {
	d := document(t)
	if d["asyncapi"] != "3.0.0" || at(d, "info/version") != schema.Version || at(d, "info/title") == nil {
		t.Errorf("it begins with %v, %v", d["asyncapi"], d["info"])
	}
	channels, _ := d["channels"].(map[string]any)
	operations, _ := d["operations"].(map[string]any)
	if len(channels) != 4 || len(operations) != len(channels) {
		t.Errorf("%d channels and %d operations, want 4 of each", len(channels), len(operations))
	}
	for name, c := range channels {
		c, _ := c.(map[string]any)
		address, _ := c["address"].(string)
		parameters, _ := c["parameters"].(map[string]any)
		if address == "" || strings.Count(address, "{") != len(parameters) {
			t.Errorf("channel %s has the address %q and %d parameters", name, address, len(parameters))
		}
		for p := range parameters {
			if !strings.Contains(address, "{"+p+"}") {
				t.Errorf("channel %s: %s is not in its address", name, p)
			}
		}
	}
	for name, o := range operations {
		channel, _ := at(o, "channel/$ref").(string)
		if at(o, "action") != "send" || !strings.HasPrefix(channel, "#/channels/") {
			t.Errorf("operation %s does %v on %q", name, at(o, "action"), channel)
		}
		messages, _ := at(o, "messages").([]any)
		for _, m := range messages {
			if ref, _ := at(m, "$ref").(string); !strings.HasPrefix(ref, channel+"/messages/") {
				t.Errorf("operation %s: the message %s is not one of its channel", name, ref)
			}
		}
	}
	for name, s := range d["servers"].(map[string]any) {
		if at(s, "host") == nil || at(s, "protocol") != "nats" {
			t.Errorf("server %s has no host, or another protocol than nats", name)
		}
	}
}
