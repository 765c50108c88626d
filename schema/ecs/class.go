package ecs

import (
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// A categorization is what ECS calls a class of artifacts: event.category, and event.type before the artifact is looked at.
type categorization struct {
	categories []string
	types      []string
}

// categorizations holds every class but schema.ClassOther, which ECS has no words for. Each type is one that ECS expects for
// one of the categories.
var categorizations = map[schema.Class]categorization{
	schema.ClassDataSecurity:       {[]string{"file"}, []string{"info"}},
	schema.ClassDetection:          {[]string{"intrusion_detection"}, []string{"info"}},
	schema.ClassMalware:            {[]string{"malware"}, []string{"info"}},
	schema.ClassMaliciousSite:      {[]string{"intrusion_detection", "web"}, []string{"info"}},
	schema.ClassIntrusion:          {[]string{"intrusion_detection", "network"}, []string{"info"}},
	schema.ClassAnomaly:            {[]string{"intrusion_detection"}, []string{"info"}},
	schema.ClassCredentialExposure: {[]string{"iam"}, []string{"info", "user"}},
	schema.ClassPolicyMatch:        {[]string{"web"}, []string{"access"}},
	schema.ClassCompliance:         {[]string{"configuration"}, []string{"info"}},
	schema.ClassIncident:           {[]string{"file"}, []string{"info"}},
	schema.ClassHTTP:               {[]string{"web", "network"}, []string{"access"}},
	schema.ClassNetwork:            {[]string{"network"}, []string{"connection"}},
	schema.ClassDNS:                {[]string{"network"}, []string{"protocol"}},
	schema.ClassAppActivity:        {[]string{"web"}, []string{"access"}},
	schema.ClassFileActivity:       {[]string{"file", "web"}, []string{"access"}},
	schema.ClassAuthentication:     {[]string{"authentication"}, []string{"start"}},
	schema.ClassAccountChange:      {[]string{"iam"}, []string{"change", "user"}},
	schema.ClassEntityManagement:   {[]string{"configuration"}, []string{"change"}},
	schema.ClassAPI:                {[]string{"api"}, []string{"info"}},
	schema.ClassTunnel:             {[]string{"network", "session"}, []string{"info"}},
	schema.ClassAppLifecycle:       {[]string{"package"}, []string{"change"}},
	schema.ClassInventory:          {[]string{"host"}, []string{"info"}},
	schema.ClassPeripheral:         {[]string{"host"}, []string{"access"}},
	schema.ClassMetric:             {[]string{"host"}, []string{"info"}},
}

func appendCategories(dst []byte, a *schema.Artifact) []byte {
	return appendWords(dst, categorizations[a.Class].categories...)
}

func appendTypes(dst []byte, a *schema.Artifact) []byte {
	c, ok := categorizations[a.Class]
	if !ok {
		return dst
	}
	var words [4]string
	types := append(words[:0], c.types...)
	types[0] = typeOf(a, types[0])
	if verdict := verdictOf(a.Action); verdict != "" && c.takesVerdict() {
		types = append(types, verdict)
	}
	return appendWords(dst, types...)
}

// typeOf is the first type of the class, or a closer one: what an administrator did to an account or a setting, and whether
// a session began or ended.
func typeOf(a *schema.Artifact, class string) string {
	switch a.Class {
	case schema.ClassAccountChange, schema.ClassEntityManagement:
		switch a.Audit.Verb {
		case "create":
			return "creation"
		case "delete":
			return "deletion"
		case "read":
			return "info"
		}
	case schema.ClassAuthentication:
		if a.Audit.Verb == "logout" || strings.HasPrefix(a.Activity, "logout") || strings.HasPrefix(a.Activity, "logoff") {
			return "end"
		}
	}
	return class
}

// takesVerdict reports whether ECS expects allowed and denied for one of the categories.
func (c categorization) takesVerdict() bool {
	return slices.Contains(c.categories, "network") || slices.Contains(c.categories, "intrusion_detection")
}

// verdictOf is the type that says what the control did, or nothing.
func verdictOf(action schema.Action) string {
	switch action {
	case schema.ActionAllowed, schema.ActionBypassed:
		return "allowed"
	case schema.ActionBlocked, schema.ActionQuarantined, schema.ActionIsolated:
		return "denied"
	}
	return ""
}

// appendWords appends an array of texts, or nothing if there is none.
func appendWords(dst []byte, words ...string) []byte {
	if len(words) == 0 {
		return dst
	}
	for i, word := range words {
		dst = append(dst, ',')
		if i == 0 {
			dst[len(dst)-1] = '['
		}
		dst = jsonscan.AppendString(dst, word)
	}
	return append(dst, ']')
}
