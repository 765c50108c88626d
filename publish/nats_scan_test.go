package publish_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skopeflow/skopeflow/internal/natsrun/natstest"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/publish/publishtest"
	"github.com/skopeflow/skopeflow/schema"
)

// A consumer that is behind was made on a replica that has not got the stream's
// messages yet.
type (
	behind         struct{ jetstream.JetStream }
	behindStream   struct{ jetstream.Stream }
	behindConsumer struct{ jetstream.Consumer }
)

func (b behind) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := b.JetStream.Stream(ctx, name)
	return behindStream{s}, err
}

func (b behindStream) CreateConsumer(ctx context.Context, c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := b.Stream.CreateConsumer(ctx, c)
	return behindConsumer{consumer}, err
}

func (b behindConsumer) CachedInfo() *jetstream.ConsumerInfo {
	info := *b.Consumer.CachedInfo()
	info.NumPending = 0
	return &info
}

func TestScanFindsEverythingByAConsumerThatIsBehind(t *testing.T) {
	js, _ := natstest.JetStream(t)
	n, err := publish.OpenNATS(t.Context(), behind{js}, config())
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, n, publishtest.Batch(lane, 0, 700))
	found := 0
	if _, err := n.Scan(t.Context(), lane, "", func(schema.Key) { found++ }); err != nil || found != 700 {
		t.Errorf("scan found %d ids, %v, want 700", found, err)
	}
}
