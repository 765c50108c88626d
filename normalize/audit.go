package normalize

import (
	"slices"
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

// A told is what words tell was done.
type told struct {
	verb  string
	words []string
}

// The words of audit events in the order of their weight: the first that stands in the text of an event decides. What was done
// to a login or logout, as in "Updated admin logout timeout", is none.
var (
	sessions = []told{
		{"logout", []string{"logout", "logoff", "log out", "logged out", "log off", "logged off", "sign out", "signed out"}},
		{"login", []string{"login", "logon", "log in", "logged in", "log on", "logged on", "sign in", "signed in"}},
	}
	changes = []told{
		{"disable", []string{"disable", "disables", "disabled", "disabling", "deactivate", "deactivated"}},
		{"enable", []string{"enable", "enables", "enabled", "enabling", "activate", "activated"}},
		{"delete", []string{"delete", "deletes", "deleted", "deleting", "deletion", "remove", "removed", "revoke", "revoked"}},
		{"create", []string{"create", "creates", "created", "creating", "creation", "add", "adds", "added", "adding", "clone", "cloned"}},
		{"update", []string{
			"edit", "edits", "edited", "editing", "update", "updates", "updated", "updating", "change", "changes", "changed",
			"modify", "modifies", "modified", "modification", "reorder", "reordered", "reset", "resets",
		}},
	}
	others = []told{
		{"create", []string{"new"}},
		{"push", []string{"push", "pushed", "apply", "applied", "deploy", "deployed", "deployment"}},
		{"read", []string{"view", "viewed", "read", "export", "exported", "download", "downloaded", "access", "accessed"}},
	}
)

func auditVerb(m *Mapper, a *schema.Artifact) {
	if a.Audit.Event != "" {
		a.Audit.Verb = m.fold(a.Audit.Event, "v", auditVerbOf)
	}
}

func auditVerbOf(event string) string {
	text := spaced(event)
	verb, at := tell(text, sessions)
	if at >= 0 {
		if _, before := tell(text[:at+1], changes); before < 0 {
			return verb
		}
	}
	for _, words := range [][]told{changes, others} {
		if verb, at := tell(text, words); at >= 0 {
			return verb
		}
	}
	return "other"
}

// tell returns what the words of a text tell, and where; -1 if they tell nothing.
func tell(text string, words []told) (verb string, at int) {
	for _, t := range words {
		for _, word := range t.words {
			if at := strings.Index(text, " "+word+" "); at >= 0 {
				return t.verb, at
			}
		}
	}
	return "", -1
}

// auditValues finds what the values of an audit event are about: the first address is where it was done from, the first of the
// others is the object, and the first e-mail address is the account, if an account was changed.
func auditValues(m *Mapper, a *schema.Artifact) {
	account := ""
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
		if account == "" && strings.IndexByte(s, '@') > 0 {
			account = s
		}
	}
	if a.TargetUser.Email == "" && account != "" && m.aboutAccount(a) {
		a.TargetUser.Email = lowerASCII(account)
	}
}

// aboutAccount reports whether an audit event changes an account of an administrator or a user. What goes for all accounts, as
// a password policy does, is none.
func (m *Mapper) aboutAccount(a *schema.Artifact) bool {
	switch a.Audit.Verb {
	case "login", "logout", "read":
		return false
	}
	text := m.fold(a.Audit.Event, "w", spaced)
	switch {
	case strings.Contains(text, " rest api "):
		return false
	case strings.EqualFold(a.Audit.ObjectType, "user"), strings.EqualFold(a.Audit.ObjectType, "admin"):
		return true
	}
	return hasWord(text, "admin", "admins", "administrator", "administrators", "password", "passwords") &&
		!hasWord(text, "policy", "policies", "setting", "settings", "timeout")
}

func hasWord(spaced string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(spaced, " "+word+" ") })
}

func auditClass(m *Mapper, a *schema.Artifact) schema.Class {
	switch {
	case a.Audit.Verb == "login", a.Audit.Verb == "logout":
		return schema.ClassAuthentication
	case a.Src.IP != "" && strings.Contains(m.fold(a.Audit.Event, "w", spaced), " rest api "):
		return schema.ClassAPI
	case m.aboutAccount(a):
		return schema.ClassAccountChange
	}
	return schema.ClassEntityManagement
}
