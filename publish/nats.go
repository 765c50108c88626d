package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/skopeflow/skopeflow/schema"
)

// An atomic batch holds at most batchMessages messages and, unless a single
// message is larger, batchBytes bytes.
const (
	batchMessages = 500
	batchBytes    = 8 << 20
)

// ackEvery is how many messages of an atomic batch go out before the server is
// asked whether it keeps up. Its queue for a stream is bounded.
const ackEvery = 100

// commitTimeout bounds the wait for one atomic batch to be stored.
const commitTimeout = 15 * time.Second

// headroom is left in a message for its subject and headers.
const headroom = 8 << 10

// A NATS publishes to a JetStream stream, each batch as atomic batches: all
// messages of one are stored, or none. Open it with [OpenNATS].
type NATS struct {
	js     jetstream.JetStream
	config NATSConfig
	large  jetstream.ObjectStore
}

// NATSConfig says which stream, and how it is made if it is not there.
type NATSConfig struct {
	Stream   string
	Prefix   string // of the artifacts' subjects
	Replicas int
	MaxBytes int64 // at most 0: as the server allows
	MaxAge   time.Duration
	// Profile names the schema of the data where it is a view of the artifact, as ocsf-1.8.0; "" is the artifact itself.
	Profile string
}

func (c NATSConfig) deadStream() string  { return c.Stream + "_DEAD" }
func (c NATSConfig) largeBucket() string { return c.Stream + "_LARGE" }
func (c NATSConfig) own() string         { return "skopeflow." + c.Stream }
func (c NATSConfig) claims() string      { return c.own() + ".claims.>" }

// OpenNATS makes sure that the streams are there and take atomic batches.
func OpenNATS(ctx context.Context, js jetstream.JetStream, c NATSConfig) (*NATS, error) {
	err := ensureArtifacts(ctx, js, c)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeInsufficientStorage {
		return nil, fmt.Errorf("open stream %s: the server has no room for the %d bytes that it may grow to: set NATS_MAX_BYTES lower, or make room on its disk", c.Stream, c.MaxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", c.Stream, err)
	}
	if err := ensureDead(ctx, js, c); err != nil {
		return nil, fmt.Errorf("open stream %s: %w", c.deadStream(), err)
	}
	large, err := js.ObjectStore(ctx, c.largeBucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		large, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: c.largeBucket(), Description: "Skopeflow: events too large for a message", TTL: c.MaxAge, Replicas: c.Replicas,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", c.largeBucket(), err)
	}
	return &NATS{js: js, config: c, large: large}, nil
}

// ensureArtifacts creates the stream, or makes one that is there fit to use
// without touching its limits.
func ensureArtifacts(ctx context.Context, js jetstream.JetStream, c NATSConfig) error {
	stream, err := js.Stream(ctx, c.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name:               c.Stream,
			Description:        "Skopeflow: artifacts",
			Subjects:           []string{c.Prefix + ".>", c.claims()},
			Discard:            jetstream.DiscardNew, // a full stream makes lanes wait; it never drops what a consumer has not read
			MaxBytes:           max(c.MaxBytes, -1),
			MaxAge:             c.MaxAge,
			Replicas:           c.Replicas,
			AllowAtomicPublish: true,
			AllowMsgTTL:        true,
			AllowRollup:        true,
			AllowDirect:        true,
		})
		return err
	}
	if err != nil {
		return err
	}
	config := stream.CachedInfo().Config
	if config.Discard != jetstream.DiscardNew {
		return errors.New("it discards old messages when it is full, which loses what consumers have not read: set its discard policy to new, or name another stream in NATS_STREAM")
	}
	claimable := slices.ContainsFunc(config.Subjects, func(subject string) bool {
		parent, wild := strings.CutSuffix(subject, ">")
		return wild && strings.HasPrefix(c.claims(), parent)
	})
	if config.AllowAtomicPublish && config.AllowMsgTTL && config.AllowRollup && claimable {
		return nil
	}
	config.AllowAtomicPublish, config.AllowMsgTTL, config.AllowRollup = true, true, true
	if !claimable {
		config.Subjects = append(config.Subjects, c.claims())
	}
	_, err = js.UpdateStream(ctx, config)
	return err
}

// deadAge and deadBytes bound the dead letters. They are kept longer than
// artifacts, since somebody has to look at them.
const (
	deadAge   = 30 * 24 * time.Hour
	deadBytes = 1 << 30
)

// deadBytes is a gibibyte, or a tenth of a small artifacts' stream.
func (c NATSConfig) deadBytes() int64 {
	if c.MaxBytes <= 0 {
		return deadBytes
	}
	return min(deadBytes, max(c.MaxBytes/10, 1<<20))
}

func ensureDead(ctx context.Context, js jetstream.JetStream, c NATSConfig) error {
	_, err := js.Stream(ctx, c.deadStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name:        c.deadStream(),
			Description: "Skopeflow: events that could not become artifacts",
			Subjects:    []string{c.own() + ".dead.>"},
			Discard:     jetstream.DiscardNew,
			MaxBytes:    c.deadBytes(),
			MaxAge:      deadAge,
			Replicas:    c.Replicas,
		})
	}
	return err
}

// MaxBytes implements [Publisher].
func (p *NATS) MaxBytes() int { return int(p.js.Conn().MaxPayload()) - headroom }

// Publish implements [Publisher].
func (p *NATS) Publish(ctx context.Context, b *Batch) error {
	for i := range b.Dead {
		if err := p.bury(ctx, b, &b.Dead[i]); err != nil {
			return err
		}
	}
	now := schema.TimeOf(time.Now()).String()
	msgs := make([]*nats.Msg, 0, min(len(b.Messages), batchMessages))
	size := 0
	for i := range b.Messages {
		m := &b.Messages[i]
		if len(msgs) == batchMessages || len(msgs) > 0 && size+len(m.Data) > batchBytes {
			if err := p.commit(ctx, b, msgs); err != nil {
				return err
			}
			msgs, size = msgs[:0], 0
		}
		msgs = append(msgs, p.message(b, m, now))
		size += len(m.Data)
	}
	if len(msgs) == 0 {
		return nil
	}
	return p.commit(ctx, b, msgs)
}

// commit stores messages as one atomic batch. The server looks at the fence
// when the batch is complete, and then takes all of it or nothing.
func (p *NATS) commit(ctx context.Context, b *Batch, msgs []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	p.fence(b, msgs[0])
	err := retryBusy(ctx, func() error {
		_, err := jetstreamext.PublishMsgBatch(ctx, p.js, msgs, jetstreamext.BatchFlowControl{AckFirst: true, AckEvery: ackEvery, AckTimeout: commitTimeout})
		return err
	})
	if hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence) {
		return &FencedError{Lane: b.claimed(), Err: err}
	}
	return p.explain(err)
}

// explain adds to an error what a person can do about it.
func (p *NATS) explain(err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case codeMaximumBytes, codeMaximumMessages, codeInsufficientStorage:
		return &FullError{Err: fmt.Errorf("stream %s is full: %s", p.config.Stream, api.Description)}
	}
	return fmt.Errorf("stream %s: %w", p.config.Stream, err)
}

// Codes of the server for a stream or a store without room.
const (
	codeInsufficientStorage jetstream.ErrorCode = 10047
	codeMaximumMessages     jetstream.ErrorCode = 10076
	codeMaximumBytes        jetstream.ErrorCode = 10077
)

func (p *NATS) message(b *Batch, m *Message, now string) *nats.Msg {
	h := make(nats.Header, 18)
	set := func(key, value string) { h[key] = []string{value} }
	set("ce-specversion", "1.0")
	set(HeaderID, m.ID.String())
	set(HeaderRaw, strconv.FormatUint(m.Raw, 16))
	set("ce-source", "//netskope/"+m.SourceTenant+"/"+m.Dataset)
	set("ce-type", Type)
	set("ce-subject", m.Dataset+"/"+schema.SubjectToken(m.Subtype))
	set("ce-time", m.Time)
	set("ce-recordedtime", now)
	set("ce-partitionkey", m.EntityID.String())
	if p.config.Profile == "" {
		set("ce-datacontenttype", "application/json")
		set("ce-dataschema", schema.URI)
	} else {
		set("ce-datacontenttype", "application/json; profile="+p.config.Profile)
	}
	set("artifact_kind", m.Kind)
	set("artifact_class", m.Class)
	set("artifact_severity", m.Severity)
	set("artifact_tenant", m.Tenant)
	set(HeaderLane, b.Lane)
	if b.Replay {
		set(HeaderReplay, "true")
	}
	for key, value := range b.Header {
		set(key, value)
	}
	return &nats.Msg{Subject: Subject(p.config.Prefix, m), Header: h, Data: m.Data}
}

// bury stores a dead letter.
func (p *NATS) bury(ctx context.Context, b *Batch, d *DeadLetter) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	raw := d.Raw
	h := nats.Header{
		HeaderLane:      {b.Lane},
		"reason":        {d.Reason},
		"stream":        {b.Stream},
		"page-received": {d.Page.Format(time.RFC3339Nano)},
		"page-event":    {strconv.Itoa(d.Event)},
	}
	if len(raw) > p.MaxBytes() {
		where, err := p.Keep(ctx, fmt.Sprintf("dead/%s/%s/%d", b.Lane, d.Page.Format(time.RFC3339Nano), d.Event), raw)
		if err != nil {
			return err
		}
		h["object"] = []string{where}
		raw = nil
	}
	_, err := p.js.PublishMsg(ctx, &nats.Msg{Subject: p.config.own() + ".dead." + b.Lane, Header: h, Data: raw})
	return p.explain(err)
}

// Keep implements [Publisher], in an object store beside the stream.
func (p *NATS) Keep(ctx context.Context, name string, data []byte) (string, error) {
	if _, err := p.large.PutBytes(ctx, name, data); err != nil {
		return "", fmt.Errorf("keep %d bytes in object store %s: %w", len(data), p.config.largeBucket(), err)
	}
	return "nats-object://" + p.config.largeBucket() + "/" + name, nil
}
