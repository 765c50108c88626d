package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/normalize"
)

// A state is what a running process answers when it is asked how it is.
type state struct {
	Owner   string          `json:"owner"`
	Version string          `json:"version"`
	Lanes   []ingest.Status `json:"lanes"`
	// Drift is what came from Netskope that the tables do not know.
	Drift []normalize.DriftCount `json:"drift,omitempty"`
}

// A laneState is a line of `skopeflow status`.
type laneState struct {
	Owner string `json:"owner"`
	ingest.Status
}

// statusWait is how long processes have to answer.
const statusWait = 700 * time.Millisecond

func runStatus(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("status", flag.ContinueOnError)
	kind := outputFlag(fs, stdout)
	onlyDrift := fs.Bool("drift", false, "list instead what Netskope sends that the tables do not know: keys, types, words")
	if _, err := parseFlags(fs, args, 0, stderr); err != nil {
		return err
	}
	if err := checkOutput(*kind); err != nil {
		return err
	}
	a, err := attach(ctx, "status")
	if err != nil {
		return err
	}
	defer a.conn.Close()
	states, err := askStates(ctx, a.conn, a.cfg.NATS.Stream)
	if err != nil {
		return err
	}
	drift := driftOf(states)
	if *onlyDrift {
		return printDrift(stdout, *kind, drift)
	}
	if err := printLanes(stdout, *kind, lanesOf(states)); err != nil {
		return err
	}
	if len(drift) > 0 && *kind == "table" {
		fmt.Fprintf(stdout, "\nNew in what Netskope sends, and unknown to the tables: %d. Nothing is lost; skopeflow status -drift lists them.\n", len(drift))
	}
	return nil
}

func printLanes(w io.Writer, kind string, lanes []laneState) error {
	now := time.Now()
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return printRows(w, kind, "LANE\tSTATE\tMODE\tNEWEST\tLAST ANSWER\tSTORED\tDUPLICATES\tFILTERED\tDEAD\tWHY", lanes, func(l laneState) []string {
		return []string{
			l.Lane, string(l.State), l.Mode, ago(l.HWM, now), ago(l.LastSuccess, now),
			count(l.Stored), count(l.Duplicates), count(l.Filtered), count(l.DeadLettered),
			strings.TrimPrefix(strings.TrimPrefix(l.Sentence(), string(l.State)), ": "),
		}
	})
}

func printDrift(w io.Writer, kind string, drift []normalize.DriftCount) error {
	if len(drift) == 0 && kind == "table" {
		_, err := fmt.Fprintln(w, "Netskope sends nothing that the tables do not know.")
		return err
	}
	return printRows(w, kind, "DATASET\tWHAT\tFIELD\tEVENTS\tEXAMPLE", drift, func(d normalize.DriftCount) []string {
		return []string{d.Dataset, strings.ReplaceAll(string(d.Kind), "_", " "), d.Field, strconv.FormatInt(d.Count, 10), d.Example}
	})
}

// driftOf adds up what all processes have seen.
func driftOf(states []state) []normalize.DriftCount {
	var all []normalize.DriftCount
	for _, s := range states {
		for _, d := range s.Drift {
			same := slices.IndexFunc(all, func(x normalize.DriftCount) bool {
				return x.Kind == d.Kind && x.Dataset == d.Dataset && x.Field == d.Field
			})
			if same < 0 {
				all = append(all, d)
				continue
			}
			all[same].Count += d.Count
		}
	}
	slices.SortStableFunc(all, func(a, b normalize.DriftCount) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

// askStates asks all processes that share the stream, and takes the answers
// that come within statusWait.
func askStates(ctx context.Context, nc *nats.Conn, stream string) ([]state, error) {
	inbox := nats.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask for the state: %w", err)
	}
	if err := nc.PublishRequest(stateSubject(stream), inbox, nil); err != nil {
		return nil, fmt.Errorf("ask for the state: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	var states []state
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) || err != nil {
			break
		}
		var s state
		if err := json.Unmarshal(msg.Data, &s); err != nil {
			return nil, fmt.Errorf("read the answer about the state: %w", err)
		}
		states = append(states, s)
	}
	if len(states) == 0 {
		return nil, errors.New("no skopeflow answers there: start one with skopeflow run, or set NATS_URL, NATS_STREAM or DATA_DIR to those of the one that runs")
	}
	return states, nil
}

// lanesOf returns the lanes of all processes. Those that need somebody come
// first.
func lanesOf(states []state) []laneState {
	var lanes []laneState
	for _, s := range states {
		for _, l := range s.Lanes {
			lanes = append(lanes, laneState{Owner: s.Owner, Status: l})
		}
	}
	slices.SortFunc(lanes, func(a, b laneState) int {
		if a.State.Well() != b.State.Well() {
			if b.State.Well() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Lane, b.Lane)
	})
	return lanes
}
