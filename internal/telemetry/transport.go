package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// RoundTripper shows each request to Netskope that next makes as a span and in
// the metrics. It looks at the path and at the operation, never at the rest of
// the query nor at headers, and adds no header.
//
// Both last until the answer begins. That is when Netskope's index moves; how
// fast the body comes depends on how fast the page is stored.
func (t *Telemetry) RoundTripper(next http.RoundTripper) http.RoundTripper {
	return &transport{next: next, t: t}
}

type transport struct {
	next http.RoundTripper
	t    *Telemetry
}

// RoundTrip implements [http.RoundTripper].
func (rt *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	endpoint := template(req.URL.Path)
	ctx, span := rt.t.tracer.Start(req.Context(), req.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(req.Method),
		semconv.URLTemplate(endpoint),
		semconv.ServerAddress(req.URL.Hostname()),
	))
	defer span.End()

	begin := time.Now()
	resp, err := rt.next.RoundTrip(req.WithContext(ctx))
	took := time.Since(begin)

	code := "none"
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	} else {
		code = strconv.Itoa(resp.StatusCode)
		span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
		if resp.StatusCode >= http.StatusBadRequest {
			span.SetAttributes(semconv.ErrorTypeKey.String(code))
			span.SetStatus(codes.Error, http.StatusText(resp.StatusCode))
		}
	}
	labels := metric.WithAttributes(
		attribute.String("endpoint", endpoint),
		attribute.String("operation", operation(req)),
		attribute.String("code", code),
	)
	rt.t.apiRequests.Add(ctx, 1, labels)
	rt.t.apiSeconds.Record(ctx, took.Seconds(), labels)
	return resp, err
}

// template makes one endpoint of the paths that differ in a number only, as
// those of URL lists do.
func template(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part != "" && strings.Trim(part, "0123456789") == "" {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

// operation names what an iterator was asked for, in the words of the package
// ingest. Where to start is a time, and each would be a series of its own.
func operation(req *http.Request) string {
	switch op := req.URL.Query().Get("operation"); op {
	case "next", "resend":
		return op
	case "":
		return strings.ToLower(req.Method)
	default:
		return "start"
	}
}
