// Package publish puts artifacts where consumers subscribe, and waits until
// they are stored.
//
// A [Publisher] promises that a Publish which returns nil has every message of
// the batch stored by the broker, durably as the broker understands it. After
// an error some, all or none may be stored, and the caller is bound to find out
// with Scan before it publishes the same again. No id stands in a header that a
// broker would act on: recognising what is stored already is the caller's work.
//
// Claim makes one owner at a time the one who stores a lane's artifacts. It
// returns a fence, and once a later claim stands, a batch that carries the
// earlier fence is refused with a [*FencedError]: an owner that was suspended
// and wakes up late stores nothing beyond what was stored when it was
// overtaken, however long it slept and whatever its clock says. The fence
// guards the artifacts of batches that carry it, neither dead letters nor what
// Keep stores, nor what is asked of the vendor.
//
// Missing is for the case that a broker loses what it has acknowledged, as when
// its disk is restored from a backup. A position that Mark returned before is
// the witness.
package publish

import (
	"context"
	"fmt"
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

	Fence string // of the claim under which the page was read; "" is unfenced
	Claim string // the lane that was claimed, where it is not Lane

	// Header is put on every message beside the artifact's own headers, as the
	// trace context is.
	Header map[string]string
}

// A Claim says who stores the artifacts of a lane. The higher epoch wins.
type Claim struct {
	Lane  string    `json:"lane"`
	Epoch uint64    `json:"epoch"`
	Owner string    `json:"owner"`
	HWM   time.Time `json:"hwm,omitzero"` // the vendor's high-water mark as the owner knew it
	At    time.Time `json:"at"`           // when it was made, by the owner's clock
}

// A Publisher stores batches at a broker.
type Publisher interface {
	// Publish stores the batch. Nil means that all of it is stored. It fails with
	// a [*FencedError] if the batch's fence has been overtaken.
	Publish(ctx context.Context, b *Batch) error
	// Claim makes the claim stand in place of one of a lower epoch, and returns
	// the fence for the batches published under it. It fails with a
	// [*ClaimedError] if one of a higher epoch stands, or one of the same epoch
	// and another owner. The claim that stands already is made again as it was.
	Claim(ctx context.Context, c Claim) (fence string, err error)
	// Missing tells in a sentence if the broker has lost something of what it had
	// stored at the position mark, which was taken at the time at; "" if it has
	// not, or if it cannot be told. The empty position is never missing.
	Missing(ctx context.Context, mark string, at time.Time) (why string, err error)
	// Mark returns the broker's present position. It fails while the broker
	// cannot take new messages, with a [*FullError] if that is for want of room.
	Mark(ctx context.Context) (string, error)
	// Scan calls known with the key of each artifact that the lane stored after
	// the position from, and returns the position up to which it read. The
	// empty position is the beginning, and so is one that the broker cannot have
	// returned since it was set up. It fails as Mark does.
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

// A FencedError is what a batch gets whose fence has been overtaken. The claim
// was lost to another owner, or by somebody who removed it from the broker.
type FencedError struct {
	Lane string // the lane that was claimed
	Err  error
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("the claim on lane %s, under which the page was read, does not stand any more: another skopeflow has claimed the lane, or the claim was removed from the broker: %v", e.Lane, e.Err)
}
func (e *FencedError) Unwrap() error { return e.Err }

// Fenced tells the lane that claiming again is what helps.
func (e *FencedError) Fenced() bool { return true }

// A ClaimedError is what a claim gets that comes too late.
type ClaimedError struct{ Claim Claim }

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("lane %s is claimed by %s, with epoch %d since %s", e.Claim.Lane, e.Claim.Owner, e.Claim.Epoch, e.Claim.At.UTC().Format(time.RFC3339))
}

// Standing returns the claim that stands.
func (e *ClaimedError) Standing() Claim { return e.Claim }

// ClaimedBy returns of the claim that stands what a lane needs to know.
func (e *ClaimedError) ClaimedBy() (owner string, epoch uint64, hwm time.Time) {
	return e.Claim.Owner, e.Claim.Epoch, e.Claim.HWM
}

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
