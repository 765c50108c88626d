package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/publish"
)

func runTail(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("tail", flag.ContinueOnError)
	kind := outputFlag(fs, stdout)
	all := fs.Bool("all", false, "begin with the oldest artifact, not with the next")
	count := fs.Int("n", 0, "stop after so many artifacts; 0: go on")
	filter := fs.String("subject", "", "only these, as 'artifacts.*.netskope.alert.>'; empty: all")
	if _, err := parseFlags(fs, args, 0, stderr); err != nil {
		return err
	}
	if err := checkOutput(*kind); err != nil {
		return err
	}
	a, err := attach(ctx, "tail")
	if err != nil {
		return err
	}
	defer a.conn.Close()
	if *filter == "" {
		*filter = a.cfg.NATS.SubjectPrefix + ".>"
	}
	consumer := jetstream.OrderedConsumerConfig{FilterSubjects: []string{*filter}, DeliverPolicy: jetstream.DeliverNewPolicy}
	if *all {
		consumer.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	err = follow(ctx, a.js, a.cfg.NATS.Stream, consumer, func(msg jetstream.Msg) error {
		if err := printArtifact(stdout, *kind, msg); err != nil {
			return err
		}
		if *count--; *count == 0 {
			return io.EOF
		}
		return nil
	})
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil
	}
	return err
}

// follow calls f with each message until f returns an error or ctx is done.
func follow(ctx context.Context, js jetstream.JetStream, stream string, c jetstream.OrderedConsumerConfig, f func(jetstream.Msg) error) error {
	consumer, err := js.OrderedConsumer(ctx, stream, c)
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", stream, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", stream, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		msg, err := messages.Next()
		if err != nil {
			return fmt.Errorf("follow stream %s: %w", stream, err)
		}
		if err := f(msg); err != nil {
			return err
		}
	}
}

// printArtifact prints an artifact as it is, or what a person wants to see of it
// in a line.
func printArtifact(w io.Writer, kind string, msg jetstream.Msg) error {
	if kind == "json" {
		_, err := w.Write(append(msg.Data(), '\n'))
		return err
	}
	_, err := fmt.Fprintln(w, artifactLine(msg.Headers(), msg.Data()))
	return err
}

// artifactLine takes from the headers what they say, so that it is the same in
// every format. The word for the action is the format's own. The first digits of
// the id are enough for explain.
func artifactLine(h nats.Header, data []byte) string {
	var document struct {
		Action  string `json:"action"`
		Message string `json:"message"`
		Labels  struct {
			Action string `json:"action"`
		} `json:"labels"` // in ECS
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return fmt.Sprintf("unreadable artifact: %v", err)
	}
	at, err := time.Parse(time.RFC3339, h.Get("ce-time"))
	if err != nil {
		return fmt.Sprintf("no artifact: header ce-time: %v", err)
	}
	dataset, _, _ := strings.Cut(h.Get("ce-subject"), "/")
	id := h.Get(publish.HeaderID)
	return fmt.Sprintf("%s  %.8s  %-8s  %-11s  %-9s  %s", at.UTC().Format("01-02 15:04:05Z"), id, h.Get("artifact_severity"), dataset,
		printable(cmp.Or(document.Action, document.Labels.Action, "-")), printable(document.Message))
}

// lineWidth bounds the text of an event on a terminal line, in bytes.
const lineWidth = 140

// printable returns text from an event without what could steer a terminal.
func printable(s string) string {
	if len(s) > lineWidth {
		s = strings.ToValidUTF8(s[:lineWidth], "") + "…"
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// printableLines does the same to a text of several lines.
func printableLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
