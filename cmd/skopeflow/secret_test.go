package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestConfigPrintsNoSecret(t *testing.T) {
	c := mustLoad(t, "NETSKOPE_BASE_URL=acme", "NETSKOPE_API_TOKEN=hunter2", "NETSKOPE_PROXY_URL=http://hunter2:hunter2@proxy:3128",
		"NATS_URL=nats://me:hunter2@nats:4222")
	source := c.Instances[0].TokenSource()
	inside := struct{ source TokenSource }{source}

	var out bytes.Buffer
	for _, v := range []any{c, *c, c.Instances, c.Instances[0].APIToken, &c.Instances[0].APIToken, c.NATS.URL, c.Instances[0].ProxyURL, source, inside} {
		fmt.Fprintf(&out, "%v %+v %#v\n", v, v, v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewTextHandler(&out, nil)).Info("loaded", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("loaded", "value", v)
	}
	token := c.Instances[0].APIToken
	for _, verb := range []string{"s", "q", "x", "X", "d", "t", "10.3s"} { // a wrong verb prints the value too
		fmt.Fprintf(&out, "%"+verb+"\n", token)
	}
	fmt.Fprint(&out, token.String(), token.GoString(), map[Secret]Secret{token: token})
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("output holds %q:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), "[secret]") || !strings.Contains(out.String(), "http://proxy:3128") {
		t.Errorf("output shows neither [secret] nor the proxy's host:\n%s", out.String())
	}
	// What a log handler of someone else's making would get hold of.
	if got := slog.AnyValue(token).Resolve().Any(); got != any("[secret]") {
		t.Errorf("slog resolves the token to a %T", got)
	}
	if token.Reveal() != "hunter2" {
		t.Errorf("Reveal is %q", token.Reveal())
	}
}

func TestProblemsQuoteNoSecret(t *testing.T) {
	got := loadProblems(t, "NETSKOPE_BASE_URL=https://x:hunter2@acme.goskope.com", "NETSKOPE_API_TOKEN=hunter2 x",
		"NETSKOPE_PROXY_URL=http://x:hunter2@%zz", "NATS_URL=nats://x:hunter2@%zz")
	if len(got) != 4 {
		t.Errorf("problems are %q, want 4", got)
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "hunter2") {
		t.Errorf("problems quote a secret:\n%s", all)
	}
}

func TestTokenFileIsReadAgainForEachUse(t *testing.T) {
	file := writeFile(t, "first\r\n", 0o600)
	c := mustLoad(t, "NETSKOPE_BASE_URL=acme", "NETSKOPE_API_TOKEN_FILE="+file)
	if len(c.Notes) != 0 {
		t.Errorf("notes are %q", c.Notes)
	}
	source := c.Instances[0].TokenSource()
	if got, err := source.Token(); err != nil || got.Reveal() != "first" {
		t.Errorf("token is %q, %v; want first", got.Reveal(), err)
	}
	if err := os.WriteFile(file, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := source.Token(); err != nil || got.Reveal() != "second" {
		t.Errorf("token after rotation is %q, %v; want second", got.Reveal(), err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got, err := source.Token(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("token without its file is %q, %v; want an error that names %s", got.Reveal(), err, file)
	}
}

func TestTokenAndItsFileTogetherAreRefused(t *testing.T) {
	got := loadProblems(t, append(acme, "NETSKOPE_API_TOKEN_FILE="+writeFile(t, "x", 0o600))...)
	if len(got) != 1 || !strings.HasPrefix(got[0], "NETSKOPE_API_TOKEN: set together with NETSKOPE_API_TOKEN_FILE; remove one") {
		t.Errorf("problems are %q", got)
	}
}

func TestUnusableTokenFileIsRefused(t *testing.T) {
	for _, file := range []string{
		"/nowhere", t.TempDir(), writeFile(t, "\n", 0o600), writeFile(t, "hunter2\nx", 0o600), writeFile(t, strings.Repeat("hunter2", 10_000), 0o600),
	} {
		got := loadProblems(t, "NETSKOPE_BASE_URL=acme", "NETSKOPE_API_TOKEN_FILE="+file)
		if len(got) != 1 || !strings.HasPrefix(got[0], "NETSKOPE_API_TOKEN_FILE: ") || !strings.Contains(got[0], file) || strings.Contains(got[0], "hunter2") {
			t.Errorf("problems with %s are %q", file, got)
		}
	}
}

func TestTokenFileThatOthersMayReadIsNoted(t *testing.T) {
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o640: 1, 0o604: 1} {
		file := writeFile(t, "x", mode)
		c := mustLoad(t, "NETSKOPE_BASE_URL=acme", "NETSKOPE_API_TOKEN_FILE="+file)
		if len(c.Notes) != want {
			t.Errorf("mode %o: notes are %q, want %d", mode, c.Notes, want)
		}
		if want == 1 && !strings.HasPrefix(c.Notes[0], "NETSKOPE_API_TOKEN_FILE: others may read "+file) {
			t.Errorf("mode %o: note is %q", mode, c.Notes[0])
		}
	}
}
