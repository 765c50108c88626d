package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/ingest/netskope"
	"github.com/skopeflow/skopeflow/internal/natsrun"
)

// runCheck tries everything that run needs and prints a line for each fact. It
// reads no event and moves no position: its requests go to an index of their
// own.
func runCheck(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if err := noArgs("check", args, stderr); err != nil {
		return err
	}
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if err := cfg.RequireInstances(); err != nil {
		return err
	}
	c := checker{cfg: cfg, out: stdout}
	c.say(nil, "settings", "%d instance(s), no problem", len(cfg.Instances))
	for _, note := range cfg.Notes {
		fmt.Fprintf(stdout, "note  %s\n", note)
	}
	collecting := 0
	for _, i := range cfg.Instances {
		if !i.Enabled {
			fmt.Fprintf(stdout, "note  %s is disabled, not collected\n", i.Name)
			continue
		}
		collecting++
		if err := c.instance(ctx, i); err != nil {
			return err
		}
	}
	c.broker()
	if c.worst != nil {
		return fmt.Errorf("%d of %d checks say no: %w", c.bad, c.all, c.worst)
	}
	if collecting == 0 {
		fmt.Fprintln(stdout, "All is well, and every instance is disabled: skopeflow run will collect nothing.")
		return nil
	}
	fmt.Fprintln(stdout, "All is well: skopeflow run will collect.")
	return nil
}

// A checker prints facts and remembers the one to exit with.
type checker struct {
	cfg   *Config
	out   io.Writer
	all   int
	bad   int
	hint  string // the last that was printed; what is said once is not said again
	worst error  // the first fault that has an exit code of its own, else the first error
}

// say prints one line: what was looked at, and that it is well or what to do.
func (c *checker) say(err error, what, format string, args ...any) {
	c.all++
	if err == nil {
		fmt.Fprintf(c.out, "ok    %-28s %s\n", what, fmt.Sprintf(format, args...))
		return
	}
	c.bad++
	text := err.Error()
	var fault *ingest.Fault
	if errors.As(err, &fault) && fault.Hint != "" && fault.Hint != c.hint {
		text += ". " + fault.Hint
		c.hint = fault.Hint
	}
	fmt.Fprintf(c.out, "no    %-28s %s\n", what, text)
	var worst *ingest.Fault
	if c.worst == nil || fault != nil && !errors.As(c.worst, &worst) {
		c.worst = err
	}
}

func (c *checker) instance(ctx context.Context, i Instance) error {
	client, err := newClient(c.cfg, i, nil)
	if err != nil {
		return err
	}
	for _, stream := range i.Streams {
		what := i.Name + " " + stream
		way, err := c.open(ctx, client, i, stream)
		if err == nil && i.Mode == netskope.Auto && way.Mode == netskope.ModeData {
			refusal := client.Probe(ctx, stream, checkIndex(i), netskope.ModeExport)
			c.say(nil, what, "granted, read by data, since dataexport is refused: %v", refusal)
			continue
		}
		c.say(err, what, "granted, read by %s", way.Mode)
	}
	skew, answered := client.Skew()
	if !answered {
		return nil
	}
	var skewed error
	if skew.Abs() > tolerable {
		skewed = fmt.Errorf("this machine's clock is %v away from the tenant's: set up NTP here", skew)
	}
	c.say(skewed, i.Name+" clock", "within %v of the tenant's", tolerable)
	return nil
}

// tolerable is how far two clocks may be apart without anybody noticing.
const tolerable = 5 * time.Second

func checkIndex(i Instance) string { return "skopeflow-check-" + i.Name }

// patience is how often a check that is refused for the rate of requests, which
// a running skopeflow shares, is tried again.
const patience = 5

// open finds out how a stream is read, and makes the call that proves it.
func (c *checker) open(ctx context.Context, client *netskope.Client, i Instance, stream string) (way ingest.Way, err error) {
	for range patience {
		way, err = client.Open(ctx, stream, checkIndex(i), i.Mode, "")
		if err == nil && i.Mode != netskope.Auto {
			err = client.Probe(ctx, stream, checkIndex(i), way.Mode)
		}
		var fault *ingest.Fault
		if !errors.As(err, &fault) || fault.Kind != ingest.Throttled {
			break
		}
		timer := time.NewTimer(max(fault.After, time.Second))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return way, context.Cause(ctx)
		}
	}
	return way, err
}

// broker looks at NATS_URL, or at what the server inside needs.
func (c *checker) broker() {
	if c.cfg.NATS.URL != "" {
		nc, err := remote(c.cfg).Connect("check")
		if err != nil {
			c.say(err, "NATS_URL", "")
			return
		}
		defer nc.Close()
		c.say(nil, "NATS_URL", "connected to %s, version %s", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion())
	} else {
		if running := natsrun.Free(c.cfg.DataDir); running != nil {
			fmt.Fprintf(c.out, "note  %v; its ports are not tried\n", running)
			return
		}
		c.say(c.writable(), "DATA_DIR", "%s is writable, %d GiB free", c.cfg.DataDir, freeDisk(c.cfg.DataDir)>>30)
		if c.cfg.NATS.Listen != natsrun.None {
			c.port("NATS_LISTEN", c.cfg.NATS.Listen)
		}
	}
	c.port("HTTP_ADDR", c.cfg.HTTP.Addr)
	if c.cfg.ProbeAddr != "" {
		c.port("PROBE_ADDR", c.cfg.ProbeAddr)
	}
}

func (c *checker) writable() error {
	if err := os.MkdirAll(c.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("%w; set DATA_DIR to a directory that this user may write", err)
	}
	probe := filepath.Join(c.cfg.DataDir, ".check")
	return errors.Join(os.WriteFile(probe, nil, 0o600), os.Remove(probe))
}

// port tries to listen where run will.
func (c *checker) port(variable, addr string) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		err = l.Close()
	}
	c.say(err, variable, "%s is free", addr)
}
