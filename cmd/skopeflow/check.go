package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/ingest/netskope"
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
	for _, i := range cfg.Instances {
		if err := c.instance(ctx, i); err != nil {
			return err
		}
	}
	c.broker()
	if c.worst != nil {
		return fmt.Errorf("%d of %d checks say no: %w", c.bad, c.all, c.worst)
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
	worst error // the first fault that has an exit code of its own, else the first error
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
	if errors.As(err, &fault) && fault.Hint != "" {
		text += ". " + fault.Hint
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
		way, err := client.Open(ctx, stream, "skopeflow-check-"+i.Name, i.Mode, "")
		if err == nil && i.Mode != netskope.Auto {
			err = client.Probe(ctx, stream, "skopeflow-check-"+i.Name, way.Mode)
		}
		c.say(err, what, "granted, read by %s", way.Mode)
	}
	return nil
}

// broker looks at NATS_URL, or at the directory of the server inside.
func (c *checker) broker() {
	if c.cfg.NATS.URL != "" {
		nc, err := remote(c.cfg).Connect("check")
		if err != nil {
			c.say(err, "NATS_URL", "")
			return
		}
		defer nc.Close()
		c.say(nil, "NATS_URL", "connected to %s, version %s", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion())
		return
	}
	err := os.MkdirAll(c.cfg.DataDir, 0o700)
	if err == nil {
		probe := filepath.Join(c.cfg.DataDir, ".check")
		err = errors.Join(os.WriteFile(probe, nil, 0o600), os.Remove(probe))
	}
	c.say(err, "DATA_DIR "+c.cfg.DataDir, "writable, %d GiB free", freeDisk(c.cfg.DataDir)>>30)
}
