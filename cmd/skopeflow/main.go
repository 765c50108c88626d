// Command skopeflow collects what a Netskope tenant records, makes each event
// an artifact of one schema, and publishes the artifacts to NATS JetStream.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/skopeflow/skopeflow/ingest"
)

// The exit codes.
const (
	exitOK               = 0
	exitFailed           = 1
	exitMisuse           = 2
	exitNotAuthenticated = 3
	exitNotAllowed       = 4
	exitNotFound         = 5
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

// A usageError is a mistake in how the program was called or configured.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

// errNotFound is what a command returns that was asked for something that is
// not there.
var errNotFound = errors.New("not found")

// exitCode says err, and returns the code to exit with.
func exitCode(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) { // help has been printed
		return exitOK
	}
	fmt.Fprintln(stderr, "skopeflow: "+strings.TrimPrefix(err.Error(), "skopeflow "))
	var usage *usageError
	var fault *ingest.Fault
	switch {
	case errors.As(err, &usage):
		return exitMisuse
	case errors.Is(err, errNotFound):
		return exitNotFound
	case !errors.As(err, &fault):
		return exitFailed
	}
	switch fault.Kind {
	case ingest.Denied:
		return exitNotAuthenticated
	case ingest.Forbidden:
		return exitNotAllowed
	case ingest.Missing:
		return exitNotFound
	}
	return exitFailed
}

// A command is one of the program's. It returns when it is done or ctx is.
type command struct {
	name  string
	about string
	run   func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

func commands() []command {
	return []command{
		{"run", "collect, normalize and publish, by the settings of the environment", runRun},
		{"demo", "the whole of it against a simulated tenant; needs nothing", runDemo},
		{"check", "try the settings, each stream's scope, the clock and the broker", runCheck},
		{"status", "how each lane of a running skopeflow is", runStatus},
		{"tail", "follow the artifacts", runTail},
		{"cursors", "list | show LANE | history LANE | rewind -to TIME LANE | repairs: where each lane stands", runCursors},
		{"backfill", "-instance NAME -stream STREAM -from TIME [-to TIME]: read a range again, and store what is missing", runBackfill},
		{"explain", "STREAM [FILE]: what becomes of one raw event, field by field", runExplain},
		{"schema", "print the JSON Schema of an artifact", runSchema},
		{"simulate", "serve a simulated Netskope tenant", runSimulate},
		{"version", "print the version", runVersion},
	}
}

// about returns what a command is for.
func about(name string) string {
	for _, c := range commands() {
		if c.name == name {
			return c.about
		}
	}
	return ""
}

// run finds the command and runs it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		usage(stderr)
		return &usageError{"name a command"}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) > 1 && args[1] == "env" {
			helpEnv(stdout)
			return nil
		}
		if len(args) > 1 {
			return &usageError{fmt.Sprintf("there is no help for %q; say help, help env, or COMMAND -h", args[1])}
		}
		usage(stdout)
		return nil
	case "-version", "--version":
		return runVersion(ctx, nil, stdout, stderr)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
	}
	return &usageError{fmt.Sprintf("there is no command %q; skopeflow help lists them", args[0])}
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Skopeflow collects Netskope events and publishes them as artifacts to NATS.\n\nUsage: skopeflow COMMAND [-h]")
	fmt.Fprintln(w)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s  %s\n", c.name, c.about)
	}
	fmt.Fprintln(w, "  help env   every setting\n\nExit codes: 0 ok, 1 failed, 2 misuse, 3 not authenticated, 4 not allowed, 5 not found.")
}
