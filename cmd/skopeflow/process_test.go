package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
)

// buildProgram builds the program and returns where it is.
func buildProgram(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "skopeflow")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// A process is the program, running.
type process struct {
	cmd  *exec.Cmd
	log  *lockedBuffer // what it wrote to stderr
	done chan struct{} // closed when it has ended
}

// startProgram starts the program with no other settings than those given. It
// is killed at the end of the test if it still runs.
func startProgram(t *testing.T, file string, settings []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(file, args...), log: new(lockedBuffer), done: make(chan struct{})}
	p.cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, settings...)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is asked for in stop
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process as a power failure would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// stop asks the process to end, and returns its exit code.
func (p *process) stop(t *testing.T, within time.Duration) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s did not end within %v of SIGTERM; it said:\n%s", p.cmd.Args[1], within, p.log.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// ended reports whether the process has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// said waits until the process has said what the pattern describes, and
// returns the pattern's first group.
func (p *process) said(t *testing.T, pattern string) string {
	t.Helper()
	form, found := regexp.MustCompile(pattern), ""
	await(t, 20*time.Second, p, func() bool {
		if m := form.FindStringSubmatch(p.log.String()); m != nil {
			found = m[1]
		}
		return found != ""
	})
	return found
}

// await asks for a fact again and again until it holds.
func await(t *testing.T, within time.Duration, p *process, fact func() bool) {
	t.Helper()
	if !eventually(within, func() bool { return p.ended() || fact() }) {
		t.Fatalf("not within %v; %s said:\n%s", within, p.cmd.Args[1], p.log.tail())
	}
	if p.ended() {
		t.Fatalf("%s ended by itself; it said:\n%s", p.cmd.Args[1], p.log.tail())
	}
}

func eventually(within time.Duration, fact func() bool) bool {
	end := time.NewTimer(within)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-tick.C:
		case <-end.C:
			return false
		}
	}
	return true
}

// lockedBuffer may be read while a process writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tail returns the last 4 KiB.
func (b *lockedBuffer) tail() string {
	text := b.String()
	return text[max(0, len(text)-4<<10):]
}

// A simulated tenant in a process of its own outlives those that read it.
type simulated struct {
	*process
	base    string // where the tenant answers
	control string // where its control answers
}

func startSimulation(t *testing.T, file string, args ...string) *simulated {
	t.Helper()
	args = append([]string{"simulate", "-addr", "127.0.0.1:0", "-control", "127.0.0.1:0", "-no-rate-limit"}, args...)
	p := startProgram(t, file, nil, args...)
	return &simulated{process: p, base: p.said(t, `tenant answers at (http://[^;]+);`), control: p.said(t, `control answers at (http://[^/]+)/`)}
}

// settingsFor are those of a `run` that reads the streams into dir.
func (s *simulated) settingsFor(dir, start string, streams []string) []string {
	return []string{
		"NETSKOPE_BASE_URL=" + s.base, "NETSKOPE_API_TOKEN=" + netskopesim.DemoToken, "NETSKOPE_NAME=acme", "NETSKOPE_MODE=dataexport",
		"NETSKOPE_STREAMS=" + strings.Join(streams, ","), "NETSKOPE_START=" + start, "NETSKOPE_POLL_INTERVAL=1s",
		"DATA_DIR=" + dir, "NATS_LISTEN=127.0.0.1:0", "HTTP_ADDR=127.0.0.1:0",
	}
}

// connect connects to the server inside the process, once it is there.
func (p *process) connect(t *testing.T, dir string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	p.said(t, `(subscribe with)`) // what an earlier process left in dir is replaced by now
	nc, err := natsrun.Attach(t.Context(), dir, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// stored returns how many artifacts the stream holds.
func stored(ctx context.Context, js jetstream.JetStream) (int, error) {
	stream, err := js.Stream(ctx, "ARTIFACTS")
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("artifacts.>")) // not the claims
	if err != nil {
		return 0, err
	}
	n := 0
	for _, messages := range info.State.Subjects {
		n += int(messages)
	}
	return n, nil
}

// drained waits until each lane has caught up with its stream.
func (p *process) drained(t *testing.T, nc *nats.Conn, lanes int, within time.Duration) {
	t.Helper()
	await(t, within, p, func() bool {
		states, err := askStates(t.Context(), nc, "ARTIFACTS")
		if err != nil {
			return false
		}
		done := 0
		for _, s := range lanesOf(states) {
			if s.State == ingest.CaughtUp {
				done++
			}
		}
		return done == lanes
	})
}
