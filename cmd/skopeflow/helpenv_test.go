package main

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what is generated, instead of comparing it")

func TestHelpEnvNamesEverySetting(t *testing.T) {
	var out bytes.Buffer
	helpEnv(&out)
	for _, want := range []string{
		"NETSKOPE_BASE_URL", "NETSKOPE_API_TOKEN_FILE", "NETSKOPE_INSTANCES", "PUBLISH_RAW", "NATS_URL", "NATS_MAX_BYTES",
		"MEMORY_LIMIT", "OUTBOUND_ALLOW", "DATA_DIR", "HTTP_ADDR", "PROBE_ADDR", "LOG_FORMAT", "OTEL_…", "256MiB",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not show %s", want)
		}
	}
	for _, g := range settingGroups() {
		for _, s := range g.settings {
			if s.desc == "" {
				t.Errorf("%s has no description", s.name)
			}
		}
	}
}

func TestDocumentsShowTheSettingsThereAre(t *testing.T) {
	for _, doc := range []string{"README.md", "docs/settings.md"} {
		t.Run(doc, func(t *testing.T) {
			compareSettings(t, filepath.Join("..", "..", filepath.FromSlash(doc)))
		})
	}
}

func compareSettings(t *testing.T, file string) {
	const begin, end = "<!-- settings -->\n", "<!-- /settings -->"
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s does not exist", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), begin)
	have, after, closed := strings.Cut(rest, end)
	if !found {
		t.Skipf("%s has no section of settings", file)
	}
	if !closed {
		t.Fatalf("%s has %s and no %s", file, strings.TrimSpace(begin), end)
	}
	want := "\n" + envTable()
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("%s shows other settings than there are; run go test ./cmd/skopeflow -run Documents -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
