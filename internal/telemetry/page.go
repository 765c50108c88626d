package telemetry

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/ingest"
)

// Page begins the trace of a page; it is made for [ingest.Lane.Trace].
func (t *Telemetry) Page(ctx context.Context, l *ingest.Lane, op ingest.Op) (context.Context, func(ingest.Counts, error)) {
	ctx, span := t.tracer.Start(ctx, "poll "+l.Stream, trace.WithNewRoot(), trace.WithAttributes(
		attribute.String("skopeflow.instance", l.Instance),
		attribute.String("skopeflow.stream", l.Stream),
		attribute.String("skopeflow.op", string(op)),
	))
	return ctx, func(c ingest.Counts, err error) {
		span.SetAttributes(
			attribute.Int("skopeflow.events.received", c.Received),
			attribute.Int("skopeflow.events.stored", c.Stored),
			attribute.Int("skopeflow.events.duplicate", c.Duplicates),
			attribute.Int("skopeflow.events.filtered", c.Filtered),
			attribute.Int("skopeflow.events.dead_lettered", c.DeadLettered),
			attribute.Int("skopeflow.events.collisions", c.Collisions),
		)
		finish(span, err)
	}
}

// Stage begins a span for one stage of a page's way, as "normalize", and
// returns the function that ends it.
func (t *Telemetry) Stage(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func(err error) { finish(span, err) }
}

// Store shows each Save of s as a span, in the trace of the page that is
// settled by it.
func (t *Telemetry) Store(s checkpoint.Store) checkpoint.Store { return store{s, t} }

type store struct {
	checkpoint.Store
	t *Telemetry
}

func (s store) Save(ctx context.Context, lane string, c checkpoint.Cursor, revision uint64) (uint64, error) {
	ctx, end := s.t.Stage(ctx, "checkpoint")
	revision, err := s.Store.Save(ctx, lane, c, revision)
	end(err)
	return revision, err
}

// finish ends a span. A fault is told by its kind, which is one of few.
func finish(span trace.Span, err error) {
	if err != nil {
		kind := fmt.Sprintf("%T", err)
		if fault, ok := errors.AsType[*ingest.Fault](err); ok {
			kind = string(fault.Kind)
		}
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
