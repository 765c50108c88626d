package ocsf

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/internal/view"
)

// Values of the framework's enumerations that the tables name.
const (
	regularFile = 1
	folder      = 2
	outbound    = 2 // from the client to the service
	failed      = 3 // of a compliance check: only failures become alerts
	md5, sha1   = 1, 2
	sha256      = 3
)

func text(place func(*schema.Artifact) *string, fits func(string) bool, field string) view.Value {
	return view.Func(func(dst []byte, a *schema.Artifact) []byte {
		if s := *place(a); s != "" && fits(s) {
			dst = jsonscan.AppendString(dst, s)
		}
		return dst
	}, field)
}

// address is a field of type ip_t.
func address(field string) view.Value {
	return text(schema.Place[string](field), isAddress, field)
}

// email is a field of type email_t. A value that is not one stands in name only.
func email(field string) view.Value {
	return text(schema.Place[string](field), emailForm.MatchString, field)
}

// millis is a time as milliseconds since 1970.
func millis(field string) view.Value {
	place := schema.Place[schema.Time](field)
	return view.Func(func(dst []byte, a *schema.Artifact) []byte {
		if t := *place(a); t != 0 {
			dst = strconv.AppendInt(dst, int64(t), 10)
		}
		return dst
	}, field)
}

// eventTime is there even if it is 1970: the framework demands it.
func eventTime(dst []byte, a *schema.Artifact) []byte {
	return strconv.AppendInt(dst, int64(a.Time), 10)
}

func severityID(dst []byte, a *schema.Artifact) []byte {
	return strconv.AppendInt(dst, int64(a.SeverityID), 10)
}

var severityNames = [...]string{"Unknown", "Informational", "Low", "Medium", "High", "Critical"}

func severityName(dst []byte, a *schema.Artifact) []byte {
	if a.SeverityID < 0 || a.SeverityID >= len(severityNames) {
		return dst
	}
	return jsonscan.AppendString(dst, severityNames[a.SeverityID])
}

var riskLevels = map[string]int64{"info": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}

func riskLevel(dst []byte, a *schema.Artifact) []byte {
	if level, ok := riskLevels[a.RiskLevel]; ok {
		return strconv.AppendInt(dst, level, 10)
	}
	return dst
}

func outcomeStatus(dst []byte, a *schema.Artifact) []byte {
	switch a.Outcome {
	case schema.OutcomeSuccess:
		return append(dst, '1')
	case schema.OutcomeFailure:
		return append(dst, '2')
	}
	return append(dst, '0')
}

// findingStatus is the state of work on a finding: new, in progress, resolved.
func findingStatus(dst []byte, a *schema.Artifact) []byte {
	switch findingActivity(a).id {
	case 2:
		return append(dst, '2')
	case 3:
		return append(dst, '4')
	}
	return append(dst, '1')
}

func isAlert(dst []byte, a *schema.Artifact) []byte {
	return strconv.AppendBool(dst, a.Kind == schema.KindAlert)
}

func findingTypes(dst []byte, a *schema.Artifact) []byte {
	name := a.Finding.Type
	if name == "" {
		name = a.Subtype
	}
	if name == "" {
		return dst
	}
	return append(jsonscan.AppendString(append(dst, '['), name), ']')
}

// analyticType is what sort of rule found it: keyword, fingerprinting, behavioral, or any rule.
func analyticType(dst []byte, a *schema.Artifact) []byte {
	switch {
	case a.DLP.Rule != "" && a.DLP.Fingerprint != "":
		return append(dst, '5')
	case a.DLP.Rule != "":
		return append(dst, '7')
	case a.Posture.Rule == "" && a.UBA.Type != "":
		return append(dst, '2')
	}
	return append(dst, '1')
}

// closeList ends a list whose elements were each written with a comma before; none, if nothing was.
func closeList(dst []byte, start int) []byte {
	if len(dst) == start {
		return dst
	}
	dst[start] = '['
	return append(dst, ']')
}

// malwareWords are the values of malware.classification_ids, by a word that the vendor's type holds.
var malwareWords = []struct {
	word string
	id   int64
}{
	{"adware", 1}, {"backdoor", 2}, {"bootkit", 4}, {"ddos", 5}, {"downloader", 6}, {"dropper", 7}, {"exploit", 8}, {"keylog", 9},
	{"ransom", 10}, {"remote access", 11}, {"rootkit", 15}, {"spyware", 17}, {"trojan", 18}, {"webshell", 20}, {"wiper", 21}, {"worm", 22},
	{"virus", 19}, {"bot", 3},
}

func malwareTypes(dst []byte, a *schema.Artifact) []byte {
	if a.Threat.Type == "" {
		return append(dst, "[0]"...)
	}
	id := int64(other)
	for _, known := range malwareWords {
		if containsFold(a.Threat.Type, known.word) {
			id = known.id
			break
		}
	}
	return append(strconv.AppendInt(append(dst, '['), id, 10), ']')
}

// containsFold reports whether s holds a word, which is in lower case.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// indicatorTypes are the values of osint.type_id.
var indicatorTypes = map[string]int64{"ip": 1, "dstip": 1, "srcip": 1, "domain": 2, "host": 3, "hostname": 3, "hash": 4, "md5": 4, "url": 5}

func indicatorType(dst []byte, a *schema.Artifact) []byte {
	return strconv.AppendInt(dst, indicatorTypes[strings.ToLower(a.Threat.IndicatorType)], 10)
}

func confidence(dst []byte, a *schema.Artifact) []byte {
	if a.Threat.Confidence == 0 {
		return dst
	}
	return append(strconv.AppendInt(append(dst, '"'), int64(a.Threat.Confidence), 10), '"')
}

func groups(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	for _, name := range a.User.Groups {
		dst = append(jsonscan.AppendString(append(dst, `,{"name":`...), name), '}')
	}
	return closeList(dst, start)
}

func userType(dst []byte, a *schema.Artifact) []byte {
	switch a.User.Type {
	case "user":
		return append(dst, '1')
	case "admin":
		return append(dst, '2')
	case "service":
		return append(dst, '4')
	case "vendor_support":
		return strconv.AppendInt(dst, other, 10)
	}
	return dst
}

// osTypes are the values of os.type_id, by how the system's name begins.
var osTypes = []struct {
	name string
	id   int64
}{
	{"windows", 100}, {"android", 201}, {"linux", 200}, {"ubuntu", 200}, {"mac", 300}, {"os x", 300}, {"ipad", 302}, {"ios", 301}, {"iphone", 301},
}

func osType(dst []byte, a *schema.Artifact) []byte {
	for _, known := range osTypes {
		if len(a.Device.OS) >= len(known.name) && strings.EqualFold(a.Device.OS[:len(known.name)], known.name) {
			return strconv.AppendInt(dst, known.id, 10)
		}
	}
	return append(dst, '0')
}

func mac(dst []byte, a *schema.Artifact) []byte {
	if macForm.MatchString(a.Device.MAC) {
		dst = jsonscan.AppendString(dst, a.Device.MAC)
	}
	return dst
}

// A fingerprint is a hash with the name of its algorithm.
func appendFingerprint(dst []byte, algorithm int64, value string) []byte {
	name := [...]string{md5: "MD5", sha1: "SHA-1", sha256: "SHA-256"}[algorithm]
	dst = strconv.AppendInt(append(dst, `{"algorithm_id":`...), algorithm, 10)
	dst = append(append(append(dst, `,"algorithm":"`...), name...), `","value":`...)
	return append(jsonscan.AppendString(dst, value), '}')
}

func fileType(dst []byte, a *schema.Artifact) []byte {
	if strings.EqualFold(a.Object.Type, "folder") {
		return strconv.AppendInt(dst, folder, 10)
	}
	return strconv.AppendInt(dst, regularFile, 10)
}

func fileHashes(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	for _, h := range [...]struct {
		algorithm int64
		value     string
	}{{md5, a.File.MD5}, {sha1, a.File.SHA1}, {sha256, a.File.SHA256}} {
		if h.value != "" {
			dst = appendFingerprint(append(dst, ','), h.algorithm, h.value)
		}
	}
	return closeList(dst, start)
}

// processHash tells the algorithm by the length of the hash, in hex.
func processHash(dst []byte, a *schema.Artifact) []byte {
	algorithm, ok := map[int]int64{32: md5, 40: sha1, 64: sha256}[len(a.Process.Hash)]
	if !ok {
		return dst
	}
	return append(appendFingerprint(append(dst, '['), algorithm, a.Process.Hash), ']')
}

// ja3 and ja3s are MD5 by their definition.
func ja3(dst []byte, a *schema.Artifact) []byte {
	if a.TLS.JA3 == "" {
		return dst
	}
	return appendFingerprint(dst, md5, a.TLS.JA3)
}

func ja3s(dst []byte, a *schema.Artifact) []byte {
	if a.TLS.JA3S == "" {
		return dst
	}
	return appendFingerprint(dst, md5, a.TLS.JA3S)
}

// forwardedFor is the list that the header X-Forwarded-For holds; what is no address in it is left out.
func forwardedFor(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	for ip := range strings.SplitSeq(a.Src.ForwardedFor, ",") {
		if ip = strings.TrimSpace(ip); isAddress(ip) && parses(ip) {
			dst = jsonscan.AppendString(append(dst, ','), ip)
		}
	}
	return closeList(dst, start)
}

func parses(ip string) bool {
	_, err := netip.ParseAddr(ip)
	return err == nil
}

func logFormat(dst []byte, a *schema.Artifact) []byte {
	if a.RawFormat == "" {
		return dst
	}
	return jsonscan.AppendString(dst, strings.ToUpper(a.RawFormat))
}

func mappingName(dst []byte, a *schema.Artifact) []byte {
	if a.MappingVersion == "" {
		return dst
	}
	dst = append(dst, `"netskope-artifact `...)
	return append(append(dst, a.MappingVersion...), '"')
}

// tags hold what metadata has no attribute for before 1.7.0.
func tags(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	for _, t := range [...]struct{ name, value string }{
		{"original_event_uid", a.NativeID}, {"log_source", a.SourceTenant}, {"log_format", strings.ToUpper(a.RawFormat)},
	} {
		if t.value != "" {
			dst = append(append(append(dst, `,{"name":"`...), t.name...), `","value":`...)
			dst = append(jsonscan.AppendString(dst, t.value), '}')
		}
	}
	return closeList(dst, start)
}

// service is what somebody logged in to.
func service(dst []byte, a *schema.Artifact) []byte {
	switch {
	case a.App.Name != "":
		return jsonscan.AppendString(dst, a.App.Name)
	case a.Dataset == "audit":
		return append(dst, `"Netskope admin console"`...)
	}
	return jsonscan.AppendString(dst, "unknown")
}

// enrichments are those that have what the framework demands of them.
func enrichments(dst []byte, a *schema.Artifact) []byte {
	start := len(dst)
	for i := range a.Enrichments {
		e := &a.Enrichments[i]
		if e.Name == "" || e.Value == "" || e.Data == "" {
			continue
		}
		dst = jsonscan.AppendString(append(dst, `,{"name":`...), e.Name)
		dst = jsonscan.AppendString(append(dst, `,"value":`...), e.Value)
		dst = append(append(dst, `,"data":`...), e.Data...)
		if e.Provider != "" {
			dst = jsonscan.AppendString(append(dst, `,"provider":`...), e.Provider)
		}
		dst = append(dst, '}')
	}
	return closeList(dst, start)
}
