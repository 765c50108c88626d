package normalize

import (
	"math"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// alert events are what a control raised. One table serves all alert types; their own fields do not overlap.
var alert = dataset{
	kind:   schema.KindAlert,
	native: byIDAndTime,
	table: common.with(table{
		"subtype":                 alertType("alert_type", "type"),
		"severity":                severity("alert"),
		"risk_score":              integer(0, 100, "risk_score", "breach_score"),
		"risk_level":              level("risk_level"),
		"file.exposure":           text("exposure", "file_exposure", "q_original_shared"),
		"dlp.fingerprint":         text("dlp_fingerprint_classification", "dlp_fingerprint_match"),
		"dlp.fingerprint_score":   integer(0, 100, "dlp_fingerprint_score"),
		"threat.name":             text("malware_name", "signature"),
		"threat.id":               text("malware_id", "mal_id", "malsite_id", "signature_id"),
		"threat.type":             text("malware_type", "mal_type", "detection_type", "threat_type"),
		"threat.categories":       list("malsite_category"),
		"threat.engine":           text("detection_engine"),
		"threat.profile":          text("malware_profile"),
		"threat.ml":               text("ml_detection"),
		"threat.indicator_type":   text("threat_match_field"),
		"threat.indicator":        text("threat_match_value", "malsite_ip_host"),
		"threat.feed":             text("threat_source_id"),
		"threat.confidence":       integer(0, 100, "malsite_confidence"),
		"finding.id":              id("alert_id", "incident_id"),
		"finding.title":           text("alert_name"),
		"finding.type":            text("alert_type"),
		"finding.acked":           truth("acked"),
		"finding.source":          text("alert_source"),
		"cred.breach_id":          text("breach_id"),
		"cred.breach_time":        instant("breach_date"),
		"cred.breach_description": text("breach_description"),
		"cred.username":           text("matched_username", "shared_credential_user"),
		"cred.password_type":      text("password_type"),
		"posture.account_id":      text("account_id"),
		"posture.account_name":    text("account_name"),
		"posture.region":          text("region_id", "region_name"),
		"posture.asset_id":        text("asset_id", "asset_object_id"),
		"posture.resource_type":   text("resource_category"),
		"posture.profile":         text("sa_profile_name"),
		"posture.rule":            text("sa_rule_name"),
		"posture.rule_id":         text("sa_rule_id"),
		"posture.standards":       standards("compliance_standards"),
		"uba.type":                anomaly("anomaly_type", "event_type"),
		"uba.threshold":           integer(math.MinInt32, math.MaxInt32, "threshold"),
		"uba.score_impact":        integer(math.MinInt32, math.MaxInt32, "score"),
		"uba.prev_country":        country("last_country"),
		"uba.prev_time":           instant("last_timestamp"),
		"peripheral.name":         text("usb_device_name"),
		"peripheral.type":         text("usb_device_type"),
		"peripheral.vendor_id":    text("usb_vendor_id"),
		"peripheral.product_id":   text("usb_product_id"),
		"peripheral.serial":       text("usb_device_sn"),
	}),
	dropped: dropping(map[string]string{
		"type":    "the detector's internal name; alert_type says what it is",
		"orig_ty": "the detector's internal name; alert_type says what it is",
	}),
	derive: commonDerive,
	class:  alertClass,
}

// alertClasses is the class of each alert type. A type that is not listed is a detection.
var alertClasses = map[string]schema.Class{
	"dlp":                    schema.ClassDataSecurity,
	"content":                schema.ClassDataSecurity,
	"malware":                schema.ClassMalware,
	"malsite":                schema.ClassMaliciousSite,
	"ctep":                   schema.ClassIntrusion,
	"ips":                    schema.ClassIntrusion,
	"c2":                     schema.ClassIntrusion,
	"dns":                    schema.ClassIntrusion,
	"uba":                    schema.ClassAnomaly,
	"compromised_credential": schema.ClassCredentialExposure,
	"watchlist":              schema.ClassPolicyMatch,
	"policy":                 schema.ClassPolicyMatch,
	"remediation":            schema.ClassDetection,
	"quarantine":             schema.ClassMalware,
	"security_assessment":    schema.ClassCompliance,
	"device":                 schema.ClassDetection,
}

// alertClass is that of the alert's type; a quarantine for a DLP profile is about data.
func alertClass(_ *Mapper, a *schema.Artifact) schema.Class {
	if a.Subtype == "quarantine" && a.DLP.Profile != "" {
		return schema.ClassDataSecurity
	}
	if c, ok := alertClasses[a.Subtype]; ok {
		return c
	}
	return schema.ClassDetection
}

// anomaly takes the kind of an anomaly. event_type has it in some alerts; in others it only says that this is an alert.
func anomaly(keys ...string) line {
	return convert("anomaly", func(m *Mapper, a *schema.Artifact, v *member) (string, problem) {
		if v.text == a.Dataset {
			return "", notMine
		}
		return asText(m, a, v)
	}, keys)
}

// standards takes the names out of [{"standard": "CIS-1.4"}, …]. What else an element has would be lost: then the value stays in
// Unmapped as well.
func standards(keys ...string) line {
	return convert("standards", func(m *Mapper, a *schema.Artifact, v *member) ([]string, problem) {
		if v.kind != jsonscan.Array {
			return asList(m, a, v)
		}
		var names []string
		seen := make(map[string]bool)
		result := fits
		// The scanner has read v before.
		_ = jsonscan.Elements(v.raw, func(e jsonscan.Value) error {
			if missing(e, textOf(e)) {
				return nil
			}
			name, alone := standardOf(e)
			if !alone {
				result = partly
			}
			if folded := m.lower(name); name != "" && !seen[folded] {
				seen[folded] = true
				names = append(names, name)
			}
			return nil
		})
		if len(names) == 0 {
			return nil, "no standards"
		}
		return names, result
	}, keys)
}

// standardOf returns the name in an element of a list of standards, and whether there is nothing else in it.
func standardOf(e jsonscan.Value) (name string, alone bool) {
	if e.Kind != jsonscan.Object {
		if e.Kind == jsonscan.String {
			name = textOf(e)
		}
		return name, name != ""
	}
	alone = true
	_ = jsonscan.Members(e.Raw, func(key []byte, v jsonscan.Value) error {
		if string(key) != "standard" || v.Kind != jsonscan.String || name != "" {
			alone = false
		}
		if string(key) == "standard" && v.Kind == jsonscan.String {
			name = textOf(v)
		}
		return nil
	})
	return name, alone
}

func appendNew(list []string, s string) []string {
	for _, known := range list {
		if strings.EqualFold(known, s) {
			return list
		}
	}
	return append(list, s)
}
