package checkpoint

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Forget removes a cursor with its history: that of a job which has ended. One
// that is not there is no error. A cursor of the same name can be saved again.
func (s *KV) Forget(ctx context.Context, lane string) error {
	stream, err := s.js.Stream(ctx, "KV_"+Bucket)
	if err == nil {
		// A purge of the key would leave a marker, which is a revision.
		err = stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+Bucket+"."+lane))
	}
	if err != nil {
		return fmt.Errorf("forget cursor of %s: %w", lane, err)
	}
	return nil
}
