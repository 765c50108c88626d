package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/typo"
)

// The feeds of Netskope's dataexport API, by the path under
// /api/v2/events/dataexport/.
var (
	eventFeeds = []string{
		"alert", "application", "audit", "connection", "endpoint", "incident",
		"infrastructure", "network", "page",
	}
	alertFeeds = []string{
		"anomaly", "c2", "compromisedcredential", "content", "ctep", "device", "dlp",
		"ips", "legalhold", "malsite", "malware", "policy", "quarantine",
		"remediation", "securityassessment", "uba", "watchlist",
	}
)

const allAlertsFeed = "events/alert"

func feedNames() []string {
	var list []string
	for _, f := range eventFeeds {
		list = append(list, "events/"+f)
	}
	for _, f := range alertFeeds {
		list = append(list, "alerts/"+f)
	}
	return list
}

// expandStreams turns what was written into the streams' full names, each once,
// in the order written. A wildcard never brings events/alert; where that leaves
// something to know, note is a sentence about it.
func expandStreams(written []string) (streams []string, note string, err error) {
	var unknown []string
	wildcard := ""
	for _, w := range written {
		w = strings.ToLower(strings.TrimSpace(w))
		if w == "" {
			continue
		}
		found := matchStreams(w)
		if len(found) == 0 {
			unknown = append(unknown, unknownStream(w))
		}
		if w == "events/*" || w == "all" {
			wildcard = w
		}
		streams = append(streams, found...)
	}
	streams = eachOnce(streams)
	byType := slices.IndexFunc(streams, func(s string) bool { return strings.HasPrefix(s, "alerts/") })
	whole := slices.Contains(streams, allAlertsFeed)
	switch {
	case len(unknown) > 0:
		return nil, "", fmt.Errorf("no such stream as %s; write names such as alert, page, alerts/dlp, alerts/*, events/* or all", strings.Join(unknown, ", "))
	case len(streams) == 0:
		return nil, "", errors.New("names no stream; write names such as alert,page,application,audit")
	case whole && byType >= 0:
		return nil, "", fmt.Errorf("events/alert already brings every alert that %s brings, so each would be published twice; keep one of the two", streams[byType])
	case wildcard != "" && byType >= 0:
		note = wildcard + " leaves out events/alert, because the alerts/… streams bring the same alerts in more detail"
	case wildcard != "" && !whole:
		note = wildcard + " leaves out events/alert, so no alerts are collected; add alert or alerts/* for them"
	}
	return streams, note, nil
}

// matchStreams returns the streams that one written name means.
func matchStreams(name string) []string {
	var family string
	switch name {
	case "all":
	case "events/*", "alerts/*":
		family = strings.TrimSuffix(name, "*")
	default:
		if !strings.Contains(name, "/") {
			name = "events/" + name
		}
		if slices.Contains(feedNames(), name) {
			return []string{name}
		}
		return nil
	}
	return slices.DeleteFunc(feedNames(), func(feed string) bool {
		return feed == allAlertsFeed || !strings.HasPrefix(feed, family)
	})
}

// unknownStream quotes a name and adds what was probably meant: the alert feed
// of that name, or a name that differs in a letter or two.
func unknownStream(name string) string {
	if slices.Contains(alertFeeds, name) {
		return fmt.Sprintf("%q (did you mean alerts/%s?)", name, name)
	}
	full := name
	if !strings.Contains(name, "/") {
		full = "events/" + name
	}
	if near, d := typo.Nearest(full, feedNames()); d <= nearMiss {
		return fmt.Sprintf("%q (did you mean %s?)", name, near)
	}
	return strconv.Quote(name)
}

func eachOnce(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
