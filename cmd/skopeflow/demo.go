package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/admin"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

// The simulated tenant of the demo: a backlog to catch up with, and then so
// many events a second.
const (
	demoBacklog = 2000
	demoHistory = 10 * time.Minute
	demoRate    = 2
)

var demoStreams = []string{"alerts/dlp", "alerts/malware", "alerts/policy", "events/page", "events/application", "events/audit"}

// runDemo runs the whole program against a simulated tenant, on free ports and
// in a directory that it removes.
func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	length := fs.Duration("for", 0, "stop after so long; 0: go on until interrupted")
	lines := fs.Int("lines", 20, "artifacts to show, a quarter of each dataset; then only the progress line")
	if _, err := parseFlags(fs, args, 0, stderr); err != nil {
		return err
	}
	if *length > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, *length)
		defer stop()
	}
	dir, err := os.MkdirTemp("", "skopeflow-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	address, stop, err := simulateTenant()
	if err != nil {
		return err
	}
	defer stop()
	cfg := demoConfig(dir, address)
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var showing sync.WaitGroup
	defer showing.Wait()
	return runPipeline(ctx, cfg, log, func(p *program) {
		fmt.Fprintf(stdout, "A simulated tenant, the pipeline and a NATS server run in this process.\n\n")
		fmt.Fprintf(stdout, "  status page   %s\n  subscribe     %s\n  stop          Ctrl-C\n\n", p.page, p.hint)
		showing.Go(func() { showDemo(ctx, p, cfg, *lines, stdout) })
	})
}

// simulateTenant serves a tenant on a free port of the loopback interface.
func simulateTenant() (string, func(), error) {
	tenant := netskopesim.New(netskopesim.Config{Seed: 1, RateLimit: -1, Wait: &netskopesim.Wait{Full: 0, Partial: 1, Empty: 1}})
	now := time.Now()
	for _, stream := range demoStreams {
		if err := tenant.Feed(stream, demoBacklog, now.Add(-demoHistory), now); err != nil {
			return "", nil, fmt.Errorf("make the demo's events: %w", err)
		}
		if err := tenant.FeedLive(stream, demoRate, now); err != nil {
			return "", nil, fmt.Errorf("make the demo's events: %w", err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serve the demo's tenant: %w", err)
	}
	server := admin.Server(tenant)
	server.WriteTimeout = 0 // a page takes as long as the pipeline needs
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return
		}
	})
	return l.Addr().String(), func() {
		_ = server.Close()
		serving.Wait()
	}, nil
}

func demoConfig(dir, address string) *Config {
	token := Secret(netskopesim.DemoToken)
	return &Config{
		Instances: []Instance{{
			BaseURL: BaseURL("http://" + address), APIToken: token, Name: "demo", Mode: "auto", Streams: demoStreams, Enabled: true,
			PollInterval: Duration{time.Second}, Start: Start{ago: demoHistory}, Timeout: Duration{10 * time.Second},
		}},
		Publish:       PublishConfig{Raw: true, Format: "artifact"},
		NATS:          NATSConfig{Listen: "127.0.0.1:0", Stream: "ARTIFACTS", SubjectPrefix: "artifacts", Replicas: 1, MaxBytes: 1 << 30, MaxAge: Duration{time.Hour}},
		HTTP:          HTTPConfig{Addr: "127.0.0.1:0"},
		ProcessConfig: ProcessConfig{DataDir: dir, MemoryLimit: 64 << 20},
		Lease:         LeaseConfig{TTL: Duration{30 * time.Second}, Quarantine: Duration{65 * time.Second}},
	}
}

// showDemo shows artifacts as a consumer gets them, and a line of progress.
func showDemo(ctx context.Context, p *program, cfg *Config, lines int, w io.Writer) {
	begin := time.Now()
	var mu sync.Mutex // of w
	var following sync.WaitGroup
	following.Go(func() {
		var each sync.WaitGroup
		for _, dataset := range []string{"alert", "page", "application", "audit"} {
			c := jetstream.OrderedConsumerConfig{FilterSubjects: []string{cfg.NATS.SubjectPrefix + ".*.netskope." + dataset + ".>"}}
			each.Go(func() {
				shown := 0
				_ = follow(ctx, p.js, cfg.NATS.Stream, c, func(msg jetstream.Msg) error { // ends with the program
					if shown++; shown > lines/4 {
						return io.EOF
					}
					mu.Lock()
					defer mu.Unlock()
					fmt.Fprintln(w, artifactLine(msg.Headers(), msg.Data()))
					return nil
				})
			})
		}
		each.Wait()
	})
	defer following.Wait()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(w, progress(p.statuses(), time.Since(begin)))
			fmt.Fprintln(w, "The demo ends; what it stored is removed.")
			return
		case <-tick.C:
			mu.Lock()
			fmt.Fprintln(w, progress(p.statuses(), time.Since(begin)))
			mu.Unlock()
		}
	}
}

// progress sums the lanes up in a line.
func progress(lanes []ingest.Status, since time.Duration) string {
	var stored, duplicates, dead uint64
	states := make(map[ingest.Word]int)
	for _, l := range lanes {
		stored += l.Stored
		duplicates += l.Duplicates
		dead += l.DeadLettered
		states[l.State]++
	}
	var parts []string
	for _, word := range ingest.Words {
		if n := states[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	return fmt.Sprintf("%4.0fs  %d artifacts stored, %d duplicates left out, %d dead letters; lanes: %s", since.Seconds(), stored, duplicates, dead, strings.Join(parts, ", "))
}
