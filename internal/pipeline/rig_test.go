package pipeline_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/ingest/netskope"
	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/internal/netskopesim"
	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

const (
	instance = "acme"
	host     = "acme.goskope.com"
)

// received is when pages are taken to have come: close to the times of the
// examples, so that these are believed.
var received = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// A rig is the whole way of the data: a tenant that answers https, the client,
// the lanes, the pipeline, and a NATS server.
type rig struct {
	tenant *netskopesim.Tenant
	client *netskope.Client
	nats   *publish.NATS
	kv     *checkpoint.KV
	js     jetstream.JetStream

	late      time.Duration
	publisher publish.Publisher        // nats, unless a test puts something before it
	setting   func(*pipeline.Pipeline) // what a test sets of the pipeline; nil: nothing
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newPagedRig(t, 0)
}

// newPagedRig returns a rig whose tenant gives pages of that size, or of
// Netskope's own if it is 0.
func newPagedRig(t *testing.T, events int) *rig {
	t.Helper()
	streams := append(netskopesim.Streams(), "events/clientstatus")
	r := &rig{tenant: netskopesim.New(netskopesim.Config{Wait: &netskopesim.Wait{}, Streams: streams, PageSize: events})}
	r.client = netskope.New(netskope.Config{
		BaseURL: "https://" + host, Agent: "skopeflow/test", Timeout: time.Minute, Grace: time.Minute,
		Token:     func() (string, error) { return netskopesim.DemoToken, nil },
		Transport: serveTenant(t, r.tenant),
	})
	r.js, _ = natstest.JetStream(t)
	var err error
	r.nats, err = publish.OpenNATS(t.Context(), r.js, natsConfig())
	if err != nil {
		t.Fatal(err)
	}
	r.publisher = r.nats
	if r.kv, err = checkpoint.OpenKV(t.Context(), r.js, 1); err != nil {
		t.Fatal(err)
	}
	return r
}

func natsConfig() publish.NATSConfig {
	return publish.NATSConfig{Stream: "ARTIFACTS", Prefix: "artifacts", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour}
}

// serveTenant serves the tenant under its name, and returns a transport that
// finds it there.
func serveTenant(t *testing.T, tenant http.Handler) *http.Transport {
	t.Helper()
	authority, err := netskopesim.SelfSigned(host)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(tenant)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Leaf}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority.PEM)
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
		TLSClientConfig:   &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
}

// add stores an event where the lanes will find it.
func (r *rig) add(stream string, raw []byte) {
	r.tenant.Add(stream, time.Now().Add(-10*time.Minute), raw)
}

// collect reads each stream until the tenant has nothing more, and returns how
// the lanes stand then.
func (r *rig) collect(t *testing.T, streams ...string) map[string]ingest.Status {
	t.Helper()
	var lanes []*ingest.Lane
	for _, stream := range streams {
		lanes = append(lanes, r.lane(instance, stream))
	}
	all := make(map[string]ingest.Status)
	for _, s := range r.collectLanes(t, lanes...) {
		all[s.Stream] = s
	}
	return all
}

// collectLanes does so with lanes of any instances, and returns how each stands, in their order.
func (r *rig) collectLanes(t *testing.T, lanes ...*ingest.Lane) []ingest.Status {
	t.Helper()
	pipe := &pipeline.Pipeline{Publisher: r.publisher, KeepRaw: true, Tenants: map[string]string{instance: host}, Late: map[string]time.Duration{instance: r.late}, Log: slog.New(slog.DiscardHandler)}
	if r.setting != nil {
		r.setting(pipe)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	var reading, relaying, storing sync.WaitGroup
	parts, out := make(chan *ingest.Part), pipe.Parts()
	relaying.Go(func() { relay(parts, out) })
	storing.Go(pipe.Run)
	budget := ingest.NewBudget(128 << 20)
	for _, l := range lanes {
		l.Out, l.Budget = parts, budget
		reading.Go(func() { runUntilDrained(ctx, l) })
	}
	reading.Wait()
	close(parts)
	relaying.Wait()
	storing.Wait()
	if ctx.Err() != nil {
		t.Errorf("the lanes were not through in time")
	}
	var all []ingest.Status
	for _, l := range lanes {
		all = append(all, l.Status())
	}
	return all
}

func (r *rig) lane(instance, stream string) *ingest.Lane {
	index := "skopeflow-test-" + ingest.LaneName(instance, stream)
	return &ingest.Lane{
		Vendor: "netskope", Instance: instance, Stream: stream, Owner: "test", Store: r.kv, Broker: pipeline.Broker{Publisher: r.publisher}, Mend: r.kv.Mend, History: r.kv.History,
		Start: time.Now().Add(-30 * time.Minute), Every: time.Hour, Quarantine: time.Second, Grace: time.Minute,
		Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context, string, checkpoint.Cursor) (ingest.Way, error) {
			return ingest.Way{Mode: netskope.ModeExport, Index: index, Source: r.client.Export(stream, index)}, nil
		},
	}
}

// runUntilDrained runs a lane until its tenant answers next with an empty page.
func runUntilDrained(ctx context.Context, l *ingest.Lane) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l.Trace = func(ctx context.Context, _ *ingest.Lane, op ingest.Op) (context.Context, func(ingest.Counts, error)) {
		return ctx, func(c ingest.Counts, err error) {
			if err == nil && op == ingest.OpNext && c.Received == 0 {
				stop()
			}
		}
	}
	l.Run(ctx)
}

// relay hands parts on, after dating each page.
func relay(in <-chan *ingest.Part, out chan<- *ingest.Part) {
	for part := range in {
		if part.First == 0 {
			part.Page.Received = received
		}
		out <- part
	}
	close(out)
}

// A stored message is what a consumer reads.
type stored struct {
	subject string
	header  map[string][]string
	data    []byte
}

func (r *rig) consume(t *testing.T, stream, subject string) []stored {
	t.Helper()
	c, err := r.js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []stored
	for range info.NumPending {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored{m.Subject(), m.Headers(), m.Data()})
	}
	return all
}

// artifacts reads all artifacts, and holds each against the JSON Schema.
func (r *rig) artifacts(t *testing.T) []map[string]any {
	t.Helper()
	compiled := compileSchema(t)
	var all []map[string]any
	for _, m := range r.consume(t, "ARTIFACTS", "artifacts.>") {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.data))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(document); err != nil {
			t.Errorf("%s: %v\n%.2000s", m.subject, err, m.data)
		}
		var a map[string]any
		if err := json.Unmarshal(m.data, &a); err != nil {
			t.Fatal(err)
		}
		if id := m.header[publish.HeaderID]; len(id) != 1 || id[0] != a["id"] {
			t.Errorf("%s: header %s is %v, the artifact's id %v", m.subject, publish.HeaderID, id, a["id"])
		}
		all = append(all, a)
	}
	return all
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(schema.URI, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(schema.URI)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}
