package pipeline

import (
	"context"
	"time"

	"github.com/skopeflow/skopeflow/publish"
)

// A Broker is a publisher as a lane sees it.
type Broker struct{ publish.Publisher }

// Claim implements [ingest.Broker].
func (b Broker) Claim(ctx context.Context, lane, owner string, epoch uint64, hwm time.Time) (string, error) {
	return b.Publisher.Claim(ctx, publish.Claim{Lane: lane, Epoch: epoch, Owner: owner, HWM: hwm, At: time.Now().UTC()})
}
