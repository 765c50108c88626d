package main

import (
	"slices"
	"strings"
	"testing"
)

func TestInstancesHaveTheirOwnVariables(t *testing.T) {
	c := mustLoad(t, "NETSKOPE_INSTANCES=acme-prod, globex",
		"NETSKOPE_ACME_PROD_BASE_URL=acme", "NETSKOPE_ACME_PROD_API_TOKEN=a", "NETSKOPE_ACME_PROD_MODE=data",
		"NETSKOPE_GLOBEX_BASE_URL=globex.eu.goskope.com", "NETSKOPE_GLOBEX_API_TOKEN=g", "NETSKOPE_GLOBEX_NAME=globex-eu")
	if len(c.Instances) != 2 {
		t.Fatalf("%d instances, want 2", len(c.Instances))
	}
	a, g := c.Instances[0], c.Instances[1]
	if a.Name != "acme-prod" || a.BaseURL != "https://acme.goskope.com" || a.APIToken.Reveal() != "a" || a.Mode != "data" {
		t.Errorf("first is %+v", a)
	}
	if g.Name != "globex-eu" || g.BaseURL != "https://globex.eu.goskope.com" || g.APIToken.Reveal() != "g" || g.Mode != "auto" {
		t.Errorf("second is %+v", g)
	}
}

func TestNothingFallsThroughToAnInstance(t *testing.T) {
	// The bare names are what envconfig falls back to when a tag names them.
	got := loadProblems(t, "NETSKOPE_INSTANCES=acme", "NETSKOPE_API_TOKEN=t", "BASE_URL=acme", "API_TOKEN=t")
	want := []string{"NETSKOPE_ACME_BASE_URL: not set", "NETSKOPE_ACME_API_TOKEN: not set"}
	if len(got) != 2 || !strings.HasPrefix(got[0], want[0]) || !strings.HasPrefix(got[1], want[1]) {
		t.Errorf("problems are %q, want %q", got, want)
	}
}

func TestVariablesOfOneInstanceAreRefusedBesideAList(t *testing.T) {
	got := loadProblems(t, "NETSKOPE_INSTANCES=a-1", "NETSKOPE_A_1_BASE_URL=acme", "NETSKOPE_A_1_API_TOKEN=t",
		"NETSKOPE_BASE_URL=acme", "NETSKOPE_MODE=data")
	want := []string{
		"NETSKOPE_BASE_URL: not read beside NETSKOPE_INSTANCES; write NETSKOPE_A_1_BASE_URL",
		"NETSKOPE_MODE: not read beside NETSKOPE_INSTANCES; write NETSKOPE_A_1_MODE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems are %q, want %q", got, want)
	}
}

func TestTokenOfTheVendorsCommandLineMayStandBesideAList(t *testing.T) {
	mustLoad(t, "NETSKOPE_INSTANCES=a", "NETSKOPE_A_BASE_URL=acme", "NETSKOPE_A_API_TOKEN=t", "NETSKOPE_API_TOKEN=t")
}

func TestTokenAloneConfiguresNoInstance(t *testing.T) {
	if c := mustLoad(t, "NETSKOPE_API_TOKEN=t", "NETSKOPE_TENANT=acme"); len(c.Instances) != 0 {
		t.Errorf("instances: %+v", c.Instances)
	}
}

func TestInstanceNamesAreChecked(t *testing.T) {
	for _, tt := range []struct{ list, want string }{
		{"Acme", "is not a name"},
		{"acme_prod", "is not a name"},
		{strings.Repeat("a", 33), "is not a name"},
		{"acme,,b", `"" is not a name`},
		{"acme,acme", "is listed twice"},
		{"api", "NETSKOPE_API_TOKEN"},
		{"api-token", "NETSKOPE_API_TOKEN"},
		{"base", "NETSKOPE_BASE_URL"},
		{"ca", "NETSKOPE_CA_FILE"},
		{"start", "NETSKOPE_START"},
		{"insecure-skip", "NETSKOPE_INSECURE_SKIP_VERIFY"},
		{"instances", "NETSKOPE_INSTANCES"},
		{"token", "NETSKOPE_TOKEN_EXPIRES_AT"},
		{"client", "NETSKOPE_CLIENT_ID"},
		{"queries", "NETSKOPE_QUERIES"},
		{"tenant", "NETSKOPE_TENANT"},
		{"no", "NETSKOPE_NO_UPDATE_CHECK"},
	} {
		t.Run(tt.list, func(t *testing.T) {
			vars := []string{"NETSKOPE_INSTANCES=" + tt.list}
			for name := range strings.SplitSeq(tt.list, ",") {
				vars = append(vars, "NETSKOPE_"+spelling(name)+"_BASE_URL=acme", "NETSKOPE_"+spelling(name)+"_API_TOKEN=t")
			}
			if tt.list == "acme,,b" {
				vars = append(vars, "NETSKOPE_B_BASE_URL=b", "NETSKOPE_B_API_TOKEN=t")
			}
			got := loadProblems(t, vars...)
			if len(got) != 1 || !strings.HasPrefix(got[0], "NETSKOPE_INSTANCES: ") || !strings.Contains(got[0], tt.want) {
				t.Errorf("problems are %q, want one about NETSKOPE_INSTANCES with %q", got, tt.want)
			}
		})
	}
	// A name that merely shares letters with a setting's is fine.
	for _, name := range []string{"apis", "bases", "c", "prod", "tokens", "1"} {
		mustLoad(t, "NETSKOPE_INSTANCES="+name, "NETSKOPE_"+spelling(name)+"_BASE_URL=acme", "NETSKOPE_"+spelling(name)+"_API_TOKEN=t")
	}
}

func TestTwoInstancesOfOneNameAreRefused(t *testing.T) {
	got := loadProblems(t, "NETSKOPE_INSTANCES=a,b", "NETSKOPE_A_BASE_URL=a", "NETSKOPE_A_API_TOKEN=t",
		"NETSKOPE_B_BASE_URL=b", "NETSKOPE_B_API_TOKEN=t", "NETSKOPE_B_NAME=a")
	if len(got) != 1 || !strings.Contains(got[0], `two instances are named "a"`) {
		t.Errorf("problems are %q", got)
	}
}

func TestInstanceIsNamedAfterItsHost(t *testing.T) {
	for url, want := range map[string]string{
		"acme":                     "acme",
		"acme.eu.goskope.com":      "acme",
		"face.goskope.com":         "face",
		"http://127.0.0.1:9090":    "127-0-0-1",
		"http://localhost:9090":    "localhost",
		"https://acme.example.com": "acme",
	} {
		if c := mustLoad(t, "NETSKOPE_BASE_URL="+url, "NETSKOPE_API_TOKEN=t"); c.Instances[0].Name != want {
			t.Errorf("%s is named %q, want %q", url, c.Instances[0].Name, want)
		}
	}
	got := loadProblems(t, "NETSKOPE_BASE_URL="+strings.Repeat("a", 40)+".goskope.com", "NETSKOPE_API_TOKEN=t")
	if len(got) != 1 || !strings.HasPrefix(got[0], "NETSKOPE_NAME: ") {
		t.Errorf("problems with a label of 40 letters are %q, want one about NETSKOPE_NAME", got)
	}
}

func TestUnknownVariableStopsTheProgram(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"NETSKOPE_STREAM=s3cret", "unknown variable NETSKOPE_STREAM; did you mean NETSKOPE_STREAMS?"},
		{"NETSKOPE_TOKEN=s3cret", "unknown variable NETSKOPE_TOKEN; did you mean NETSKOPE_API_TOKEN?"},
		{"NETSKOPE_URL=s3cret", "unknown variable NETSKOPE_URL; did you mean NETSKOPE_BASE_URL?"},
		{"NETSKOPE_ACME_API_TOKEN_FILE=s3cret", "unknown variable NETSKOPE_ACME_API_TOKEN_FILE; list acme in NETSKOPE_INSTANCES if it is an instance's"},
		{"NETSKOPE_WHATEVER=s3cret", "unknown variable NETSKOPE_WHATEVER; skopeflow help env lists those there are"},
		{"NETSKOPE_PORT=8080", "unknown variable NETSKOPE_PORT; "},
		{"PUBLISH_RAWW=s3cret", "unknown variable PUBLISH_RAWW; did you mean PUBLISH_RAW?"},
		{"PUBLISH_FORMATS=s3cret", "unknown variable PUBLISH_FORMATS; did you mean PUBLISH_FORMAT?"},
		{"PUBLISH_TOPIC=s3cret", "unknown variable PUBLISH_TOPIC; "},
		{"NETSKOPE_DROPIF=s3cret", "unknown variable NETSKOPE_DROPIF; did you mean NETSKOPE_DROP_IF?"},
		{"NETSKOPE_HASH_KEY=s3cret", "unknown variable NETSKOPE_HASH_KEY; did you mean NETSKOPE_HASH_KEY_FILE?"},
		{"NATS_URLS=s3cret", "unknown variable NATS_URLS; did you mean NATS_URL?"},
		{"NATS_SUBJECTPREFIX=s3cret", "unknown variable NATS_SUBJECTPREFIX; did you mean NATS_SUBJECT_PREFIX?"},
		{"HTTP_ADDRS=s3cret", "unknown variable HTTP_ADDRS; did you mean HTTP_ADDR?"},
		{"LOG_LVL=s3cret", "unknown variable LOG_LVL; did you mean LOG_LEVEL?"},
		{"DATA_DIRS=s3cret", "unknown variable DATA_DIRS; did you mean DATA_DIR?"},
	} {
		t.Run(tt.set, func(t *testing.T) {
			got := loadProblems(t, append(acme, tt.set)...)
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("problems are %q, want %q", got, tt.want)
			}
			if strings.Contains(got[0], "s3cret") {
				t.Errorf("problem %q quotes the value", got[0])
			}
		})
	}
}

func TestMisspeltVariableOfAListedInstanceNamesItsOwn(t *testing.T) {
	got := loadProblems(t, "NETSKOPE_INSTANCES=acme", "NETSKOPE_ACME_BASE_URL=acme", "NETSKOPE_ACME_API_TOKEN=t", "NETSKOPE_ACME_MODES=data")
	if want := "unknown variable NETSKOPE_ACME_MODES; did you mean NETSKOPE_ACME_MODE?"; len(got) != 1 || got[0] != want {
		t.Errorf("problems are %q, want %q", got, want)
	}
}

func TestForeignVariableIsLeftAlone(t *testing.T) {
	mustLoad(t, append(acme,
		"NETSKOPE_TENANT=x", "NETSKOPE_PROFILE=x", "NETSKOPE_CA_BUNDLE=x", "NETSKOPE_NO_UPDATE_CHECK=1",
		"NATS_PORT=tcp://10.0.0.1:4222", "NATS_SERVICE_HOST=10.0.0.1", "NATS_SERVICE_PORT=4222", "NATS_SERVICE_PORT_CLIENT=4222",
		"NATS_PORT_4222_TCP=tcp://10.0.0.1:4222", "NATS_PORT_4222_TCP_ADDR=10.0.0.1", "NATS_PORT_4222_TCP_PROTO=tcp",
		"NETSKOPE_SIM_PORT=tcp://10.0.0.1:80", "NETSKOPE_SIM_SERVICE_HOST=10.0.0.1", "NETSKOPE_SIM_PORT_80_TCP_PORT=80",
		"HTTP_PROXY=http://p", "LOG_DIR=/var/log", "DATA_CENTER=x", "KAFKA_HEAP_OPTS=x", "NATS_VERSION=2", "NETSKOPES=x")...)
}

func TestWildcardNotesReachTheConfig(t *testing.T) {
	c := mustLoad(t, append(acme, "NETSKOPE_STREAMS=all")...)
	if len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "NETSKOPE_STREAMS: all leaves out events/alert") {
		t.Errorf("notes are %q", c.Notes)
	}
}
