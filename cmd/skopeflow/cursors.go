package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

func runCursors(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("cursors", flag.ContinueOnError)
	kind := outputFlag(fs, stdout)
	if len(args) == 0 {
		args = []string{""}
	}
	if strings.HasPrefix(args[0], "-") {
		args = append([]string{""}, args...)
	}
	rest, err := parseFlags(fs, args[1:], 1, stderr)
	if err != nil {
		return err
	}
	if err := checkOutput(*kind); err != nil {
		return err
	}
	switch {
	case args[0] == "list" && len(rest) == 0, args[0] == "show" && len(rest) == 1:
	default:
		return &usageError{"skopeflow cursors: say list, or show LANE"}
	}
	a, err := attach(ctx, "cursors")
	if err != nil {
		return err
	}
	defer a.conn.Close()
	kv, err := checkpoint.OpenKV(ctx, a.js, a.cfg.NATS.Replicas)
	if err != nil {
		return err
	}
	if args[0] == "show" {
		return showCursor(ctx, kv, rest[0], stdout)
	}
	return listCursors(ctx, kv, *kind, stdout)
}

func listCursors(ctx context.Context, kv *checkpoint.KV, kind string, stdout io.Writer) error {
	all, err := kv.List(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b checkpoint.Revision) int { return strings.Compare(a.Lane, b.Lane) })
	now := time.Now()
	return printRows(stdout, kind, "LANE\tMODE\tPAGE\tHIGH-WATER MARK\tSAVED\tEPOCH\tOWNER", all, func(r checkpoint.Revision) []string {
		hwm := r.HWM
		if hwm.IsZero() {
			hwm = r.Through
		}
		return []string{
			r.Lane, r.Mode, strconv.FormatUint(r.Page, 10), hwm.Format(time.RFC3339),
			ago(r.Created, now), strconv.FormatUint(r.Epoch, 10), r.Owner,
		}
	})
}

// showCursor prints the whole cursor of one lane.
func showCursor(ctx context.Context, kv *checkpoint.KV, lane string, stdout io.Writer) error {
	all, err := kv.History(ctx, lane)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("cursor of %q: %w; skopeflow cursors list has the names", lane, errNotFound)
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(all[len(all)-1]); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
