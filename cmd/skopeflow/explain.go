package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
)

// explainBytes bounds an event that is explained.
const explainBytes = 32 << 20

func runExplain(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("explain", flag.ContinueOnError)
	kind := outputFlag(fs, stdout)
	tenant := fs.String("tenant", "acme.goskope.com", "host of the tenant that the event is from; it is part of the id")
	rest, err := parseFlags(fs, args, 2, stderr)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return &usageError{"skopeflow explain: name the stream, such as alerts/dlp or page, and a file with one raw event (or pipe it in)"}
	}
	if err := checkOutput(*kind); err != nil {
		return err
	}
	stream := rest[0]
	if !strings.Contains(stream, "/") {
		stream = "events/" + stream
	}
	dataset, subtype, ok := normalize.Dataset(stream)
	if !ok {
		return &usageError{fmt.Sprintf("skopeflow explain: there is no stream %q; write one such as page or alerts/dlp", rest[0])}
	}
	raw, err := readEvent(rest[1:])
	if err != nil {
		return err
	}
	instance, _, _ := strings.Cut(*tenant, ".")
	env := &normalize.Envelope{
		Tenant: instance, SourceTenant: *tenant, Connector: instance, Dataset: dataset, Subtype: subtype,
		SourceAPI: "v2_dataexport", Collected: time.Now().UTC(), KeepRaw: true,
	}
	rows, artifact, err := normalize.Explain(env, raw)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	if *kind == "json" {
		_, err = stdout.Write(append(artifact.AppendJSON(nil), '\n'))
		return err
	}
	return printExplained(stdout, rows, &artifact)
}

func printExplained(w io.Writer, rows []normalize.Row, a *schema.Artifact) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NETSKOPE\tVALUE\tRULE\tARTIFACT\tWARNING")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%.60s\t%s\t%s\t%s\n", printable(r.Key), printable(r.Value), r.Rule, r.Field, r.Warning)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err := fmt.Fprintf(w, "\nid %s\nsubject artifacts.%s.netskope.%s.%s\n%s\n", a.ID, a.Tenant, a.Dataset, schema.SubjectToken(a.Subtype), a.Message)
	return err
}

// readEvent reads the event from the named file, or from standard input.
func readEvent(files []string) ([]byte, error) {
	f := os.Stdin
	if len(files) == 1 && files[0] != "-" {
		var err error
		if f, err = os.Open(files[0]); err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		defer f.Close()
	}
	raw, err := io.ReadAll(io.LimitReader(f, explainBytes))
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil, errors.New("read event: the input is empty; give a file with one JSON object")
	}
	return raw, nil
}

func runSchema(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if err := noArgs("schema", args, stderr); err != nil {
		return err
	}
	_, err := stdout.Write(schema.JSON)
	return err
}
