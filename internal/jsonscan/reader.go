package jsonscan

import (
	"errors"
	"fmt"
	"io"
)

const (
	startSize       = 256 << 10 // of a Reader's buffer
	leastRead       = 16 << 10  // below this much free room the buffer is compacted first
	defaultMaxValue = 4 << 20
)

// ErrTooLarge is returned for a page with a single event, member or key above Reader.MaxValue.
var ErrTooLarge = errors.New("a value is too large")

// A Reader decodes API pages as they arrive: an object with an array of events among its members.
// Its buffer is kept from page to page; a Reader reads one page at a time.
type Reader struct {
	// MaxValue bounds an event and a member of the page, in bytes, and with it the buffer.
	// Defaults to 4 MiB.
	MaxValue int
	// Found tells whether the last page had the array of events. A page without
	// one is JSON all the same, and no page of events.
	Found bool

	buf      []byte
	pos, end int   // buf[pos:end] is read and not yet scanned
	base     int64 // offset of buf[0] in the page
	src      io.Reader
	srcErr   error // what src ended with
	key      []byte
}

// Read decodes one page from r. It hands each element of the array that is the member named events to event while the rest
// is still on the wire, whatever kind the element has, and every other member to member. A member of that name
// that is no array goes to member too: Netskope answers {"ok":0,"result":"reason"}. The members come in the order of the page.
// Slices passed to event and member are valid during the call only.
//
// An error comes after the events before it have been handed out. It is
//   - what event or member returned, as it is,
//   - a *SyntaxError if the page is not such JSON,
//   - io.ErrUnexpectedEOF, wrapped, if r ended before the page did,
//   - ErrTooLarge, wrapped,
//   - the error of r, wrapped.
//
// Nil means that the page was whole, that nothing but white space followed and that r ended with io.EOF.
func (d *Reader) Read(r io.Reader, events string, event func(raw []byte) error, member func(key []byte, v Value) error) error {
	d.src, d.srcErr, d.pos, d.end, d.base, d.Found = r, nil, 0, 0, 0, false
	defer func() { d.src = nil }()
	if d.buf == nil {
		d.buf = make([]byte, startSize)
	}
	if err := d.open(); err != nil {
		return err
	}
	c, err := d.next()
	if err != nil {
		return err
	}
	if c == '}' {
		return d.finish()
	}
	for {
		if err := d.readKey(); err != nil {
			return err
		}
		if c, err = d.next(); err != nil {
			return err
		}
		if c == '[' && string(d.key) == events {
			d.Found = true
			err = d.readEvents(event)
		} else {
			err = d.readMember(member)
		}
		if err != nil {
			return err
		}
		last, err := d.separator('}')
		if err != nil {
			return err
		}
		if last {
			return d.finish()
		}
	}
}

// open consumes the opening brace.
func (d *Reader) open() error {
	c, err := d.next()
	if err != nil {
		return err
	}
	if c == '{' {
		d.pos++
		return nil
	}
	for d.end-d.pos < len("\xEF\xBB\xBF") && d.fill() == nil {
	}
	return d.fault(d.pos, opening(d.buf[d.pos:d.end], notObject))
}

// finish consumes the closing brace and what follows it, which must be white space.
func (d *Reader) finish() error {
	d.pos++
	for {
		d.pos = skipSpace(d.buf[:d.end], d.pos)
		if d.pos < d.end {
			return d.fault(d.pos, trailing)
		}
		switch err := d.fill(); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return d.broken(err)
		}
	}
}

// readKey consumes a key and its colon and leaves the key, unescaped, in d.key.
func (d *Reader) readKey() error {
	c, err := d.next()
	if err != nil {
		return err
	}
	if c != '"' {
		return d.fault(d.pos, noKey)
	}
	key, err := d.value(1)
	if err != nil {
		return err
	}
	d.key = AppendText(d.key[:0], key)
	if c, err = d.next(); err != nil {
		return err
	}
	if c != ':' {
		return d.fault(d.pos, noColon)
	}
	d.pos++
	return nil
}

func (d *Reader) readMember(member func(key []byte, v Value) error) error {
	v, err := d.value(1)
	if err != nil {
		return err
	}
	return member(d.key, v)
}

// readEvents consumes the array of events.
func (d *Reader) readEvents(event func(raw []byte) error) error {
	d.pos++
	c, err := d.next()
	if err != nil {
		return err
	}
	if c == ']' {
		d.pos++
		return nil
	}
	for {
		v, err := d.value(2)
		if err != nil {
			return err
		}
		if err := event(v.Raw); err != nil {
			return err
		}
		last, err := d.separator(']')
		if err != nil {
			return err
		}
		if last {
			d.pos++
			return nil
		}
		if _, err := d.next(); err != nil {
			return err
		}
	}
}

// separator consumes a comma, or says that the closing bracket is next.
func (d *Reader) separator(bracket byte) (last bool, err error) {
	c, err := d.next()
	switch {
	case err != nil:
		return false, err
	case c == bracket:
		return true, nil
	case c != ',':
		return false, d.fault(d.pos, noComma)
	}
	d.pos++
	return false, nil
}

// next returns the next byte that is not white space and leaves it in place.
func (d *Reader) next() (byte, error) {
	for {
		d.pos = skipSpace(d.buf[:d.end], d.pos)
		if d.pos < d.end {
			return d.buf[d.pos], nil
		}
		if err := d.fill(); err != nil {
			return 0, d.broken(err)
		}
	}
}

// value consumes the value that begins at d.pos, inside depth open brackets, and reads on until it is whole.
func (d *Reader) value(depth int) (Value, error) {
	v, end, f := valueAt(d.buf[:d.end], d.pos, depth)
	if d.cut(v, end, f) {
		if err := d.complete(depth); err != nil {
			return Value{}, err
		}
		v, end, f = valueAt(d.buf[:d.end], d.pos, depth)
	}
	if f != sound {
		return Value{}, d.fault(end, f)
	}
	if len(v.Raw) > d.maxValue() {
		return Value{}, d.tooLarge()
	}
	d.pos = end
	return v, nil
}

// cut tells whether the scan of a value, which returned v, end and f, ended for lack of bytes.
func (d *Reader) cut(v Value, end int, f fault) bool {
	return f == short || v.Kind == Number && end == d.end
}

// complete reads until the end of the value at d.pos is in the buffer, or a flaw in it. It looks at each byte once,
// however small the pieces are in which they arrive.
func (d *Reader) complete(depth int) error {
	var b boundary
	for from := d.pos; !b.find(d.buf[from:d.end]); {
		have := d.end - d.pos
		if err := d.grow(have); err != nil {
			if d.cut(valueAt(d.buf[:d.end], d.pos, depth)) {
				return err
			}
			return nil
		}
		from = d.pos + have
	}
	return nil
}

// grow reads on for a value of which the buffer has a part of that many bytes.
func (d *Reader) grow(have int) error {
	if have > d.maxValue() {
		return d.tooLarge()
	}
	if err := d.fill(); err != nil {
		return d.broken(err)
	}
	return nil
}

// fill adds at least one byte to the buffer, or returns the error of the source. It may move buf[pos:end] to the front;
// a value is moved at most once, and the buffer grows only while a value not above MaxValue fills it.
func (d *Reader) fill() error {
	if d.srcErr != nil {
		return d.srcErr
	}
	if d.pos > 0 && (d.pos == d.end || len(d.buf)-d.end < leastRead) {
		d.base += int64(d.pos)
		d.end = copy(d.buf, d.buf[d.pos:d.end])
		d.pos = 0
	}
	if d.end == len(d.buf) {
		grown := make([]byte, min(2*len(d.buf), max(startSize, d.maxValue()+1)))
		copy(grown, d.buf)
		d.buf = grown
	}
	for range 100 {
		n, err := d.src.Read(d.buf[d.end:])
		d.end += n
		d.srcErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	d.srcErr = io.ErrNoProgress
	return d.srcErr
}

func (d *Reader) maxValue() int {
	if d.MaxValue > 0 {
		return d.MaxValue
	}
	return defaultMaxValue
}

func (d *Reader) fault(i int, f fault) error {
	return f.at(d.base + int64(i))
}

func (d *Reader) tooLarge() error {
	return fmt.Errorf("read JSON at byte %d: %w: more than %d bytes", d.base+int64(d.pos), ErrTooLarge, d.maxValue())
}

// broken explains an error of the source that came before the end of the page.
func (d *Reader) broken(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read JSON at byte %d: %w", d.base+int64(d.end), err)
}

// A boundary finds the end of a value that comes in pieces. It counts brackets and heeds strings, and leaves all
// else to the scan of the whole value.
type boundary struct {
	inString bool
	escape   bool // the byte before was a backslash that counts
	depth    int
}

// find reports whether the value ends in piece.
func (b *boundary) find(piece []byte) bool {
	for _, c := range piece {
		switch {
		case b.inString:
			if b.inString = b.escape || c != '"'; !b.inString && b.depth == 0 {
				return true
			}
			b.escape = c == '\\' && !b.escape
		case c == '"':
			b.inString = true
		case c == '[' || c == '{':
			b.depth++
		case c == ']' || c == '}':
			if b.depth--; b.depth <= 0 {
				return true
			}
		case b.depth == 0 && !inNumberOrWord(c):
			return true
		}
	}
	return false
}

func inNumberOrWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '+' || c == '.'
}
