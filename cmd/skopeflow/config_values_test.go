package main

import (
	"strings"
	"testing"
	"time"
)

func TestBaseURLIsReadAsPeopleWriteIt(t *testing.T) {
	for text, want := range map[string]string{
		"acme":                            "https://acme.goskope.com",
		" Acme\r":                         "https://acme.goskope.com",
		"acme.goskope.com":                "https://acme.goskope.com",
		"acme.goskope.com:8443":           "https://acme.goskope.com:8443",
		"https://acme.goskope.com":        "https://acme.goskope.com",
		"HTTPS://ACME.goskope.com./":      "https://acme.goskope.com",
		"https://netskopesim:8443":        "https://netskopesim:8443",
		"localhost:8443":                  "https://localhost:8443",
		"http://localhost:9090/":          "http://localhost:9090",
		"http://127.0.0.1:9090":           "http://127.0.0.1:9090",
		"http://[::1]:9090":               "http://[::1]:9090",
		"127.0.0.1":                       "https://127.0.0.1",
		"https://acme.de.goskope.com:443": "https://acme.de.goskope.com:443",
	} {
		var b BaseURL
		if err := b.UnmarshalText([]byte(text)); err != nil || string(b) != want {
			t.Errorf("%q is %q, %v; want %q", text, b, err, want)
		}
	}
}

func TestBaseURLRefusesWhatCannotBeATenant(t *testing.T) {
	for text, want := range map[string]string{
		"http://acme.goskope.com":             "in the clear; write https://acme.goskope.com",
		"http://10.0.0.1":                     "in the clear",
		"http://localhost.example.com":        "in the clear",
		"https://user:pa55@acme.goskope.com":  "user or password",
		"https://acme.goskope.com/api/v2":     "leave out the path /api/v2",
		"https://acme.goskope.com?token=pa55": "leave out what follows the host",
		"https://acme.goskope.com/?":          "leave out what follows the host",
		"https://acme.goskope.com/#/login":    "leave out what follows the host",
		"ftp://acme.goskope.com":              "scheme ftp",
		"https://":                            "host name",
		"https://acme_x.goskope.com":          "host name",
		"https://acme..goskope.com":           "host name",
		"https://[fe80::1%25eth0]":            "host name",
		"https://acme.goskope.com:0":          "port",
		"https://acme.goskope.com:99999":      "port",
		"https://acme.goskope.com:":           "port",
		"https://u:pa55@acme.goskope.com:x":   "not a URL",
		"acme goskope":                        "not a URL",
	} {
		var b BaseURL
		err := b.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), "pa55") {
			t.Errorf("error %q quotes the password", err)
		}
	}
}

func TestDurationTakesDays(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, " 5m ": 5 * time.Minute, "0s": 0, "0d": 0,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Duration != want {
			t.Errorf("%q is %v, %v; want %v", text, d, err, want)
		}
	}
	for _, text := range []string{"", "d", "5", "-1h", "-1d", "1d-1h", "1.5d", "1dd", "7days", "99999d", "65000d2000000h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v, want an error", text, d)
		}
	}
}

func TestSizeTakesUnits(t *testing.T) {
	for text, want := range map[string]Size{
		"1": 1, "512B": 512, "1k": 1000, "1KB": 1000, "1KiB": 1024, "256MiB": 256 << 20, "256Mi": 256 << 20, "10GiB": 10 << 30,
		"10GB": 10_000_000_000, "1.5 GiB": 3 << 29, "2TiB": 2 << 40,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q is %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "GiB", "1i", "1XB", "1e9", "10 000", "99999999999TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d, want an error", text, s)
		}
	}
}

func TestStartIsResolvedAgainstTheTimeGiven(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"now":                       now,
		"24h":                       now.Add(-24 * time.Hour),
		"7d":                        time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC),
		"2026-01-31T08:00:00Z":      time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
		"2026-01-31T08:00:00+02:00": time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC),
	} {
		var s Start
		if err := s.UnmarshalText([]byte(text)); err != nil || !s.Resolve(now).Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, s.Resolve(now), err, want)
		}
	}
	for _, text := range []string{"", "-24h", "2026-01-31", "tomorrow"} {
		var s Start
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v, want an error", text, s.Resolve(now))
		}
	}
}
