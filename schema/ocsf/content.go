package ocsf

import (
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// atRest tells content that was found in an app by its API from content on its way.
func atRest(a *schema.Artifact) bool {
	return strings.EqualFold(a.Net.AccessMethod, "API Connector") || strings.EqualFold(a.Finding.Source, "API Connector")
}

// detectionSystem is the part of the product that saw the content: endpoint, CASB, or secure web gateway.
func detectionSystem(dst []byte, a *schema.Artifact) []byte {
	switch {
	case a.Dataset == "endpoint":
		return append(dst, '1')
	case atRest(a):
		return append(dst, '8')
	}
	return append(dst, '5')
}

// lifecycleState is where the content was: in use, at rest, or in transit.
func lifecycleState(dst []byte, a *schema.Artifact) []byte {
	switch {
	case a.Dataset == "endpoint":
		return append(dst, '3')
	case atRest(a):
		return append(dst, '1')
	}
	return append(dst, '2')
}

// discoveries are the rules that hit, and how often.
func discoveries(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	one := func(rule string, count int64) {
		if rule == "" {
			return
		}
		dst = jsonscan.AppendString(append(dst, `,{"type":`...), rule)
		if count != 0 {
			dst = strconv.AppendInt(append(dst, `,"count":`...), count, 10)
		}
		dst = append(dst, '}')
	}
	for i := range a.DLP.Matches {
		for j := range a.DLP.Matches[i].Rules {
			rule := &a.DLP.Matches[i].Rules[j]
			one(rule.Name, rule.Count)
		}
	}
	if len(dst) == start && a.DLP.Count != 0 {
		one(a.DLP.Rule, a.DLP.Count)
	}
	return closeList(dst, start)
}
