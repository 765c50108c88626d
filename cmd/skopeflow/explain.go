package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ocsf"
)

// explainBytes bounds an event that is explained.
const explainBytes = 32 << 20

// believable is how old an event may be that is explained: people paste what they kept.
const believable = 20 * 365 * 24 * time.Hour

// idForm is the id of an artifact, or the beginning of one.
var idForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f-]{0,27})?$`)

func runExplain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("explain", flag.ContinueOnError)
	kind := outputFlag(fs, stdout)
	tenant := fs.String("tenant", "acme.goskope.com", "host of the tenant that the event is from; it is part of the id")
	name := fs.String("format", "artifact", "what to show: artifact, or what a view makes of it: ocsf, ecs, witfoo")
	version := fs.String("ocsf-version", ocsf.Latest, "version of the view ocsf")
	instance := fs.String("instance", "", "apply the filters and the privacy rules of this instance, as they are set in the environment")
	rest, err := parseFlags(fs, args, 2, stderr)
	if err != nil {
		return err
	}
	if err := checkOutput(*kind); err != nil {
		return err
	}
	f, err := formNamed(*name, *version)
	if err != nil {
		return &usageError{"skopeflow explain: " + err.Error()}
	}
	if len(rest) == 0 {
		return &usageError{"skopeflow explain: name the stream, such as alerts/dlp or page, and a file with one raw event (or pipe it in); or give the id of an artifact in the stream, or the first 8 digits of it"}
	}
	rules, err := rulesOf(*instance)
	if err != nil {
		return err
	}
	var env *normalize.Envelope
	var raw []byte
	if idForm.MatchString(rest[0]) && len(rest) == 1 {
		env, raw, err = storedEvent(ctx, rest[0])
	} else {
		env, raw, err = givenEvent(*tenant, rest[0], rest[1:])
	}
	if err != nil {
		return err
	}
	rows, artifact, err := normalize.Explain(env, raw)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	pass, failed := rules.Filter.Pass(&artifact)
	if failed != nil {
		fmt.Fprintf(stderr, "the filter fails on this event, and keeps it: %v\n", failed)
	}
	if !pass {
		fmt.Fprintf(stderr, "KEEP_IF or DROP_IF of %s leaves this event out; it would be published as:\n", *instance)
	}
	rules.Privacy.Apply(&artifact)
	document := append(f.append(nil, &artifact), '\n')
	if *kind == "json" {
		_, err = stdout.Write(document)
		return err
	}
	return printExplained(stdout, rows, &artifact, f, document)
}

// rulesOf returns what an instance leaves out; nothing for no instance.
func rulesOf(instance string) (pipeline.Rules, error) {
	if instance == "" {
		return pipeline.Rules{}, nil
	}
	cfg, err := loadConfig()
	if err != nil {
		return pipeline.Rules{}, err
	}
	rules, ok := cfg.Rules[instance]
	if !ok {
		return rules, &usageError{fmt.Sprintf("skopeflow explain: there is no instance %q in the environment; there are: %s", instance, strings.Join(slices.Sorted(maps.Keys(cfg.Rules)), ", "))}
	}
	return rules, nil
}

// givenEvent is an event from a file or standard input, as if it came from the stream.
func givenEvent(tenant, stream string, files []string) (*normalize.Envelope, []byte, error) {
	full := stream
	if !strings.Contains(full, "/") {
		full = "events/" + full
	}
	dataset, subtype, ok := normalize.Dataset(full)
	if !ok {
		return nil, nil, &usageError{fmt.Sprintf("skopeflow explain: there is no stream %q; write one such as page or alerts/dlp", stream)}
	}
	raw, err := readEvent(files)
	if err != nil {
		return nil, nil, err
	}
	instance, _, _ := strings.Cut(tenant, ".")
	return &normalize.Envelope{
		Tenant: instance, SourceTenant: tenant, Connector: instance, Dataset: dataset, Subtype: subtype,
		SourceAPI: "v2_dataexport", Collected: time.Now().UTC(), Late: believable, KeepRaw: true,
	}, raw, nil
}

// printExplained prints what became of each key, and the document that is published.
func printExplained(w io.Writer, rows []normalize.Row, a *schema.Artifact, f form, document []byte) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "NETSKOPE\tVALUE\tRULE\tARTIFACT"
	places := map[string][]string{}
	if f.places != nil {
		header += "\t" + strings.ToUpper(f.name)
		places = f.places(a)
	}
	var shown any
	if err := json.Unmarshal(document, &shown); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintln(table, header+"\tWARNING")
	for _, r := range rows {
		line := []string{printable(r.Key), shortCell(r.Value), r.Rule, artifactCell(a, r)}
		if f.places != nil {
			line = append(line, viewCell(shown, places, r.Field))
		}
		fmt.Fprintln(table, strings.Join(append(line, r.Warning), "\t"))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, document, "", "  "); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err := fmt.Fprintf(w, "\n%s\nid %s\nsubject artifacts.%s.netskope.%s.%s\n%s\n",
		printableLines(indented.String()), a.ID, a.Tenant, a.Dataset, schema.SubjectToken(a.Subtype), printable(a.Message))
	return err
}

// shortCell is a value that leaves room for other columns.
func shortCell(value string) string {
	const width = 40
	value = printable(value)
	if runes := []rune(value); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return value
}

// artifactCell names the fields that have a value, and what it became where that is something else.
func artifactCell(a *schema.Artifact, r normalize.Row) string {
	var cells []string
	for _, field := range strings.Split(r.Field, ", ") {
		access, ok := schema.AccessTo(field)
		if !ok {
			return r.Field
		}
		value := strings.Trim(string(access.Append(nil, a)), `"`)
		if value == r.Value || field == "unmapped" {
			cells = append(cells, field)
			continue
		}
		cells = append(cells, field+"="+shortCell(value))
	}
	return strings.Join(cells, ", ")
}

// viewCell names the places of the fields in a document; "-" where it has none for them.
func viewCell(document any, places map[string][]string, fields string) string {
	var cells []string
	for _, field := range strings.Split(fields, ", ") {
		for _, place := range places[field] {
			if place == "unmapped" && field != "unmapped" {
				if object, _ := document.(map[string]any); !stands(object["unmapped"], field) {
					continue
				}
				place += "[" + field + "]"
			} else if !stands(document, place) {
				continue
			}
			if place != "observables" && !slices.Contains(cells, place) {
				cells = append(cells, place)
			}
		}
	}
	if len(cells) == 0 {
		return "-"
	}
	return strings.Join(cells, ", ")
}

// stands reports whether a document has something at a path. A key may hold dots itself.
func stands(at any, path string) bool {
	if object, _ := at.(map[string]any); object[path] != nil {
		return true
	}
	for part := range strings.SplitSeq(path, ".") {
		key, list := strings.CutSuffix(part, "[]")
		object, _ := at.(map[string]any)
		if at = object[key]; list {
			elements, _ := at.([]any)
			if len(elements) == 0 {
				return false
			}
			at = elements[0]
		}
	}
	return at != nil
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
	return bytes.TrimSpace(raw), nil
}

func runSchema(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if err := noArgs("schema", args, stderr); err != nil {
		return err
	}
	_, err := stdout.Write(schema.JSON)
	return err
}
