package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/term"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/ingest/netskope"
	"github.com/skopeflow/skopeflow/internal/admin"
	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/internal/telemetry"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
)

// grace is how long a page in hand may take to settle after the order to stop,
// and closing how long the rest has after that. A supervisor must allow more
// than both before it kills.
const (
	grace   = 20 * time.Second
	closing = 5 * time.Second
)

// gcPercent lets the heap grow by half of what is in use before it is cleaned
// up. Pages come and go in megabytes, so Go's default would double the memory
// of the process for little less work.
const gcPercent = 50

func runRun(ctx context.Context, args []string, _, stderr io.Writer) error {
	if err := noArgs("run", args, stderr); err != nil {
		return err
	}
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if err := cfg.RequireInstances(); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	return runPipeline(ctx, cfg, newLogger(cfg.Log, stderr), nil)
}

// A program is what runPipeline has built, for those who watch it.
type program struct {
	lanes    []*ingest.Lane
	disabled []ingest.Status
	js       jetstream.JetStream
	page     string // address of the status page
	hint     string // how to subscribe
}

// statuses returns how each lane is now.
func (p *program) statuses() []ingest.Status {
	all := append([]ingest.Status(nil), p.disabled...)
	for _, l := range p.lanes {
		all = append(all, l.Status())
	}
	return all
}

// runPipeline builds the program, far end first, and runs it until ctx is done.
// Its defers, read upwards, are the order of the shutdown. started, if set, is
// called once everything runs.
func runPipeline(ctx context.Context, cfg *Config, log *slog.Logger, started func(*program)) (err error) {
	tel, err := telemetry.Setup(ctx, version(), log)
	if err != nil {
		return err
	}
	defer within(ctx, func(ctx context.Context) { err = errors.Join(err, tel.Shutdown(ctx)) })
	log = slog.New(telemetry.LogHandler(log.Handler()))
	for _, note := range cfg.Notes {
		log.WarnContext(ctx, note) //nolint:sloglint // a sentence about a setting
	}

	broker, err := openBroker(cfg, log)
	if err != nil {
		return err
	}
	defer broker.close()
	js, err := jetstream.New(broker.conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	published, err := cfg.Publish.form()
	if err != nil {
		return err
	}
	nats, err := publish.OpenNATS(ctx, js, natsConfig(cfg, published.profile))
	if err != nil {
		return err
	}
	if err := limitStream(ctx, js, cfg.NATS); err != nil {
		return err
	}
	cursors, err := checkpoint.OpenKV(ctx, js, cfg.NATS.Replicas)
	if err != nil {
		return err
	}
	installation, err := installationID(ctx, js, cfg.NATS.Replicas)
	if err != nil {
		return err
	}

	publisher := watched{tel.Publisher(nats, "nats"), broker.health}
	drift := new(normalize.DriftCounter)
	pipe := &pipeline.Pipeline{
		Publisher: publisher, KeepRaw: cfg.Publish.Raw, Tenants: hosts(cfg), Late: lateness(cfg, time.Now()),
		Rules: cfg.Rules, Form: published.append, Drift: drift, Log: log, Stage: tel.Stage,
	}
	replica := owner()
	budget := ingest.NewBudget(int64(cfg.MemoryLimit))
	p := &program{js: js, hint: broker.hint(cfg.NATS.SubjectPrefix + ".>")}
	b := laneBuilder{cfg: cfg, tel: tel, log: log, installation: installation, lane: ingest.Lane{
		Vendor: "netskope", Owner: replica, Store: watchedStore{tel.Store(cursors), broker.health}, Broker: pipeline.Broker{Publisher: publisher}, Out: pipe.Parts(), Budget: budget,
		Quarantine: cfg.Lease.Quarantine.Duration, Grace: grace, Alone: cfg.NATS.URL == "", Mend: cursors.Mend, History: cursors.History, Log: log, Trace: tel.Page,
	}, clients: make(map[string]*netskope.Client)}
	if err := b.build(p); err != nil {
		return err
	}
	if err := tel.Lanes(p.statuses, budget.InFlight); err != nil {
		return err
	}
	if err := tel.Drift(drift.Counts); err != nil {
		return err
	}
	if err := tel.Filters(cfg.filterFailures); err != nil {
		return err
	}
	answer, err := answerState(broker.conn, cfg.NATS.Stream, replica, p.statuses, drift.Counts)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Unsubscribe() }()
	web := admin.Config{Version: version(), Started: time.Now().UTC(), Statuses: p.statuses, Drift: drift.Counts, Ready: readiness(ctx, publisher), Metrics: tel.Metrics()}
	stop, err := serveHTTP(ctx, cfg, web, p, log)
	if err != nil {
		return err
	}
	defer stop()

	announce(ctx, log, cfg, p, tel.Target())
	if started != nil {
		started(p)
	}
	ctx, stopAll := context.WithCancelCause(ctx)
	defer stopAll(nil)
	go broker.watch(ctx, stopAll) // ends with ctx
	fleet := &ingest.Fleet{ID: replica, Lanes: p.lanes, Repairs: cursors, Log: log, Share: b.share}
	if cfg.NATS.URL != "" {
		if fleet.Leases, err = checkpoint.OpenLeases(ctx, js, cfg.NATS.Replicas, cfg.Lease.TTL.Duration); err != nil {
			return err
		}
	}
	if err := collect(ctx, fleet, pipe); err != nil {
		return err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errDiskWasFull) {
		return cause
	}
	log.InfoContext(ctx, "stopped", "cause", context.Cause(ctx))
	return nil
}

// collect runs the lanes until ctx is done and all that they had in hand is
// settled.
func collect(ctx context.Context, fleet *ingest.Fleet, pipe *pipeline.Pipeline) error {
	var storing sync.WaitGroup
	parts := pipe.Parts()
	storing.Go(pipe.Run)
	err := fleet.Run(ctx)
	close(parts)
	storing.Wait()
	if err == nil {
		<-ctx.Done() // with no lane enabled there is still a page to show
	}
	return err
}

// announce says once where everything is.
func announce(ctx context.Context, log *slog.Logger, cfg *Config, p *program, traces string) {
	for _, i := range cfg.Instances {
		if !i.Enabled {
			log.InfoContext(ctx, "disabled, not collected", "instance", i.Name, "tenant", i.BaseURL)
			continue
		}
		log.InfoContext(ctx, "collecting", "instance", i.Name, "tenant", i.BaseURL, "streams", strings.Join(i.Streams, ","), "every", i.PollInterval.Duration)
	}
	log.InfoContext(ctx, "status page", "url", p.page)
	log.DebugContext(ctx, "traces", "to", traces)
	log.InfoContext(ctx, "subscribe with: "+p.hint) //nolint:sloglint // a line to copy
}

// readiness is asked by /readyz: whether the broker takes messages. One
// tenant's refusal does not make the process unready.
func readiness(running context.Context, p publish.Publisher) func(context.Context) error {
	return func(ctx context.Context) error {
		if running.Err() != nil {
			return errors.New("stopping")
		}
		_, err := p.Mark(ctx)
		return err
	}
}

// serveHTTP serves the page and the probes, and returns what stops that.
func serveHTTP(ctx context.Context, cfg *Config, web admin.Config, p *program, log *slog.Logger) (func(), error) {
	var stops []func()
	stop := func() {
		for _, s := range stops {
			s()
		}
	}
	serve := func(variable, addr string, handler http.Handler) (string, error) {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return "", fmt.Errorf("%s: %s cannot be listened on (%w); set another address", variable, addr, err)
		}
		server := admin.Server(handler)
		server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				log.ErrorContext(ctx, "HTTP server ended", "addr", addr, "err", err)
			}
		})
		stops = append(stops, func() {
			within(ctx, func(ctx context.Context) { _ = server.Shutdown(ctx) })
			serving.Wait()
		})
		if host, port, err := net.SplitHostPort(l.Addr().String()); err == nil && net.ParseIP(host).IsUnspecified() {
			return "http://" + net.JoinHostPort("127.0.0.1", port), nil
		}
		return "http://" + l.Addr().String(), nil
	}
	web.Hosts = admin.LoopbackHosts(cfg.HTTP.Addr)
	page, err := serve("HTTP_ADDR", cfg.HTTP.Addr, admin.Handler(web))
	if err != nil {
		return nil, err
	}
	p.page = page
	if cfg.ProbeAddr != "" {
		if _, err := serve("PROBE_ADDR", cfg.ProbeAddr, admin.Probes(web)); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// stateSubject is where a running process answers how its lanes are.
func stateSubject(stream string) string { return "skopeflow." + stream + ".state" }

// answerState lets `skopeflow status` ask, wherever it runs: each process that
// shares the stream answers for its own lanes.
func answerState(nc *nats.Conn, stream, replica string, statuses func() []ingest.Status, drift func() []normalize.DriftCount) (*nats.Subscription, error) {
	sub, err := nc.Subscribe(stateSubject(stream), func(m *nats.Msg) {
		b, err := json.Marshal(state{Owner: replica, Version: version(), Lanes: statuses(), Drift: drift()})
		if err == nil {
			_ = m.Respond(b) // who asked has gone, or will ask again
		}
	})
	if err != nil {
		return nil, fmt.Errorf("answer on %s: %w", stateSubject(stream), err)
	}
	return sub, nil
}

// newLogger writes text to a person and JSON to a machine.
func newLogger(c LogConfig, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.Level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String()) // with its unit, in JSON too
		}
		return a
	}}
	f, isFile := w.(*os.File)
	if c.Format == "text" || c.Format == "" && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// within calls f with a context that outlives ctx by closing.
func within(ctx context.Context, f func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	f(ctx)
}

// noArgs refuses arguments, and answers -h.
func noArgs(name string, args []string, stderr io.Writer) error {
	_, err := parseFlags(flag.NewFlagSet(name, flag.ContinueOnError), args, 0, stderr)
	return err
}

// parseFlags parses a command's flags, and refuses more than n arguments.
func parseFlags(fs *flag.FlagSet, args []string, n int, stderr io.Writer) ([]string, error) {
	fs.SetOutput(io.Discard) // what is wrong with the arguments is said once, by main
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(stderr)
		fmt.Fprintf(stderr, "skopeflow %s: %s\n", fs.Name(), about(fs.Name()))
		fs.PrintDefaults()
		return nil, err
	} else if err != nil {
		return nil, &usageError{fmt.Sprintf("skopeflow %s: %v; -h tells what it takes", fs.Name(), err)}
	}
	for _, arg := range fs.Args() {
		if len(arg) > 1 && strings.HasPrefix(arg, "-") {
			return nil, &usageError{fmt.Sprintf("skopeflow %s: put %s before the other arguments", fs.Name(), arg)}
		}
	}
	if fs.NArg() > n {
		return nil, &usageError{fmt.Sprintf("skopeflow %s: %q is one argument too many; -h tells what it takes", fs.Name(), fs.Arg(n))}
	}
	return fs.Args(), nil
}
