package natsrun

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func start(t *testing.T, dir, listen string) *Server {
	t.Helper()
	s, err := Start(Config{Dir: dir, Listen: listen, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func TestSecondServerOnADirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, None)
	_, err := Start(Config{Dir: dir, Listen: None, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "another skopeflow (process ") || !strings.Contains(err.Error(), "set another DATA_DIR") {
		t.Errorf("second start = %v, want a sentence that names the process and what to do", err)
	}
}

func TestDirectoryIsFreeAfterShutdown(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(Config{Dir: dir, Listen: None, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	start(t, dir, None)
}

func TestTakenPortIsOneSentence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Start(Config{Dir: t.TempDir(), Listen: l.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.HasPrefix(err.Error(), "NATS_LISTEN: ") {
		t.Errorf("start on a taken port = %v, want a sentence that names NATS_LISTEN", err)
	}
}

func TestPortAsksForTheLogin(t *testing.T) {
	s := start(t, t.TempDir(), "127.0.0.1:0")
	if nc, err := nats.Connect(s.access.URL); err == nil {
		nc.Close()
		t.Error("a connection without a login was accepted")
	}
	nc, err := nats.Connect(s.access.URL, nats.UserInfo(user, s.access.Password))
	if err != nil {
		t.Fatalf("connect with the login: %v", err)
	}
	nc.Close()
}

func TestAttachReachesTheServerOfAnotherProcess(t *testing.T) {
	for name, listen := range map[string]string{"by its port": "127.0.0.1:0", "by its socket": None} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			start(t, dir, listen)
			nc, err := Attach(t.Context(), dir, "test")
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if err := nc.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAttachSaysWhenNothingRuns(t *testing.T) {
	dir := t.TempDir()
	_, err := Attach(t.Context(), dir, "test")
	if err == nil || !strings.Contains(err.Error(), "no skopeflow runs with DATA_DIR") {
		t.Errorf("Attach = %v, want a sentence", err)
	}
}

func TestSecretsAreReadableByTheirOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, None)
	for _, name := range []string{accessFile, passwordFile, socketFile, "lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
	}
	if strings.Contains(s.Hint("artifacts.>"), s.access.Password) {
		t.Error("the hint prints the password")
	}
}

func TestPasswordOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(Config{Dir: dir, Listen: None, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	before := s.access.Password
	s.Shutdown()
	if after := start(t, dir, None).access.Password; after != before {
		t.Error("the restarted server has another password")
	}
}

func TestFreeTellsWhetherAProcessHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := Free(filepath.Join(dir, "not-there")); err != nil {
		t.Errorf("a directory that is not there: %v, want nil", err)
	}
	if err := Free(dir); err != nil {
		t.Errorf("an unused directory: %v, want nil", err)
	}
	start(t, dir, None)
	if err := Free(dir); err == nil || !strings.Contains(err.Error(), "another skopeflow") {
		t.Errorf("a directory in use: %v, want a sentence", err)
	}
}

func TestFullDiskIsRemembered(t *testing.T) {
	s := start(t, t.TempDir(), None)
	s.log.Errorf("JetStream failed to store a msg: %s", "write 1.blk: input/output error")
	if s.RanOutOfSpace() {
		t.Error("another error is taken for a full disk")
	}
	s.log.Errorf("JetStream failed to store a msg: %s", "write 1.blk: no space left on device")
	if !s.RanOutOfSpace() {
		t.Error("a full disk is not noticed")
	}
}
