package natsrun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Free returns nil if no process has the directory, else a sentence that names
// the one that has. A directory that is not there is free.
func Free(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	return lock.Close()
}

// lockDir takes the directory for this process. Two NATS servers on one store
// start without complaint and destroy it; the lock is what keeps them apart,
// and it goes with the process however that ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock DATA_DIR: %w; set DATA_DIR to a directory that this user may write", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_ = f.Truncate(0)
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock DATA_DIR: %w", err), f.Close())
		}
		return f, nil
	}
	pid := make([]byte, 20)
	n, _ := f.ReadAt(pid, 0)
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another skopeflow (process %s) uses DATA_DIR %s: stop it, or set another DATA_DIR", strings.TrimSpace(string(pid[:n])), dir)
	}
	return nil, fmt.Errorf("lock DATA_DIR: %w", err)
}
