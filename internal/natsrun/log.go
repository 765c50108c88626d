package natsrun

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// A logger passes on what the server has to say: its errors and warnings as
// such, the rest for those who debug.
type logger struct {
	log     *slog.Logger
	noSpace atomic.Bool // it said that the disk was full
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf says of a start after a kill what it is: the server reads its store
// again, message by message.
func (l *logger) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "Recovering stream state from index errored") {
		l.log.Info("nats: the last stop was not clean, the store is read again", "detail", text)
		return
	}
	l.log.Warn("nats: " + text)
}

func (l *logger) Fatalf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }

// Errorf also notes a full disk. The server does not write to a stream again
// after it met one, until it is started anew; it says so nowhere else.
func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "no space left on device") {
		l.noSpace.Store(true)
	}
	l.log.Error("nats: " + text)
}

func (l *logger) Debugf(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
