package normalize

import (
	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// incident records are DLP incidents. They come again when somebody works on them; each state of one is a revision.
var incident = dataset{
	kind:    schema.KindAlert,
	native:  byIncident,
	mutable: []string{"status", "assignee", "severity", "latest_incident_id", "dlp_match_info", "last_updated"},
	table: common.with(table{
		"subtype":          subtype(),
		"severity":         severity("incident"),
		"user.email":       email("user", "acting_user"),
		"user.name":        userName("user", "acting_user"),
		"app.name":         text("app", "destination_app"),
		"dlp.channel":      text("channel"),
		"dlp.matches":      matches("dlp_match_info", "inline_dlp_match_info"),
		"finding.id":       id("dlp_incident_id"),
		"finding.title":    text("title", "object"),
		"finding.status":   verb("status"),
		"finding.assignee": text("assignee"),
		"email.cc":         commaList("cc"),
		"email.bcc":        commaList("bcc"),
	}),
	derive: append(commonDerive[:len(commonDerive):len(commonDerive)], firstMatch),
	class:  always(schema.ClassIncident),
}

func byIncident(m *Mapper, a *schema.Artifact, name []byte) []byte {
	if a.DLP.IncidentID != "" {
		return append(append(name, "dlp_incident_id="...), a.DLP.IncidentID...)
	}
	if id := m.get("_id"); id != nil && id.text != "0" {
		return append(append(name, "_id="...), id.text...)
	}
	return name
}

// firstMatch puts the first match of an incident where other records have their policy, profile and rule.
func firstMatch(m *Mapper, a *schema.Artifact) {
	if len(a.DLP.Matches) == 0 {
		return
	}
	match := a.DLP.Matches[0]
	a.Policy.Name = firstOf(a.Policy.Name, match.Policy)
	a.DLP.Profile = firstOf(a.DLP.Profile, match.Profile)
	a.ActionRaw = firstOf(a.ActionRaw, match.Action)
	if len(match.Rules) == 0 {
		return
	}
	rule := match.Rules[0]
	a.DLP.Rule = firstOf(a.DLP.Rule, rule.Name)
	a.DLP.RuleSeverity = firstOf(a.DLP.RuleSeverity, rule.Severity)
	if s, ok := m.severityOf(rule.Severity); ok && s != schema.SeverityUnknown && a.Severity == schema.SeverityUnknown {
		a.Severity, a.SeverityID, a.SeverityRaw = s, s.ID(), rule.Severity
		a.SeveritySource = "dlp_match_info[0].dlp_rules[0].dlp_rule_severity"
	}
}

// matches takes dlp_match_info, which is an array or an array in a string. What the normal form has no place for would be lost:
// then the value stays in Unmapped as well.
func matches(keys ...string) line {
	return line{rule: "DLP matches", keys: keys, bind: func(string) applyFunc { return applyMatches }}
}

func applyMatches(m *Mapper, a *schema.Artifact, s *step) {
	for _, slot := range s.slots {
		v := m.at(slot)
		if v == nil || len(a.DLP.Matches) > 0 {
			continue
		}
		array := v.raw
		if v.kind == jsonscan.String {
			array = bytesOf(v.text)
		}
		found, complete, err := readMatches(array)
		switch {
		case err != nil:
			m.warn(a, v, s.field, "not a list of matches")
		case complete:
			m.use(v, s.field, s.rule)
		default:
			m.note(v, s.field, s.rule)
		}
		a.DLP.Matches = found
	}
}

// readMatches returns the matches, and whether they are all there is in the array.
func readMatches(array []byte) (found []schema.DLPMatch, complete bool, err error) {
	complete = true
	err = jsonscan.Elements(array, func(e jsonscan.Value) error {
		var match schema.DLPMatch
		complete = readMatch(e, &match) && complete
		found = append(found, match)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return found, complete, nil
}

func readMatch(e jsonscan.Value, match *schema.DLPMatch) bool {
	return readObject(e, func(key string, v jsonscan.Value) bool {
		switch key {
		case "dlp_policy":
			return readText(v, &match.Policy)
		case "dlp_profile_name", "dlp_profile":
			return readText(v, &match.Profile)
		case "dlp_action":
			return readText(v, &match.Action)
		case "dlp_forensic_id":
			return textOf(v) == "0" || readText(v, &match.ForensicID)
		case "dlp_rules":
			return v.Kind == jsonscan.Array && readRules(v, match)
		}
		return false
	})
}

func readRules(array jsonscan.Value, match *schema.DLPMatch) bool {
	complete := true
	_ = jsonscan.Elements(array.Raw, func(e jsonscan.Value) error {
		var rule schema.DLPRule
		complete = readRule(e, &rule) && complete
		match.Rules = append(match.Rules, rule)
		return nil
	})
	return complete
}

func readRule(e jsonscan.Value, rule *schema.DLPRule) bool {
	return readObject(e, func(key string, v jsonscan.Value) bool {
		switch key {
		case "dlp_rule_name":
			return readText(v, &rule.Name)
		case "dlp_rule_severity":
			return readText(v, &rule.Severity)
		case "dlp_rule_score":
			return readCount(v, &rule.Score)
		case "dlp_incident_rule_count", "dlp_rule_count":
			return readCount(v, &rule.Count)
		case "dlp_unique_count", "dlp_incident_rule_unique_count":
			return readCount(v, &rule.Unique)
		case "dlp_data_identifiers", "dlp_rule_identifiers":
			return readTexts(v, &rule.Identifiers)
		}
		return false
	})
}

// readText and readCount return whether all that was said of a field so far stands in it: the value has been read, and
// nothing else was there before.
func readText(v jsonscan.Value, s *string) bool {
	if v.Kind == jsonscan.Object || v.Kind == jsonscan.Array {
		return false
	}
	before := *s
	*s = textOf(v)
	return before == "" || before == *s
}

func readCount(v jsonscan.Value, n *int64) bool {
	count, ok := wholeOf(&member{kind: v.Kind, text: textOf(v)})
	if !ok {
		return false
	}
	before := *n
	*n = count
	return before == 0 || before == count
}

func readTexts(v jsonscan.Value, list *[]string) bool {
	if v.Kind != jsonscan.Array {
		return false
	}
	complete := true
	_ = jsonscan.Elements(v.Raw, func(e jsonscan.Value) error {
		text := textOf(e)
		complete = complete && e.Kind != jsonscan.Object && e.Kind != jsonscan.Array
		if !missing(e, text) {
			*list = append(*list, text)
		}
		return nil
	})
	return complete
}

// readObject hands out the members of an object that hold something, and returns whether all of them were taken.
func readObject(e jsonscan.Value, take func(key string, v jsonscan.Value) bool) bool {
	if e.Kind != jsonscan.Object {
		return false
	}
	complete := true
	_ = jsonscan.Members(e.Raw, func(key []byte, v jsonscan.Value) error {
		if !missing(v, textOf(v)) {
			complete = take(string(key), v) && complete
		}
		return nil
	})
	return complete
}
