package publish

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/schema"
)

// scanTimeout bounds the wait for the next messages of a scan.
const scanTimeout = 10 * time.Second

// Mark implements [Publisher]. A position is the sequence of the stream's last
// message, in decimal.
func (p *NATS) Mark(ctx context.Context) (string, error) {
	_, last, err := p.room(ctx)
	return strconv.FormatUint(last, 10), err
}

// room returns the stream and its last sequence, and an error if it can take
// no more.
func (p *NATS) room(ctx context.Context) (jetstream.Stream, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, p.config.Stream)
	if err != nil {
		return nil, 0, fmt.Errorf("read stream %s: %w", p.config.Stream, err)
	}
	info := stream.CachedInfo()
	free := info.Config.MaxBytes - int64(info.State.Bytes) //nolint:gosec // a stream holds less than 8 EiB
	if info.Config.MaxBytes > 0 && free < batchBytes && free < info.Config.MaxBytes/10 {
		return nil, 0, &FullError{Err: fmt.Errorf("stream %s is full: it holds %d of %d bytes", p.config.Stream, info.State.Bytes, info.Config.MaxBytes)}
	}
	return stream, info.State.LastSeq, nil
}

// Scan implements [Publisher]. It reads headers only.
func (p *NATS) Scan(ctx context.Context, lane, from string, known func(schema.Key)) (string, error) {
	after := uint64(0)
	if from != "" {
		var err error
		if after, err = strconv.ParseUint(from, 10, 64); err != nil {
			return "", fmt.Errorf("scan stream %s: %q is no position", p.config.Stream, from)
		}
	}
	stream, last, err := p.room(ctx)
	if err != nil {
		return "", err
	}
	mark := strconv.FormatUint(last, 10)
	if last < after { // another stream than the one that was marked
		after = 0
	}
	if last == after {
		return mark, nil
	}
	instance, _, _ := strings.Cut(lane, ".")
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Description:       "skopeflow reads what " + lane + " has stored",
		FilterSubject:     p.config.Prefix + "." + schema.SubjectToken(instance) + ".netskope.>",
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		HeadersOnly:       true,
		MemoryStorage:     true,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return "", fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
	}
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) }()
	return mark, p.read(ctx, consumer, lane, last, known)
}

// read takes ids from the consumer until the sequence last, or until nothing
// is left.
func (p *NATS) read(ctx context.Context, consumer jetstream.Consumer, lane string, last uint64, known func(schema.Key)) error {
	left := consumer.CachedInfo().NumPending
	for left > 0 {
		batch, err := consumer.Fetch(int(min(left, 2000)), jetstream.FetchMaxWait(scanTimeout))
		if err != nil {
			return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
		}
		got := uint64(0)
		for msg := range batch.Messages() {
			got++
			if msg.Headers().Get(HeaderLane) != lane {
				continue
			}
			id, err := schema.ParseID(msg.Headers().Get(HeaderID))
			if err != nil {
				return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
			}
			raw, err := strconv.ParseUint(msg.Headers().Get(HeaderRaw), 16, 64)
			if err != nil {
				return fmt.Errorf("scan stream %s: header %s: %w", p.config.Stream, HeaderRaw, err)
			}
			known(schema.Key{ID: id, Raw: raw})
		}
		if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
			return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got == 0 {
			return fmt.Errorf("scan stream %s: %d messages up to %d did not come", p.config.Stream, left, last)
		}
		left -= min(got, left)
	}
	return nil
}
