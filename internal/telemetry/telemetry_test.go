package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/internal/telemetry"
	"github.com/skopeflow/skopeflow/normalize"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// setup starts telemetry in an environment without OTEL_ variables but env, and
// returns it with the spans it makes.
func setup(t *testing.T, env ...string) (*telemetry.Telemetry, *tracetest.InMemoryExporter) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER",
	} {
		t.Setenv(name, "")
	}
	for pair := range slices.Chunk(env, 2) {
		t.Setenv(pair[0], pair[1])
	}
	spans := tracetest.NewInMemoryExporter()
	tel, err := telemetry.Setup(t.Context(), "1.2.3", slog.New(slog.DiscardHandler), sdktrace.NewSimpleSpanProcessor(spans))
	if err != nil {
		t.Fatal(err)
	}
	return tel, spans
}

func scrape(tel *telemetry.Telemetry) string {
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	return w.Body.String()
}

func attribute(s *tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func find(t *testing.T, spans *tracetest.InMemoryExporter, name string) *tracetest.SpanStub {
	t.Helper()
	all := spans.GetSpans()
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	t.Fatalf("no span %q among %d", name, len(all))
	return nil
}

// A transport answers every request.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(code int) transport {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: code, Body: http.NoBody, Request: r}, nil
	}
}

// A source asks once, and emits one event each time.
type source struct{ client *http.Client }

func (s source) Fetch(ctx context.Context, req ingest.Request, emit func([]byte) error) (ingest.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://acme.goskope.com/api/v2/events/dataexport/events/page?index=i&operation=1700000000", http.NoBody)
	if err != nil {
		return ingest.Answer{}, err
	}
	r.Header.Set("Netskope-Api-Token", "s3cret")
	resp, err := s.client.Do(r)
	if err != nil {
		return ingest.Answer{}, err
	}
	return ingest.Answer{HWM: time.Now()}, errors.Join(resp.Body.Close(), emit([]byte(`{"n":1}`)))
}

// A broker stores whatever it is given, or returns err.
type broker struct {
	err   error
	batch *publish.Batch
}

func (b *broker) Publish(_ context.Context, batch *publish.Batch) error {
	b.batch = batch
	return b.err
}
func (b *broker) Mark(context.Context) (string, error)                 { return "7", nil }
func (b *broker) Claim(context.Context, publish.Claim) (string, error) { return "3", nil }
func (b *broker) Missing(context.Context, string, time.Time) (string, error) {
	return "", nil
}
func (b *broker) MaxBytes() int                                        { return 1 << 20 }
func (b *broker) Keep(context.Context, string, []byte) (string, error) { return "kept", nil }
func (b *broker) Scan(context.Context, string, string, func(schema.Key)) (string, error) {
	return "7", nil
}

// A store keeps one cursor and calls settled when a page is.
type store struct {
	cursor   checkpoint.Cursor
	revision uint64
	settled  func()
}

func (s *store) Load(context.Context, string) (checkpoint.Cursor, uint64, error) {
	return s.cursor, s.revision, nil
}

func (s *store) Save(_ context.Context, _ string, c checkpoint.Cursor, _ uint64) (uint64, error) {
	s.cursor = c
	s.revision++
	if c.Page > 0 {
		s.settled()
	}
	return s.revision, nil
}

func TestTraceLeadsFromThePageToTheMessageTheCursorAndTheLog(t *testing.T) {
	tel, spans := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var logged bytes.Buffer
	kept := &broker{}
	parts := make(chan *ingest.Part)
	lane := &ingest.Lane{
		Vendor: "netskope", Instance: "acme", Stream: "events/page",
		Open: func(context.Context, string, checkpoint.Cursor) (ingest.Way, error) {
			client := &http.Client{Transport: tel.RoundTripper(answer(http.StatusOK))}
			return ingest.Way{Mode: "dataexport", Source: source{client}}, nil
		},
		Store: tel.Store(&store{settled: stop}), Broker: pipeline.Broker{Publisher: kept}, Out: parts, Budget: ingest.NewBudget(1 << 20),
		Start: time.Now(), Every: time.Hour, Grace: time.Minute,
		Log: slog.New(telemetry.LogHandler(slog.NewJSONHandler(&logged, nil))), Trace: tel.Page,
	}
	publisher := tel.Publisher(kept, "nats")
	var stages sync.WaitGroup
	stages.Go(func() {
		for part := range parts {
			pageCtx, end := tel.Stage(part.Page.Context, "normalize")
			batch := &publish.Batch{Lane: lane.Name(), Instance: "acme", Stream: "events/page", Messages: make([]publish.Message, part.Len())}
			end(nil)
			err := publisher.Publish(pageCtx, batch)
			part.Done([]schema.Key{{ID: schema.ID{1}}}, 0, err)
		}
	})
	lane.Run(ctx)
	close(parts)
	stages.Wait()

	page := find(t, spans, "poll events/page")
	if page.Parent.IsValid() {
		t.Error("the page's span is not a root")
	}
	for key, want := range map[string]string{"skopeflow.instance": "acme", "skopeflow.stream": "events/page", "skopeflow.op": "start", "skopeflow.events.received": "1", "skopeflow.events.stored": "1"} {
		if got := attribute(page, key); got != want {
			t.Errorf("%s of the page is %q, want %q", key, got, want)
		}
	}
	id := page.SpanContext.TraceID()
	joined := 0
	for _, name := range []string{"GET", "normalize", "send events/page"} {
		if got := find(t, spans, name).SpanContext.TraceID(); got != id {
			t.Errorf("%q is in trace %s, the page in %s", name, got, id)
		}
	}
	for _, s := range spans.GetSpans() {
		if s.Name == "checkpoint" && s.SpanContext.TraceID() == id && s.Parent.SpanID() == page.SpanContext.SpanID() {
			joined++
		}
	}
	if joined != 1 {
		t.Errorf("%d saves are in the page's trace, want 1", joined)
	}
	send := find(t, spans, "send events/page")
	if want := fmt.Sprintf("00-%s-%s-01", id, send.SpanContext.SpanID()); kept.batch.Header["traceparent"] != want {
		t.Errorf("the message's header is %v, want traceparent %s", kept.batch.Header, want)
	}
	if !strings.Contains(logged.String(), `fetched 1 events`) || !strings.Contains(logged.String(), `"trace_id":"`+id.String()+`"`) {
		t.Errorf("the log lacks the trace id %s:\n%s", id, logged.String())
	}
	text := fmt.Sprintf("%+v\n%s", spans.GetSpans(), scrape(tel))
	for _, secret := range []string{"s3cret", "1700000000", "index=i"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q of the request shows in spans or metrics", secret)
		}
	}
}

func TestSendSpanFollowsTheMessagingConventions(t *testing.T) {
	tel, spans := setup(t)
	batch := &publish.Batch{Instance: "acme", Stream: "events/page", Messages: make([]publish.Message, 3), Dead: make([]publish.DeadLetter, 1), Header: map[string]string{"k": "v"}}
	down := errors.New("no room")
	p := tel.Publisher(&broker{err: down}, "kafka")
	if err := p.Publish(t.Context(), batch); !errors.Is(err, down) {
		t.Errorf("Publish = %v, want %v", err, down)
	}
	send := find(t, spans, "send events/page")
	for key, want := range map[string]string{
		"messaging.system": "kafka", "messaging.destination.name": "events/page", "messaging.operation.name": "send",
		"messaging.operation.type": "send", "messaging.batch.message_count": "4",
	} {
		if got := attribute(send, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if send.SpanKind != trace.SpanKindProducer || send.Status.Code != codes.Error || batch.Header["k"] != "v" {
		t.Errorf("kind %v, status %v, header %v", send.SpanKind, send.Status, batch.Header)
	}
	if mark, _ := p.Mark(t.Context()); mark != "7" || p.MaxBytes() != 1<<20 {
		t.Error("the other methods do not pass through")
	}
	want(t, scrape(tel), `skopeflow_publish_errors_total{system="kafka"} 1`, `skopeflow_publish_seconds_count{system="kafka"} 1`)
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !slices.Contains(strings.Split(text, "\n"), line) {
			t.Errorf("the metrics lack %s:\n%s", line, ours(text))
		}
	}
}

func ours(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(s string) bool { return !strings.HasPrefix(s, "skopeflow_") || strings.Contains(s, "_bucket") })
	return strings.Join(lines, "\n")
}

func TestFailedPageIsATraceOfItsOwnAndToldByItsKind(t *testing.T) {
	tel, spans := setup(t)
	ctx, endOuter := tel.Stage(t.Context(), "outer")
	_, end := tel.Page(ctx, &ingest.Lane{Instance: "acme", Stream: "events/page"}, ingest.OpNext)
	end(ingest.Counts{}, fmt.Errorf("poll: %w", &ingest.Fault{Kind: ingest.Throttled, Err: errors.New("429")}))
	endOuter(nil)

	failed := find(t, spans, "poll events/page")
	if failed.Parent.IsValid() {
		t.Error("the page's span is not a root")
	}
	if failed.Status.Code != codes.Error || failed.Status.Description != "poll: 429" || attribute(failed, "error.type") != "rate limited" {
		t.Errorf("status %+v, error.type %q", failed.Status, attribute(failed, "error.type"))
	}
}

func TestRequestsAreCountedByEndpointOperationAndCode(t *testing.T) {
	tel, spans := setup(t)
	lost := transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") })
	for _, r := range []struct {
		next   http.RoundTripper
		target string
	}{
		{answer(200), "/api/v2/events/dataexport/events/page?operation=next&index=x"},
		{answer(429), "/api/v2/events/dataexport/events/page?operation=resend&index=x"},
		{answer(200), "/api/v2/events/data/page?limit=5000"},
		{answer(404), "/api/v2/policy/urllist/17"},
		{lost, "/api/v2/events/dataexport/events/page?operation=1700000000"},
	} {
		resp, err := tel.RoundTripper(r.next).RoundTrip(httptest.NewRequest(http.MethodGet, "https://acme.goskope.com"+r.target, http.NoBody))
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	const export = `{code="%s",endpoint="/api/v2/events/dataexport/events/page",operation="%s"} 1`
	want(t, scrape(tel),
		`skopeflow_api_requests_total`+fmt.Sprintf(export, "200", "next"),
		`skopeflow_api_requests_total`+fmt.Sprintf(export, "429", "resend"),
		`skopeflow_api_requests_total`+fmt.Sprintf(export, "none", "start"),
		`skopeflow_api_request_duration_seconds_count`+fmt.Sprintf(export, "none", "start"),
		`skopeflow_api_requests_total{code="200",endpoint="/api/v2/events/data/page",operation="get"} 1`,
		`skopeflow_api_requests_total{code="404",endpoint="/api/v2/policy/urllist/{id}",operation="get"} 1`)
	limited := spans.GetSpans()[1]
	if limited.Name != "GET" || limited.SpanKind != trace.SpanKindClient || attribute(&limited, "http.response.status_code") != "429" ||
		attribute(&limited, "server.address") != "acme.goskope.com" || limited.Status.Code != codes.Error {
		t.Errorf("the span of a refused request is %+v", limited)
	}
}

func TestMetricsShowTheLanesAsTheyAreWhenRead(t *testing.T) {
	tel, _ := setup(t)
	status := ingest.Status{
		Instance: "acme", Stream: "events/page", State: ingest.CatchingUp,
		LastSuccess: time.Unix(1700000100, 0), HWM: time.Unix(1700000000, 500e6),
		Received: 26, Stored: 10, Duplicates: 7, Filtered: 6, DeadLettered: 3, Collisions: 1, Pages: 5, Resends: 2, Failures: 4,
	}
	fresh := ingest.Status{Instance: "acme", Stream: "events/audit", State: ingest.Starting}
	lanes := []ingest.Status{status, fresh}
	if err := tel.Lanes(func() []ingest.Status { return lanes }, func() int64 { return 4096 }); err != nil {
		t.Fatal(err)
	}
	const page = `{instance="acme",stream="events/page"} `
	text := scrape(tel)
	want(t, text,
		"skopeflow_events_received_total"+page+"26",
		"skopeflow_events_published_total"+page+"10",
		"skopeflow_events_duplicate_total"+page+"7",
		"skopeflow_events_filtered_total"+page+"6",
		"skopeflow_events_dead_lettered_total"+page+"3",
		"skopeflow_events_collisions_total"+page+"1",
		"skopeflow_pages_total"+page+"5",
		"skopeflow_resend_total"+page+"2",
		"skopeflow_failures_total"+page+"4",
		"skopeflow_stream_last_success_timestamp_seconds"+page+"1.7000001e+09",
		"skopeflow_stream_high_watermark_timestamp_seconds"+page+"1.7000000005e+09",
		`skopeflow_stream_state{instance="acme",state="catching up",stream="events/page"} 1`,
		`skopeflow_stream_state{instance="acme",state="caught up",stream="events/page"} 0`,
		"skopeflow_inflight_bytes 4096",
		`skopeflow_build_info{version="1.2.3"} 1`,
		"# TYPE skopeflow_events_received_total counter",
		"# TYPE skopeflow_events_filtered_total counter",
		"# TYPE skopeflow_stream_lag_seconds gauge")
	if got := strings.Count(text, "\nskopeflow_stream_state{"); got != 2*len(ingest.Words) {
		t.Errorf("%d series of the state, want %d", got, 2*len(ingest.Words))
	}
	if strings.Contains(text, `skopeflow_stream_lag_seconds{instance="acme",stream="events/audit"}`) || strings.Contains(text, "otel_scope") {
		t.Error("a lane that read nothing has a lag, or a series names its library")
	}
	var lag float64
	_, rest, _ := strings.Cut(text, "skopeflow_stream_lag_seconds"+page)
	if _, err := fmt.Sscan(rest, &lag); err != nil || lag < time.Since(status.HWM).Seconds()-60 || lag > time.Since(status.HWM).Seconds() {
		t.Errorf("the lag is %v (%v)", lag, err)
	}

	lanes = []ingest.Status{fresh}
	if text := scrape(tel); strings.Contains(text, "events/page") {
		t.Error("a lane that is gone still has series")
	}
}

func TestPageSaysHowManyEventsWereFiltered(t *testing.T) {
	tel, spans := setup(t)
	_, end := tel.Page(t.Context(), &ingest.Lane{Instance: "acme", Stream: "events/page"}, ingest.OpNext)
	end(ingest.Counts{Received: 9, Stored: 5, Filtered: 4}, nil)
	if got := attribute(find(t, spans, "poll events/page"), "skopeflow.events.filtered"); got != "4" {
		t.Errorf("skopeflow.events.filtered is %q, want 4", got)
	}
}

func TestDriftIsASeriesByDatasetKindAndFieldAlone(t *testing.T) {
	tel, _ := setup(t)
	counter := new(normalize.DriftCounter)
	if err := tel.Drift(counter.Counts); err != nil {
		t.Fatal(err)
	}
	if text := scrape(tel); strings.Contains(text, "skopeflow_schema_drift_total{") {
		t.Errorf("there are series before anything drifted:\n%s", ours(text))
	}
	mapper := normalize.NewMapper()
	mapper.Drift = counter
	mapped := func(dataset, raw string) {
		t.Helper()
		env := &normalize.Envelope{Tenant: "acme", SourceTenant: "acme.goskope.com", Connector: "acme", Dataset: dataset, SourceAPI: "v2_dataexport", Collected: time.Unix(1768478400, 0)}
		var a schema.Artifact
		if err := mapper.Map(env, []byte(raw), &a); err != nil {
			t.Fatal(err)
		}
	}
	const event = `{"_id":"1","timestamp":1768478400,`
	for range 3 {
		mapped("page", event+`"x_quantum":"c4nary"}`)
	}
	mapped("application", event+`"severity":"Dire"}`)
	text := scrape(tel)
	want(t, text, "# TYPE skopeflow_schema_drift_total counter",
		`skopeflow_schema_drift_total{dataset="page",field="x_quantum",kind="new_key"} 3`,
		`skopeflow_schema_drift_total{dataset="application",field="severity",kind="new_value"} 1`)
	if example := fmt.Sprint(counter.Counts()); !strings.Contains(example, "Dire") {
		t.Errorf("the counter shows %s, want an example that the metrics could show", example)
	}

	// Whoever can name keys names very many.
	for i := range 3 * normalize.MaxDrifts {
		mapped("page", fmt.Sprintf(`%s"x_%d":1,"<%d>":1}`, event, i, i))
	}
	text = scrape(tel)
	if got := strings.Count(text, "\nskopeflow_schema_drift_total{"); got <= normalize.MaxDrifts || got > normalize.MaxDrifts+3 {
		t.Errorf("%d series, want those of %d names and what is left of each kind", got, normalize.MaxDrifts)
	}
	for _, never := range []string{"Dire", "c4nary", "otel_metric_overflow", "<1>"} {
		if strings.Contains(text, never) {
			t.Errorf("the metrics hold %q", never)
		}
	}
}

func TestEveryLaneHasItsSeriesHoweverMany(t *testing.T) {
	tel, _ := setup(t)
	lanes := make([]ingest.Status, 300)
	for i := range lanes {
		lanes[i] = ingest.Status{Instance: fmt.Sprint("i", i), Stream: "events/page", State: ingest.CaughtUp}
	}
	if err := tel.Lanes(func() []ingest.Status { return lanes }, func() int64 { return 0 }); err != nil {
		t.Fatal(err)
	}
	text := scrape(tel)
	if got := strings.Count(text, "\nskopeflow_stream_state{"); got != len(lanes)*len(ingest.Words) || strings.Contains(text, "overflow") {
		t.Errorf("%d series, want %d", got, len(lanes)*len(ingest.Words))
	}
}

func TestTracesGoWhereTheEnvironmentSays(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"nothing set", nil, "nowhere: OTEL_EXPORTER_OTLP_ENDPOINT is not set"},
		{"disabled", []string{"OTEL_SDK_DISABLED", "true", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}, "nowhere: OTEL_SDK_DISABLED is true"},
		{"none", []string{"OTEL_TRACES_EXPORTER", "none"}, "nowhere: OTEL_TRACES_EXPORTER is none"},
		{"base", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/"}, "http://127.0.0.1:4318/v1/traces (http/protobuf)"},
		{"grpc", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, "http://127.0.0.1:4317 (grpc)"},
		{"as it stands", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://u:pass@127.0.0.1/x?key=s"}, "https://u:xxxxx@127.0.0.1/x (http/protobuf)"},
		{"by default on this machine", []string{"OTEL_TRACES_EXPORTER", "otlp"}, "localhost:4318/v1/traces (http/protobuf)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tel, _ := setup(t, tt.env...)
			if got := tel.Target(); got != tt.want {
				t.Errorf("Target() = %q, want %q", got, tt.want)
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSpansReachACollector(t *testing.T) {
	received := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	tel, _ := setup(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL, "OTEL_SERVICE_NAME", "our-name")
	_, end := tel.Stage(t.Context(), "normalize")
	end(nil)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-received
	for _, want := range []string{"/v1/traces ", "our-name", "normalize", "1.2.3"} {
		if !strings.Contains(got, want) {
			t.Errorf("the collector did not receive %q", want)
		}
	}
}

func TestDisabledSDKMakesNoSpansAndKeepsMetrics(t *testing.T) {
	tel, spans := setup(t, "OTEL_SDK_DISABLED", "true")
	kept := &broker{}
	if err := tel.Publisher(kept, "nats").Publish(t.Context(), &publish.Batch{}); err != nil {
		t.Fatal(err)
	}
	if n := len(spans.GetSpans()); n != 0 || len(kept.batch.Header) != 0 {
		t.Errorf("%d spans, header %v", n, kept.batch.Header)
	}
	want(t, scrape(tel), `skopeflow_publish_seconds_count{system="nats"} 1`, `skopeflow_publish_errors_total{system="nats"} 0`)
}

func TestFailureToDeliverIsLoggedWhenItChanges(t *testing.T) {
	var logged bytes.Buffer
	tel, err := telemetry.Setup(t.Context(), "1", slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(t.Context())
	for _, text := range []string{"read from port 40001: refused", "read from port 40002: refused", "time-out", "read from port 40003: refused"} {
		otel.Handle(errors.New(text))
	}
	if got := strings.Count(logged.String(), "telemetry is not delivered"); got != 3 {
		t.Errorf("%d lines, want 3:\n%s", got, logged.String())
	}
}

func TestLogNamesTheSpanItIsWrittenUnder(t *testing.T) {
	tel, spans := setup(t)
	var logged bytes.Buffer
	log := slog.New(telemetry.LogHandler(slog.NewJSONHandler(&logged, nil))).With("instance", "acme")
	ctx, end := tel.Stage(t.Context(), "normalize")
	log.InfoContext(ctx, "under a span")
	end(nil)
	log.InfoContext(t.Context(), "under none")

	under, none, _ := strings.Cut(logged.String(), "\n")
	var line map[string]string
	if err := json.Unmarshal([]byte(under), &line); err != nil {
		t.Fatal(err)
	}
	span := find(t, spans, "normalize").SpanContext
	if line["trace_id"] != span.TraceID().String() || line["span_id"] != span.SpanID().String() || line["instance"] != "acme" {
		t.Errorf("the line is %v, want trace %s and span %s", line, span.TraceID(), span.SpanID())
	}
	if strings.Contains(none, "trace_id") {
		t.Errorf("a line under no span has a trace: %s", none)
	}
}

func TestFailuresOfFiltersAreCountedByInstance(t *testing.T) {
	tel, _ := setup(t)
	if err := tel.Filters(func() map[string]uint64 { return map[string]uint64{"acme": 7} }); err != nil {
		t.Fatal(err)
	}
	want(t, scrape(tel), `skopeflow_filter_failures_total{instance="acme"} 7`)
}
