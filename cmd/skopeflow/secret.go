package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

const hiddenSecret = "[secret]"

// A Secret does not print: whatever formats, logs or encodes it gets
// "[secret]", set or not. Only Reveal gives it away.
//
// fmt asks no methods of what it reaches through an unexported field. A Secret
// therefore lives in exported fields, or behind a pointer as in [TokenSource].
type Secret string

func (s Secret) String() string               { return hiddenSecret }
func (s Secret) GoString() string             { return hiddenSecret }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, hiddenSecret) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hiddenSecret) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hiddenSecret), nil }

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// maxSecretFile bounds what is read from a secret's file, in bytes. The longest
// token seen is a service account's, about 1 KiB.
const maxSecretFile = 64 << 10

// A TokenSource gives the token of an instance: a fixed value, or what a file
// holds at the moment of asking, so that a rotated token needs no restart.
type TokenSource struct {
	value *Secret
	file  string
}

// Token returns the token, without surrounding line breaks. Its error names the
// file and never quotes what is in it.
func (t TokenSource) Token() (Secret, error) {
	if t.value != nil {
		return *t.value, checkToken(*t.value)
	}
	f, err := os.Open(t.file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	if len(b) > maxSecretFile {
		return "", fmt.Errorf("read token: %s is longer than %d bytes", t.file, maxSecretFile)
	}
	s := Secret(strings.TrimRight(string(b), "\r\n"))
	if err := checkToken(s); err != nil {
		return "", fmt.Errorf("read token: %s: %w", t.file, err)
	}
	return s, nil
}

// checkToken refuses what cannot be the value of an HTTP header.
func checkToken(s Secret) error {
	if s == "" {
		return errors.New("the token is empty")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return errors.New("the token holds a space, a line break or a character outside ASCII; copy it again, alone")
		}
	}
	return nil
}
