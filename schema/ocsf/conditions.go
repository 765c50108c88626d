package ocsf

import (
	"regexp"

	"github.com/skopeflow/skopeflow/schema"
)

// What the definitions of classes and objects demand, and what tells profiles.

func allOf(conditions ...func(*schema.Artifact) bool) func(*schema.Artifact) bool {
	return func(a *schema.Artifact) bool {
		for _, holds := range conditions {
			if !holds(a) {
				return false
			}
		}
		return true
	}
}

func hasSource(a *schema.Artifact) bool { return isAddress(a.Src.IP) }

func hasDestination(a *schema.Artifact) bool {
	return isAddress(a.Dst.IP) || a.Dst.Hostname != "" || a.URL.Host != "" || a.App.Name != ""
}

func hasEndpoint(a *schema.Artifact) bool { return hasSource(a) || hasDestination(a) }

func hasUser(a *schema.Artifact) bool {
	return a.User.Name != "" || a.User.Email != "" || a.User.ID != "" || a.User.SamAccount != ""
}

func hasProcess(a *schema.Artifact) bool { return a.Process.PID != 0 }

func hasActor(a *schema.Artifact) bool { return hasUser(a) || hasProcess(a) || a.App.SessionID != "" }

func hasDevice(a *schema.Artifact) bool {
	return isAddress(a.Device.IP) || a.Device.Hostname != "" || a.Device.ID != "" || a.Infra.Host != ""
}

func hasFile(a *schema.Artifact) bool { return a.File.Name != "" }

func hasRequest(a *schema.Artifact) bool {
	m, known := methods[a.HTTP.Method]
	return known && m.since == "" || a.HTTP.Version != "" || a.HTTP.UserAgent != "" || a.HTTP.Status != 0 ||
		a.URL.Full != "" || a.URL.Path != "" || a.URL.Referrer != "" || a.Net.RequestID != ""
}

func hasResource(a *schema.Artifact) bool {
	return a.Object.Name != "" || a.App.Name != "" || a.URL.Host != "" || a.Object.ID != ""
}

func hasOperation(a *schema.Artifact) bool { return a.Audit.Event != "" || a.ActivityRaw != "" }

func hasEntity(a *schema.Artifact) bool { return a.Audit.Object != "" || hasOperation(a) }

func hasTarget(a *schema.Artifact) bool {
	return a.TargetUser.Email != "" || a.Audit.Object != ""
}

func hasPeripheral(a *schema.Artifact) bool {
	return a.Peripheral.Name != "" || a.Peripheral.ProductID != "" || a.Peripheral.Serial != ""
}

func hasMalware(a *schema.Artifact) bool {
	return a.Class == schema.ClassMalware && (a.Threat.Name != "" || a.Threat.ID != "")
}

func hasIndicator(a *schema.Artifact) bool {
	return a.Class == schema.ClassMaliciousSite && a.Threat.Indicator != ""
}

func hasCloud(a *schema.Artifact) bool {
	return a.App.Name != "" && (a.Posture.AccountID != "" || a.Posture.AccountName != "")
}

func hasProxy(a *schema.Artifact) bool { return isAddress(a.Net.ProxyEgressIP) || a.Net.POP != "" }

// hasParent tells an incident that belongs to another one. Netskope names an incident as its own parent where it has none.
func hasParent(a *schema.Artifact) bool {
	return a.DLP.ParentID != "" && a.DLP.ParentID != a.DLP.IncidentID
}

func isVendorSupport(a *schema.Artifact) bool { return a.User.Type == "vendor_support" }

// isControlled tells that a control did something.
func isControlled(a *schema.Artifact) bool { return a.Action != "" && a.Action != schema.ActionUnknown }

// isRisky tells a risk, which findings have natively.
func isRisky(a *schema.Artifact) bool { return a.RiskScore != 0 || a.RiskLevel != "" }

func (c *class) isFinding() bool { return c.uid/1000 == 2 }

// isAddress tells an address that the framework takes: its texts are 40 bytes long at most.
func isAddress(s string) bool { return s != "" && len(s) <= 40 }

// The forms of the framework's types email_t and mac_t.
var (
	emailForm = regexp.MustCompile("^[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\\.[a-zA-Z0-9-.]+$")
	macForm   = regexp.MustCompile(`^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$`)
)

// profiles appends the names of the profiles that an event uses.
func (c *class) profiles(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	_, proxied := c.table["proxy_endpoint.ip"]
	for _, p := range []struct {
		name string
		used bool
	}{
		{"cloud", c == complianceFinding && hasCloud(a)},
		{"host", !c.natively.actor && hasActor(a) || !c.natively.device && hasDevice(a)},
		{"incident", a.Class == schema.ClassIncident},
		{"network_proxy", proxied && hasProxy(a)},
		{"osint", c == detectionFinding && hasIndicator(a)},
		{"security_control", isControlled(a) || a.Policy.Name != "" || a.Policy.ID != "" || isRisky(a) && !c.isFinding()},
	} {
		if p.used {
			dst = append(append(append(dst, `,"`...), p.name...), '"')
		}
	}
	if len(dst) == start {
		return dst
	}
	dst[start] = '['
	return append(dst, ']')
}
