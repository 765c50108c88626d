package main

import (
	"os"
	"testing"
)

func TestGeneratedFilesAreThoseOfTheTable(t *testing.T) {
	table, err := os.ReadFile("../../fields.csv")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(table)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is stale: run go generate ./schema", name)
		}
	}
}
