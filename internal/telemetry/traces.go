package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// traces starts the tracer. Without an exporter spans exist all the same, since
// consumers join them by the header of a message. OTEL_SDK_DISABLED ends the
// traces; the metrics stay, because alerts hang on them.
func (t *Telemetry) traces(ctx context.Context, res *resource.Resource, also []sdktrace.SpanProcessor) error {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		t.tracer, t.target = noop.NewTracerProvider().Tracer(scope), "nowhere: OTEL_SDK_DISABLED is true"
		return nil
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	for _, p := range also {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	t.target = traceTarget()
	if wanted() {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return fmt.Errorf("set up traces to %s: %w", t.target, err)
		}
		if !autoexport.IsNoneSpanExporter(exporter) {
			options = append(options, sdktrace.WithBatcher(exporter))
		}
	}
	provider := sdktrace.NewTracerProvider(options...)
	t.tracer = provider.Tracer(scope)
	t.stop = append(t.stop, provider.Shutdown)
	return nil
}

// wanted reports whether somebody asked for traces. By default the exporter
// would look for a collector on this machine, and complain that there is none.
func wanted() bool {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_TRACES_EXPORTER")) != ""
}

// traceTarget says where the exporter sends, as the OTLP exporter's
// specification resolves the variables: the general endpoint is a base to which
// HTTP appends a path, the endpoint of traces is used as it stands.
func traceTarget() string {
	if !wanted() {
		return "nowhere: OTEL_EXPORTER_OTLP_ENDPOINT is not set"
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return "nowhere: OTEL_TRACES_EXPORTER is none"
	case "console":
		return "standard output"
	case "", "otlp":
	default:
		return exporter
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	if endpoint := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); endpoint != "" {
		return redacted(endpoint) + " (" + protocol + ")"
	}
	endpoint := redacted(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	switch {
	case protocol == "grpc":
		endpoint = cmp.Or(endpoint, "localhost:4317")
	default:
		endpoint = strings.TrimSuffix(cmp.Or(endpoint, "localhost:4318"), "/") + "/v1/traces"
	}
	return endpoint + " (" + protocol + ")"
}

// redacted hides the password and the query of a URL, either of which may be a
// collector's key.
func redacted(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "an endpoint that is not a URL"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}
