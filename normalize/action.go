package normalize

import (
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// actions is what the words for what a control did mean, folded: lower case, without spaces, underscores and hyphens.
var actions = map[string]schema.Action{
	"allow": schema.ActionAllowed, "allowed": schema.ActionAllowed, "proceed": schema.ActionAllowed, "permit": schema.ActionAllowed,
	"proceed(cached)": schema.ActionAllowed, "allow(cached)": schema.ActionAllowed,
	"useralertproceed": schema.ActionAllowed, "useralertcontinue": schema.ActionAllowed,

	"bypass": schema.ActionBypassed, "bypassed": schema.ActionBypassed, "donotdecrypt": schema.ActionBypassed,

	"alert": schema.ActionAlerted, "alerted": schema.ActionAlerted, "patientzero": schema.ActionAlerted,

	"useralert": schema.ActionCoached, "coach": schema.ActionCoached, "mfa": schema.ActionCoached,
	"stepupauthentication": schema.ActionCoached,

	"block": schema.ActionBlocked, "blocked": schema.ActionBlocked, "block(cached)": schema.ActionBlocked, "deny": schema.ActionBlocked,
	"drop": schema.ActionBlocked, "stop": schema.ActionBlocked, "useralertblock": schema.ActionBlocked,
	"useralertstop": schema.ActionBlocked, "reset": schema.ActionBlocked,

	"quarantine": schema.ActionQuarantined, "quarantined": schema.ActionQuarantined, "malwarequarantine": schema.ActionQuarantined,

	"isolate": schema.ActionIsolated, "isolated": schema.ActionIsolated, "isolation": schema.ActionIsolated, "rbi": schema.ActionIsolated,

	"restrictaccess": schema.ActionRestricted, "restrict": schema.ActionRestricted, "expirelink": schema.ActionRestricted,
	"expiresharedlink": schema.ActionRestricted, "revoke": schema.ActionRestricted, "restricttoview": schema.ActionRestricted,
	"restricttoowner": schema.ActionRestricted, "disabledownload": schema.ActionRestricted,
	"disableprintanddownload": schema.ActionRestricted, "changeowner": schema.ActionRestricted,
	"changeownership": schema.ActionRestricted, "readonly": schema.ActionRestricted,

	"encrypt": schema.ActionEncrypted, "encrypted": schema.ActionEncrypted, "irm": schema.ActionEncrypted,
	"rms": schema.ActionEncrypted, "label": schema.ActionEncrypted,

	"delete": schema.ActionDeleted, "deleted": schema.ActionDeleted,
	"restore": schema.ActionRestored, "restored": schema.ActionRestored,

	"legalhold": schema.ActionObserved, "anomalydetection": schema.ActionObserved, "detection": schema.ActionObserved,
	"detect": schema.ActionObserved, "event": schema.ActionObserved, "log": schema.ActionObserved, "monitor": schema.ActionObserved,

	"decrypt": schema.ActionOther, "tag": schema.ActionOther,

	"": schema.ActionUnknown, "none": schema.ActionUnknown, "-": schema.ActionUnknown, "unknown": schema.ActionUnknown,
	"na": schema.ActionUnknown, "n/a": schema.ActionUnknown,
}

// actionOf returns what a word means: unknown if there is none, other if it is not in the table.
func (m *Mapper) actionOf(raw string) schema.Action {
	if known, ok := m.knownAction(raw); ok {
		return known
	}
	return schema.ActionOther
}

func (m *Mapper) knownAction(raw string) (schema.Action, bool) {
	m.out = appendFolded(m.out[:0], raw)
	known, ok := actions[string(m.out)]
	return known, ok
}

// appendFolded appends s in lower case, without spaces, underscores and hyphens; a hyphen alone stays.
func appendFolded(dst []byte, s string) []byte {
	if s == "-" {
		return append(dst, s...)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ', c == '_', c == '-':
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c|0x20)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// outcome takes what a feed says outright about success.
func outcome(keys ...string) line {
	return convert("outcome", func(m *Mapper, _ *schema.Artifact, v *member) (schema.Outcome, problem) {
		if o := m.outcomeOf(v.text); o != schema.OutcomeUnknown {
			return o, fits
		}
		return "", notMine
	}, keys)
}

// outcomes are the words of an activity that say how it went.
var outcomes = map[string]schema.Outcome{
	"fail": schema.OutcomeFailure, "fails": schema.OutcomeFailure, "failed": schema.OutcomeFailure, "failing": schema.OutcomeFailure,
	"failure": schema.OutcomeFailure, "failures": schema.OutcomeFailure, "denied": schema.OutcomeFailure,
	"unsuccessful": schema.OutcomeFailure, "unsuccessfully": schema.OutcomeFailure,
	"success": schema.OutcomeSuccess, "successful": schema.OutcomeSuccess, "successfully": schema.OutcomeSuccess,
	"succeeded": schema.OutcomeSuccess,
}

// outcomeOf reads the outcome in the words of an activity: "Login Failed". A failure outweighs a success.
func (m *Mapper) outcomeOf(s string) schema.Outcome {
	return schema.Outcome(m.fold(s, "o", func(s string) string {
		found := schema.OutcomeUnknown
		for word := range strings.FieldsSeq(spaced(s)) {
			if o, ok := outcomes[word]; ok && found != schema.OutcomeFailure {
				found = o
			}
		}
		return string(found)
	}))
}

// containsFold reports whether s contains a word that is in lower case, in any case.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// settleOutcome decides what no key said outright. It is about the activity: a block is its failure, and what was let through and
// raised no alert has succeeded.
func (m *Mapper) settleOutcome(a *schema.Artifact) {
	if a.Outcome != "" {
		return
	}
	a.Outcome = schema.OutcomeUnknown
	verb := m.outcomeOf(a.ActivityRaw)
	switch {
	case verb == schema.OutcomeFailure, a.HTTP.Status >= 400, a.Action == schema.ActionBlocked, a.Action == schema.ActionQuarantined:
		a.Outcome = schema.OutcomeFailure
	case verb == schema.OutcomeSuccess, a.HTTP.Status >= 100,
		a.Kind != schema.KindAlert && (a.Action == schema.ActionAllowed || a.Action == schema.ActionBypassed):
		a.Outcome = schema.OutcomeSuccess
	}
}
