package checkpoint

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A racingBucket is written to by another hand just before each write.
type racingBucket struct {
	jetstream.KeyValue
	other func()
}

func (b *racingBucket) race() {
	other := b.other
	b.other = func() {}
	other()
}

func (b *racingBucket) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error) {
	b.race()
	return b.KeyValue.Create(ctx, key, value, opts...)
}

func (b *racingBucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	b.race()
	return b.KeyValue.Put(ctx, key, value)
}

func TestFirstRepairOfTwoHandsIsForgottenByNeither(t *testing.T) {
	kv, _ := openKV(t)
	plain := *kv
	kv.repairs = &racingBucket{kv.repairs, func() {
		if err := plain.Mend(t.Context(), "lane", Repair{Reasons: []string{"theirs"}}); err != nil {
			t.Error(err)
		}
	}}
	if err := kv.Mend(t.Context(), "lane", Repair{Reasons: []string{"ours"}}); err != nil {
		t.Fatal(err)
	}
	if r, _, err := kv.Repair(t.Context(), "lane"); err != nil || len(r.Reasons) != 2 {
		t.Errorf("Repair = %+v, %v, want both reasons", r, err)
	}
}

func (b *racingBucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	b.race()
	return b.KeyValue.Update(ctx, key, value, revision)
}

func TestRewindWinsAgainstALaneThatSaves(t *testing.T) {
	kv, _ := openKV(t)
	hwm := time.Unix(1767225600, 0).UTC()
	revision, err := kv.Save(t.Context(), "lane", Cursor{Page: 1, HWM: hwm}, 0)
	if err != nil {
		t.Fatal(err)
	}
	plain := *kv
	kv.bucket = &racingBucket{kv.bucket, func() {
		if _, err := plain.Save(t.Context(), "lane", Cursor{Page: 2, HWM: hwm.Add(time.Hour)}, revision); err != nil {
			t.Error(err)
		}
	}}
	c, err := kv.Rewind(t.Context(), "lane", hwm, false, "ann")
	if err != nil || !c.Reached.Equal(hwm.Add(time.Hour)) {
		t.Errorf("Rewind = %+v, %v, want the cursor that was saved meanwhile rewound", c, err)
	}
}

func TestHourThatHasItsSnapshotIsNotAskedFor(t *testing.T) {
	kv, _ := openKV(t)
	hour := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	asked := 0
	for range 3 {
		kv.hours.KeyValue = &racingBucket{kv.hours.KeyValue, func() { asked++ }}
		if err := kv.hours.snap(t.Context(), "lane", snapshot{}, hour); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("the bucket was asked %d times for one hour, want 1", asked)
	}
}
