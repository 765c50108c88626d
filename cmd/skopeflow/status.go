package main

import (
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
)

// A state is what a running process answers when it is asked how it is.
type state struct {
	Owner   string          `json:"owner"`
	Version string          `json:"version"`
	Lanes   []ingest.Status `json:"lanes"`
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
	lanes, err := askState(ctx, a.conn, a.cfg.NATS.Stream)
	if err != nil {
		return err
	}
	now := time.Now()
	return printRows(stdout, *kind, "LANE\tSTATE\tMODE\tNEWEST\tLAST ANSWER\tSTORED\tDUPLICATES\tDEAD\tWHY", lanes, func(l laneState) []string {
		return []string{
			l.Lane, string(l.State), l.Mode, ago(l.HWM, now), ago(l.LastSuccess, now),
			strconv.FormatUint(l.Stored, 10), strconv.FormatUint(l.Duplicates, 10), strconv.FormatUint(l.DeadLettered, 10),
			strings.TrimPrefix(strings.TrimPrefix(l.Sentence(), string(l.State)), ": "),
		}
	})
}

// askState asks all processes that share the stream, and takes the answers that
// come within statusWait. Lanes that need somebody come first.
func askState(ctx context.Context, nc *nats.Conn, stream string) ([]laneState, error) {
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
	var lanes []laneState
	answers := 0
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) || err != nil {
			break
		}
		var s state
		if err := json.Unmarshal(msg.Data, &s); err != nil {
			return nil, fmt.Errorf("read the answer about the state: %w", err)
		}
		answers++
		for _, l := range s.Lanes {
			lanes = append(lanes, laneState{Owner: s.Owner, Status: l})
		}
	}
	if answers == 0 {
		return nil, errors.New("no skopeflow answers there: start one with skopeflow run, or set NATS_URL, NATS_STREAM or DATA_DIR to those of the one that runs")
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
	return lanes, nil
}
