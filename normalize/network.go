package normalize

import "github.com/skopeflow/skopeflow/schema"

// network events are sessions of private access and of the cloud firewall, or DNS queries.
var network = dataset{
	kind:   schema.KindEvent,
	native: bySession,
	table: common.with(table{
		"subtype":     subtype("threat_type", "type"),
		"severity":    severity("network"),
		"outcome":     outcome("flow_status", "activity_status"),
		"threat.type": text("threat_type"),
		"dns.query":   text("qdomain"),
		"dns.type":    text("qtype"),
	}),
	dropped: plumbing,
	derive:  append(commonDerive[:len(commonDerive):len(commonDerive)], sessionDuration),
	class:   networkClass,
}

// bySession adds the session, because different sessions have been seen with one _id and one time.
func bySession(m *Mapper, a *schema.Artifact, name []byte) []byte {
	start := len(name)
	if name = byIDAndTime(m, a, name); len(name) == start {
		return name
	}
	return append(append(name, "|s="...), a.Net.SessionID...)
}

// sessionDuration is from end to end. session_duration is how long the tunnel has been up.
func sessionDuration(_ *Mapper, a *schema.Artifact) {
	if a.DurationMS == 0 && a.StartTime != 0 && a.EndTime > a.StartTime {
		a.DurationMS = int64(a.EndTime - a.StartTime)
	}
}

func networkClass(_ *Mapper, a *schema.Artifact) schema.Class {
	if a.DNS.Query != "" {
		return schema.ClassDNS
	}
	return schema.ClassNetwork
}
