// Package schema is the contract with consumers: the artifact, its JSON Schema, its ids and its times.
//
// An artifact is one JSON object. Its content model is open: a minor version adds fields and values to open lists, a major
// version renames, retypes or removes, or changes how ids are made. Readers ignore what they do not know.
// Fields that are empty are absent, never null. Times are RFC 3339 in UTC with exactly three decimals, so that they sort as text.
// Ids of 64 bits are strings, because many readers of JSON have only floats.
//
// The structs, the encoder and the table of fields are generated from fields.csv.
package schema

import (
	_ "embed"
)

//go:generate go run ./internal/gen

// Version is the version of the contract that this package implements.
const Version = "1.0.0"

// URI names the JSON Schema of this major version.
const URI = "https://skopeflow.dev/schema/artifact/v1"

// JSON is the JSON Schema (2020-12) of an artifact.
//
//go:embed artifact.v1.schema.json
var JSON []byte

// Kind is what sort of record an artifact is.
type Kind string

// The kinds. An alert is a record that a control raised, a state may come again in a newer revision.
const (
	KindAlert  Kind = "alert"
	KindEvent  Kind = "event"
	KindState  Kind = "state"
	KindMetric Kind = "metric"
)

// Class is the normalized class of an artifact, which selects the OCSF class and the ECS category. The list is open.
type Class string

// The classes.
const (
	ClassDataSecurity       Class = "data_security"
	ClassDetection          Class = "detection"
	ClassMalware            Class = "malware"
	ClassMaliciousSite      Class = "malicious_site"
	ClassIntrusion          Class = "intrusion"
	ClassAnomaly            Class = "anomaly"
	ClassCredentialExposure Class = "credential_exposure"
	ClassPolicyMatch        Class = "policy_match"
	ClassCompliance         Class = "compliance"
	ClassIncident           Class = "incident"
	ClassHTTP               Class = "http"
	ClassNetwork            Class = "network"
	ClassDNS                Class = "dns"
	ClassAppActivity        Class = "app_activity"
	ClassFileActivity       Class = "file_activity"
	ClassAuthentication     Class = "authentication"
	ClassAccountChange      Class = "account_change"
	ClassEntityManagement   Class = "entity_management"
	ClassAPI                Class = "api"
	ClassTunnel             Class = "tunnel"
	ClassAppLifecycle       Class = "app_lifecycle"
	ClassInventory          Class = "inventory"
	ClassPeripheral         Class = "peripheral"
	ClassMetric             Class = "metric"
	ClassOther              Class = "other"
)

// Severity is a normalized severity. Unknown is an honest one: Netskope often gives none.
type Severity string

// The severities, in order.
const (
	SeverityUnknown  Severity = "unknown"
	SeverityInfo     Severity = "info"
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// ID is the severity as a number, which is OCSF's severity_id: 0 for unknown to 5 for critical.
func (s Severity) ID() int {
	switch s {
	case SeverityInfo:
		return 1
	case SeverityLow:
		return 2
	case SeverityMedium:
		return 3
	case SeverityHigh:
		return 4
	case SeverityCritical:
		return 5
	}
	return 0
}

// Action is what the control did. An event without one is unknown, never allowed.
type Action string

// The actions.
const (
	ActionAllowed     Action = "allowed"
	ActionBlocked     Action = "blocked"
	ActionAlerted     Action = "alerted"
	ActionCoached     Action = "coached"
	ActionBypassed    Action = "bypassed"
	ActionQuarantined Action = "quarantined"
	ActionIsolated    Action = "isolated"
	ActionRestricted  Action = "restricted"
	ActionEncrypted   Action = "encrypted"
	ActionDeleted     Action = "deleted"
	ActionRestored    Action = "restored"
	ActionObserved    Action = "observed"
	ActionOther       Action = "other"
	ActionUnknown     Action = "unknown"
)

// Outcome says whether the activity succeeded, which is not what the control did about it.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeFailure Outcome = "failure"
	OutcomeUnknown Outcome = "unknown"
)

// A Field is one row of the table of fields.
type Field struct {
	Name    string // dotted: "src.ip"
	Type    string // string, int, int64, float, bool, ip, enum, timestamp, string[], object[], map, json
	Unit    string // unit or format; may be empty
	Meaning string
	place   any
}

// Fields returns every field of an artifact in the order of the schema.
func Fields() []Field {
	return append([]Field(nil), fields[:]...)
}

// Place returns where the field with a dotted name is in an artifact, or nil if there is no such field of type T.
func Place[T any](name string) func(*Artifact) *T {
	for i := range fields {
		if fields[i].Name == name {
			place, _ := fields[i].place.(func(*Artifact) *T)
			return place
		}
	}
	return nil
}

// SubjectToken makes s one token of a NATS subject: lower case, anything but [a-z0-9_-] replaced by '_', at most 32 bytes,
// "_" for nothing.
func SubjectToken(s string) string {
	const limit = 32
	if s == "" {
		return "_"
	}
	if len(s) > limit {
		s = s[:limit]
	}
	for i := range len(s) {
		if tokenByte(s[i]) != s[i] {
			return rewriteToken(s)
		}
	}
	return s
}

func rewriteToken(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = tokenByte(b[i])
	}
	return string(b)
}

func tokenByte(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		return c
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return '_'
}
