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

// Scan implements [Publisher]. It reads headers only.
func (p *NATS) Scan(ctx context.Context, lane, from string, known func(schema.Key)) (string, error) {
	var was position
	if from != "" {
		var err error
		if was, err = parsePosition(from); err != nil {
			return "", fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
		}
	}
	stream, now, err := p.room(ctx)
	if err != nil {
		return "", err
	}
	after := was.seq
	if was.created != 0 && was.created != now.created || now.seq < was.seq { // another stream than the one that was marked
		after = 0
	}
	instance, _, _ := strings.Cut(lane, ".")
	subjects := p.config.Prefix + "." + schema.SubjectToken(instance) + ".netskope.>"
	last, err := p.get(ctx, query{LastBySubject: subjects})
	if err != nil || last.Seq <= after {
		return now.String(), err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Description:       "skopeflow reads what " + lane + " has stored",
		FilterSubject:     subjects,
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
	return now.String(), p.read(ctx, consumer, lane, last.Seq, known)
}

// read takes ids from the consumer up to the sequence last. The consumer may be
// on a replica that is behind, so what it says is pending is not all there is.
func (p *NATS) read(ctx context.Context, consumer jetstream.Consumer, lane string, last uint64, known func(schema.Key)) error {
	pending := consumer.CachedInfo().NumPending
	for at := uint64(0); at < last; {
		batch, err := consumer.Fetch(int(max(1, min(pending, 2000))), jetstream.FetchMaxWait(scanTimeout))
		if err != nil {
			return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
		}
		var latest jetstream.Msg
		for msg := range batch.Messages() {
			latest = msg
			if err := learn(msg, lane, known); err != nil {
				return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
			}
		}
		if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
			return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if latest == nil {
			return fmt.Errorf("scan stream %s: what follows message %d, up to %d, did not come", p.config.Stream, at, last)
		}
		meta, err := latest.Metadata()
		if err != nil {
			return fmt.Errorf("scan stream %s: %w", p.config.Stream, err)
		}
		at, pending = meta.Sequence.Stream, meta.NumPending
	}
	return nil
}

// learn calls known with the key of an artifact if it is the lane's.
func learn(msg jetstream.Msg, lane string, known func(schema.Key)) error {
	if msg.Headers().Get(HeaderLane) != lane {
		return nil
	}
	id, err := schema.ParseID(msg.Headers().Get(HeaderID))
	if err != nil {
		return err
	}
	raw, err := strconv.ParseUint(msg.Headers().Get(HeaderRaw), 16, 64)
	if err != nil {
		return fmt.Errorf("header %s: %w", HeaderRaw, err)
	}
	known(schema.Key{ID: id, Raw: raw})
	return nil
}
