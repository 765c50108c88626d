// Package natsrun gives the program its NATS: a server inside the process, or a
// connection to one outside.
//
// The server inside listens on a loopback address, asks for a login, writes each
// acknowledged message through to the disk, and holds a lock on its directory
// for as long as the process lives. What another process needs to reach it
// stands in the directory, readable by its owner alone.
package natsrun

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"
)

// None is the listen address of a server without a port.
const None = "none"

const (
	user         = "skopeflow"
	accessFile   = "nats.json"
	passwordFile = "nats-password"
	socketFile   = "nats.sock"
	maxPayload   = 8 << 20
	startTimeout = 30 * time.Second
)

// A Config says where the server inside keeps its data and where it listens.
type Config struct {
	Dir    string // DATA_DIR
	Listen string // host:port, or None
	Log    *slog.Logger
}

// A Server is the NATS server inside the process.
type Server struct {
	server *server.Server
	lock   *os.File
	socket net.Listener
	access access
	dir    string
	log    *logger
}

// An access is what another process needs to reach the server.
type access struct {
	URL      string `json:"url,omitempty"`    // of the port; empty if there is none
	Socket   string `json:"socket,omitempty"` // of the Unix socket, if there is no port
	User     string `json:"user"`
	Password string `json:"password"`
}

// Start runs a server on the directory. It fails with one sentence if another
// process has the directory or the port.
func Start(c Config) (*Server, error) {
	dir, err := filepath.Abs(c.Dir)
	if err == nil {
		c.Dir, err = dir, os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("make DATA_DIR: %w; set DATA_DIR to a directory that this user may write", err)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, dir: c.Dir, log: &logger{log: c.Log}}
	if err := s.start(c); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(c Config) error {
	password, err := s.password()
	if err != nil {
		return err
	}
	// The password is random and long, so a quick hash of it is strong enough.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return fmt.Errorf("hash the NATS password: %w", err)
	}
	opts := &server.Options{
		ServerName:   "skopeflow",
		DontListen:   true,
		NoSigs:       true,
		NoLog:        true,
		JetStream:    true,
		StoreDir:     filepath.Join(c.Dir, "nats"),
		SyncAlways:   true,
		MaxPayload:   maxPayload,
		MaxPending:   64 << 20,
		Users:        []*server.User{{Username: user, Password: string(hash)}},
		PingInterval: 20 * time.Second,
	}
	s.access = access{User: user, Password: password}
	if c.Listen != None {
		if err := listen(c.Listen, opts); err != nil {
			return err
		}
		s.access.URL = "nats://" + c.Listen
	}
	if s.server, err = server.NewServer(opts); err != nil {
		return fmt.Errorf("start NATS server: %w", err)
	}
	s.server.SetLoggerV2(s.log, false, false, false)
	s.server.Start()
	if !s.server.ReadyForConnections(startTimeout) {
		return fmt.Errorf("start NATS server: it was not ready after %v; see the log above, and whether the disk of %s is full", startTimeout, c.Dir)
	}
	if c.Listen == None {
		if err := s.openSocket(); err != nil {
			return err
		}
	}
	return s.writeAccess()
}

// listen puts host and port into the options, after seeing that it is free:
// the server itself would end the process.
func listen(addr string, opts *server.Options) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("NATS_LISTEN: %s cannot be listened on (%w); set another address, or none", addr, err)
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("NATS_LISTEN: %w", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("NATS_LISTEN: %w", err)
	}
	opts.DontListen = false
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("NATS_LISTEN: %w", err)
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return nil
}

// password returns the login's password. It is made at the first start and
// kept, so that consumers need not be told again.
func (s *Server) password() (string, error) {
	file := filepath.Join(s.dir, passwordFile)
	b, err := os.ReadFile(file)
	if err == nil && len(b) > 0 {
		return string(b), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the NATS password: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("keep the NATS password: %w", err)
	}
	return password, nil
}

func (s *Server) writeAccess() error {
	if s.access.URL != "" {
		addr, ok := s.server.Addr().(*net.TCPAddr)
		if !ok {
			return fmt.Errorf("write %s: the server does not listen", accessFile)
		}
		host := addr.IP
		if host.IsUnspecified() {
			host = net.IPv4(127, 0, 0, 1)
		}
		s.access.URL = "nats://" + net.JoinHostPort(host.String(), strconv.Itoa(addr.Port))
	}
	b, err := json.Marshal(s.access)
	if err != nil {
		return fmt.Errorf("write %s: %w", accessFile, err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, accessFile), b, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", accessFile, err)
	}
	return nil
}

// Connect returns a connection that crosses no network.
func (s *Server) Connect(name string) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(options(name), nats.InProcessServer(s.server), nats.UserInfo(user, s.access.Password))...)
	if err != nil {
		return nil, fmt.Errorf("connect to the NATS server inside: %w", err)
	}
	return nc, nil
}

// RanOutOfSpace reports whether the server met a full disk. It stores nothing
// more then, even when there is room again, until it is started anew.
func (s *Server) RanOutOfSpace() bool { return s.log.noSpace.Load() }

// Hint is a command line with which to subscribe to what the server holds. It
// names the file of the password, not the password.
func (s *Server) Hint(subjects string) string {
	if s.access.URL == "" {
		return "skopeflow tail (the server inside has no port: NATS_LISTEN is none)"
	}
	return fmt.Sprintf("nats sub '%s' --server %s --user %s --password \"$(cat %s)\"", subjects, s.access.URL, user, filepath.Join(s.dir, passwordFile))
}

// Shutdown stops the server, after its last message is on disk, and gives the
// directory free.
func (s *Server) Shutdown() {
	if s.socket != nil {
		_ = s.socket.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
	_ = os.Remove(filepath.Join(s.dir, accessFile))
	_ = s.lock.Close() // gives up the lock
}

// options are those of each of our connections. One that is lost is made again
// without an end; what is published meanwhile fails at once, since a message
// that leaves after its sender has given up would be stored twice.
func options(name string) []nats.Option {
	return []nats.Option{
		nats.Name("skopeflow " + name),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(time.Second),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(10 * time.Second),
	}
}

// A Remote is a server outside the process.
type Remote struct {
	URL       string
	CredsFile string
	CAFile    string
}

// Connect makes a connection to the server. It fails if none answers now.
func (r Remote) Connect(name string) (*nats.Conn, error) {
	opts := options(name)
	if r.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(r.CredsFile))
	}
	if r.CAFile != "" {
		opts = append(opts, nats.RootCAs(r.CAFile))
	}
	nc, err := nats.Connect(r.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS_URL: %w; check that the server runs and what login it wants", err)
	}
	return nc, nil
}

// Attach makes a connection to the server inside another process, by what that
// process left in its directory.
func Attach(_ context.Context, dir, name string) (*nats.Conn, error) {
	b, err := os.ReadFile(filepath.Join(dir, accessFile))
	if abs, absErr := filepath.Abs(dir); absErr == nil {
		dir = abs
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no skopeflow runs with DATA_DIR %s; start one with skopeflow run, or set NATS_URL or DATA_DIR", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read what the server left: %w; run this as the user of skopeflow run", err)
	}
	var a access
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, fmt.Errorf("read %s: %w", accessFile, err)
	}
	opts := append(options(name), nats.UserInfo(a.User, a.Password))
	if a.Socket != "" {
		opts = append(opts, nats.SetCustomDialer(socketDialer(a.Socket)))
	}
	nc, err := nats.Connect(a.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("no skopeflow answers with DATA_DIR %s: %w; start one with skopeflow run, or set NATS_URL or DATA_DIR", dir, err)
	}
	return nc, nil
}
