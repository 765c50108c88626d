package main

import (
	"slices"
	"strings"
	"testing"
)

func TestStreamsExpand(t *testing.T) {
	var events, alerts []string
	for _, f := range feedNames() {
		switch {
		case strings.HasPrefix(f, "alerts/"):
			alerts = append(alerts, f)
		case f != "events/alert":
			events = append(events, f)
		}
	}
	for _, tt := range []struct {
		written string
		want    []string
		note    string
	}{
		{"alert,page", []string{"events/alert", "events/page"}, ""},
		{"events/alert,alert", []string{"events/alert"}, ""},
		{"alerts/dlp, ALERTS/malware", []string{"alerts/dlp", "alerts/malware"}, ""},
		{"alerts/*", alerts, ""},
		{"events/*", events, "events/* leaves out events/alert, so no alerts are collected"},
		{"alert,events/*", append([]string{"events/alert"}, events...), ""},
		{"events/*,alerts/dlp", append(slices.Clone(events), "alerts/dlp"), "events/* leaves out events/alert, because"},
		{"all", slices.Concat(events, alerts), "all leaves out events/alert, because"},
	} {
		got, note, err := expandStreams(strings.Split(tt.written, ","))
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s is %q, %v; want %q", tt.written, got, err, tt.want)
		}
		if !strings.HasPrefix(note, tt.note) || note != "" && tt.note == "" {
			t.Errorf("%s: note is %q, want one that begins %q", tt.written, note, tt.note)
		}
	}
	if len(events) != 8 || len(alerts) != 17 {
		t.Errorf("%d event and %d alert feeds, want 8 without events/alert, and 17", len(events), len(alerts))
	}
}

func TestStreamsThatCannotBeReadAreRefused(t *testing.T) {
	for written, want := range map[string]string{
		"alert,alerts/*":         "events/alert already brings every alert that alerts/",
		"events/alert,alerts/c2": "events/alert already brings every alert that alerts/c2 brings, so each would be published twice",
		"all,alert":              "events/alert already brings",
		"pages":                  `"pages" (did you mean events/page?)`,
		"alerts/dpl":             `"alerts/dpl" (did you mean alerts/dlp?)`,
		"dlp":                    `"dlp" (did you mean alerts/dlp?)`,
		"clientstatus":           `no such stream as "clientstatus"; write`,
		"alerts/d*":              `"alerts/d*"`,
		"*":                      `"*"`,
		"nope,page,neither":      `"nope", "neither"`,
		" , ":                    "names no stream",
	} {
		if got, _, err := expandStreams(strings.Split(written, ",")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %q, %v; want an error with %q", written, got, err, want)
		}
	}
}
