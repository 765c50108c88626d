package normalize

import (
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// audit events record what administrators, tokens and Netskope's own staff did in the tenant.
var audit = dataset{
	kind:   schema.KindEvent,
	native: byIDAndTime,
	table: common.with(table{
		"subtype":           subtype("type"),
		"severity":          severity("audit"),
		"activity":          verb("audit_log_event"),
		"activity_raw":      text("audit_log_event"),
		"user.type":         adminType("is_netskope_personnel"),
		"audit.event":       text("audit_log_event"),
		"audit.object_type": text("supporting_data.data_type"),
		"audit.values":      list("supporting_data.data_values"),
		"audit.details":     anything("details"),
	}),
	derive: append(commonDerive[:len(commonDerive):len(commonDerive)], auditVerb, auditValues),
	class:  auditClass,
}

// adminType is admin, but for Netskope's own staff.
func adminType(key string) line {
	return line{rule: "admin type", keys: []string{key}, bind: func(field string) applyFunc {
		return func(m *Mapper, a *schema.Artifact, s *step) {
			a.User.Type = "admin"
			first(m, a, s, schema.Place[string](field), func(_ *Mapper, _ *schema.Artifact, v *member) (string, problem) {
				switch truthOf(v.text) {
				case schema.True:
					return "vendor_support", fits
				case schema.False:
					return "", empty
				}
				return "", "neither yes nor no"
			})
		}
	}}
}

// auditVerbs are the words that tell what was done. The first that the event's text has decides.
var auditVerbs = []struct{ word, verb string }{
	{"logout", "logout"}, {"logged out", "logout"}, {"log out", "logout"}, {"signed out", "logout"},
	{"login", "login"}, {"logged in", "login"}, {"log in", "login"}, {"signed in", "login"},
	{"disable", "disable"}, {"deactivate", "disable"}, {"enable", "enable"}, {"activate", "enable"},
	{"delete", "delete"}, {"remove", "delete"}, {"revoke", "delete"},
	{"create", "create"}, {"add ", "create"}, {"added", "create"}, {"clone", "create"}, {"new ", "create"},
	{"edit", "update"}, {"update", "update"}, {"change", "update"}, {"modif", "update"}, {"reorder", "update"}, {"reset", "update"},
	{"push", "push"}, {"apply", "push"}, {"applied", "push"}, {"deploy", "push"},
	{"view", "read"}, {"read", "read"}, {"export", "read"}, {"download", "read"}, {"access", "read"},
}

func auditVerb(_ *Mapper, a *schema.Artifact) {
	if a.Audit.Event == "" {
		return
	}
	a.Audit.Verb = "other"
	for _, known := range auditVerbs {
		if containsFold(a.Audit.Event, known.word) {
			a.Audit.Verb = known.verb
			return
		}
	}
}

// auditValues finds what the values of an audit event are about: the first address is where it was done from, the first of the
// others is the object, and the first e-mail address is the account, if an account was changed.
func auditValues(_ *Mapper, a *schema.Artifact) {
	for _, s := range a.Audit.Values {
		switch {
		case isAddress(s):
			if a.Src.IP == "" {
				a.Src.IP = s
			}
			continue
		case a.Audit.Object == "":
			a.Audit.Object = s
		}
		if a.TargetUser.Email == "" && strings.IndexByte(s, '@') > 0 && aboutAccount(a) {
			a.TargetUser.Email = lowerASCII(s)
		}
	}
}

// aboutAccount reports whether an audit event changes an account of an administrator or a user.
func aboutAccount(a *schema.Artifact) bool {
	switch a.Audit.Verb {
	case "login", "logout", "read":
		return false
	}
	if containsFold(a.Audit.Event, "rest api") {
		return false
	}
	return strings.EqualFold(a.Audit.ObjectType, "user") || strings.EqualFold(a.Audit.ObjectType, "admin") ||
		containsFold(a.Audit.Event, "admin") || containsFold(a.Audit.Event, "password")
}

func auditClass(_ *Mapper, a *schema.Artifact) schema.Class {
	switch {
	case a.Audit.Verb == "login", a.Audit.Verb == "logout":
		return schema.ClassAuthentication
	case containsFold(a.Audit.Event, "rest api") && a.Src.IP != "":
		return schema.ClassAPI
	case aboutAccount(a):
		return schema.ClassAccountChange
	}
	return schema.ClassEntityManagement
}
