package normalize

import (
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// severityOrder is where a record's severity is looked for, by dataset, or dataset and subtype. The first that is not unknown
// counts. A suffix says how a key is read: #audit for the numbers of the audit log, #score for a breach score.
//
// Never a severity: ccl and cci rate an app, severity_level_id names the origin of a feed, score is a change of
// a user's confidence index, and malsite_reputation and user_confidence_level have scales of their own.
var severityOrder = map[string][]string{
	"alert/dlp":                    {"dlp_rule_severity", "severity"},
	"alert/content":                {"dlp_rule_severity", "severity"},
	"alert/malware":                {"malware_severity", "mal_sev", "severity"},
	"alert/malsite":                {"severity_level", "severity"},
	"alert/c2":                     {"severity", "mal_sev", "serverity"},
	"alert/ctep":                   {"severity", "mal_sev", "serverity"},
	"alert/ips":                    {"severity", "mal_sev", "serverity"},
	"alert/security_assessment":    {"sa_rule_severity", "severity"},
	"alert/uba":                    {"severity", "risk_level"},
	"alert/compromised_credential": {"severity", "breach_score#score"},
	"alert/watchlist":              {"severity", "dlp_rule_severity", "malware_severity"},
	"alert/quarantine":             {"severity", "dlp_rule_severity", "malware_severity"},
	"alert/remediation":            {"severity", "malware_severity"},
	"alert/policy":                 {"severity", "risk_level"},
	"alert":                        {"severity", "severity_level", "mal_sev", "serverity"},
	"page":                         {"severity", "mal_sev", "serverity"},
	"connection":                   {"severity", "mal_sev", "serverity"},
	"application":                  {"dlp_rule_severity", "severity", "mal_sev", "serverity"},
	"network":                      {"severity", "mal_sev", "serverity"},
	"audit":                        {"severity_level#audit"},
	"incident":                     {"severity", "dlp_match_info[0].dlp_rules[0].dlp_rule_severity"},
	"endpoint":                     {"mal_sev", "serverity", "severity"},
	"clientstatus":                 {},
	"infrastructure":               {},
	"transaction":                  {"x-tp-severity"},
}

// severitySpellings folds what feeds write, in lower case.
var severitySpellings = map[string]schema.Severity{
	"": schema.SeverityUnknown, "unknown": schema.SeverityUnknown, "none": schema.SeverityUnknown, "n/a": schema.SeverityUnknown,
	"na": schema.SeverityUnknown, "null": schema.SeverityUnknown, "-": schema.SeverityUnknown, "notavailable": schema.SeverityUnknown,
	"not available": schema.SeverityUnknown, "undefined": schema.SeverityUnknown,
	"info": schema.SeverityInfo, "informational": schema.SeverityInfo, "information": schema.SeverityInfo, "notice": schema.SeverityInfo,
	"low": schema.SeverityLow, "minor": schema.SeverityLow,
	"med": schema.SeverityMedium, "medium": schema.SeverityMedium, "moderate": schema.SeverityMedium, "warning": schema.SeverityMedium,
	"warn": schema.SeverityMedium,
	"high": schema.SeverityHigh, "major": schema.SeverityHigh, "severe": schema.SeverityHigh, "error": schema.SeverityHigh,
	"critical": schema.SeverityCritical, "crit": schema.SeverityCritical, "fatal": schema.SeverityCritical,
	"emergency": schema.SeverityCritical,
}

// auditSeverities are the numbers of the audit log, where 1 is the worst.
var auditSeverities = map[string]schema.Severity{
	"1": schema.SeverityHigh, "2": schema.SeverityMedium, "3": schema.SeverityLow, "4": schema.SeverityInfo,
}

// breachBands turn a breach score into a severity: the first band whose floor the score reaches.
var breachBands = []struct {
	floor    int64
	severity schema.Severity
}{
	{90, schema.SeverityCritical}, {70, schema.SeverityHigh}, {40, schema.SeverityMedium}, {1, schema.SeverityLow},
}

func (m *Mapper) severityOf(s string) (schema.Severity, bool) {
	known, ok := severitySpellings[m.lower(s)]
	return known, ok
}

// severity sets severity, severity_raw and severity_source by severityOrder.
func severity(dataset string) line {
	var keys []string
	orders := make(map[string][]string)
	for name, order := range severityOrder {
		of, subtype, _ := strings.Cut(name, "/")
		if of != dataset {
			continue
		}
		orders[subtype] = order
		for _, k := range order {
			// A path into dlp_match_info is read where that is taken apart.
			if k, _, _ := strings.Cut(k, "#"); !strings.Contains(k, "[") && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	apply := func(m *Mapper, a *schema.Artifact, s *step) {
		order, ok := orders[a.Subtype]
		if !ok {
			order = orders[""]
		}
		m.applySeverity(a, s, order)
	}
	return line{rule: "severity", keys: keys, bind: func(string) applyFunc { return apply }}
}

func (m *Mapper) applySeverity(a *schema.Artifact, s *step, order []string) {
	a.Severity = schema.SeverityUnknown
	for _, name := range order {
		name, how, _ := strings.Cut(name, "#")
		slot, ok := m.plan.slots[name]
		if !ok || m.slots[slot] == 0 {
			continue
		}
		v := &m.members[m.slots[slot]-1]
		found, ok := m.readSeverity(v, how)
		switch {
		case !ok && !v.missing:
			m.warn(a, v, s.field, "not a severity")
		case found != schema.SeverityUnknown:
			a.Severity, a.SeverityRaw, a.SeveritySource = found, v.text, name
			m.use(v, s.field, s.rule)
			a.SeverityID = found.ID()
			return
		case ok && a.SeverityRaw == "" && v.text != "":
			// An unknown severity is reported as such if no key knows better.
			a.SeverityRaw, a.SeveritySource = v.text, name
		}
	}
}

func (m *Mapper) readSeverity(v *member, how string) (schema.Severity, bool) {
	switch how {
	case "audit":
		if s, ok := auditSeverities[v.text]; ok {
			return s, true
		}
	case "score":
		if n, ok := wholeOf(v); ok {
			for _, band := range breachBands {
				if n >= band.floor {
					return band.severity, true
				}
			}
			return schema.SeverityUnknown, true
		}
	}
	return m.severityOf(v.text)
}
