package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/skopeflow/skopeflow/publish"
)

// Publisher shows each batch that p stores as a span, and puts the span's
// context into the batch's header, so that a consumer's span joins it. system
// names the broker, as "nats" or "kafka".
func (t *Telemetry) Publisher(p publish.Publisher, system string) publish.Publisher {
	labels := metric.WithAttributes(attribute.String("system", system))
	// An alert on the first error needs the zero before it.
	t.publishErrors.Add(context.Background(), 0, labels)
	return &publisher{Publisher: p, t: t, system: system, labels: labels}
}

type publisher struct {
	publish.Publisher
	t      *Telemetry
	system string
	labels metric.MeasurementOption
}

func (p *publisher) Publish(ctx context.Context, b *publish.Batch) error {
	ctx, span := p.t.tracer.Start(ctx, "send "+b.Stream, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingSystemKey.String(p.system),
		semconv.MessagingDestinationName(b.Stream),
		semconv.MessagingOperationName("send"),
		semconv.MessagingOperationTypeSend,
		semconv.MessagingBatchMessageCount(len(b.Messages)+len(b.Dead)),
		attribute.String("skopeflow.instance", b.Instance),
	))
	if b.Header == nil {
		b.Header = make(map[string]string, 2)
	}
	p.t.headers.Inject(ctx, propagation.MapCarrier(b.Header))

	begin := time.Now()
	err := p.Publisher.Publish(ctx, b)
	p.t.publishSeconds.Record(ctx, time.Since(begin).Seconds(), p.labels)
	if err != nil {
		p.t.publishErrors.Add(ctx, 1, p.labels)
	}
	finish(span, err)
	return err
}
