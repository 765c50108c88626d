package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/ingest"
	"github.com/skopeflow/skopeflow/normalize"
)

// A view is what the template shows.
type view struct {
	Style    string
	Well     bool
	Headline string
	Lanes    []row
	Drift    []normalize.DriftCount
	Version  string
	Up       string
	Rendered instant
}

// A row is one lane, in words.
type row struct {
	ingest.Status
	Class   string // of the style sheet
	Mark    string // a sign that says the same as the colour
	Newest  instant
	Success instant
	Next    string
	Stored  string
	Dup     string
	Left    string
	Dead    string
}

// An instant is a time as the page shows it: how long ago, and exactly.
type instant struct{ Ago, UTC string }

func newView(c Config, statuses []ingest.Status, now time.Time) view {
	statuses = worstFirst(statuses)
	v := view{
		Headline: headline(statuses, now),
		Version:  c.Version,
		Up:       span(now.Sub(c.Started)),
		Rendered: at(now, now),
		Well:     len(statuses) > 0 && statuses[0].State.Well(),
	}
	for _, s := range statuses {
		v.Lanes = append(v.Lanes, newRow(s, now))
	}
	return v
}

func newRow(s ingest.Status, now time.Time) row {
	r := row{
		Status:  s,
		Newest:  at(s.HWM, now),
		Success: at(s.LastSuccess, now),
		Next:    "–",
		Stored:  grouped(s.Stored),
		Dup:     grouped(s.Duplicates),
		Left:    grouped(s.Filtered),
		Dead:    grouped(s.DeadLettered),
	}
	if s.NextTry.After(now) {
		r.Next = "in " + span(s.NextTry.Sub(now))
	}
	switch rank(s) {
	case needsYou:
		r.Class, r.Mark = "bad", "✗"
	case busy:
		r.Class, r.Mark = "busy", "…"
	case well:
		r.Class, r.Mark = "well", "✓"
	case off:
		r.Class, r.Mark = "off", "–"
	}
	return r
}

// The ranks of a lane, worst first.
const (
	needsYou = iota
	busy
	well
	off
)

func rank(s ingest.Status) int {
	switch {
	case !s.State.Well():
		return needsYou
	case s.State == ingest.Disabled:
		return off
	case s.State == ingest.CaughtUp:
		return well
	}
	return busy
}

// worstFirst sorts by rank, and by name within it: rows that keep their places
// can be read on a page that renews itself.
func worstFirst(statuses []ingest.Status) []ingest.Status {
	return slices.SortedFunc(slices.Values(statuses), func(a, b ingest.Status) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Lane, b.Lane))
	})
}

// headline says the whole in one sentence. statuses are sorted worst first.
func headline(statuses []ingest.Status, now time.Time) string {
	all := len(statuses)
	bad := 0
	for _, s := range statuses {
		if rank(s) == needsYou {
			bad++
		}
	}
	switch {
	case all == 0:
		return "There are no lanes"
	case bad == 1:
		return fmt.Sprintf("1 of %s needs you: %s", lanes(all), told(statuses[0]))
	case bad > 1:
		return fmt.Sprintf("%d of %s need you; the first: %s", bad, lanes(all), told(statuses[0]))
	}
	text := fmt.Sprintf("All %d lanes are well", all)
	if all == 1 {
		text = "The lane is well"
	}
	if oldest, ok := oldest(statuses, now); ok {
		text += "; oldest data " + span(oldest)
	}
	return text
}

func lanes(n int) string {
	if n == 1 {
		return "1 lane"
	}
	return fmt.Sprintf("%d lanes", n)
}

func told(s ingest.Status) string {
	return s.Instance + " / " + s.Stream + ": " + strings.TrimSuffix(s.Sentence(), ".")
}

// oldest returns the largest lag of the lanes that read.
func oldest(statuses []ingest.Status, now time.Time) (lag time.Duration, ok bool) {
	for _, s := range statuses {
		if s.State != ingest.Disabled && !s.HWM.IsZero() {
			lag, ok = max(lag, now.Sub(s.HWM)), true
		}
	}
	return lag, ok
}

func at(t, now time.Time) instant {
	if t.IsZero() {
		return instant{Ago: "never"}
	}
	return instant{Ago: span(now.Sub(t)) + " ago", UTC: t.UTC().Format("2006-01-02 15:04:05 UTC")}
}

// span writes a duration with its two largest units. Clocks differ, so less
// than nothing is nothing.
func span(d time.Duration) string {
	s := int64(max(d, 0).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// grouped writes a count with a thin space between thousands.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}
