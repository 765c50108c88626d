package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// setEnv makes vars the only variables that could mean anything to us. Each is
// written NAME=value.
func setEnv(t *testing.T, vars ...string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if hasAnyPrefix(name, slices.Concat(ownPrefixes, sharedPrefixes, []string{"MEMORY_", "OUTBOUND_", "PROBE_"})) {
			t.Setenv(name, "") // so that the test's end restores it
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

var acme = []string{"NETSKOPE_BASE_URL=acme", "NETSKOPE_API_TOKEN=t0ken"}

func mustLoad(t *testing.T, vars ...string) *Config {
	t.Helper()
	setEnv(t, vars...)
	c, err := loadConfig()
	if err != nil {
		t.Fatalf("loadConfig with %q: %v", vars, err)
	}
	return c
}

// loadProblems returns the lines of loadConfig's error.
func loadProblems(t *testing.T, vars ...string) []string {
	t.Helper()
	setEnv(t, vars...)
	c, err := loadConfig()
	if err == nil {
		t.Fatalf("loadConfig with %q: no error, config %+v", vars, c)
	}
	var misuse *usageError
	if !errors.As(err, &misuse) {
		t.Fatalf("loadConfig with %q: error is a %T, want a usageError", vars, err)
	}
	return strings.Split(err.Error(), "\n")
}

func writeFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBaseURLAndTokenAreAllOneInstanceNeeds(t *testing.T) {
	c := mustLoad(t, acme...)
	if len(c.Instances) != 1 || len(c.Notes) != 0 {
		t.Fatalf("%d instances, notes %q; want one and none", len(c.Instances), c.Notes)
	}
	i := c.Instances[0]
	if i.BaseURL != "https://acme.goskope.com" || i.Name != "acme" || i.Mode != "auto" || !i.Enabled || i.InsecureSkipVerify {
		t.Errorf("instance is %+v", i)
	}
	if i.PollInterval.Duration != 5*time.Minute || i.Timeout.Duration != time.Minute || i.ProxyURL.URL() != nil || i.CAFile != "" {
		t.Errorf("instance is %+v", i)
	}
	if want := []string{"events/alert", "events/page", "events/application", "events/audit"}; !slices.Equal(i.Streams, want) {
		t.Errorf("streams are %q, want %q", i.Streams, want)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := i.Start.Resolve(now); !got.Equal(now) {
		t.Errorf("start is %v, want now", got)
	}
	if token, err := i.TokenSource().Token(); err != nil || token.Reveal() != "t0ken" {
		t.Errorf("token is %q, %v", token.Reveal(), err)
	}
}

func TestNothingConfiguredHasDefaultsAndNoInstance(t *testing.T) {
	c := mustLoad(t)
	if len(c.Instances) != 0 {
		t.Errorf("instances: %+v", c.Instances)
	}
	if !c.Publish.Raw || c.HTTP.Addr != "127.0.0.1:8080" || c.ProbeAddr != "" || c.DataDir != "./data" ||
		c.MemoryLimit != 256<<20 || len(c.OutboundAllow) != 0 || c.Log.Level != 0 || c.Log.Format != "" {
		t.Errorf("config is %+v", c)
	}
	n := c.NATS
	if n.URL != "" || n.Listen != "127.0.0.1:4222" || n.Stream != "ARTIFACTS" || n.SubjectPrefix != "artifacts" ||
		n.Replicas != 1 || n.MaxBytes != 0 || n.MaxAge.Duration != 7*24*time.Hour {
		t.Errorf("NATS is %+v", n)
	}
	var misuse *usageError
	if err := c.RequireInstances(); !errors.As(err, &misuse) || !strings.Contains(err.Error(), "NETSKOPE_BASE_URL") {
		t.Errorf("RequireInstances: %v, want a usageError that names NETSKOPE_BASE_URL", err)
	}
	if err := mustLoad(t, acme...).RequireInstances(); err != nil {
		t.Errorf("RequireInstances with an instance: %v", err)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	ca := writeFile(t, testCA, 0o644)
	creds := writeFile(t, "creds", 0o600)
	c := mustLoad(t, append(acme,
		"NETSKOPE_NAME=prod", "NETSKOPE_MODE=data", "NETSKOPE_STREAMS= Alerts/DLP ,page,page,", "NETSKOPE_POLL_INTERVAL=1s",
		"NETSKOPE_START=7d", "NETSKOPE_ENABLED=false", "NETSKOPE_TIMEOUT=90s", "NETSKOPE_PROXY_URL=http://u:p@proxy:3128",
		"NETSKOPE_CA_FILE="+ca, "PUBLISH_RAW=false", "NATS_URL=nats://a:4222, tls://b", "NATS_CREDS_FILE="+creds, "NATS_CA_FILE="+ca,
		"NATS_LISTEN=none", "NATS_STREAM=X", "NATS_SUBJECT_PREFIX=a.b", "NATS_REPLICAS=3", "NATS_MAX_BYTES=10GiB", "NATS_MAX_AGE=36h",
		"HTTP_ADDR=:80", "PROBE_ADDR=[::]:81", "DATA_DIR=/d", "MEMORY_LIMIT=1GB", "OUTBOUND_ALLOW=10.1.2.3/8, fd00::1",
		"LOG_LEVEL=debug", "LOG_FORMAT=json")...)
	i := c.Instances[0]
	if i.Name != "prod" || i.Mode != "data" || i.PollInterval.Duration != time.Second || i.Enabled || i.Timeout.Duration != 90*time.Second || i.CAFile != ca {
		t.Errorf("instance is %+v", i)
	}
	if want := []string{"alerts/dlp", "events/page"}; !slices.Equal(i.Streams, want) {
		t.Errorf("streams are %q, want %q", i.Streams, want)
	}
	if got := i.ProxyURL.URL().String(); got != "http://u:p@proxy:3128" {
		t.Errorf("proxy is %s", got)
	}
	n := c.NATS
	if n.URL.Reveal() != "nats://a:4222, tls://b" || n.CredsFile != creds || n.CAFile != ca || n.Listen != "none" || n.Stream != "X" ||
		n.SubjectPrefix != "a.b" || n.Replicas != 3 || n.MaxBytes != 10<<30 || n.MaxAge.Duration != 36*time.Hour {
		t.Errorf("NATS is %+v", n)
	}
	if c.Publish.Raw || c.HTTP.Addr != ":80" || c.ProbeAddr != "[::]:81" || c.DataDir != "/d" || c.MemoryLimit != 1e9 ||
		c.Log.Level != -4 || c.Log.Format != "json" {
		t.Errorf("config is %+v", c)
	}
	if len(c.OutboundAllow) != 2 || c.OutboundAllow[0].String() != "10.0.0.0/8" || c.OutboundAllow[1].String() != "fd00::1/128" {
		t.Errorf("ranges are %v", c.OutboundAllow)
	}
}

func TestInvalidSettingIsRefusedByName(t *testing.T) {
	notPEM := writeFile(t, "x", 0o600)
	for _, tt := range []struct{ set, want string }{
		{"NETSKOPE_BASE_URL=https://acme.goskope.com/api", "NETSKOPE_BASE_URL: leave out the path /api"},
		{"NETSKOPE_BASE_URL=", "NETSKOPE_BASE_URL: not set"},
		{"NETSKOPE_API_TOKEN=", "NETSKOPE_API_TOKEN: not set"},
		{"NETSKOPE_API_TOKEN=a b", "NETSKOPE_API_TOKEN: the token holds a space"},
		{"NETSKOPE_NAME=Acme", `NETSKOPE_NAME: "Acme" is not a name`},
		{"NETSKOPE_NAME=" + strings.Repeat("a", 33), "NETSKOPE_NAME: "},
		{"NETSKOPE_MODE=v1", `NETSKOPE_MODE: "v1" is not a mode; write auto, dataexport or data`},
		{"NETSKOPE_MODE=", "NETSKOPE_MODE: empty; remove it to have auto"},
		{"NETSKOPE_STREAMS=", "NETSKOPE_STREAMS: empty; remove it to have alert,page,application,audit"},
		{"NETSKOPE_STREAMS=nope", `NETSKOPE_STREAMS: no such stream as "nope"`},
		{"NETSKOPE_POLL_INTERVAL=999ms", "NETSKOPE_POLL_INTERVAL: at least 1s"},
		{"NETSKOPE_POLL_INTERVAL=5", `NETSKOPE_POLL_INTERVAL: "5" is not a length of time; write one such as`},
		{"NETSKOPE_START=yesterday", `NETSKOPE_START: "yesterday" is no start; write now`},
		{"NETSKOPE_ENABLED=yes", `NETSKOPE_ENABLED: "yes" is neither true nor false`},
		{"NETSKOPE_TIMEOUT=0s", "NETSKOPE_TIMEOUT: at least 1s"},
		{"NETSKOPE_PROXY_URL=proxy:3128", "NETSKOPE_PROXY_URL: "},
		{"NETSKOPE_PROXY_URL=ftp://proxy", "NETSKOPE_PROXY_URL: the scheme ftp"},
		{"NETSKOPE_CA_FILE=/nowhere", "NETSKOPE_CA_FILE: cannot be read"},
		{"NETSKOPE_CA_FILE=" + notPEM, "NETSKOPE_CA_FILE: " + notPEM + " holds no certificate"},
		{"NETSKOPE_INSECURE_SKIP_VERIFY=1x", "NETSKOPE_INSECURE_SKIP_VERIFY: "},
		{"PUBLISH_RAW=on", "PUBLISH_RAW: "},
		{"NATS_URL=kafka://a:1", "NATS_URL: the scheme kafka is none of NATS"},
		{"NATS_URL=nats://", "NATS_URL: not a URL"},
		{"NATS_URL=nats://a,,", "NATS_URL: not a URL"},
		{"NATS_CREDS_FILE=" + notPEM, "NATS_CREDS_FILE: used with NATS_URL only"},
		{"NATS_CA_FILE=" + notPEM, "NATS_CA_FILE: used with NATS_URL only"},
		{"NATS_LISTEN=4222", `NATS_LISTEN: "4222" is not an address`},
		{"NATS_LISTEN=127.0.0.1:99999", "NATS_LISTEN: "},
		{"NATS_LISTEN=", "NATS_LISTEN: empty"},
		{"NATS_STREAM=a.b", `NATS_STREAM: "a.b" cannot name a stream`},
		{"NATS_SUBJECT_PREFIX=a.*", `NATS_SUBJECT_PREFIX: "a.*" cannot begin a subject`},
		{"NATS_SUBJECT_PREFIX=skopeflow.x", "NATS_SUBJECT_PREFIX: subjects under skopeflow are kept"},
		{"NATS_REPLICAS=three", `NATS_REPLICAS: "three" is not a whole number`},
		{"NATS_REPLICAS=0", "NATS_REPLICAS: 0 is not a number of copies"},
		{"NATS_REPLICAS=3", "NATS_REPLICAS: the server inside is one server"},
		{"NATS_MAX_BYTES=lots", `NATS_MAX_BYTES: "lots" is not a size`},
		{"NATS_MAX_AGE=7x", "NATS_MAX_AGE: "},
		{"NATS_MAX_AGE=1s", "NATS_MAX_AGE: less than a minute"},
		{"HTTP_ADDR=8080", "HTTP_ADDR: "},
		{"HTTP_ADDR=a b:8080", "HTTP_ADDR: "},
		{"PROBE_ADDR=x", "PROBE_ADDR: "},
		{"DATA_DIR=", "DATA_DIR: empty; remove it to have ./data"},
		{"MEMORY_LIMIT=1MiB", "MEMORY_LIMIT: less than 16MiB"},
		{"OUTBOUND_ALLOW=10.0.0.0/33", `OUTBOUND_ALLOW: "10.0.0.0/33" is not an address range`},
		{"LOG_LEVEL=verbose", `LOG_LEVEL: "verbose" is not a level; write debug, info, warn or error`},
		{"LOG_FORMAT=xml", `LOG_FORMAT: "xml" is not a format; write text or json`},
	} {
		t.Run(tt.set, func(t *testing.T) {
			got := loadProblems(t, slices.Concat(acme, []string{"NETSKOPE_TIMEOUT=60s", tt.set})...)
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("problems are %q, want one that begins %q", got, tt.want)
			}
		})
	}
}

func TestEmptyMeansDefaultWhereTheDefaultIsEmpty(t *testing.T) {
	c := mustLoad(t, append(acme, "NATS_URL=", "NATS_MAX_BYTES= ", "LOG_FORMAT=", "PROBE_ADDR=", "OUTBOUND_ALLOW=",
		"NETSKOPE_NAME=", "NETSKOPE_PROXY_URL=", "NETSKOPE_INSTANCES=", "NETSKOPE_API_TOKEN_FILE=")...)
	if c.NATS.URL != "" || c.NATS.MaxBytes != 0 || c.Instances[0].Name != "acme" {
		t.Errorf("config is %+v", c)
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	got := loadProblems(t, "NETSKOPE_BASE_URL=http://acme.goskope.com", "NETSKOPE_MODE=x", "NETSKOPE_POLL_INTERVAL=x",
		"NETSKOPE_STREEMS=x", "NATS_REPLICAS=x", "LOG_LEVEL=x")
	want := []string{"NATS_REPLICAS: ", "LOG_LEVEL: ", "NETSKOPE_BASE_URL: ", "NETSKOPE_POLL_INTERVAL: ", "NETSKOPE_API_TOKEN: ", "NETSKOPE_MODE: ", "unknown variable NETSKOPE_STREEMS"}
	for _, w := range want {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(l string) bool { return !strings.HasPrefix(l, w) })); n != 1 {
			t.Errorf("%d problems begin %q, want 1", n, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("problems are %q, want %d of them", got, len(want))
	}
}

func TestInsecureSkipVerifyIsNoted(t *testing.T) {
	c := mustLoad(t, append(acme, "NETSKOPE_INSECURE_SKIP_VERIFY=true")...)
	if !c.Instances[0].InsecureSkipVerify || len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "acme.goskope.com is not checked") {
		t.Errorf("instance %+v, notes %q", c.Instances[0], c.Notes)
	}
}

func TestNATSCredentialsThatOthersMayReadAreNoted(t *testing.T) {
	c := mustLoad(t, "NATS_URL=nats://a", "NATS_CREDS_FILE="+writeFile(t, "x", 0o644))
	if len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "NATS_CREDS_FILE: others may read") {
		t.Errorf("notes are %q", c.Notes)
	}
}

// testCA is a self-signed certificate that was made for these tests.
const testCA = `-----BEGIN CERTIFICATE-----
MIHvMIGioAMCAQICAQEwBQYDK2VwMA8xDTALBgNVBAMTBHRlc3QwIBcNNzAwMTAx
MDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMA8xDTALBgNVBAMTBHRlc3QwKjAFBgMr
ZXADIQDPQamwsrDBVDCt4KTIfSFR8GYTnYNlb1lO4RuqnvdJbqMhMB8wHQYDVR0O
BBYEFLr44Z/bhJl8Wt2/jQOspCA+YRJZMAUGAytlcANBAGDTpeHbQJIbOA9lLk2x
eVIM1bj+0HTPG+OpIn4EcGQ+gXkulP62z2WBJiLarf4XaC0B0JLGOChro6DGdagI
3Ag=
-----END CERTIFICATE-----
`
