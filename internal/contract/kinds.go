package contract

// Kinds say where what stands at a place of a view is of another kind than the value of the artifact that it is made of. In OCSF
// the numbers of enumerations, whose names end in _id or _ids, are left to the reader's knowledge of the framework, and in ECS the
// sets below related.
type kinds map[string]string // by path

const (
	epoch      = "ms since 1970"
	caption    = "the caption of its number"
	hashObject = "as an object with its algorithm"
)

var ocsfKinds = kinds{
	"time": epoch, "start_time": epoch, "end_time": epoch, "metadata.logged_time": epoch, "metadata.processed_time": epoch,
	"finding_info.first_seen_time": epoch,

	"action": caption, "activity_name": caption, "disposition": caption, "severity": caption,
	"is_alert": "true for alert",
	"type_uid": "number of class and activity",

	"file.hashes": hashObject, "tls.ja3_hash": hashObject, "tls.ja3s_hash": hashObject,
	"actor.user.groups": "as objects with a name", "user.groups": "as objects with a name",
	"data_security.discovery_details":          "as objects with type and count",
	"enrichments":                              "as objects of OCSF",
	"metadata.log_format":                      "upper case",
	"metadata.transformation_info_list[].name": "after netskope-artifact",
	"osint[].confidence":                       "as text",
	"service.name":                             "audit: the console",
}

var ecsKinds = kinds{
	"event.severity":              "21, 21, 47, 73, 99 for 1 to 5; absent for 0",
	"event.duration":              "ns",
	"event.dataset":               "after netskope.",
	"event.category":              "words of ECS",
	"event.type":                  "words of ECS",
	"network.application":         "lower case",
	"threat.indicator.confidence": "Low, Medium, High",
	"threat.indicator.type":       "word of STIX",
	"tls.version":                 "number alone",
	"tls.version_protocol":        "name alone",
}

var witfooKinds = kinds{
	"severityCode": "RFC 5424: 6, 6, 5, 4, 3, 2 for 0 to 5",
	"messageType":  "word of WitFoo",
	"clientPort":   "as text",
	"serverPort":   "as text",
	"pid":          "as text",
}

// noted returns the paths as code, each with its kind where that is another.
func (k kinds) noted(paths []string) string {
	text := ""
	for i, path := range paths {
		if i > 0 {
			text += ", "
		}
		text += "`" + path + "`"
		if kind := k[path]; kind != "" {
			text += " (" + kind + ")"
		}
	}
	return text
}
