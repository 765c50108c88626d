package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
)

// linked is the version that the build put in; empty in a plain go build.
var linked string

// version returns the program's version, or the commit it was built from.
func version() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

func runVersion(_ context.Context, _ []string, stdout, _ io.Writer) error {
	fmt.Fprintf(stdout, "skopeflow %s (schema %s, mapping %s)\n", version(), schema.Version, normalize.MappingVersion)
	return nil
}
