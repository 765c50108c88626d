package ocsf

import (
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// An activity is what a class says was done: activity_id and activity_name.
type activity struct {
	id    int
	name  string // "" where id is other and the event has no word for it
	since string // the version that has it first; "" is all of them
}

// other is the id of what an enumeration of the framework has no value for.
const other = 99

func always(what activity) func(*schema.Artifact) activity {
	return func(*schema.Artifact) activity { return what }
}

// byVerb finds the activity by the artifact's verb.
func byVerb(verbs map[string]activity) func(*schema.Artifact) activity {
	return func(a *schema.Artifact) activity {
		if known, ok := verbs[a.Activity]; ok {
			return known
		}
		return activity{id: other, name: a.ActivityRaw}
	}
}

// byAuditVerb finds the activity by what an audit event did.
func byAuditVerb(verbs map[string]activity) func(*schema.Artifact) activity {
	return func(a *schema.Artifact) activity {
		if known, ok := verbs[a.Audit.Verb]; ok {
			return known
		}
		return activity{id: other, name: a.ActivityRaw}
	}
}

var webVerbs = map[string]activity{
	"create": {id: 1, name: "Create"}, "upload": {id: 1, name: "Create"}, "post": {id: 1, name: "Create"}, "send": {id: 1, name: "Create"}, "add": {id: 1, name: "Create"}, "invite": {id: 1, name: "Create"},
	"view": {id: 2, name: "Read"}, "browse": {id: 2, name: "Read"}, "download": {id: 2, name: "Read"}, "open": {id: 2, name: "Read"}, "preview": {id: 2, name: "Read"}, "read": {id: 2, name: "Read"},
	"edit": {id: 3, name: "Update"}, "update": {id: 3, name: "Update"}, "modify": {id: 3, name: "Update"}, "rename": {id: 3, name: "Update"}, "move": {id: 3, name: "Update"},
	"delete": {id: 4, name: "Delete"}, "remove": {id: 4, name: "Delete"},
	"search": {id: 5, name: "Search"},
	"import": {id: 6, name: "Import"},
	"export": {id: 7, name: "Export"},
	"share":  {id: 8, name: "Share"},
}

var fileVerbs = map[string]activity{
	"upload": {id: 1, name: "Upload"}, "download": {id: 2, name: "Download"},
	"edit": {id: 3, name: "Update"}, "update": {id: 3, name: "Update"}, "modify": {id: 3, name: "Update"},
	"delete": {id: 4, name: "Delete"}, "rename": {id: 5, name: "Rename"}, "copy": {id: 6, name: "Copy"}, "move": {id: 7, name: "Move"}, "restore": {id: 8, name: "Restore"},
	"preview": {id: 9, name: "Preview"}, "view": {id: 9, name: "Preview"}, "lock": {id: 10, name: "Lock"}, "unlock": {id: 11, name: "Unlock"},
	"share": {id: 12, name: "Share"}, "unshare": {id: 13, name: "Unshare"}, "open": {id: 14, name: "Open"}, "sync": {id: 15, name: "Sync"}, "unsync": {id: 16, name: "Unsync"},
}

var apiVerbs = map[string]activity{
	"create": {id: 1, name: "Create"}, "read": {id: 2, name: "Read"}, "update": {id: 3, name: "Update"}, "delete": {id: 4, name: "Delete"},
}

var accountVerbs = map[string]activity{
	"create": {id: 1, name: "Create"}, "enable": {id: 2, name: "Enable"}, "disable": {id: 5, name: "Disable"}, "delete": {id: 6, name: "Delete"},
}

var entityVerbs = map[string]activity{
	"create": {id: 1, name: "Create"}, "read": {id: 2, name: "Read"}, "update": {id: 3, name: "Update"}, "delete": {id: 4, name: "Delete"},
	"enable": {id: 8, name: "Enable"}, "disable": {id: 9, name: "Disable"},
}

var peripheralVerbs = map[string]activity{
	"usb_insert": {id: 1, name: "Connect"}, "insert": {id: 1, name: "Connect"}, "connect": {id: 1, name: "Connect"}, "connected": {id: 1, name: "Connect"}, "mount": {id: 1, name: "Connect"},
	"usb_remove": {id: 2, name: "Disconnect"}, "remove": {id: 2, name: "Disconnect"}, "disconnect": {id: 2, name: "Disconnect"}, "disconnected": {id: 2, name: "Disconnect"},
	"enable": {id: 3, name: "Enable"}, "disable": {id: 4, name: "Disable"}, "eject": {id: 5, name: "Eject"},
}

var methods = map[string]activity{
	"CONNECT": {id: 1, name: "Connect"}, "DELETE": {id: 2, name: "Delete"}, "GET": {id: 3, name: "Get"}, "HEAD": {id: 4, name: "Head"}, "OPTIONS": {id: 5, name: "Options"},
	"POST": {id: 6, name: "Post"}, "PUT": {id: 7, name: "Put"}, "TRACE": {id: 8, name: "Trace"}, "PATCH": {id: 9, name: "Patch", since: "1.6.0"},
}

// httpMethod is by the method of the request. Events that sum up several requests have none.
func httpMethod(a *schema.Artifact) activity {
	if known, ok := methods[a.HTTP.Method]; ok {
		return known
	}
	if a.HTTP.Method != "" {
		return activity{id: other, name: a.HTTP.Method}
	}
	return activity{id: other, name: a.ActivityRaw}
}

func networkTraffic(a *schema.Artifact) activity {
	if a.Action == schema.ActionBlocked {
		return activity{id: 5, name: "Refuse"}
	}
	return activity{id: 6, name: "Traffic"}
}

// findingActivity is that of an incident's state; other findings come once, when they are created.
func findingActivity(a *schema.Artifact) activity {
	if a.Class == schema.ClassIncident {
		switch a.Finding.Status {
		case "", "new", "open":
		case "closed", "resolved", "dismissed":
			return activity{id: 3, name: "Close"}
		default:
			return activity{id: 2, name: "Update"}
		}
	}
	return activity{id: 1, name: "Create"}
}

func logon(a *schema.Artifact) activity {
	switch {
	case a.Audit.Verb == "logout", strings.HasPrefix(a.Activity, "logout"):
		return activity{id: 2, name: "Logoff"}
	case a.Audit.Verb == "login", strings.HasPrefix(a.Activity, "login"):
		return activity{id: 1, name: "Logon"}
	}
	return activity{id: other, name: a.ActivityRaw}
}

// tunnelChange and lifecycleChange read the event that the client reports, such as "Tunnel Up" and "Installed".
func tunnelChange(a *schema.Artifact) activity {
	switch a.Activity {
	case "tunnel_up", "tunnel_connected":
		return activity{id: 1, name: "Open"}
	case "tunnel_down", "tunnel_down_due_to_error", "tunnel_down_due_to_secure_forwarder", "tunnel_disconnected":
		return activity{id: 2, name: "Close"}
	}
	return activity{id: other, name: a.ActivityRaw}
}

func lifecycleChange(a *schema.Artifact) activity {
	for _, known := range []struct {
		word string
		what activity
	}{
		{"uninstall", activity{id: 2, name: "Remove"}}, {"install", activity{id: 1, name: "Install"}}, {"upgrade", activity{id: 8, name: "Update"}},
		{"enabled", activity{id: 6, name: "Enable"}}, {"disabled", activity{id: 7, name: "Disable"}},
	} {
		if strings.Contains(a.Activity, known.word) {
			return known.what
		}
	}
	return activity{id: other, name: a.ActivityRaw}
}

// activityIn returns what tells the activity in a version: other, where the version does not have it yet.
func (c *class) activityIn(version string) func(a *schema.Artifact) activity {
	return func(a *schema.Artifact) activity {
		what := c.activity(a)
		if what.since > version {
			what.id = other
		}
		return what
	}
}

// activityTable is what stands in every event about what was done.
func (c *class) activityTable(version string) view.Table {
	tell, told := c.activityIn(version), c.told
	if told == nil {
		told = []string{"activity", "activity_raw"}
	}
	return view.Table{
		"activity_id": view.Func(func(dst []byte, a *schema.Artifact) []byte {
			return strconv.AppendInt(dst, int64(tell(a).id), 10)
		}, told...),
		"activity_name": view.Func(func(dst []byte, a *schema.Artifact) []byte {
			if name := tell(a).name; name != "" {
				dst = jsonscan.AppendString(dst, name)
			}
			return dst
		}, told...),
		"type_uid": view.Func(func(dst []byte, a *schema.Artifact) []byte {
			return strconv.AppendInt(dst, int64(c.uid*100+tell(a).id), 10)
		}, "class"),
	}
}

// methodIn is the request's method, if it is one that the framework knows in the version.
func methodIn(version string) view.Value {
	return view.Func(func(dst []byte, a *schema.Artifact) []byte {
		if known, ok := methods[a.HTTP.Method]; ok && known.since <= version {
			dst = jsonscan.AppendString(dst, a.HTTP.Method)
		}
		return dst
	}, "http.method")
}
