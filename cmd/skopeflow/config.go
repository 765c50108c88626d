package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/skopeflow/skopeflow/internal/pipeline"
)

// Config is everything that can be set from outside. It comes from the
// environment and from nowhere else; `skopeflow help env` prints the same
// structs as a table.
type Config struct {
	// Instances are the tenants to collect from, in the order of
	// NETSKOPE_INSTANCES. None is legal: commands that only talk to the broker
	// need none. See RequireInstances.
	Instances []Instance
	Publish   PublishConfig
	NATS      NATSConfig
	HTTP      HTTPConfig
	Log       LogConfig
	Lease     LeaseConfig
	ProcessConfig

	// Notes are sentences about settings that are legal and deserve a warning
	// in the log.
	Notes []string

	// Rules has what is left out of what each instance collects, by its name.
	Rules map[string]pipeline.Rules
}

// PublishConfig says what is published.
type PublishConfig struct {
	Raw bool `env:"PUBLISH_RAW" default:"true" desc:"keep the raw event in the artifact"`
	// Format is one of formats.
	Format      string `env:"PUBLISH_FORMAT" default:"artifact" desc:"what is published: artifact, or a view of it: ocsf, ecs, witfoo"`
	OCSFVersion string `env:"PUBLISH_OCSF_VERSION" default:"1.8.0" desc:"version of the view ocsf: 1.5.0, 1.6.0, 1.7.0 or 1.8.0"`
}

// NATSConfig says where the broker is and how the artifacts' stream is made.
type NATSConfig struct {
	// URL may carry a password, so it does not print. Several servers of one
	// cluster are separated by commas.
	URL       Secret `env:"NATS_URL" desc:"server to use, such as nats://nats:4222; empty: one runs inside this process"`
	CredsFile string `env:"NATS_CREDS_FILE" desc:"credentials for NATS_URL (a .creds file)"`
	CAFile    string `env:"NATS_CA_FILE" desc:"certificate authorities for NATS_URL, PEM; empty: the system's"`
	// Listen is host:port, or "none".
	Listen        string `env:"NATS_LISTEN" default:"127.0.0.1:4222" desc:"where the server inside listens; none: no port"`
	Stream        string `env:"NATS_STREAM" default:"ARTIFACTS" desc:"JetStream stream that holds the artifacts"`
	SubjectPrefix string `env:"NATS_SUBJECT_PREFIX" default:"artifacts" desc:"first part of each artifact's subject"`
	Replicas      int    `env:"NATS_REPLICAS" default:"1" desc:"copies of the stream in a cluster, 1 to 5"`
	// MaxBytes is 0 when it was not set.
	MaxBytes Size     `env:"NATS_MAX_BYTES" desc:"how large the stream may grow, such as 10GiB; empty: half the free disk for the server inside, no limit of ours for NATS_URL"`
	MaxAge   Duration `env:"NATS_MAX_AGE" default:"7d" desc:"how long the stream keeps an artifact"`
}

// HTTPConfig says where the UI, the HTTP API, the probes and the metrics are.
type HTTPConfig struct {
	Addr string `env:"HTTP_ADDR" default:"127.0.0.1:8080" desc:"where UI, API, /healthz, /readyz and /metrics listen"`
}

// ProcessConfig is what belongs to the process as a whole.
type ProcessConfig struct {
	// ProbeAddr is empty when the probes are served at HTTP.Addr only.
	ProbeAddr   string `env:"PROBE_ADDR" desc:"another address for /healthz, /readyz and /metrics alone"`
	DataDir     string `env:"DATA_DIR" default:"./data" desc:"the inner server's store and generated secrets"`
	MemoryLimit Size   `env:"MEMORY_LIMIT" default:"256MiB" desc:"events in flight, in bytes of memory; at least 16MiB"`
	// OutboundAllow are ranges beyond public ones.
	OutboundAllow Prefixes `env:"OUTBOUND_ALLOW" desc:"address ranges beyond public ones that base URLs may lead to, such as 10.0.0.0/8,fd00::/8"`
}

// LeaseConfig says how replicas that share a NATS share the lanes.
type LeaseConfig struct {
	TTL        Duration `env:"LEASE_TTL" default:"30s" desc:"how long a lane of a replica that is gone stays its own, in whole seconds; replicas share the lanes where NATS_URL is set"`
	Quarantine Duration `env:"QUARANTINE" default:"65s" desc:"how long a request to Netskope to which no answer came may still be at work"`
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level slog.Level `env:"LOG_LEVEL" default:"info" desc:"debug, info, warn or error"`
	// Format is text, json, or empty: text on a terminal, else json.
	Format string `env:"LOG_FORMAT" desc:"text or json; empty: text on a terminal, else json"`
}

type configGroup struct {
	title string
	spec  any // pointer to a struct of settings
}

// groups are the settings of the process. Those of an instance are apart,
// because they repeat under a prefix for each.
func (c *Config) groups() []configGroup {
	return []configGroup{
		{"Publishing", &c.Publish},
		{"NATS", &c.NATS},
		{"HTTP", &c.HTTP},
		{"Replicas", &c.Lease},
		{"Process", &c.ProcessConfig},
		{"Logs", &c.Log},
	}
}

// loadConfig reads the environment. Its error, a usageError, has one line for
// each problem, and each line says what to do. A misspelt variable is one: it
// should stop the program, not be ignored by it.
func loadConfig() (*Config, error) {
	c, p := &Config{Rules: make(map[string]pipeline.Rules)}, new(problems)
	var known []string
	for _, g := range c.groups() {
		fillFromEnv("", g.spec, p)
		known = append(known, variableNames("", g.spec)...)
	}
	c.Publish.validate(p)
	c.NATS.validate(p)
	c.validate(p)
	known = append(known, c.loadInstances(p)...)
	refuseUnknown(known, p)
	if len(p.errs) > 0 {
		return nil, &usageError{msg: errors.Join(p.errs...).Error()}
	}
	return c, nil
}

// RequireInstances returns a usageError when nothing is configured to collect
// from.
func (c *Config) RequireInstances() error {
	if len(c.Instances) > 0 {
		return nil
	}
	return &usageError{msg: "no Netskope tenant is configured; set NETSKOPE_BASE_URL and NETSKOPE_API_TOKEN, or try skopeflow demo"}
}

func (c *Config) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// noteMode warns when others on the machine may read a file of secrets.
func (c *Config) noteMode(name, file string) {
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		c.note("%s: others may read %s (mode %04o); chmod 600 it", name, file, info.Mode().Perm())
	}
}

func (c *Config) validate(p *problems) {
	p.checkAddr("HTTP_ADDR", c.HTTP.Addr)
	if c.ProbeAddr != "" {
		p.checkAddr("PROBE_ADDR", c.ProbeAddr)
	}
	p.require(c.MemoryLimit >= 16<<20, "MEMORY_LIMIT", "less than 16MiB leaves no room for two parts of a page; raise it")
	p.require(c.Lease.TTL.Duration >= 2*time.Second && c.Lease.TTL.Duration%time.Second == 0, "LEASE_TTL", "%v is not a number of whole seconds from 2s on; write one such as 30s", c.Lease.TTL.Duration)
	p.require(c.Lease.Quarantine.Duration >= time.Second, "QUARANTINE", "less than a second is not enough for any request; write one such as 65s")
	p.require(c.Log.Format == "" || c.Log.Format == "text" || c.Log.Format == "json",
		"LOG_FORMAT", "%q is not a format; write text or json", c.Log.Format)
	if c.NATS.CredsFile != "" {
		c.noteMode("NATS_CREDS_FILE", c.NATS.CredsFile)
	}
}

func (n *NATSConfig) validate(p *problems) {
	if n.URL != "" {
		p.checkNATSURL(n.URL)
	} else {
		p.require(n.Replicas <= 1, "NATS_REPLICAS", "the server inside is one server and keeps one copy; set NATS_URL to a cluster, or leave it at 1")
		p.require(n.CredsFile == "", "NATS_CREDS_FILE", "used with NATS_URL only, which is not set; set it or remove this")
		p.require(n.CAFile == "", "NATS_CA_FILE", "used with NATS_URL only, which is not set; set it or remove this")
	}
	if n.CredsFile != "" {
		_, err := os.ReadFile(n.CredsFile)
		p.require(err == nil, "NATS_CREDS_FILE", "cannot be read: %v", err)
	}
	p.checkCAFile("NATS_CA_FILE", n.CAFile)
	if n.Listen != "none" {
		p.checkAddr("NATS_LISTEN", n.Listen)
	}
	p.require(streamForm.MatchString(n.Stream), "NATS_STREAM",
		"%q cannot name a stream; use up to 64 letters, digits, - and _", n.Stream)
	p.require(subjectForm.MatchString(n.SubjectPrefix), "NATS_SUBJECT_PREFIX",
		"%q cannot begin a subject; use letters, digits, - and _, with dots between", n.SubjectPrefix)
	first, _, _ := strings.Cut(n.SubjectPrefix, ".")
	p.require(first != "skopeflow", "NATS_SUBJECT_PREFIX", "subjects under skopeflow are kept for claims and state; choose another prefix")
	p.require(n.Replicas >= 1 && n.Replicas <= 5, "NATS_REPLICAS", "%d is not a number of copies JetStream makes; write 1 to 5", n.Replicas)
	p.require(n.MaxAge.Duration >= time.Minute, "NATS_MAX_AGE", "less than a minute leaves consumers nothing to read; write an age such as 7d")
}

var (
	streamForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	subjectForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	hostForm    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
)

// problems collects what is wrong, so that all of it is said at once.
type problems struct {
	errs []error
	bad  map[string]bool // variables whose value is refused already
}

func (p *problems) add(name, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

// reject adds a problem about a variable's value. The first one is enough: the
// next is often its echo.
func (p *problems) reject(name, format string, args ...any) {
	if p.bad[name] {
		return
	}
	if p.bad == nil {
		p.bad = make(map[string]bool)
	}
	p.bad[name] = true
	p.add(name, format, args...)
}

func (p *problems) require(ok bool, name, format string, args ...any) {
	if !ok {
		p.reject(name, format, args...)
	}
}

func (p *problems) checkAddr(name, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	p.require(err == nil && (host == "" || validHost(host)), name,
		"%q is not an address; write host:port, such as 127.0.0.1:8080 or :8080", addr)
}

func (p *problems) checkCAFile(name, file string) {
	if file == "" {
		return
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		p.reject(name, "cannot be read: %v", err)
		return
	}
	p.require(x509.NewCertPool().AppendCertsFromPEM(pem), name, "%s holds no certificate in PEM form", file)
}

// checkNATSURL does not quote the URL: it may carry a password. The forms are
// those of nats.go: a scheme is optional, and commas separate servers.
func (p *problems) checkNATSURL(urls Secret) {
	for server := range strings.SplitSeq(urls.Reveal(), ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" {
			p.reject("NATS_URL", "not a URL; write one such as nats://nats:4222, several with commas between")
			return
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			p.reject("NATS_URL", "the scheme %s is none of NATS; write nats://, tls://, ws:// or wss://", u.Scheme)
			return
		}
	}
}

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= 253 && hostForm.MatchString(host)
}
