package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/skopeflow/skopeflow/checkpoint"
	"github.com/skopeflow/skopeflow/internal/natsrun"
	"github.com/skopeflow/skopeflow/publish"
	"github.com/skopeflow/skopeflow/schema"
)

// A broker is a connection to NATS, and the server behind it where that runs
// inside.
type broker struct {
	conn   *nats.Conn
	server *natsrun.Server
	dir    string // of the server
	url    string
}

// openBroker connects to NATS_URL, or starts a server inside.
func openBroker(cfg *Config, log *slog.Logger) (*broker, error) {
	if cfg.NATS.URL != "" {
		nc, err := remote(cfg).Connect("run")
		if err != nil {
			return nil, err
		}
		return &broker{conn: nc, url: nc.ConnectedUrlRedacted()}, nil
	}
	server, err := natsrun.Start(natsrun.Config{Dir: cfg.DataDir, Listen: cfg.NATS.Listen, Log: log})
	if err != nil {
		return nil, err
	}
	nc, err := server.Connect("run")
	if err != nil {
		server.Shutdown()
		return nil, err
	}
	return &broker{conn: nc, server: server, dir: cfg.DataDir}, nil
}

func remote(cfg *Config) natsrun.Remote {
	return natsrun.Remote{URL: cfg.NATS.URL.Reveal(), CredsFile: cfg.NATS.CredsFile, CAFile: cfg.NATS.CAFile}
}

func (b *broker) hint(subjects string) string {
	if b.server != nil {
		return b.server.Hint(subjects)
	}
	return fmt.Sprintf("nats sub '%s' --server %s", subjects, b.url)
}

// enoughDisk is the room, in bytes, from which a server that met a full disk is
// worth starting anew.
const enoughDisk = 64 << 20

// errDiskWasFull ends the program, so that whoever supervises it starts a
// server that writes again.
var errDiskWasFull = errors.New("the disk of DATA_DIR was full and has room again, and the NATS server inside writes only after a new start: start skopeflow again; nothing is lost")

// health returns what keeps the server inside from storing anything.
func (b *broker) health() error {
	if b.server == nil || !b.server.RanOutOfSpace() {
		return nil
	}
	if free := freeDisk(b.dir); free < enoughDisk {
		return fmt.Errorf("the disk of DATA_DIR %s is full, %d MiB are free: make it %d or more", b.dir, free>>20, enoughDisk>>20)
	}
	return errDiskWasFull
}

// watch calls stop when the server inside has to be started anew, and returns
// when ctx is done.
func (b *broker) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := b.health(); errors.Is(err, errDiskWasFull) {
				stop(err)
			}
		}
	}
}

// A watched publisher asks nothing of a broker that cannot store.
type watched struct {
	publish.Publisher
	health func() error
}

func (w watched) Mark(ctx context.Context) (string, error) {
	if err := w.health(); err != nil {
		return "", err
	}
	return w.Publisher.Mark(ctx)
}

func (w watched) Scan(ctx context.Context, lane, from string, known func(schema.Key)) (string, error) {
	if err := w.health(); err != nil {
		return "", err
	}
	return w.Publisher.Scan(ctx, lane, from, known)
}

// A watchedStore tells a lane that begins anew why it cannot.
type watchedStore struct {
	checkpoint.Store
	health func() error
}

func (w watchedStore) Load(ctx context.Context, lane string) (checkpoint.Cursor, uint64, error) {
	if err := w.health(); err != nil {
		return checkpoint.Cursor{}, 0, err
	}
	return w.Store.Load(ctx, lane)
}

// close ends the connection, and then the server. Every batch has been
// acknowledged by now, so there is nothing to drain.
func (b *broker) close() {
	b.conn.Close()
	if b.server != nil {
		b.server.Shutdown()
	}
}

// An attachment is a command's connection to the broker that a running
// skopeflow uses.
type attachment struct {
	cfg  *Config
	conn *nats.Conn
	js   jetstream.JetStream
}

// attach makes one. Its connection is the caller's to close.
func attach(ctx context.Context, command string) (*attachment, error) {
	cfg, err := loadConfig()
	if err != nil {
		return nil, err
	}
	connect := func() (*nats.Conn, error) { return natsrun.Attach(ctx, cfg.DataDir, command) }
	if cfg.NATS.URL != "" {
		connect = func() (*nats.Conn, error) { return remote(cfg).Connect(command) }
	}
	nc, err := connect()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &attachment{cfg: cfg, conn: nc, js: js}, nil
}

// natsConfig says how the stream is made. Where the server runs inside, it may
// take half of the disk that is free when it is made.
func natsConfig(cfg *Config, profile string) publish.NATSConfig {
	c := publish.NATSConfig{
		Stream: cfg.NATS.Stream, Prefix: cfg.NATS.SubjectPrefix, Replicas: cfg.NATS.Replicas,
		MaxBytes: int64(cfg.NATS.MaxBytes), MaxAge: cfg.NATS.MaxAge.Duration, Profile: profile,
	}
	if c.MaxBytes == 0 && cfg.NATS.URL == "" {
		c.MaxBytes = freeDisk(cfg.DataDir) / 2
	}
	return c
}

// limitStream gives the stream of the server inside the limits that are set.
// That is how a stream which is full gets more room; one that shrinks drops
// nothing, and refuses new messages. A stream at NATS_URL is its operator's.
func limitStream(ctx context.Context, js jetstream.JetStream, c NATSConfig) error {
	if c.URL != "" {
		return nil
	}
	stream, err := js.Stream(ctx, c.Stream)
	if err != nil {
		return fmt.Errorf("limit stream %s: %w", c.Stream, err)
	}
	config := stream.CachedInfo().Config
	before := config
	if c.MaxBytes > 0 {
		config.MaxBytes = int64(c.MaxBytes)
	}
	config.MaxAge = c.MaxAge.Duration
	if config.MaxBytes == before.MaxBytes && config.MaxAge == before.MaxAge {
		return nil
	}
	if _, err := js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("limit stream %s: %w", c.Stream, err)
	}
	return nil
}

// freeDisk returns the bytes that this user may still write at dir, or 0 if
// that cannot be told.
func freeDisk(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return 0
	}
	return int64(fs.Bavail) * fs.Bsize //nolint:gosec // a disk holds less than 8 EiB
}

// stateBucket holds what belongs to the installation as a whole.
const stateBucket = "skopeflow_state"

// installationID returns the id of this deployment. It is made once and is part
// of each index's name, so that two deployments that read one tenant never take
// pages from each other.
func installationID(ctx context.Context, js jetstream.JetStream, replicas int) (string, error) {
	kv, err := js.KeyValue(ctx, stateBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: stateBucket, Description: "Skopeflow: the installation", Replicas: replicas})
	}
	if err != nil {
		return "", fmt.Errorf("open KV bucket %s: %w", stateBucket, err)
	}
	_, err = kv.Create(ctx, "installation", []byte(rand.Text()[:8]))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return "", fmt.Errorf("make the installation's id: %w", err)
	}
	entry, err := kv.Get(ctx, "installation")
	if err != nil {
		return "", fmt.Errorf("read the installation's id: %w", err)
	}
	return string(entry.Value()), nil
}

// owner names this process among others that share the broker.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%s", notInNames.ReplaceAllString(host, "-"), rand.Text()[:6])
}

// notInNames is what a replica's name does not have.
var notInNames = regexp.MustCompile(`[^-_=/a-zA-Z0-9]+`)
