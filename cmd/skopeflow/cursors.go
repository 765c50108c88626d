package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

func runCursors(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("cursors", flag.ContinueOnError)
	kind := outputFlag(fs, stdout)
	to := fs.String("to", "", "of rewind: where the lane begins again, a time such as 2026-01-31T08:00:00Z or an age such as 24h")
	replay := fs.Bool("replay", false, "of rewind: store again what is stored already, marked as a replay; without it only gaps are filled")
	confirmed := fs.String("confirm", "", "of rewind: the lane's name once more, in place of typing it")
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
	switch verb, names := args[0], len(rest); {
	case (verb == "list" || verb == "repairs") && names == 0, (verb == "show" || verb == "history" || verb == "rewind") && names == 1:
	default:
		return &usageError{"skopeflow cursors: say list, show LANE, history LANE, rewind -to TIME LANE, or repairs"}
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
	switch args[0] {
	case "show":
		return showCursor(ctx, kv, rest[0], stdout)
	case "history":
		return showHistory(ctx, kv, rest[0], *kind, stdout)
	case "rewind":
		return rewind(ctx, kv, rest[0], *to, *replay, *confirmed, stdout)
	case "repairs":
		return listRepairs(ctx, kv, *kind, stdout)
	}
	return listCursors(ctx, kv, *kind, stdout)
}

// showHistory prints where a lane stood, the oldest first.
func showHistory(ctx context.Context, kv *checkpoint.KV, lane, kind string, stdout io.Writer) error {
	all, err := kv.History(ctx, lane)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("cursor of %q: %w; skopeflow cursors list has the names", lane, errNotFound)
	}
	return printRows(stdout, kind, "SAVED\tREVISION\tPAGE\tHIGH-WATER MARK\tEPOCH\tOWNER\tRELEASED", all, func(r checkpoint.Revision) []string {
		revision := strconv.FormatUint(r.Revision, 10)
		if r.Snapshot {
			revision = "hourly"
		}
		return []string{
			r.Created.UTC().Format(time.RFC3339), revision, strconv.FormatUint(r.Page, 10), stoodAt(r.Cursor).UTC().Format(time.RFC3339),
			strconv.FormatUint(r.Epoch, 10), r.Owner, strconv.FormatBool(r.Released),
		}
	})
}

// stoodAt is how far a lane had come in the vendor's time.
func stoodAt(c checkpoint.Cursor) time.Time {
	if c.HWM.IsZero() {
		return c.Through
	}
	return c.HWM
}

// listRepairs prints what is written down to be read again.
func listRepairs(ctx context.Context, kv *checkpoint.KV, kind string, stdout io.Writer) error {
	all, err := kv.Repairs(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 && kind == "table" {
		_, err := fmt.Fprintln(stdout, "Nothing is to be read again.")
		return err
	}
	slices.SortFunc(all, func(a, b checkpoint.LaneRepair) int { return a.Due.Compare(b.Due) })
	return printRows(stdout, kind, "LANE\tFROM\tTO\tDUE\tWHY", all, func(r checkpoint.LaneRepair) []string {
		return []string{r.Lane, r.From.UTC().Format(time.RFC3339), r.To.UTC().Format(time.RFC3339), r.Due.UTC().Format(time.RFC3339), strings.Join(r.Reasons, "; ")}
	})
}

// rewind makes a lane begin again at an earlier time, once its name has been
// typed again.
func rewind(ctx context.Context, kv *checkpoint.KV, lane, to string, replay bool, confirmed string, stdout io.Writer) error {
	var at Start
	if err := at.UnmarshalText([]byte(to)); err != nil || to == "now" {
		return &usageError{"skopeflow cursors rewind: say where to begin again with -to, such as -to 24h or -to 2026-01-31T08:00:00Z"}
	}
	begin := at.Resolve(time.Now()).UTC().Truncate(time.Second)
	what := "what the stream lacks is stored"
	if replay {
		what = "everything is stored again, with the header replay: true"
	}
	if confirmed == "" {
		fmt.Fprintf(stdout, "%s will be read again from %s; %s.\nType the lane's name to go on: ", lane, begin.Format(time.RFC3339), what)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return fmt.Errorf("read the confirmation: %w; give it with -confirm %s", err, lane)
		}
		confirmed = strings.TrimSpace(line)
	}
	if confirmed != lane {
		return &usageError{fmt.Sprintf("skopeflow cursors rewind: %q is not the lane's name, so nothing was changed", confirmed)}
	}
	_, err := kv.Rewind(ctx, lane, begin, replay, "rewind by "+owner())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s begins again at %s. The one who runs it goes over to that with its next poll.\n", lane, begin.Format(time.RFC3339))
	return err
}

func listCursors(ctx context.Context, kv *checkpoint.KV, kind string, stdout io.Writer) error {
	all, err := kv.List(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b checkpoint.Revision) int { return strings.Compare(a.Lane, b.Lane) })
	now := time.Now()
	return printRows(stdout, kind, "LANE\tMODE\tPAGE\tHIGH-WATER MARK\tSAVED\tEPOCH\tOWNER", all, func(r checkpoint.Revision) []string {
		return []string{
			r.Lane, r.Mode, strconv.FormatUint(r.Page, 10), stoodAt(r.Cursor).Format(time.RFC3339),
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
