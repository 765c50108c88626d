// Package ingest reads a vendor's streams without losing its place.
//
// A [Lane] owns one stream of one instance. It asks its [Source] for a page,
// cuts the events into parts as they arrive, and sends the parts down a
// channel. Whoever takes a part calls [Part.Done] when each of its events is
// stored, or with the error that kept them from being stored. When no part of
// the page is on its way any more, and all of them were stored, the page is
// settled; the lane saves its cursor, and only then asks for the next page.
// There is no other path by which a cursor moves.
//
// A page is therefore handed over at least once. A crash, a lost reply or a
// refused publish brings the same page again; the lane remembers the ids that
// the broker already holds, from its own publishing or from reading the broker
// after a start, and [Page.Admit] leaves them out.
//
// The package knows no vendor and no broker. Words used throughout: an
// instance is a tenant of the vendor, a stream one feed of it, a lane is both
// together, a page is what one request returned, a part is a slice of a page.
package ingest

import (
	"context"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/schema"
)

// LaneName returns the name of the lane that reads a stream of an instance:
// "acme" and "events/page" make "acme.events.page". It is the key of the
// cursor and the value of the header skopeflow-lane.
func LaneName(instance, stream string) string {
	return instance + "." + strings.ReplaceAll(stream, "/", ".")
}

// A Source asks a vendor for pages of one stream.
type Source interface {
	// Fetch makes one request and hands each event, as the vendor sent it, to
	// emit while the rest is still on the wire. The bytes are valid only during
	// the call. An error of emit ends the fetch and is returned as it is; every
	// other failure is a [*Fault], and events may have been emitted before it.
	//
	// ctx ends a fetch that has made no request yet. One that was made goes on
	// for as long as the source's grace period: it may have moved the vendor's
	// side of the position, and its answer is the page.
	Fetch(ctx context.Context, req Request, emit func(event []byte) error) (Answer, error)
}

// A Way is how a lane's stream is read.
type Way struct {
	Mode    string // the API family, as "dataexport"
	Index   string // the name by which the vendor keeps its side of the position, if it does
	Windows bool   // the source is asked for windows of insertion time, not for pages of an index
	Source  Source
}

// An Op is what a request asks for.
type Op string

// The operations. Next is the only one that cannot be repeated: the vendor
// moves its side of the position before the lane has seen the page.
const (
	OpStart  Op = "start"  // the first page at or after Request.From
	OpNext   Op = "next"   // the page after the last one
	OpResend Op = "resend" // the last page again
	OpWindow Op = "window" // everything stored from Request.From to Request.To, both included
)

// A Request says what to ask for.
type Request struct {
	Op       Op
	From, To time.Time // whole seconds; see the operations
}

// An Answer is what came beside the events.
type Answer struct {
	HWM    time.Time     // how far the vendor has read; zero if it did not say
	Wait   time.Duration // how long the vendor asks to be left alone
	Server time.Time     // the vendor's clock; zero if it did not say
	Bytes  int64         // bytes of the body, as they came over the wire
}

// A Kind classifies what went wrong with a request by what it leaves in doubt.
type Kind string

// The kinds of fault.
const (
	Unsent    Kind = "unreachable"       // the request never left: nothing has happened at the vendor
	Lost      Kind = "no answer"         // the request left and no answer of the vendor came back: anything may have happened
	Broken    Kind = "broken answer"     // the answer began and broke off: the vendor has moved on
	Invalid   Kind = "invalid page"      // a complete answer that is not a page, or a 5xx
	Throttled Kind = "rate limited"      // refused for asking too often
	Conflict  Kind = "conflict"          // somebody else reads by the same name
	Denied    Kind = "not authenticated" // the token is refused
	Forbidden Kind = "not allowed"       // the token is not granted this stream
	Missing   Kind = "not available"     // the tenant has no such stream
	Refused   Kind = "refused"           // another 4xx
)

// A Fault is a request that did not return a page.
type Fault struct {
	Kind  Kind
	After time.Duration // how long the vendor asked to wait; zero if it did not
	Hint  string        // what a person can do about it, a sentence; may be empty
	Err   error         // what happened, without secrets
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// A Broker is what a lane asks of the place where artifacts are stored.
type Broker interface {
	// Claim makes owner the one who stores a lane's artifacts, and returns what
	// its pages carry as proof; what carries an older one is refused. hwm is the
	// vendor's high-water mark, kept with the claim. The error of a claim that
	// has been overtaken has a method ClaimedBy that tells by whom.
	Claim(ctx context.Context, lane, owner string, epoch uint64, hwm time.Time) (fence string, err error)
	// Missing tells in a sentence if the broker has lost something of what it had
	// acknowledged when it stood at mark; "" if not.
	Missing(ctx context.Context, mark string, at time.Time) (string, error)
	// Mark returns the broker's present position. It fails while the broker
	// cannot take new messages.
	Mark(ctx context.Context) (string, error)
	// Scan reads what the lane stored after the position from, calls known with
	// the key of each artifact, and returns the position up to which it read. It fails while the
	// broker cannot take new messages.
	Scan(ctx context.Context, lane, from string, known func(schema.Key)) (string, error)
}
