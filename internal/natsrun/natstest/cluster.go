package natstest

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Nodes are the servers of a cluster.
type Nodes []*server.Server

// startTimeout bounds the wait for a cluster to choose who leads it.
const startTimeout = 30 * time.Second

// Cluster starts n servers that replicate to each other, on directories of the
// test's, and waits until they can make streams. They end with the test.
func Cluster(t testing.TB, n int) Nodes {
	t.Helper()
	ports := freePorts(t, n)
	routes := make([]*url.URL, n)
	for i, port := range ports {
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	}
	nodes := make(Nodes, n)
	for i := range nodes {
		node, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("node-%d", i),
			Host:       "127.0.0.1",
			Port:       server.RANDOM_PORT,
			Cluster:    server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
			Routes:     routes,
			NoSigs:     true,
			NoLog:      true,
			JetStream:  true,
			StoreDir:   t.TempDir(),
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = node
		node.Start()
		t.Cleanup(func() {
			node.Shutdown()
			node.WaitForShutdown()
		})
	}
	Await(t, startTimeout, "the cluster has no leader", func() bool {
		return slices.ContainsFunc(nodes, func(node *server.Server) bool {
			return node.JetStreamIsLeader() && len(node.JetStreamClusterPeers()) == n
		})
	})
	return nodes
}

// JetStream returns a connection to whichever node is there. It ends with the
// test.
func (n Nodes) JetStream(t testing.TB) (jetstream.JetStream, *nats.Conn) {
	t.Helper()
	var all []string
	for _, node := range n {
		all = append(all, node.ClientURL())
	}
	nc, err := nats.Connect(strings.Join(all, ","), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1))
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

// Leader returns the node that leads a stream.
func (n Nodes) Leader(t testing.TB, stream string) *server.Server {
	t.Helper()
	i := -1
	Await(t, startTimeout, "stream "+stream+" has no leader", func() bool {
		i = slices.IndexFunc(n, func(node *server.Server) bool {
			return node.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)
		})
		return i >= 0
	})
	return n[i]
}

// Await waits until done reports true.
func Await(t testing.TB, timeout time.Duration, otherwise string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(timeout)
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s after %v", otherwise, timeout)
		}
	}
}

// freePorts finds ports that nobody listens on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() //nolint:revive // all stay taken until each is known
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatalf("listening on %v", l.Addr())
		}
		ports[i] = addr.Port
	}
	return ports
}
