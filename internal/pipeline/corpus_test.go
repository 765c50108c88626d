package pipeline_test

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus returns the published events that lie beside the repository, by the
// stream that each file's name stands for.
func corpus(t *testing.T) map[string][][]byte {
	t.Helper()
	dir := sharedFolder(t)
	events := make(map[string][][]byte)
	err := filepath.WalkDir(filepath.Join(dir, "corpus"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".ndjson" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			stream := streamOf(strings.TrimSuffix(filepath.Base(path), ".ndjson"))
			events[stream] = append(events[stream], bytes.Clone(lines.Bytes()))
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// streamOf returns the stream that holds a file's events by default: alerts of
// all types are in events/alert.
func streamOf(file string) string {
	dataset, _, _ := strings.Cut(file, "_")
	return "events/" + dataset
}

// sharedFolder finds the folder shared beside the repository's root.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	shared := filepath.Join(filepath.Dir(dir), "shared")
	if _, err := os.Stat(filepath.Join(shared, "corpus")); err != nil {
		if os.Getenv("SKOPEFLOW_SHARED_REQUIRED") == "1" {
			t.Fatalf("the published events are required: %v", err)
		}
		t.Skipf("no published events beside the repository: %v", err)
	}
	return shared
}

func TestPublishedEventsArriveOnceAndWhole(t *testing.T) {
	events := corpus(t)
	r := newRig(t)
	raws := make(map[string]int) // SHA-256 of what went in
	total := 0
	for stream, list := range events {
		for _, raw := range list {
			r.add(stream, raw)
			raws[digest(raw)]++
			total++
		}
	}
	statuses := r.collect(t, keys(events)...)
	for stream, s := range statuses {
		if n := uint64(len(events[stream])); s.Received != n || s.Stored+s.Duplicates != n || s.DeadLettered != 0 {
			t.Errorf("%s: %d events, status %+v", stream, n, s)
		}
	}
	artifacts := r.artifacts(t)
	duplicates := 0
	for _, s := range statuses {
		duplicates += int(s.Duplicates)
	}
	if len(artifacts)+duplicates != total || total == 0 {
		t.Errorf("%d events in, %d artifacts and %d duplicates out", total, len(artifacts), duplicates)
	}
	datasets := make(map[string]int)
	for _, a := range artifacts {
		raw, _ := a["raw"].(string)
		if raws[digest([]byte(raw))] == 0 {
			t.Errorf("%s: raw is none of the events that went in", a["id"])
		}
		if a["source_tenant"] != host {
			t.Errorf("%s: source_tenant %v, want %s", a["id"], a["source_tenant"], host)
		}
		datasets[a["dataset"].(string)]++
	}
	t.Logf("%d events in, %d artifacts out: %v", total, len(artifacts), datasets)
	for _, dataset := range []string{"alert", "page", "application", "audit", "network", "incident"} {
		if datasets[dataset] == 0 {
			t.Errorf("no artifact of dataset %s", dataset)
		}
	}
}
