package normalize

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

const (
	defaultLate = 30 * 24 * time.Hour
	early       = time.Hour
	lastTime    = 253402300799999 // of year 9999, in milliseconds: there is no RFC 3339 text for a later one
)

// instant takes a time in any of the ways that Netskope writes one. 0 and negative numbers are none.
func instant(keys ...string) line { return convert("time", asTime, keys) }

func asTime(_ *Mapper, _ *schema.Artifact, v *member) (schema.Time, problem) {
	if v.kind != jsonscan.Number && v.kind != jsonscan.String {
		return 0, "not a time"
	}
	return parseTime(v.text)
}

// eventTime sets time, time_raw and time_precision. A time that is too far from the time of collection to be true
// is replaced by it, with a warning.
func eventTime(keys ...string) line {
	return line{rule: "event time", keys: keys, bind: func(string) applyFunc { return applyEventTime }}
}

func applyEventTime(m *Mapper, a *schema.Artifact, s *step) {
	first(m, a, s, func(a *schema.Artifact) *schema.Time { return &a.Time }, func(m *Mapper, a *schema.Artifact, v *member) (schema.Time, problem) {
		t, problem := asTime(m, a, v)
		if problem == fits {
			a.TimeRaw = v.text
		}
		return t, problem
	})
	late := m.env.Late
	if late == 0 {
		late = defaultLate
	}
	switch {
	case a.Time == 0:
		a.Warnings = append(a.Warnings, "time: missing")
		a.Time = a.CollectedTime
	case a.Time < a.CollectedTime-schema.Time(late.Milliseconds()), a.Time > a.CollectedTime+schema.Time(early.Milliseconds()):
		a.Warnings = append(a.Warnings, "time: too far from the time of collection '"+shortened(a.TimeRaw)+"'")
		a.Time = a.CollectedTime
	}
	a.TimePrecision = "s"
	if a.Time%1000 != 0 {
		a.TimePrecision = "ms"
	}
}

// parseTime reads a number of seconds, milli-, micro- or nanoseconds since 1970, told apart by its size, or an ISO 8601 text.
func parseTime(s string) (schema.Time, problem) {
	if t, ok := parseISO(s); ok {
		switch {
		case t <= 0:
			return 0, empty
		case t > lastTime:
			return 0, "not a time"
		}
		return t, fits
	}
	if n, ok := digits(s); ok {
		return scaled(n)
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f >= math.MaxInt64:
		return 0, "not a time"
	case f <= 0:
		return 0, empty
	case f < 1e11:
		return schema.Time(math.Round(f * 1000)), fits
	}
	return scaled(int64(f))
}

func scaled(n int64) (schema.Time, problem) {
	switch {
	case n <= 0:
		return 0, empty
	case n < 1e11:
		return schema.Time(n * 1000), fits
	case n < 1e14:
		return schema.Time(n), fits
	case n < 1e17:
		return schema.Time(n / 1000), fits
	}
	return schema.Time(n / 1e6), fits
}

// parseISO reads 2006-01-02, with a time of day after a T or a space, with a fraction, with Z or an offset. Without an offset it is UTC.
func parseISO(s string) (schema.Time, bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	year, ok1 := digits(s[:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	date := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if date.Day() != int(day) {
		return 0, false
	}
	ms := date.UnixMilli()
	if len(s) == 10 {
		return schema.Time(ms), true
	}
	clock, ok := parseClock(s[10:])
	return schema.Time(ms + clock), ok
}

// parseClock reads T15:04:05.999Z and its variants as milliseconds since midnight UTC.
func parseClock(s string) (int64, bool) {
	if len(s) < 9 || (s[0] != 'T' && s[0] != ' ') || s[3] != ':' || s[6] != ':' {
		return 0, false
	}
	hour, ok1 := digits(s[1:3])
	minute, ok2 := digits(s[4:6])
	second, ok3 := digits(s[7:9])
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	ms := ((hour*60+minute)*60 + second) * 1000
	s = s[9:]
	if strings.HasPrefix(s, ".") {
		end := 1
		for end < len(s) && s[end]-'0' <= 9 {
			end++
		}
		if end == 1 {
			return 0, false
		}
		f, _ := digits((s[1:end] + "000")[:3])
		ms += f
		s = s[end:]
	}
	offset, ok := parseOffset(s)
	return ms - offset, ok
}

// parseOffset reads Z, +07:00, +0700, or nothing, as milliseconds.
func parseOffset(s string) (int64, bool) {
	if s == "" || s == "Z" || s == "z" || s == " UTC" {
		return 0, true
	}
	sign := int64(1)
	switch s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	s = s[1:]
	if len(s) == 5 && s[2] == ':' {
		s = s[:2] + s[3:]
	}
	if len(s) != 4 {
		return 0, false
	}
	n, ok := digits(s)
	if !ok || n < 0 || n%100 > 59 || n/100 > 14 {
		return 0, false
	}
	return sign * (n/100*60 + n%100) * 60_000, true
}

// connectionDuration settles the unit of conn_duration, which is documented as milliseconds and comes in seconds: where both
// ends of the connection are known, they tell.
func connectionDuration(m *Mapper, a *schema.Artifact) {
	length := int64(a.EndTime - a.StartTime)
	if a.StartTime != 0 && a.EndTime != 0 && a.DurationMS != 0 && a.DurationMS == length/1000 {
		a.DurationMS = length
	}
}
