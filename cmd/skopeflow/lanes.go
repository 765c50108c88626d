package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/ingest/netskope"
	"github.com/skopeflow/skopeflow/internal/telemetry"
)

// A laneBuilder makes a lane for each stream of each instance.
type laneBuilder struct {
	cfg          *Config
	tel          *telemetry.Telemetry
	log          *slog.Logger
	installation string
	lane         ingest.Lane // what all lanes have in common
	clients      map[string]*netskope.Client
}

func (b *laneBuilder) build(p *program) error {
	for _, i := range b.cfg.Instances {
		client, err := newClient(b.cfg, i, b.tel.RoundTripper)
		if err != nil {
			return err
		}
		b.clients[i.Name] = client
		for _, stream := range i.Streams {
			if !i.Enabled {
				p.disabled = append(p.disabled, ingest.Status{Lane: ingest.LaneName(i.Name, stream), Instance: i.Name, Stream: stream, State: ingest.Disabled, Why: "ENABLED is false for this instance"})
				continue
			}
			p.lanes = append(p.lanes, b.make(i, stream, client))
		}
	}
	return nil
}

func (b *laneBuilder) make(i Instance, stream string, client *netskope.Client) *ingest.Lane {
	l := &ingest.Lane{
		Vendor: b.lane.Vendor, Owner: b.lane.Owner, Store: b.lane.Store, Broker: b.lane.Broker, Out: b.lane.Out, Budget: b.lane.Budget,
		Quarantine: b.lane.Quarantine, Grace: b.lane.Grace, Alone: b.lane.Alone, Mend: b.lane.Mend, History: b.lane.History,
		Log: b.lane.Log, Trace: b.lane.Trace,
		Instance: i.Name, Stream: stream, Start: i.Start.Resolve(time.Now()).UTC().Truncate(time.Second), Every: i.PollInterval.Duration,
	}
	index := indexName(b.installation, i.Name, stream)
	l.Open = func(ctx context.Context, job string, c checkpoint.Cursor) (ingest.Way, error) {
		way, err := client.Open(ctx, stream, ofJob(index, job), i.Mode, c.Mode)
		if err == nil && way.Mode != c.Mode {
			b.log.InfoContext(ctx, "reading by "+way.Mode, "instance", i.Name, "stream", stream) //nolint:sloglint // names the mode
		}
		return way, err
	}
	return l
}

// ofJob returns the index of a job: what it reads must not move that of the lane.
func ofJob(index, job string) string {
	if job == "" {
		return index
	}
	return index + "-" + job
}

func indexName(installation, instance, stream string) string {
	return "skopeflow-" + strings.ToLower(installation) + "-" + instance + "-" + strings.ReplaceAll(stream, "/", "-")
}

// newClient makes the client of an instance.
func newClient(cfg *Config, i Instance, wrap func(http.RoundTripper) http.RoundTripper) (*netskope.Client, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: i.InsecureSkipVerify} //nolint:gosec // asked for, and warned of
	if i.CAFile != "" {
		pem, err := os.ReadFile(i.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file of %s: %w", i.Name, err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		tlsConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	proxy := http.ProxyFromEnvironment
	if u := i.ProxyURL.URL(); u != nil {
		proxy = http.ProxyURL(u)
	}
	tokens := i.TokenSource()
	return netskope.New(netskope.Config{
		BaseURL: string(i.BaseURL),
		Token: func() (string, error) {
			t, err := tokens.Token()
			return t.Reveal(), err
		},
		Timeout: i.Timeout.Duration, Grace: grace, Proxy: proxy, TLS: tlsConfig,
		Allow: cfg.OutboundAllow, Agent: "skopeflow/" + version(), Wrap: wrap,
	}), nil
}

// hosts returns the tenant's host of each instance.
func hosts(cfg *Config) map[string]string {
	m := make(map[string]string, len(cfg.Instances))
	for _, i := range cfg.Instances {
		m[i.Name] = i.BaseURL.Host()
	}
	return m
}

// late is how late an event may come on top of how far back its instance begins.
const late = 30 * 24 * time.Hour

// lateness returns how old events of each instance may be when they come. What
// was asked for from months ago must not be dated to today.
func lateness(cfg *Config, now time.Time) map[string]time.Duration {
	m := make(map[string]time.Duration, len(cfg.Instances))
	for _, i := range cfg.Instances {
		m[i.Name] = max(now.Sub(i.Start.Resolve(now)), 0) + late
	}
	return m
}

// share tells the client of an instance which part of the requests is its own.
func (b *laneBuilder) share(instance string, part float64) {
	if client := b.clients[instance]; client != nil {
		client.Share(part)
	}
}
