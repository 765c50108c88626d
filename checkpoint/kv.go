package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the KV bucket that holds the cursors, a key per lane. It keeps the
// last 64 revisions of each, so that an operator can see how a lane moved.
const Bucket = "skopeflow_cursors"

const history = 64

// A KV is a Store in a NATS KV bucket. Two more buckets hold the repairs that
// lanes need, and snapshots of the cursors from further back than the 64
// revisions reach.
type KV struct {
	// Log, if set, is told of a snapshot that could not be kept.
	Log *slog.Logger

	js      jetstream.JetStream
	bucket  jetstream.KeyValue
	repairs jetstream.KeyValue
	hours   *hours
}

// OpenKV opens the buckets, and creates those that are not there with that many
// replicas.
func OpenKV(ctx context.Context, js jetstream.JetStream, replicas int) (*KV, error) {
	var opened [3]jetstream.KeyValue
	for i, c := range []jetstream.KeyValueConfig{
		{Bucket: Bucket, Description: "Skopeflow: where each lane stands", History: history},
		{Bucket: RepairBucket, Description: "Skopeflow: what each lane is to read once more"},
		{Bucket: HourBucket, Description: "Skopeflow: where each lane stood, hour by hour", TTL: hoursKept},
	} {
		bucket, err := js.KeyValue(ctx, c.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			c.Storage, c.Replicas = jetstream.FileStorage, replicas
			bucket, err = js.CreateKeyValue(ctx, c)
		}
		if err != nil {
			return nil, fmt.Errorf("open KV bucket %s: %w", c.Bucket, err)
		}
		opened[i] = bucket
	}
	return &KV{js: js, bucket: opened[0], repairs: opened[1], hours: &hours{KeyValue: opened[2], taken: map[string]string{}}}, nil
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

// Save implements [Store]. Of each hour the first cursor saved is also kept as its
// snapshot; what becomes of that changes nothing for the caller but half a second.
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
	if err := s.hours.snap(ctx, lane, snapshot{saved, c}, time.Now()); err != nil && s.Log != nil {
		s.Log.WarnContext(ctx, "a cursor's snapshot of the hour is missing, and is tried again with the next save", "error", err)
	}
	return saved, nil
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
