package checkpoint

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// LeaseBucket is the KV bucket in which replicas meet: lane.<lane> is held by
// the replica that runs the lane, member.<id> says that a replica lives. Each
// key expires unless it is renewed.
const LeaseBucket = "skopeflow_leases"

const (
	lanePrefix   = "lane."
	memberPrefix = "member."

	// markerTTL is how long the bucket tells that a key went. A watcher that was
	// away for longer finds out when it lists the bucket again.
	markerTTL = time.Minute
	// resolveTimeout bounds the look at a key of which a write had no answer.
	resolveTimeout = 2 * time.Second
)

var (
	// ErrHeld is what Take returns while another term holds the lease.
	ErrHeld = errors.New("lease is held")
	// ErrLost says that a term of a lease is over: it expired, or another holds
	// the lease. It is also the cause with which the context of Keep ends.
	ErrLost = errors.New("lease is lost")
)

// Leases make one replica at a time run a lane, and let replicas see each
// other. A lease keeps replicas out of each other's way and no more: a process
// that was stopped for longer than the lease lasts does not know that it lost
// it. What keeps such a process from doing harm is the compare-and-swap of the
// cursor.
type Leases struct {
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	ttl    time.Duration
	relist time.Duration // how often a watch begins anew
}

// OpenLeases opens the bucket, and creates it with that many replicas if it is
// not there. The server counts a TTL in whole seconds, so ttl is cut to them,
// and must be a second or longer.
func OpenLeases(ctx context.Context, js jetstream.JetStream, replicas int, ttl time.Duration) (*Leases, error) {
	if ttl = ttl.Truncate(time.Second); ttl < time.Second {
		return nil, errors.New("open leases: the server counts their time in whole seconds; let them last 1s or longer")
	}
	bucket, err := js.KeyValue(ctx, LeaseBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = createLeases(ctx, js, replicas)
	}
	if err != nil {
		return nil, fmt.Errorf("open KV bucket %s: %w", LeaseBucket, err)
	}
	return &Leases{js: js, bucket: bucket, ttl: ttl, relist: 30 * time.Second}, nil
}

// createLeases makes the bucket as a stream, which is what a bucket is. It
// differs in one thing from what CreateKeyValue makes: without AllowDirect a key
// is read from the stream's leader, while any replica may answer a direct get,
// and one that lags would say that a lease just taken is not there.
//
// The bucket is on disk. In memory its revisions would begin at 1 again when the
// server starts anew, and the compare-and-swap of a replica that still believes
// in its lease could hit the revision of another's.
func createLeases(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.KeyValue, error) {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name:                   "KV_" + LeaseBucket,
		Description:            "Skopeflow: which replicas live, and which runs each lane",
		Subjects:               []string{"$KV." + LeaseBucket + ".>"},
		MaxMsgsPerSubject:      1, // an older value must not come back when the last one expires
		Storage:                jetstream.FileStorage,
		Replicas:               replicas,
		AllowRollup:            true,
		DenyDelete:             true,
		Discard:                jetstream.DiscardNew,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: markerTTL,
	})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, err
	}
	return js.KeyValue(ctx, LeaseBucket)
}

// TTL returns how long a lease lasts that is not renewed.
func (l *Leases) TTL() time.Duration { return l.ttl }

// put writes a key so that it expires. KV's own Update cannot: it has no TTL, and
// so takes from the key the one it had.
func (l *Leases) put(ctx context.Context, key string, value []byte, opts ...jetstream.PublishOpt) (uint64, error) {
	msg := nats.NewMsg("$KV." + LeaseBucket + "." + key)
	msg.Data = value
	ack, err := l.js.PublishMsg(ctx, msg, append(opts, jetstream.WithMsgTTL(l.ttl))...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// A tenure is the value of a lease's key. Its term is one of its own for each
// Take, so that a process knows its key from that of an earlier term of its own.
type tenure struct {
	Owner string `json:"owner"`
	Term  string `json:"term"`
}

// A Lease is one term of a lane's lease. Its methods may be called from several
// goroutines.
type Lease struct {
	in    *Leases
	lane  string
	owner string
	term  string
	value []byte

	turn     sync.Mutex // one request at a time; guards revision
	revision uint64
	sent     atomic.Pointer[time.Time] // just before the last request that was granted
}

// Take takes the lease of a lane for owner, and returns ErrHeld, with the name
// of who has it, if it is not free. After any other error the lease may be taken
// all the same, and then nobody has it until it expires.
func (l *Leases) Take(ctx context.Context, lane, owner string) (*Lease, error) {
	t := &Lease{in: l, lane: lane, owner: owner, term: rand.Text()}
	var err error
	if t.value, err = json.Marshal(tenure{owner, t.term}); err != nil {
		return nil, fmt.Errorf("take lease of %s: %w", lane, err)
	}
	sent := time.Now()
	t.sent.Store(&sent)
	if t.revision, err = l.bucket.Create(ctx, t.key(), t.value, jetstream.KeyTTL(l.ttl)); err == nil {
		return t, nil
	}
	holder, revision, unread := t.read(ctx)
	switch {
	case unread == nil && holder.Term == t.term: // only the answer was lost
		t.revision = revision
		return t, nil
	case errors.Is(err, jetstream.ErrKeyExists):
		return nil, fmt.Errorf("take lease of %s: %w by %q", lane, ErrHeld, holder.Owner)
	}
	return nil, fmt.Errorf("take lease of %s: %w", lane, err)
}

func (t *Lease) key() string { return lanePrefix + t.lane }

// read returns who holds the lease; nobody is the zero tenure. It is asked when
// a write had no clear answer, often since ctx is over, so it has its own time.
func (t *Lease) read(ctx context.Context) (tenure, uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTimeout)
	defer cancel()
	entry, err := t.in.bucket.Get(ctx, t.key())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return tenure{}, 0, nil
	}
	if err != nil {
		return tenure{}, 0, err
	}
	var holder tenure
	err = json.Unmarshal(entry.Value(), &holder)
	return holder, entry.Revision(), err
}

// swap makes a write on condition that the key is at the revision it is given.
// Where that is refused, an earlier write of this term whose answer was lost may
// be why, and then it is made on top of that one.
func (t *Lease) swap(ctx context.Context, write func(revision uint64) error) error {
	err := write(t.revision)
	if !refused(err) {
		return err
	}
	holder, revision, unread := t.read(ctx)
	switch {
	case unread != nil:
		return errors.Join(err, unread)
	case holder.Term != t.term:
		return ErrLost
	}
	t.revision = revision
	return write(revision)
}

// Renew makes the lease last for its TTL again, from now on. ErrLost means that
// this term is over. After any other error the lease is what it was: it lasts
// until its deadline, and may be renewed again.
func (t *Lease) Renew(ctx context.Context) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	sent := time.Now()
	err := t.swap(ctx, func(revision uint64) error {
		renewed, err := t.in.put(ctx, t.key(), t.value, jetstream.WithExpectLastSequencePerSubject(revision))
		if err == nil {
			t.revision = renewed
			t.sent.Store(&sent)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("renew lease of %s: %w", t.lane, err)
	}
	return nil
}

// Release gives the lease back, so that another replica can take it at once.
// ErrLost means that it was not this term's any more.
func (t *Lease) Release(ctx context.Context) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	err := t.swap(ctx, func(revision uint64) error {
		return t.in.bucket.Purge(ctx, t.key(), jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL))
	})
	if err != nil {
		return fmt.Errorf("release lease of %s: %w", t.lane, err)
	}
	return nil
}

// Deadline returns until when the lease surely holds: the TTL from the moment
// before the last granted request was sent, less a twentieth, by which the two
// clocks may run apart. It is read by the monotonic clock, so it does not move
// with the wall clock of this process; a server whose own clock is set forward
// ends leases early.
func (t *Lease) Deadline() time.Time { return t.sent.Load().Add(t.in.ttl - t.in.ttl/20) }

// refused reports whether the server did not write since the key is at another
// revision, or since an earlier write of the key is still in flight, which a
// replicated bucket says with a code of its own.
func refused(err error) bool {
	var api *jetstream.APIError
	return wrongRevision(err) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}
