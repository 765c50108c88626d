package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/ingest/netskope"
	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/internal/telemetry"
	"github.com/skopeflow/skopeflow/publish"
)

// newest is how far before the present a backfill ends at the latest: what is
// newer the live lane is about to store itself.
const newest = 10 * time.Minute

// backfillPart is the part of the tenant's requests that a backfill takes.
const backfillPart = 0.2

// runBackfill reads a range of a stream on an index of its own, with a cursor of
// its own, and stores what the stream of artifacts lacks. Told to stop, or
// killed, it goes on where it was when it is called again with the same range.
func runBackfill(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("backfill", flag.ContinueOnError)
	name := fs.String("instance", "", "the instance, as it is set in the environment; empty: the only one")
	stream := fs.String("stream", "", "the stream, such as page or alerts/dlp")
	from := fs.String("from", "", "where to begin: a time such as 2026-01-31T08:00:00Z, or an age such as 24h or 7d")
	to := fs.String("to", newest.String(), "where to end; the live lane has stored what is newer")
	if _, err := parseFlags(fs, args, 0, stderr); err != nil {
		return err
	}
	a, err := attach(ctx, "backfill")
	if err != nil {
		return err
	}
	defer a.conn.Close()
	instance, err := instanceNamed(a.cfg, *name)
	if err != nil {
		return err
	}
	full, err := streamOf(instance, *stream)
	if err != nil {
		return err
	}
	begin, end, err := rangeOf(*from, *to, time.Now())
	if err != nil {
		return err
	}
	return backfill(ctx, a, instance, full, begin, end, stdout)
}

// rangeOf reads the ends of a range in whole seconds.
func rangeOf(from, to string, now time.Time) (begin, end time.Time, err error) {
	var first, last Start
	if first.UnmarshalText([]byte(from)) != nil || last.UnmarshalText([]byte(to)) != nil || from == "" {
		return begin, end, &usageError{"skopeflow backfill: say -from, and perhaps -to, as a time such as 2026-01-31T08:00:00Z or an age such as 24h"}
	}
	begin, end = first.Resolve(now).UTC().Truncate(time.Second), last.Resolve(now).UTC().Truncate(time.Second)
	if limit := now.Add(-newest).UTC().Truncate(time.Second); end.After(limit) {
		end = limit
	}
	if !begin.Before(end) {
		return begin, end, &usageError{fmt.Sprintf("skopeflow backfill: the range from %s to %s is empty; it ends %v before now at the latest", begin.Format(time.RFC3339), end.Format(time.RFC3339), newest)}
	}
	return begin, end, nil
}

func instanceNamed(cfg *Config, name string) (Instance, error) {
	var names []string
	for _, i := range cfg.Instances {
		if i.Name == name || name == "" && len(cfg.Instances) == 1 {
			return i, nil
		}
		names = append(names, i.Name)
	}
	if len(names) == 0 {
		return Instance{}, cfg.RequireInstances()
	}
	return Instance{}, &usageError{fmt.Sprintf("skopeflow backfill: name the instance with -instance; there are: %s", strings.Join(names, ", "))}
}

// streamOf returns the full name of a stream that the instance collects.
func streamOf(i Instance, name string) (string, error) {
	full := name
	if !strings.Contains(full, "/") {
		full = "events/" + full
	}
	if !slices.Contains(i.Streams, full) {
		return "", &usageError{fmt.Sprintf("skopeflow backfill: %s does not collect %q; it collects: %s", i.Name, name, strings.Join(i.Streams, ", "))}
	}
	return full, nil
}

func backfill(ctx context.Context, a *attachment, i Instance, stream string, from, to time.Time, stdout io.Writer) error {
	cfg, log := a.cfg, slog.New(slog.DiscardHandler)
	tel, err := telemetry.Setup(ctx, version(), log)
	if err != nil {
		return err
	}
	defer within(ctx, func(ctx context.Context) { _ = tel.Shutdown(ctx) })
	form, err := cfg.Publish.form()
	if err != nil {
		return err
	}
	nats, err := publish.OpenNATS(ctx, a.js, natsConfig(cfg, form.profile))
	if err != nil {
		return err
	}
	cursors, err := checkpoint.OpenKV(ctx, a.js, cfg.NATS.Replicas)
	if err != nil {
		return err
	}
	installation, err := installationID(ctx, a.js, cfg.NATS.Replicas)
	if err != nil {
		return err
	}
	leave, err := joinAsJob(ctx, a, log)
	if err != nil {
		return err
	}
	defer leave()
	client, err := newClient(cfg, i, tel.RoundTripper)
	if err != nil {
		return err
	}
	client.Share(backfillPart)
	pipe := &pipeline.Pipeline{
		Publisher: tel.Publisher(nats, "nats"), KeepRaw: cfg.Publish.Raw, Tenants: hosts(cfg),
		Late: map[string]time.Duration{i.Name: time.Since(from) + 24*time.Hour}, Rules: cfg.Rules, Form: form.append, Log: log, Stage: tel.Stage,
	}
	b := laneBuilder{cfg: cfg, tel: tel, log: log, installation: installation, clients: map[string]*netskope.Client{}, lane: ingest.Lane{
		Vendor: "netskope", Owner: owner(), Store: tel.Store(cursors), Broker: pipeline.Broker{Publisher: pipe.Publisher}, Out: pipe.Parts(),
		Budget: ingest.NewBudget(int64(cfg.MemoryLimit)), Quarantine: cfg.Lease.Quarantine.Duration, Grace: grace,
		Mend: cursors.Mend, History: cursors.History, Log: log, Trace: tel.Page,
	}}
	job := b.make(i, stream, client).Backfill(from, to)
	if finished := runJob(ctx, job, pipe, from, to, stdout); !finished {
		return errors.New("backfill: stopped before its end; the same command goes on where it was")
	}
	return cursors.Forget(ctx, job.Key())
}

// joinAsJob tells the replicas that a job takes part of the requests.
func joinAsJob(ctx context.Context, a *attachment, log *slog.Logger) (leave func(), err error) {
	leases, err := checkpoint.OpenLeases(ctx, a.js, a.cfg.NATS.Replicas, a.cfg.Lease.TTL.Duration)
	if err != nil {
		return nil, err
	}
	m, err := leases.Join(ctx, checkpoint.Member{ID: owner() + "-backfill", Kind: checkpoint.Job, Since: time.Now().UTC()}, log)
	if err != nil {
		return nil, err
	}
	return func() { within(ctx, func(ctx context.Context) { _ = m.Leave(ctx) }) }, nil
}

// runJob runs a lane that ends, and prints how far it has come.
func runJob(ctx context.Context, job *ingest.Lane, pipe *pipeline.Pipeline, from, to time.Time, stdout io.Writer) (finished bool) {
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		pipe.Run()
	}()
	done := make(chan bool, 1)
	go func() {
		ended := job.Run(ctx)
		close(pipe.Parts())
		<-stored
		done <- ended
	}()
	begin := time.Now()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case finished = <-done:
			fmt.Fprintln(stdout, jobLine(job.Status(), from, to, time.Since(begin)))
			return finished
		case <-tick.C:
			fmt.Fprintln(stdout, jobLine(job.Status(), from, to, time.Since(begin)))
		}
	}
}

// jobLine says how far a job has come, and when it will be done if it goes on as
// before.
func jobLine(s ingest.Status, from, to time.Time, took time.Duration) string {
	line := fmt.Sprintf("%6s  read %d events, stored %d that were missing, %d were there", took.Round(time.Second), s.Received, s.Stored, s.Duplicates)
	if s.HWM.After(from) && s.HWM.Before(to) {
		share := float64(s.HWM.Sub(from)) / float64(to.Sub(from))
		left := time.Duration(float64(took) * (1 - share) / share)
		line += fmt.Sprintf("; at %s, %.0f %%, about %s left", s.HWM.UTC().Format(time.RFC3339), 100*share, left.Round(time.Second))
	}
	if !s.State.Well() {
		line += "; " + s.Sentence()
	}
	return line
}
