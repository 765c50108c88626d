package checkpoint_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skopeflow/skopeflow/checkpoint"
)

// polled is the cursor of an iterator's lane that has come to minute 60.
func polled() checkpoint.Cursor {
	return checkpoint.Cursor{
		Epoch: 4, Owner: "host-1", Mode: "dataexport", Index: "index", Start: at(0), Through: at(0),
		Page: 17, Events: 100, HWM: at(60), Mark: "90", ScanFrom: "80", Saved: at(61),
	}
}

// A replay sends again what was stored before it, so the broker is read from there on only.
func TestRewoundLaneBeginsAgainAtTheTime(t *testing.T) {
	for replay, scanFrom := range map[bool]string{true: "90", false: ""} {
		rewoundBeginsAgain(t, replay, scanFrom)
	}
}

func rewoundBeginsAgain(t *testing.T, replay bool, scanFrom string) {
	t.Helper()
	kv, _ := openKV(t)
	if _, err := kv.Save(t.Context(), lane, polled(), 0); err != nil {
		t.Fatal(err)
	}
	got, err := kv.Rewind(t.Context(), lane, at(30).In(time.FixedZone("", 3600)), replay, "cursors rewind by ann")
	if err != nil {
		t.Fatal(err)
	}
	want := checkpoint.Cursor{
		Version: checkpoint.Version, Epoch: 4, Owner: "cursors rewind by ann", Mode: "dataexport", Index: "index", Start: at(30), Through: at(30),
		Reached: at(60), Replay: replay, ScanFrom: scanFrom, Mark: "90", Saved: got.Saved,
	}
	if stored, _, err := kv.Load(t.Context(), lane); err != nil || stored != want || got != want {
		t.Errorf("Rewind = %+v\nLoad   = %+v, %v\nwant     %+v", got, stored, err, want)
	}
	if time.Since(got.Saved) > time.Minute {
		t.Errorf("it was saved at %v", got.Saved)
	}
}

func TestRunningLaneIsToldOfTheRewind(t *testing.T) {
	kv, _ := openKV(t)
	revision, err := kv.Save(t.Context(), lane, polled(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Rewind(t.Context(), lane, at(30), false, "ann"); err != nil {
		t.Fatal(err)
	}
	next := polled()
	next.Page++
	if _, err := kv.Save(t.Context(), lane, next, revision); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("Save of the lane that runs = %v, want ErrConflict", err)
	}
}

func TestRewoundFurtherTheLaneStillKnowsHowFarItHadCome(t *testing.T) {
	kv, _ := openKV(t)
	c := polled()
	c.Released = true
	if _, err := kv.Save(t.Context(), lane, c, 0); err != nil {
		t.Fatal(err)
	}
	for _, to := range []int{30, 10} {
		got, err := kv.Rewind(t.Context(), lane, at(to), false, "ann")
		if err != nil || !got.Start.Equal(at(to)) || !got.Reached.Equal(at(60)) || !got.Released {
			t.Errorf("Rewind to minute %d = %+v, %v, want it released, and minute 60 as reached", to, got, err)
		}
	}
}

func TestRewindIsRefusedWhereItWouldLeaveAGap(t *testing.T) {
	windows := polled()
	windows.HWM, windows.Through = time.Time{}, at(60)
	tests := []struct {
		name string
		c    checkpoint.Cursor
		to   time.Time
		want string // of the error; empty if it is granted
	}{
		{"to where it stands", polled(), at(60), ""},
		{"past where it stands", polled(), at(61), "is after"},
		{"of a lane that reads by windows", windows, at(60), ""},
		{"past the windows it has read", windows, at(61), "is after"},
		{"into the future", polled(), time.Now().Add(time.Hour), "is in the future"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kv, _ := openKV(t)
			if _, err := kv.Save(t.Context(), lane, tt.c, 0); err != nil {
				t.Fatal(err)
			}
			_, err := kv.Rewind(t.Context(), lane, tt.to, false, "ann")
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Rewind = %v, want %q", err, tt.want)
			}
			if c, _, _ := kv.Load(t.Context(), lane); (c.Page == 17) != (err != nil) {
				t.Errorf("after Rewind = %v the cursor is at page %d", err, c.Page)
			}
		})
	}
	kv, _ := openKV(t)
	if _, err := kv.Rewind(t.Context(), lane, at(0), false, "ann"); err == nil || !strings.Contains(err.Error(), "no cursor") {
		t.Errorf("Rewind of a lane that has not begun = %v, want a sentence", err)
	}
}
