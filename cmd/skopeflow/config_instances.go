package main

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An Instance is one Netskope tenant to collect from. Its variables begin with
// NETSKOPE_, or with NETSKOPE_<NAME>_ for each name in NETSKOPE_INSTANCES;
// nothing falls through from one prefix to another.
type Instance struct {
	BaseURL      BaseURL `env:"BASE_URL" desc:"the tenant: acme, acme.goskope.com or https://acme.goskope.com; plain http only to a loopback address"`
	APIToken     Secret  `env:"API_TOKEN" desc:"v2 or service-account token"`
	APITokenFile string  `env:"API_TOKEN_FILE" desc:"file that holds the token instead; read again for each use, so that it can be rotated"`
	// Name is a slug, and no two instances have the same.
	Name string `env:"NAME" desc:"name of the instance in subjects, logs and UI; empty: first label of the host, or its name in NETSKOPE_INSTANCES"`
	// Mode is auto, dataexport or data.
	Mode string `env:"MODE" default:"auto" desc:"API to read: dataexport, data, or auto to find out"`
	// Streams are full names, such as events/page; wildcards are expanded.
	Streams            []string `env:"STREAMS" default:"alert,page,application,audit" desc:"what to collect: alert, page, … (short for events/alert, …), alerts/dlp, …, alerts/*, events/* or all"`
	PollInterval       Duration `env:"POLL_INTERVAL" default:"5m" desc:"pause after a poll, which drains everything there is; at least 1s"`
	Start              Start    `env:"START" default:"now" desc:"where a stream that was never read begins: now, an RFC 3339 time, or an age such as 24h or 7d"`
	Enabled            bool     `env:"ENABLED" default:"true" desc:"false: keep the settings, collect nothing"`
	Timeout            Duration `env:"TIMEOUT" default:"60s" desc:"how long an answer may take to begin; at least 1s"`
	ProxyURL           ProxyURL `env:"PROXY_URL" desc:"proxy to reach the tenant by; empty: what HTTPS_PROXY and NO_PROXY say"`
	CAFile             string   `env:"CA_FILE" desc:"certificate authorities to trust, PEM; empty: the system's"`
	KeepIf             string   `env:"KEEP_IF" desc:"publish only artifacts for which this CEL expression holds, such as severity_id >= 3"`
	DropIf             string   `env:"DROP_IF" desc:"do not publish artifacts for which this CEL expression holds, such as user.email.endsWith('@test.example')"`
	HashFields         []string `env:"HASH_FIELDS" desc:"artifact fields to replace by a keyed hash: names such as user.email, groups such as user, or identity, ip"`
	HashKeyFile        string   `env:"HASH_KEY_FILE" desc:"file with the key of HASH_FIELDS, at least 16 bytes (openssl rand -hex 32)"`
	RemoveFields       []string `env:"REMOVE_FIELDS" desc:"artifact fields to leave out: names, groups, or identity, ip, url_query"`
	InsecureSkipVerify bool     `env:"INSECURE_SKIP_VERIFY" default:"false" desc:"true: do not check the tenant's certificate (test rigs only)"`
}

// TokenSource gives the instance's token as it is at the moment of asking.
func (i *Instance) TokenSource() TokenSource {
	if i.APITokenFile != "" {
		return TokenSource{file: i.APITokenFile}
	}
	return TokenSource{value: &i.APIToken}
}

// instanceList is the one variable of Netskope that belongs to no instance.
type instanceList struct {
	Names []string `env:"NETSKOPE_INSTANCES" desc:"several tenants: acme-prod,globex; then each variable above as NETSKOPE_ACME_PROD_…, NETSKOPE_GLOBEX_…"`
}

const tenantPrefix = "NETSKOPE_"

var slugForm = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// futureSettings are names that instances may not take although nothing reads
// them, so that a setting of that name breaks no one's instance.
var futureSettings = []string{
	"QUERY", "QUERIES", "CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE",
	"TOKEN_EXPIRES_AT", "TRANSACTIONS_URL",
}

// loadInstances reads the instances and returns the variables it knows.
func (c *Config) loadInstances(p *problems) (known []string) {
	var list instanceList
	fillFromEnv("", &list, p)
	known = append(variableNames("", &list), variableNames(tenantPrefix, &Instance{})...)
	if len(list.Names) == 0 {
		if singleInstance() {
			c.loadInstance(tenantPrefix, "", p)
		}
		return known
	}
	var spellings []string
	for _, name := range list.Names {
		name = strings.TrimSpace(name)
		prefix := tenantPrefix + spelling(name) + "_"
		known = append(known, variableNames(prefix, &Instance{})...)
		if p.checkInstanceName(name, spellings) {
			spellings = append(spellings, spelling(name))
			c.loadInstance(prefix, name, p)
		}
	}
	refuseUnprefixed(spellings, p)
	c.checkUnique(p)
	return known
}

// singleInstance tells whether a variable without an instance's prefix is set.
// The token alone does not count: Netskope's own command line reads it too.
func singleInstance() bool {
	return slices.ContainsFunc(variableNames(tenantPrefix, &Instance{}), func(name string) bool {
		return os.Getenv(name) != "" && name != tenantPrefix+"API_TOKEN"
	})
}

// spelling is how an instance's name is written inside a variable's.
func spelling(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// checkInstanceName adds a problem when name cannot be an instance's beside
// those whose spellings are taken.
func (p *problems) checkInstanceName(name string, taken []string) bool {
	const list = "NETSKOPE_INSTANCES"
	switch {
	case !slugForm.MatchString(name):
		p.add(list, "%q is not a name; use up to 32 small letters, digits and -", name)
	case slices.Contains(taken, spelling(name)):
		p.add(list, "%q is listed twice; give each instance a name of its own", name)
	case beginsSetting(name) != "":
		p.add(list, "an instance cannot be named %q, because its variables would look like %s; choose another name", name, beginsSetting(name))
	default:
		return true
	}
	return false
}

// beginsSetting returns a variable that begins as the variables of an instance
// with this name would, or "".
func beginsSetting(name string) string {
	reserved := slices.Concat(variableNames(tenantPrefix, &Instance{}), variableNames("", &instanceList{}), vendorVariables)
	for _, s := range futureSettings {
		reserved = append(reserved, tenantPrefix+s)
	}
	for _, r := range reserved {
		if strings.HasPrefix(r+"_", tenantPrefix+spelling(name)+"_") {
			return r
		}
	}
	return ""
}

// unlistedInstance returns the name an instance would need for the variable to
// be one of its settings, or "".
func unlistedInstance(variable string) string {
	best := ""
	for _, s := range variableNames("", &Instance{}) {
		rest, found := strings.CutSuffix(strings.TrimPrefix(variable, tenantPrefix), "_"+s)
		name := strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
		shorter := best == "" || len(name) < len(best)
		if found && shorter && slugForm.MatchString(name) && beginsSetting(name) == "" {
			best = name
		}
	}
	return best
}

// refuseUnprefixed adds a problem for each variable that would be read without
// NETSKOPE_INSTANCES and is not read with it.
func refuseUnprefixed(spellings []string, p *problems) {
	for _, s := range variableNames("", &Instance{}) {
		if os.Getenv(tenantPrefix+s) == "" || s == "API_TOKEN" {
			continue
		}
		example := "NAME"
		if len(spellings) > 0 {
			example = spellings[0]
		}
		p.add(tenantPrefix+s, "not read beside NETSKOPE_INSTANCES; write %s%s_%s", tenantPrefix, example, s)
	}
}

func (c *Config) checkUnique(p *problems) {
	seen := make(map[string]bool)
	for _, i := range c.Instances {
		if seen[i.Name] {
			p.add("NETSKOPE_INSTANCES", "two instances are named %q; give one another …_NAME", i.Name)
		}
		seen[i.Name] = true
	}
}

// loadInstance reads the instance whose variables begin with prefix. With
// listed, its name in NETSKOPE_INSTANCES, it need not say its name again.
func (c *Config) loadInstance(prefix, listed string, p *problems) {
	var i Instance
	fillFromEnv(prefix, &i, p)
	p.require(i.BaseURL != "", prefix+"BASE_URL", "not set; write the tenant, such as acme or https://acme.goskope.com")
	c.checkInstanceToken(prefix, &i, p)
	if i.Name == "" {
		i.Name = defaultName(listed, i.BaseURL)
	}
	p.require(slugForm.MatchString(i.Name) || i.BaseURL == "" && i.Name == "", prefix+"NAME",
		"%q is not a name; set one of up to 32 small letters, digits and -", i.Name)
	p.require(slices.Contains([]string{"auto", "dataexport", "data"}, i.Mode), prefix+"MODE",
		"%q is not a mode; write auto, dataexport or data", i.Mode)
	streams, note, err := expandStreams(i.Streams)
	p.require(err == nil, prefix+"STREAMS", "%v", err)
	i.Streams = streams
	if note != "" {
		c.note("%sSTREAMS: %s", prefix, note)
	}
	p.require(i.PollInterval.Duration >= time.Second, prefix+"POLL_INTERVAL", "at least 1s between polls; raise it")
	p.require(i.Timeout.Duration >= time.Second, prefix+"TIMEOUT", "at least 1s for an answer to begin; raise it")
	p.checkCAFile(prefix+"CA_FILE", i.CAFile)
	if i.InsecureSkipVerify {
		c.note("%sINSECURE_SKIP_VERIFY: the certificate of %s is not checked; whoever is between can read the token", prefix, i.BaseURL.Host())
	}
	c.Rules[i.Name] = c.loadRules(prefix, &i, p)
	c.Instances = append(c.Instances, i)
}

func (c *Config) checkInstanceToken(prefix string, i *Instance, p *problems) {
	value, file := prefix+"API_TOKEN", prefix+"API_TOKEN_FILE"
	switch {
	case i.APIToken != "" && i.APITokenFile != "":
		p.add(value, "set together with %s; remove one of them", file)
		return
	case i.APIToken == "" && i.APITokenFile == "":
		p.reject(value, "not set; make a token in Netskope's settings (Tools, REST API v2), or name a file that holds it in %s", file)
		return
	}
	_, err := i.TokenSource().Token()
	if i.APITokenFile == "" {
		p.require(err == nil, value, "%v", err)
		return
	}
	p.require(err == nil, file, "%v; name a readable file that holds the token alone", err)
	c.noteMode(file, i.APITokenFile)
}

// defaultName is the listed name, else the first label of the host. An address
// has no labels and is taken whole.
func defaultName(listed string, base BaseURL) string {
	if listed != "" {
		return listed
	}
	host := base.Host()
	if _, err := netip.ParseAddr(host); err == nil {
		return strings.NewReplacer(".", "-", ":", "-").Replace(host)
	}
	label, _, _ := strings.Cut(host, ".")
	return label
}
