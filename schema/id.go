package schema

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
)

// An ID is a UUID.
type ID [16]byte

// A Key tells one stored artifact from another. Events of one id have come with
// different content, and each is kept.
type Key struct {
	ID  ID
	Raw uint64 // the first 8 bytes of the SHA-256 of the raw event, big-endian
}

// namespace is that of every artifact id. It is frozen: another one would make every event new to every consumer.
var namespace = ID{0xb2, 0xd8, 0x2a, 0xeb, 0xc4, 0xff, 0x51, 0xc4, 0xa1, 0xcf, 0xda, 0x3f, 0xf7, 0xcc, 0xb4, 0x98}

// NameID is the id of what has this name: a UUID of version 5 in the namespace of artifacts.
// It does not allocate for names of up to 496 bytes.
func NameID(name []byte) ID {
	var space [512]byte
	text := append(append(space[:0], namespace[:]...), name...)
	sum := sha1.Sum(text)
	id := ID(sum[:16])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

// AppendEntityName appends the beginning of the name of an entity: "netskope|<source tenant>|<dataset>|". What follows
// is the native part, which depends on the dataset. The API family, the connector and the time of collection are no part of
// a name, so that a record has one id whichever way it came.
func AppendEntityName(dst []byte, sourceTenant, dataset string) []byte {
	dst = append(append(dst, "netskope|"...), sourceTenant...)
	return append(append(append(dst, '|'), dataset...), '|')
}

// AppendRevision makes the name of an entity that of one of its revisions.
func AppendRevision(name []byte, revision string) []byte {
	return append(append(name, "|rev:"...), revision...)
}

// ParseID reads the 36-character form of a UUID.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("parse id %q: not a UUID", s)
	}
	for i, at := range hexPairs {
		if _, err := hex.Decode(id[i:i+1], []byte(s[at:at+2])); err != nil {
			return ID{}, fmt.Errorf("parse id %q: %w", s, err)
		}
	}
	return id, nil
}

// hexPairs is where the two digits of each byte stand in the text of a UUID.
var hexPairs = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// AppendText appends the 36-character form.
func (id ID) AppendText(dst []byte) ([]byte, error) {
	return id.append(dst), nil
}

func (id ID) append(dst []byte) []byte {
	dst = append(hex.AppendEncode(dst, id[:4]), '-')
	dst = append(hex.AppendEncode(dst, id[4:6]), '-')
	dst = append(hex.AppendEncode(dst, id[6:8]), '-')
	dst = append(hex.AppendEncode(dst, id[8:10]), '-')
	return hex.AppendEncode(dst, id[10:])
}

func (id ID) appendJSON(dst []byte) []byte {
	return append(id.append(append(dst, '"')), '"')
}

// String returns the 36-character form.
func (id ID) String() string {
	return string(id.append(nil))
}

// MarshalText returns the 36-character form.
func (id ID) MarshalText() ([]byte, error) {
	return id.append(nil), nil
}

// UnmarshalText reads the 36-character form.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// A Digest is a SHA-256 sum, in JSON 64 lower-case hexadecimal digits.
type Digest [32]byte

func (d Digest) appendJSON(dst []byte) []byte {
	return append(hex.AppendEncode(append(dst, '"'), d[:]), '"')
}

// String returns the digits.
func (d Digest) String() string {
	return hex.EncodeToString(d[:])
}

// MarshalText returns the digits.
func (d Digest) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, d[:]), nil
}

// UnmarshalText reads the digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("parse digest: %d characters, want %d", len(text), 2*len(d))
	}
	_, err := hex.Decode(d[:], text)
	return err
}
