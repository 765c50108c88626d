package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the KV bucket that holds the cursors, a key per lane. It keeps the
// last 64 revisions of each, so that an operator can see how a lane moved.
const Bucket = "skopeflow_cursors"

const history = 64

// A KV is a Store in a NATS KV bucket.
type KV struct {
	bucket jetstream.KeyValue
}

// OpenKV opens the bucket, and creates it with that many replicas if it is not
// there.
func OpenKV(ctx context.Context, js jetstream.JetStream, replicas int) (*KV, error) {
	bucket, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      Bucket,
			Description: "Skopeflow: where each lane stands",
			History:     history,
			Storage:     jetstream.FileStorage,
			Replicas:    replicas,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open KV bucket %s: %w", Bucket, err)
	}
	return &KV{bucket: bucket}, nil
}

// Load implements [Store].
func (s *KV) Load(ctx context.Context, lane string) (Cursor, uint64, error) {
	entry, err := s.bucket.Get(ctx, lane)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Cursor{}, 0, nil
	}
	if err != nil {
		return Cursor{}, 0, fmt.Errorf("read cursor of %s: %w", lane, err)
	}
	c, err := decode(lane, entry)
	return c, entry.Revision(), err
}

// Save implements [Store].
func (s *KV) Save(ctx context.Context, lane string, c Cursor, revision uint64) (uint64, error) {
	c.Version = Version
	value, err := json.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("encode cursor of %s: %w", lane, err)
	}
	// Update with revision 0 is refused where the key exists, as Create is,
	// but does not take a deleted key for a new one.
	saved, err := s.bucket.Update(ctx, lane, value, revision)
	if wrongRevision(err) {
		return 0, ErrConflict
	}
	if err != nil {
		return 0, fmt.Errorf("save cursor of %s: %w", lane, err)
	}
	return saved, nil
}

// A Revision is a cursor as it stood at some moment.
type Revision struct {
	Lane     string    `json:"lane"`
	Revision uint64    `json:"revision"`
	Created  time.Time `json:"created"`
	Cursor
}

// List returns the cursors of all lanes, in no order.
func (s *KV) List(ctx context.Context) ([]Revision, error) {
	w, err := s.bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list cursors: %w", err)
	}
	return collect(ctx, w)
}

// History returns what is kept of a lane's cursor, oldest first.
func (s *KV) History(ctx context.Context, lane string) ([]Revision, error) {
	w, err := s.bucket.Watch(ctx, lane, jetstream.IgnoreDeletes(), jetstream.IncludeHistory())
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", lane, err)
	}
	return collect(ctx, w)
}

// collect takes what a watcher has now, and ends it.
func collect(ctx context.Context, w jetstream.KeyWatcher) (_ []Revision, err error) {
	defer func() { err = errors.Join(err, w.Stop()) }()
	var all []Revision
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case entry := <-w.Updates():
			if entry == nil { // all that was there has been sent
				return all, nil
			}
			c, err := decode(entry.Key(), entry)
			if err != nil {
				return nil, err
			}
			all = append(all, Revision{Lane: entry.Key(), Revision: entry.Revision(), Created: entry.Created(), Cursor: c})
		}
	}
}

func decode(lane string, entry jetstream.KeyValueEntry) (Cursor, error) {
	var c Cursor
	if err := json.Unmarshal(entry.Value(), &c); err != nil {
		return Cursor{}, fmt.Errorf("read cursor of %s at revision %d: %w", lane, entry.Revision(), err)
	}
	if c.Version > Version {
		return Cursor{}, fmt.Errorf("cursor of %s is version %d, and this program knows %d: run the newer skopeflow", lane, c.Version, Version)
	}
	return c, nil
}

// wrongRevision reports whether the server refused a write because the key is at
// another revision. A replicated bucket also refuses with a code of its own
// while an earlier write is in flight; that says nothing of the revision.
func wrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
