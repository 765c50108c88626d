package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// outputFlag adds -o, which chooses how a command prints: a table for a person,
// JSON lines for a pipe.
func outputFlag(fs *flag.FlagSet, stdout io.Writer) *string {
	kind := "json"
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		kind = "table"
	}
	return fs.String("o", kind, "table or json (JSON lines); a table on a terminal, JSON in a pipe")
}

func checkOutput(kind string) error {
	if kind != "table" && kind != "json" {
		return &usageError{fmt.Sprintf("-o %s: write table or json", kind)}
	}
	return nil
}

// printRows prints rows as a table under a header line, or each value as a line
// of JSON.
func printRows[T any](w io.Writer, kind, header string, rows []T, columns func(T) []string) error {
	if kind == "json" {
		enc := json.NewEncoder(w)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, header)
	for _, r := range rows {
		fmt.Fprintln(table, strings.Join(columns(r), "\t"))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// ago says how long ago a time was, roughly; "-" for none.
func ago(t time.Time, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < 0:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
