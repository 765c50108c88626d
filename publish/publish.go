// Package publish puts artifacts where consumers subscribe, and waits until
// they are stored.
//
// A [Publisher] promises that a Publish which returns nil has every message of
// the batch stored by the broker, durably as the broker understands it. After
// an error some, all or none may be stored, and the caller is bound to find out
// with Scan before it publishes the same again. No id stands in a header that a
// broker would act on: recognising what is stored already is the caller's work.
package publish

import (
	"context"
	"time"

	"github.com/skopeflow/skopeflow/schema"
)

// A Message is one artifact on its way, with the facts that its subject, topic,
// key and headers are made of.
type Message struct {
	ID           schema.ID
	EntityID     schema.ID
	Raw          uint64 // see schema.Key
	Tenant       string
	SourceTenant string
	Dataset      string
	Subtype      string
	Kind         string
	Class        string
	Severity     string
	Time         string // of the event, as in the artifact
	Data         []byte // the artifact as JSON
}

// A DeadLetter is an event that cannot become an artifact.
type DeadLetter struct {
	Reason string
	Raw    []byte // as the vendor sent it
	Page   time.Time
	Event  int // its number within the page, from 0
}

// A Batch is what one part of a page became.
type Batch struct {
	Lane     string
	Instance string
	Stream   string
	Messages []Message
	Dead     []DeadLetter
	Replay   bool // read on purpose again

	// Header is put on every message beside the artifact's own headers, as the
	// trace context is.
	Header map[string]string
}

// A Publisher stores batches at a broker.
type Publisher interface {
	// Publish stores the batch. Nil means that all of it is stored.
	Publish(ctx context.Context, b *Batch) error
	// Mark returns the broker's present position. It fails while the broker
	// cannot take new messages, with a [*FullError] if that is for want of room.
	Mark(ctx context.Context) (string, error)
	// Scan calls known with the key of each artifact that the lane stored after
	// the position from, and returns the position up to which it read. The
	// empty position is the beginning. It fails as Mark does.
	Scan(ctx context.Context, lane, from string, known func(schema.Key)) (string, error)
	// MaxBytes is how large the data of one message may be.
	MaxBytes() int
	// Keep stores the bytes of an event that no message can carry, and returns
	// where.
	Keep(ctx context.Context, name string, data []byte) (string, error)
}

// A FullError is what a publisher returns whose broker has no room.
type FullError struct{ Err error }

func (e *FullError) Error() string { return e.Err.Error() }
func (e *FullError) Unwrap() error { return e.Err }

// Full tells the lane that waiting for room is what helps.
func (e *FullError) Full() bool { return true }

// Names of the headers of a message. Those with a dash before the name are
// CloudEvents attributes in the binary mode of the NATS binding.
const (
	HeaderLane   = "skopeflow-lane"
	HeaderReplay = "replay"
	HeaderID     = "ce-id"
	HeaderRaw    = "skopeflow-raw"
)

// Type is the CloudEvents type of an artifact; it changes with the schema's
// major version.
const Type = "skopeflow.artifact.v1"

// Subject returns where an artifact is published: five parts after the prefix,
// made of configuration and of names from closed sets.
func Subject(prefix string, m *Message) string {
	return prefix + "." + schema.SubjectToken(m.Tenant) + ".netskope." + schema.SubjectToken(m.Dataset) + "." + schema.SubjectToken(m.Subtype)
}
