package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/normalize"
)

// totals are the counters of a lane.
var totals = []struct {
	name, help string
	of         func(*ingest.Status) uint64
}{
	{"skopeflow_events_received_total", "Events that Netskope returned; the sum of published, duplicate, filtered and dead-lettered.", func(s *ingest.Status) uint64 { return s.Received }},
	{"skopeflow_events_published_total", "Events that the broker stored as artifacts.", func(s *ingest.Status) uint64 { return s.Stored }},
	{"skopeflow_events_duplicate_total", "Events that were stored already.", func(s *ingest.Status) uint64 { return s.Duplicates }},
	{"skopeflow_events_filtered_total", "Events that the operator's expression leaves out.", func(s *ingest.Status) uint64 { return s.Filtered }},
	{"skopeflow_events_dead_lettered_total", "Events that could not become artifacts.", func(s *ingest.Status) uint64 { return s.DeadLettered }},
	{"skopeflow_events_collisions_total", "Events with another event's id and other content; stored both times.", func(s *ingest.Status) uint64 { return s.Collisions }},
	{"skopeflow_pages_total", "Pages of which every event was stored.", func(s *ingest.Status) uint64 { return s.Pages }},
	{"skopeflow_resend_total", "Pages asked for again.", func(s *ingest.Status) uint64 { return s.Resends }},
	{"skopeflow_repair_recovered_events_total", "Events that were missing and were stored when a range was read again; anything but 0 means that somebody else reads by our index.", func(s *ingest.Status) uint64 { return s.Recovered }},
	{"skopeflow_failures_total", "Requests that did not end as a stored page.", func(s *ingest.Status) uint64 { return s.Failures }},
}

// times are the gauges of a lane, in seconds. One without a value has no series.
var times = []struct {
	name, help string
	of         func(s *ingest.Status, now time.Time) (seconds float64, known bool)
}{
	{"skopeflow_stream_last_success_timestamp_seconds", "When a page was last stored.", func(s *ingest.Status, _ time.Time) (float64, bool) {
		return unix(s.LastSuccess), !s.LastSuccess.IsZero()
	}},
	{"skopeflow_stream_high_watermark_timestamp_seconds", "How far Netskope's events have been stored.", func(s *ingest.Status, _ time.Time) (float64, bool) {
		return unix(s.HWM), !s.HWM.IsZero()
	}},
	{"skopeflow_stream_lag_seconds", "Age of the high-water mark at this moment.", func(s *ingest.Status, now time.Time) (float64, bool) {
		return now.Sub(s.HWM).Seconds(), !s.HWM.IsZero()
	}},
}

// Lanes shows how the lanes are, and inflight, the bytes of events held in
// memory. Both are asked when the metrics are read. It is called once.
func (t *Telemetry) Lanes(statuses func() []ingest.Status, inflight func() int64) error {
	held, heldErr := t.meter.Int64ObservableGauge("skopeflow_inflight_bytes", metric.WithDescription("Bytes of events in memory."))
	state, stateErr := t.meter.Int64ObservableGauge("skopeflow_stream_state", metric.WithDescription("1 for the state that the lane is in, 0 for the others."))
	errs := []error{heldErr, stateErr}
	all := []metric.Observable{held, state}
	counters := make([]metric.Int64Observable, len(totals))
	for i, m := range totals {
		c, err := t.meter.Int64ObservableCounter(m.name, metric.WithDescription(m.help))
		counters[i], all, errs = c, append(all, c), append(errs, err)
	}
	gauges := make([]metric.Float64Observable, len(times))
	for i, m := range times {
		g, err := t.meter.Float64ObservableGauge(m.name, metric.WithDescription(m.help))
		gauges[i], all, errs = g, append(all, g), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set up metrics: %w", err)
	}

	_, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := time.Now()
		o.ObserveInt64(held, inflight())
		for _, s := range statuses() {
			lane := []attribute.KeyValue{attribute.String("instance", s.Instance), attribute.String("stream", s.Stream)}
			labels := metric.WithAttributes(lane...)
			for i, m := range totals {
				o.ObserveInt64(counters[i], int64(m.of(&s)), labels) //nolint:gosec // a count
			}
			for i, m := range times {
				if seconds, known := m.of(&s, now); known {
					o.ObserveFloat64(gauges[i], seconds, labels)
				}
			}
			for _, word := range ingest.Words {
				o.ObserveInt64(state, truth(s.State == word), labels, metric.WithAttributes(attribute.String("state", string(word))))
			}
		}
		return nil
	}, all...)
	return err
}

// Drift shows what came from Netskope that the tables do not know. counts is
// asked when the metrics are read; the names in it are bounded. It is called
// once.
func (t *Telemetry) Drift(counts func() []normalize.DriftCount) error {
	total, err := t.meter.Int64ObservableCounter("skopeflow_schema_drift_total",
		metric.WithDescription("Events with a key, a type or a word that the tables do not know."))
	if err != nil {
		return fmt.Errorf("set up metrics: %w", err)
	}
	_, err = t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, d := range counts() {
			o.ObserveInt64(total, d.Count, metric.WithAttributes(
				attribute.String("dataset", d.Dataset), attribute.String("kind", string(d.Kind)), attribute.String("field", d.Field)))
		}
		return nil
	}, total)
	return err
}

// Filters shows how often the expressions of each instance have failed. It is
// called once.
func (t *Telemetry) Filters(failures func() map[string]uint64) error {
	total, err := t.meter.Int64ObservableCounter("skopeflow_filter_failures_total",
		metric.WithDescription("Events on which a filter expression failed; they are published."))
	if err != nil {
		return fmt.Errorf("set up metrics: %w", err)
	}
	_, err = t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for instance, n := range failures() {
			o.ObserveInt64(total, int64(n), metric.WithAttributes(attribute.String("instance", instance))) //nolint:gosec // a count
		}
		return nil
	}, total)
	return err
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
