package ingest

import (
	"fmt"
	"time"
)

// A Word is the state that a lane shows. A lane is always in one.
type Word string

// The states of a lane, as the page, `status`, logs and metrics show them.
const (
	Starting         Word = "starting"
	CaughtUp         Word = "caught up"
	CatchingUp       Word = "catching up"
	Waiting          Word = "waiting"
	TakingOver       Word = "taking over"
	Elsewhere        Word = "elsewhere"
	RateLimited      Word = "rate limited"
	NotAuthenticated Word = "not authenticated"
	NotAllowed       Word = "not allowed"
	NotAvailable     Word = "not available"
	Unreachable      Word = "unreachable"
	InConflict       Word = "conflict"
	Blocked          Word = "blocked"
	BrokerDown       Word = "broker down"
	BrokerFull       Word = "broker full"
	Disabled         Word = "disabled"
)

// Words lists all of them, for a metric that has one series for each.
var Words = []Word{
	Starting, CaughtUp, CatchingUp, Waiting, TakingOver, Elsewhere, RateLimited, NotAuthenticated, NotAllowed,
	NotAvailable, Unreachable, InConflict, Blocked, BrokerDown, BrokerFull, Disabled,
}

// Well reports whether a lane in this state needs nobody.
func (w Word) Well() bool {
	switch w {
	case Starting, CaughtUp, CatchingUp, Waiting, TakingOver, Elsewhere, Disabled:
		return true
	}
	return false
}

// A Status is a lane as it stands at one moment.
type Status struct {
	Lane     string `json:"lane"`
	Instance string `json:"instance"`
	Stream   string `json:"stream"`
	Mode     string `json:"mode,omitempty"`
	State    Word   `json:"state"`
	Why      string `json:"why,omitempty"`  // a sentence: what happened
	Hint     string `json:"hint,omitempty"` // a sentence: what to do about it

	Since       time.Time `json:"since"`                 // when the lane came into this state
	NextTry     time.Time `json:"next_try,omitzero"`     // when the wait ends, if it waits
	LastSuccess time.Time `json:"last_success,omitzero"` // when Netskope last answered with a page that was settled
	HWM         time.Time `json:"high_water_mark,omitzero"`
	Page        uint64    `json:"page"`

	Pages        uint64 `json:"pages"` // since the process started, as are the following
	Received     uint64 `json:"received"`
	Stored       uint64 `json:"stored"`
	Duplicates   uint64 `json:"duplicates"`
	Filtered     uint64 `json:"filtered"`
	DeadLettered uint64 `json:"dead_lettered"`
	Collisions   uint64 `json:"collisions"`
	Resends      uint64 `json:"resends"`
	Recovered    uint64 `json:"recovered"` // found missing, and stored, when it was read again
	Failures     uint64 `json:"failures"`
}

// Sentence says in words how the lane is and what to do.
func (s Status) Sentence() string {
	text := string(s.State)
	if s.Why != "" {
		text += ": " + s.Why
	}
	if s.Hint != "" {
		text = fmt.Sprintf("%s. %s", text, s.Hint)
	}
	return text
}
