// Package telemetry shows what the program does: as traces, as metrics, and as
// trace ids in the log.
//
// The packages that do the work import neither OpenTelemetry nor Prometheus;
// this one wraps their seams. One page is one trace, from the request to the
// save of the cursor, and its context travels on in each message's header.
// There is never a span for an event, and no attribute or label holds a query,
// a header, a user or anything else that an event contains, but for the names
// of keys that are new.
//
// Traces go where the standard OTEL_ variables say, and nowhere if they say
// nothing. Metrics are served to Prometheus, in any case.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/skopeflow/skopeflow"

// Telemetry wraps the seams of the program. It is safe for concurrent use.
type Telemetry struct {
	tracer   trace.Tracer
	meter    metric.Meter
	headers  propagation.TextMapPropagator
	registry *prometheus.Registry
	log      *slog.Logger
	target   string
	stop     []func(context.Context) error

	apiRequests    metric.Int64Counter
	apiSeconds     metric.Float64Histogram
	publishErrors  metric.Int64Counter
	publishSeconds metric.Float64Histogram
}

// Setup reads the OTEL_ variables and starts what they ask for. What goes wrong
// with sending traces later is a warning in log, once for each kind of failure
// in a row. Spans are also given to each of also, so that a test can look at
// them. The caller ends everything with [Telemetry.Shutdown].
func Setup(ctx context.Context, version string, log *slog.Logger, also ...sdktrace.SpanProcessor) (*Telemetry, error) {
	res, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("skopeflow"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithFromEnv(), // last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	)
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Telemetry{headers: propagation.TraceContext{}, log: log}
	otel.SetErrorHandler(&warner{log: log})
	if err := t.serveMetrics(res); err != nil {
		return nil, err
	}
	if err := errors.Join(t.instruments(), t.buildInfo(ctx, version)); err != nil {
		return nil, fmt.Errorf("set up metrics: %w", err)
	}
	if err := t.traces(ctx, res, also); err != nil {
		return nil, err
	}
	return t, nil
}

// serveMetrics gathers metrics in a registry of its own. The number of series
// is bounded by configuration, so no limit of the SDK's may fold them together.
func (t *Telemetry) serveMetrics(res *resource.Resource) error {
	t.registry = prometheus.NewRegistry()
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprom.New(otelprom.WithRegisterer(t.registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("set up metrics: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(reader),
		sdkmetric.WithResource(res),
		sdkmetric.WithCardinalityLimit(0),
	)
	t.meter = provider.Meter(scope)
	t.stop = append(t.stop, provider.Shutdown)
	return nil
}

func (t *Telemetry) instruments() error {
	var errs [4]error
	t.apiRequests, errs[0] = t.meter.Int64Counter("skopeflow_api_requests_total",
		metric.WithDescription("Requests to Netskope, by status code; code is \"none\" where no answer came."))
	t.apiSeconds, errs[1] = t.meter.Float64Histogram("skopeflow_api_request_duration_seconds",
		metric.WithDescription("Time until Netskope's answer began."),
		metric.WithExplicitBucketBoundaries(.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120))
	t.publishErrors, errs[2] = t.meter.Int64Counter("skopeflow_publish_errors_total",
		metric.WithDescription("Batches that the broker did not surely store."))
	t.publishSeconds, errs[3] = t.meter.Float64Histogram("skopeflow_publish_seconds",
		metric.WithDescription("Time until the broker had stored a batch, or had not."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30))
	return errors.Join(errs[:]...)
}

func (t *Telemetry) buildInfo(ctx context.Context, version string) error {
	info, err := t.meter.Int64Gauge("skopeflow_build_info", metric.WithDescription("Always 1; the label says what is running."))
	if err == nil {
		info.Record(ctx, 1, metric.WithAttributes(attribute.String("version", version)))
	}
	return err
}

// Shutdown sends what has not been sent, and ends. It returns when ctx does.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, stop := range t.stop {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

// Metrics serves the metrics in Prometheus's text format.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(t.log.Handler(), slog.LevelWarn)})
}

// Target says in a few words where traces go.
func (t *Telemetry) Target() string { return t.target }

// A warner logs what the SDK cannot return to anyone. An unreachable collector
// fails every few seconds in the same way, which is one line, not thousands.
type warner struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string
}

// Handle implements [otel.ErrorHandler].
func (w *warner) Handle(err error) {
	// Ports and counts differ from one failure to the next and say nothing.
	kind := withoutDigits(err.Error())
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind == w.last {
		return
	}
	w.last = kind
	w.log.Warn("telemetry is not delivered", "err", err)
}
