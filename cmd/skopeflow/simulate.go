package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

// simulation is what the flags of simulate say.
type simulation struct {
	addr, control, token string
	tls                  bool
	caFile, replay       string
	events, pageSize     int
	history              time.Duration
	rate, faults         float64
	streams              []string
	seed                 uint64
	unlimited            bool
}

// runSimulate serves a simulated tenant until ctx is done.
func runSimulate(ctx context.Context, args []string, _, stderr io.Writer) error {
	s, err := parseSimulation(args, stderr)
	if err != nil {
		return err
	}
	tenant, err := s.tenant()
	if err != nil {
		return err
	}
	listener, err := listenFor("-addr", s.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	var control net.Listener
	if s.control != "" {
		if control, err = listenFor("-control", s.control); err != nil {
			return err
		}
		defer control.Close()
	}
	base, extra := "http://"+listener.Addr().String(), ""
	if s.tls {
		if listener, extra, err = s.secure(listener); err != nil {
			return err
		}
		base = "https://" + listener.Addr().String()
	}
	fmt.Fprintf(stderr, "a simulated Netskope tenant answers at %s; in another terminal:\n  %sNETSKOPE_BASE_URL=%s NETSKOPE_API_TOKEN=%s skopeflow run\n", base, extra, base, s.token)

	group, ctx := errgroup.WithContext(ctx)
	serveUntil(ctx, group, listener, tenant, stderr)
	if control != nil {
		fmt.Fprintf(stderr, "its control answers at http://%s/{ledger,stats,feed,fault}\n", control.Addr())
		serveUntil(ctx, group, control, tenant.Control(), stderr)
	}
	return group.Wait()
}

func parseSimulation(args []string, stderr io.Writer) (*simulation, error) {
	var s simulation
	fs := flag.NewFlagSet("simulate", flag.ContinueOnError)
	fs.StringVar(&s.addr, "addr", "127.0.0.1:8081", "where the tenant answers")
	fs.BoolVar(&s.tls, "tls", false, "answer https, with a certificate made for this run")
	fs.StringVar(&s.caFile, "ca-file", "", "with -tls: write the certificate authority to this file")
	fs.StringVar(&s.control, "control", "", "where the control answers, for scripts; none if empty")
	fs.StringVar(&s.token, "token", netskopesim.DemoToken, "the API token it accepts")
	fs.IntVar(&s.events, "events", 0, "events it holds at the start")
	fs.DurationVar(&s.history, "history", time.Hour, "how far back those were stored")
	fs.Float64Var(&s.rate, "rate", 0, "new events a second")
	streams := fs.String("streams", "alert,page,application,audit", "which streams have events, such as page or alerts/dlp; alert is all alert types")
	fs.Uint64Var(&s.seed, "seed", 1, "of the events and the random faults")
	fs.IntVar(&s.pageSize, "page-size", 10000, "events in a full page")
	fs.StringVar(&s.replay, "replay", "", "a folder of events to serve too: page.ndjson, alert_dlp.ndjson, …")
	fs.Float64Var(&s.faults, "faults", 0, "share of requests that go wrong, 0 to 1")
	fs.BoolVar(&s.unlimited, "no-rate-limit", false, "allow more than 4 requests a second per endpoint")
	if _, err := parseFlags(fs, args, 0, stderr); err != nil {
		return nil, err
	}
	var unknown string
	for name := range strings.SplitSeq(*streams, ",") {
		name = strings.TrimSpace(name)
		if !strings.Contains(name, "/") {
			name = "events/" + name
		}
		if !slices.Contains(netskopesim.Streams(), name) {
			unknown = name
		}
		s.streams = append(s.streams, name)
	}
	switch {
	case unknown != "":
		return nil, &usageError{fmt.Sprintf("skopeflow simulate: -streams: there is no stream %q; there are %s", unknown, strings.Join(netskopesim.Streams(), ", "))}
	case s.events < 0 || s.rate < 0 || s.history < 0 || s.pageSize < 1 || s.token == "":
		return nil, &usageError{"skopeflow simulate: -events, -rate and -history are not below 0, -page-size not below 1, and -token is not empty"}
	case s.faults < 0 || s.faults > 1:
		return nil, &usageError{fmt.Sprintf("skopeflow simulate: -faults %g is not between 0 and 1", s.faults)}
	case s.caFile != "" && !s.tls:
		return nil, &usageError{"skopeflow simulate: -ca-file needs -tls"}
	}
	return &s, nil
}

// tenant makes the tenant and what it holds.
func (s *simulation) tenant() (*netskopesim.Tenant, error) {
	c := netskopesim.Config{
		Seed: s.seed, PageSize: s.pageSize,
		Tokens: map[string]netskopesim.Token{s.token: {Grants: []netskopesim.Grant{{Path: "*", Write: true}}}},
	}
	if s.unlimited {
		c.RateLimit = -1
	}
	t := netskopesim.New(c)
	t.InjectRandom(netskopesim.RandomFaults{Seed: s.seed, Rate: s.faults})
	now := time.Now()
	if s.replay != "" {
		if _, err := t.Load(s.replay, now.Add(-s.history), time.Millisecond); err != nil {
			return nil, fmt.Errorf("-replay: %w", err)
		}
	}
	total, sum, given := 0, 0, 0
	for _, stream := range s.streams {
		total += usual(stream)
	}
	for _, stream := range s.streams {
		sum += usual(stream)
		upTo := s.events * sum / total
		if n := upTo - given; n > 0 {
			if err := t.Feed(stream, n, now.Add(-s.history), now); err != nil {
				return nil, err
			}
		}
		given = upTo
		if s.rate > 0 {
			if err := t.FeedLive(stream, s.rate*float64(usual(stream))/float64(total), now); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// usual is a stream's usual share of what a tenant records.
func usual(stream string) int {
	switch stream {
	case "events/page":
		return 45
	case "events/application":
		return 35
	case "events/alert":
		return 15
	}
	return 5
}

// secure makes the listener speak TLS, and returns the setting that lets
// skopeflow trust it.
func (s *simulation) secure(l net.Listener) (net.Listener, string, error) {
	authority, err := netskopesim.SelfSigned()
	if err != nil {
		return nil, "", err
	}
	trust := "NETSKOPE_INSECURE_SKIP_VERIFY=true "
	if s.caFile != "" {
		if err := os.WriteFile(s.caFile, authority.PEM, 0o600); err != nil {
			return nil, "", fmt.Errorf("-ca-file: %w", err)
		}
		trust = "NETSKOPE_CA_FILE=" + s.caFile + " "
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{authority.Leaf},
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}
	return tls.NewListener(l, config), trust, nil
}

func listenFor(setting, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program; choose another with %s", addr, setting)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}

// serveUntil serves until ctx is done. It does not wait for requests, because
// some faults never answer.
func serveUntil(ctx context.Context, group *errgroup.Group, l net.Listener, h http.Handler, stderr io.Writer) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.NewTextHandler(stderr, nil), slog.LevelWarn),
	}
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}
