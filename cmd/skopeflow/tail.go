package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/schema"
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
	err = follow(ctx, a.js, a.cfg.NATS.Stream, consumer, func(data []byte) error {
		if err := printArtifact(stdout, *kind, data); err != nil {
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
func follow(ctx context.Context, js jetstream.JetStream, stream string, c jetstream.OrderedConsumerConfig, f func([]byte) error) error {
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
		if err := f(msg.Data()); err != nil {
			return err
		}
	}
}

// printArtifact prints an artifact as it is, or what a person wants to see of it
// in a line.
func printArtifact(w io.Writer, kind string, data []byte) error {
	if kind == "json" {
		_, err := w.Write(append(data, '\n'))
		return err
	}
	_, err := fmt.Fprintln(w, artifactLine(data))
	return err
}

func artifactLine(data []byte) string {
	var a schema.Artifact
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Sprintf("unreadable artifact: %v", err)
	}
	return fmt.Sprintf("%s  %-8s  %-11s  %-9s  %s", a.Time.Time().UTC().Format("01-02 15:04:05Z"), a.Severity, a.Dataset, a.Action, printable(a.Message))
}

// lineWidth bounds the text of an event on a terminal line, in bytes.
const lineWidth = 140

// printable returns text from an event without what could steer a terminal.
func printable(s string) string {
	quoted := strconv.Quote(s[:min(len(s), lineWidth)])
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
