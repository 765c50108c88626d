package normalize

import (
	"strings"

	"github.com/skopeflow/skopeflow/schema"
)

// application events record what somebody did in a cloud app.
var application = dataset{
	kind:   schema.KindEvent,
	native: byIDAndTime,
	table: common.with(table{
		"subtype":       subtype("type"),
		"severity":      severity("application"),
		"finding.id":    id("incident_id"),
		"finding.title": text("alert_name"),
		"finding.type":  text("alert_type"),
	}),
	dropped: plumbing,
	derive:  commonDerive,
	class:   applicationClass,
}

// fileVerbs are the activities that are something done to a file.
var fileVerbs = map[string]bool{
	"upload": true, "download": true, "edit": true, "update": true, "modify": true, "delete": true, "rename": true, "copy": true,
	"move": true, "restore": true, "preview": true, "lock": true, "unlock": true, "share": true, "unshare": true,
	"open": true, "view": true, "sync": true, "unsync": true,
}

// applicationClass tells logins and what is done to files from the rest. Activity on a file needs a source, as OCSF has it.
func applicationClass(_ *Mapper, a *schema.Artifact) schema.Class {
	switch {
	case strings.HasPrefix(a.Activity, "login"), strings.HasPrefix(a.Activity, "logout"):
		return schema.ClassAuthentication
	case fileVerbs[a.Activity] && a.File.Name != "" && a.Src.IP != "":
		return schema.ClassFileActivity
	}
	return schema.ClassAppActivity
}
