package natsrun

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// openSocket lets commands of the same user reach a server that has no port.
// The server itself knows no Unix sockets, so each connection is joined to one
// inside the process. Those goroutines end with their connection, which the
// server closes when it stops.
func (s *Server) openSocket() error {
	path := filepath.Join(s.dir, socketFile)
	_ = os.Remove(path) // of a process that was killed; the lock says that none lives
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("open socket in DATA_DIR: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("open socket in DATA_DIR: %w", err)
	}
	s.socket, s.access.Socket = l, path
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.join(conn)
		}
	}()
	return nil
}

func (s *Server) join(outside net.Conn) {
	inside, err := s.server.InProcessConn()
	if err != nil {
		_ = outside.Close()
		return
	}
	relay := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	go relay(inside, outside)
	go relay(outside, inside)
}

type socketDialer string

func (d socketDialer) Dial(_, _ string) (net.Conn, error) { return net.Dial("unix", string(d)) }
