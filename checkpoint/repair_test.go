package checkpoint_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

func at(minute int) time.Time {
	return time.Unix(1767225600, 0).UTC().Add(time.Duration(minute) * time.Minute)
}

func mend(t *testing.T, kv *checkpoint.KV, r checkpoint.Repair) {
	t.Helper()
	if err := kv.Mend(t.Context(), lane, r); err != nil {
		t.Fatal(err)
	}
}

func repair(t *testing.T, kv *checkpoint.KV) (checkpoint.Repair, uint64) {
	t.Helper()
	r, revision, err := kv.Repair(t.Context(), lane)
	if err != nil {
		t.Fatal(err)
	}
	return r, revision
}

func TestRepairsOfALaneBecomeOne(t *testing.T) {
	first := checkpoint.Repair{From: at(10), To: at(20), Due: at(35), ScanFrom: "10", Reasons: []string{"one"}, Epoch: 3}
	tests := []struct {
		name       string
		then, want checkpoint.Repair
	}{
		{"a later one",
			checkpoint.Repair{From: at(15), To: at(30), Due: at(45), ScanFrom: "15", Reasons: []string{"two"}, Epoch: 4},
			checkpoint.Repair{From: at(10), To: at(30), Due: at(45), ScanFrom: "10", Reasons: []string{"one", "two"}, Epoch: 4}},
		{"an earlier one",
			checkpoint.Repair{From: at(5), To: at(12), Due: at(30), ScanFrom: "5", Reasons: []string{"two"}, Epoch: 2},
			checkpoint.Repair{From: at(5), To: at(20), Due: at(35), ScanFrom: "5", Reasons: []string{"one", "two"}, Epoch: 3}},
		{"one that does not know where to scan from",
			checkpoint.Repair{From: at(15), To: at(16), Due: at(31)},
			checkpoint.Repair{From: at(10), To: at(20), Due: at(35), Reasons: []string{"one"}, Epoch: 3}},
		{"the same", first, first},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kv, _ := openKV(t)
			mend(t, kv, first)
			mend(t, kv, tt.then)
			if got, _ := repair(t, kv); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Repair = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRepairKeepsTheLastReasons(t *testing.T) {
	kv, _ := openKV(t)
	var want []string
	for i := range 11 {
		reason := fmt.Sprintf("reason %d", i)
		mend(t, kv, checkpoint.Repair{Reasons: []string{reason, reason}})
		want = append(want, reason)
	}
	if r, _ := repair(t, kv); !slices.Equal(r.Reasons, want[3:]) {
		t.Errorf("reasons = %q, want the last 8", r.Reasons)
	}
}

func TestNoneOfManyMendersIsForgotten(t *testing.T) {
	kv, _ := openKV(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := checkpoint.Repair{From: at(-i), To: at(i), Due: at(i), Reasons: []string{fmt.Sprint(i)}}
			if err := kv.Mend(t.Context(), lane, r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, _ := repair(t, kv)
	slices.Sort(r.Reasons)
	if got := strings.Join(r.Reasons, ""); got != "01234567" || !r.From.Equal(at(-7)) || !r.To.Equal(at(7)) {
		t.Errorf("Repair = %+v, want all eight in it", r)
	}
}

func TestRepairThatGrewIsNotTakenAway(t *testing.T) {
	kv, _ := openKV(t)
	mend(t, kv, checkpoint.Repair{From: at(1), To: at(2)})
	_, revision := repair(t, kv)
	mend(t, kv, checkpoint.Repair{From: at(1), To: at(2)})
	for _, stale := range []uint64{0, revision} {
		if err := kv.Mended(t.Context(), lane, stale); !errors.Is(err, checkpoint.ErrConflict) {
			t.Errorf("Mended at revision %d = %v, want ErrConflict", stale, err)
		}
	}
	_, revision = repair(t, kv)
	if err := kv.Mended(t.Context(), lane, revision); err != nil {
		t.Fatal(err)
	}
	if r, revision := repair(t, kv); revision != 0 || !reflect.DeepEqual(r, checkpoint.Repair{}) {
		t.Errorf("after Mended the repair is %+v at %d, want none", r, revision)
	}
	if err := kv.Mended(t.Context(), lane, revision); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("Mended twice = %v, want ErrConflict", err)
	}
	mend(t, kv, checkpoint.Repair{From: at(3), To: at(4)})
	if r, _ := repair(t, kv); !r.From.Equal(at(3)) {
		t.Errorf("a repair after one that is done is %+v, want from minute 3", r)
	}
}

func TestRepairsListsThoseThatStand(t *testing.T) {
	kv, _ := openKV(t)
	for _, name := range []string{"a", "b", "c"} {
		if err := kv.Mend(t.Context(), name, checkpoint.Repair{To: at(1)}); err != nil {
			t.Fatal(err)
		}
	}
	_, revision, err := kv.Repair(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Mended(t.Context(), "b", revision); err != nil {
		t.Fatal(err)
	}
	all, err := kv.Repairs(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("Repairs = %+v, %v, want two", all, err)
	}
	for _, r := range all {
		if r.Lane == "b" || r.Revision == 0 || !r.To.Equal(at(1)) {
			t.Errorf("Repairs has %+v", r)
		}
	}
}

func TestForgottenCursorCanBeSavedAnew(t *testing.T) {
	kv, _ := openKV(t)
	const job = "acme.events.page.mend-1"
	if err := kv.Forget(t.Context(), job); err != nil {
		t.Errorf("forget a cursor that is not there: %v", err)
	}
	for range 2 {
		if _, err := kv.Save(t.Context(), job, checkpoint.Cursor{Page: 1}, 0); err != nil {
			t.Fatalf("save at revision 0: %v", err)
		}
		if err := kv.Forget(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if c, revision, err := kv.Load(t.Context(), job); err != nil || revision != 0 || c.Page != 0 {
			t.Errorf("loaded %+v at %d, %v", c, revision, err)
		}
	}
}
