// Package checkpoint keeps a lane's place, and says whose it is.
//
// A [Cursor] says where a lane stands: what it has settled, where the broker
// stood at that moment, and which claim it acts under. A [Store] keeps one
// cursor a lane and changes it by compare-and-swap only, so that of two
// processes that believe they own a lane at most one can move it.
//
// The package promises that a cursor whose Save returned nil is read back by
// every later Load. It does not know when a cursor may move: that a page is
// settled first is package ingest's promise.
//
// [Leases] keep replicas from running one lane at the same time, and show them
// who else is there; [Share] says which lane is whose. Leases are for order, and
// not for safety, which is the cursor's compare-and-swap alone.
package checkpoint

import (
	"context"
	"errors"
	"time"
)

// Version is the version of the cursor's encoding. A cursor of a newer version
// is refused by Load: an older program must not shorten what it cannot read. It
// is raised for a field without which the rest is misread, and not for one whose
// absence is the cautious case: a program that does not know Released waits when
// it need not, and one that does not know Reached or Replay stores some artifacts
// of a rewound lane twice, with the same ids, or sends them without the mark.
const Version = 1

// A Cursor says where a lane stands.
type Cursor struct {
	Version int `json:"version"`

	// Epoch counts the claims made on the lane. Owner names the process that
	// made the last one. What was saved under an older epoch cannot be saved
	// again, since each claim changes the cursor's revision.
	Epoch uint64 `json:"epoch"`
	Owner string `json:"owner"`

	// Mode is the API family the lane reads by, as "dataexport" or "data".
	// Empty until the lane has found out.
	Mode string `json:"mode,omitempty"`
	// Index is the name under which Netskope keeps its side of the position.
	Index string `json:"index,omitempty"`

	// Start is where the lane began: what NETSKOPE_START meant on the day the
	// lane was first claimed.
	Start time.Time `json:"start"`
	// Page counts the pages settled. While it is zero nothing is, and the lane
	// asks for Start again and again.
	Page uint64 `json:"page"`
	// Events is how many events the last settled page held.
	Events int `json:"events"`
	// HWM is Netskope's high-water mark at the last settled page.
	HWM time.Time `json:"hwm,omitzero"`
	// Through is the end of the last settled window of insertion time, where
	// the lane reads by windows.
	Through time.Time `json:"through,omitzero"`

	// Mark is the broker's position at the last settle, in the broker's own
	// notation. ScanFrom is its position before the oldest page that Netskope
	// may be asked for again was published: what this lane stored after it are
	// the ids that must not be stored twice.
	Mark     string `json:"mark,omitempty"`
	ScanFrom string `json:"scan_from,omitempty"`

	// Released is set when the owner has stopped, and no request of its is alive.
	// The next owner then need not wait until one that is can do no harm.
	Released bool `json:"released,omitempty"`

	// Reached is how far a lane had come when it was rewound. What it reads up to
	// there may be stored already, so until it is past it no id that the broker
	// holds may be forgotten, and ScanFrom stays as it is.
	Reached time.Time `json:"reached,omitzero"`
	// Replay is set while a rewound lane sends again what is stored already,
	// marked as a replay.
	Replay bool `json:"replay,omitempty"`

	Saved time.Time `json:"saved"`
}

// ErrConflict is what Save returns when the cursor is not at the revision the
// caller read: somebody else has claimed the lane.
var ErrConflict = errors.New("cursor was changed by another process")

// A Store keeps cursors.
type Store interface {
	// Load returns a lane's cursor and its revision. A lane that has none gets
	// the zero Cursor and revision 0.
	Load(ctx context.Context, lane string) (Cursor, uint64, error)
	// Save replaces the cursor read at revision and returns its new revision.
	// Nil means that the cursor survives a crash of this process and of the
	// store. ErrConflict means that nothing was changed; any other error, that
	// the cursor may or may not have been changed and must be loaded again.
	Save(ctx context.Context, lane string, c Cursor, revision uint64) (uint64, error)
}
