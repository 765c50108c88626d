// Package witfoo writes artifacts as the parsed artifacts of WitFoo: one flat object with the names and types of the index
// template of WitFoo Analytics. It has no null and nothing empty; ports and process ids are texts there.
//
// A WitFoo artifact has one address a side, one file hash, one rule and no place for the rest; who needs the rest reads the
// artifact. What WitFoo itself fills in (ids of its sets, products and matched rules) is left to it.
package witfoo

import (
	"cmp"
	"strconv"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// table says what stands where in a document.
var table = view.Table{
	"id":           view.Field("id"),
	"hash":         view.Field("entity_id"),
	"org_id":       view.Field("tenant"),
	"appliance_id": view.Field("connector"),
	"streamName":   view.Field("source"),
	"sourceInfo":   view.Field("dataset"),
	"senderHost":   view.First("infra.host", "source_tenant"),

	"messageType":   view.Func(appendMessageType, "class", "outcome"),
	"message":       view.Field("message"),
	"action":        view.Func(appendAction, "action_raw", "action", "activity", "audit.verb"),
	"severityCode":  view.Func(appendSeverityCode, "severity_id"),
	"severityLabel": view.Field("severity"),
	"startTimeUTC":  view.Func(appendStart, "start_time", "time", "end_time"),
	"endTimeUTC":    view.Func(appendEnd, "end_time", "time", "start_time"),
	"tags":          view.Field("tags"),

	"clientIP":       view.First("device.ip", "src.ip"),
	"clientPort":     view.Func(appendClientPort, "src.port"),
	"clientHostname": view.Field("device.hostname"),
	"clientMAC":      view.Field("device.mac"),
	"clientBytes":    view.Field("net.bytes_out"),
	"clientPackets":  view.Field("net.packets_out"),
	"serverIP":       view.Field("dst.ip"),
	"serverPort":     view.Func(appendServerPort, "dst.port"),
	"serverHostname": view.First("dst.hostname", "url.host"),
	"serverBytes":    view.Field("net.bytes_in"),
	"serverPackets":  view.Field("net.packets_in"),
	"totalBytes":     view.Field("net.bytes"),
	"protocol":       view.First("net.transport", "net.protocol"),
	"geoRegion":      view.Field("src.country"),

	"application":  view.Field("app.name"),
	"userName":     view.First("user.email", "user.name", "cred.username"),
	"fileName":     view.Field("file.name"),
	"filePath":     view.Field("file.path"),
	"fileHash":     view.First("file.sha256", "file.sha1", "file.md5"),
	"uri":          view.Field("url.full"),
	"fqdn":         view.Field("url.host"),
	"emailTo":      view.Field("target_user.email"),
	"emailSubject": view.Field("email.subject"),
	"program":      view.Field("process.name"),
	"pid":          view.Func(appendPID, "process.pid"),

	"ruleName":     view.First("dlp.rule", "threat.name", "finding.title", "policy.name"),
	"ruleCategory": view.First("dlp.profile", "subtype"),
}

var plan = view.Compile(table, "")

// Append appends the document of an artifact: one JSON object. It depends on the artifact alone.
func Append(dst []byte, a *schema.Artifact) []byte {
	return plan.Append(dst, a)
}

// Places returns the names in a document, sorted, that each artifact field has a part in.
func Places() map[string][]string { return table.Places() }

// messageTypes are the kinds of events that WitFoo's lead rules know, by class.
var messageTypes = map[schema.Class]string{
	schema.ClassDataSecurity:       "data_exfiltration",
	schema.ClassDetection:          "threat_event",
	schema.ClassMalware:            "malicious_software",
	schema.ClassMaliciousSite:      "ioc_match",
	schema.ClassIntrusion:          "ids_event",
	schema.ClassAnomaly:            "anomalous_behavior",
	schema.ClassCredentialExposure: "credential_access",
	schema.ClassPolicyMatch:        "policy_violation",
	schema.ClassCompliance:         "config_change",
	schema.ClassIncident:           "data_exfiltration",
	schema.ClassHTTP:               "content_filter",
	schema.ClassNetwork:            "flow",
	schema.ClassDNS:                "dns",
	schema.ClassAppActivity:        "application_activity",
	schema.ClassFileActivity:       "file_activity",
	schema.ClassAuthentication:     "authentication",
	schema.ClassAccountChange:      "config_change",
	schema.ClassEntityManagement:   "config_change",
	schema.ClassAPI:                "config_change",
	schema.ClassTunnel:             "endpoint_protection",
	schema.ClassAppLifecycle:       "endpoint_protection",
	schema.ClassInventory:          "endpoint_protection",
	schema.ClassPeripheral:         "endpoint_protection",
	schema.ClassMetric:             "system_event",
	schema.ClassOther:              "other",
}

// appendMessageType appends the kind of the class; a login that failed has one of its own, which lead rules ask for.
func appendMessageType(dst []byte, a *schema.Artifact) []byte {
	if a.Class == schema.ClassAuthentication && a.Outcome == schema.OutcomeFailure {
		return appendText(dst, "auth_failure")
	}
	if kind, ok := messageTypes[a.Class]; ok {
		return appendText(dst, kind)
	}
	return appendText(dst, messageTypes[schema.ClassOther])
}

// appendAction appends what the control did, in Netskope's word if there is one. Where no control acted it is what the user
// did: WitFoo folds artifacts that agree in their action and a few other fields, and an upload is no download.
func appendAction(dst []byte, a *schema.Artifact) []byte {
	switch {
	case a.ActionRaw != "":
		return appendText(dst, a.ActionRaw)
	case a.Action != "" && a.Action != schema.ActionUnknown:
		return appendText(dst, string(a.Action))
	case a.Activity != "":
		return appendText(dst, a.Activity)
	case a.Audit.Verb != "":
		return appendText(dst, a.Audit.Verb)
	}
	return appendText(dst, string(a.Action))
}

// severityCodes are those of RFC 5424, where lower is worse, by severity_id. Unknown is informational.
var severityCodes = [...]int64{6, 6, 5, 4, 3, 2}

func appendSeverityCode(dst []byte, a *schema.Artifact) []byte {
	if a.SeverityID < 0 || a.SeverityID >= len(severityCodes) {
		return dst
	}
	return strconv.AppendInt(dst, severityCodes[a.SeverityID], 10)
}

func appendStart(dst []byte, a *schema.Artifact) []byte {
	start, _ := span(a)
	return appendTime(dst, start)
}

func appendEnd(dst []byte, a *schema.Artifact) []byte {
	_, end := span(a)
	return appendTime(dst, end)
}

// span is from when to when it happened. The time of the event stands in for an end that is not known, and may lie on the far
// side of the one that is.
func span(a *schema.Artifact) (start, end schema.Time) {
	start, end = cmp.Or(a.StartTime, a.Time, a.EndTime), cmp.Or(a.EndTime, a.Time, a.StartTime)
	return min(start, end), max(start, end)
}

func appendTime(dst []byte, t schema.Time) []byte {
	if t == 0 {
		return dst
	}
	dst, _ = t.AppendText(append(dst, '"')) // never an error
	return append(dst, '"')
}

func appendClientPort(dst []byte, a *schema.Artifact) []byte {
	return appendNumber(dst, int64(a.Src.Port))
}

func appendServerPort(dst []byte, a *schema.Artifact) []byte {
	return appendNumber(dst, int64(a.Dst.Port))
}

func appendPID(dst []byte, a *schema.Artifact) []byte { return appendNumber(dst, a.Process.PID) }

// appendNumber appends a number as a text, or nothing for 0.
func appendNumber(dst []byte, n int64) []byte {
	if n == 0 {
		return dst
	}
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

// appendText appends a text, or nothing if it is empty.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return dst
	}
	return jsonscan.AppendString(dst, s)
}
