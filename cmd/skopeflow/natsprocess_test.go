package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun"
)

// serveNATS makes of this test binary a NATS server: its value is the port and
// the directory.
const serveNATS = "SKOPEFLOW_TEST_SERVE_NATS"

func TestMain(m *testing.M) {
	if at := os.Getenv(serveNATS); at != "" {
		os.Exit(runNATS(at)) //nolint:forbidigo // this is main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is main
}

// runNATS serves until the process is killed.
func runNATS(at string) int {
	port, dir, _ := strings.Cut(at, ":")
	opts := &server.Options{Host: "127.0.0.1", JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, MaxPayload: 8 << 20, MaxPending: 64 << 20}
	var err error
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return 2
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return 1
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return 1
}

// A natsProcess is a NATS server in a process of its own. It may be killed, and
// comes back on the same port with what it had on disk.
type natsProcess struct {
	*process
	port, dir string
}

func startNATS(t *testing.T) *natsProcess {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	n := &natsProcess{port: port, dir: t.TempDir()}
	n.start(t)
	return n
}

func (n *natsProcess) url() string { return "nats://127.0.0.1:" + n.port }

// start starts the server, and returns when it answers.
func (n *natsProcess) start(t *testing.T) {
	t.Helper()
	n.process = startProgram(t, os.Args[0], []string{serveNATS + "=" + n.port + ":" + n.dir}, "nats")
	await(t, 20*time.Second, n.process, func() bool {
		nc, err := nats.Connect(n.url())
		if err != nil {
			return false
		}
		nc.Close()
		return true
	})
}

// jetStream returns a connection that outlives the server's death. It ends with
// the test.
func (n *natsProcess) jetStream(t *testing.T) (jetstream.JetStream, *nats.Conn) {
	t.Helper()
	nc, err := natsrun.Remote{URL: n.url()}.Connect(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js, nc
}
