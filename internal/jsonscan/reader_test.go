package jsonscan

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// readPage returns what a Reader makes of the page, in order: events as they are, members as key and value.
func readPage(d *Reader, r io.Reader) (got []string, err error) {
	err = d.Read(r, "result",
		func(raw []byte) error { got = append(got, string(raw)); return nil },
		func(key []byte, v Value) error { got = append(got, string(key)+"="+string(v.Raw)); return nil })
	return got, err
}

func TestPageIsTakenApart(t *testing.T) {
	for _, tt := range []struct {
		name, page string
		want       []string
	}{
		{"empty object", " { } ", nil},
		{"events last", `{"ok":1,"result":[{"a":1},{"b":"]}"}]}`, []string{"ok=1", `{"a":1}`, `{"b":"]}"}`}},
		{"events first", `{"result":[{"a":1}] , "wait_time" : 5, "x":"y" }` + "\n", []string{`{"a":1}`, "wait_time=5", `x="y"`}},
		{"no events", `{"result":[ ],"wait_time":30}`, []string{"wait_time=30"}},
		{"a reason in place of events", `{"ok":0,"result":"reason"}`, []string{"ok=0", `result="reason"`}},
		{"null in place of events", `{"result":null}`, []string{"result=null"}},
		{"elements that are no objects", `{"result":[1, "x",null,[2]]}`, []string{"1", `"x"`, "null", "[2]"}},
		{"another array", `{"errors":["a","b"],"result":[]}`, []string{`errors=["a","b"]`}},
		{"key with escapes", `{"resu\u006ct":[1],"\n":2}`, []string{"1", "\n=2"}},
		{"events twice", `{"result":[1],"result":[2]}`, []string{"1", "2"}},
		{"result further down", `{"data":{"result":[1]}}`, []string{`data={"result":[1]}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Reader
			for name, r := range map[string]io.Reader{
				"whole":          strings.NewReader(tt.page),
				"byte by byte":   iotest.OneByteReader(strings.NewReader(tt.page)),
				"EOF with bytes": iotest.DataErrReader(strings.NewReader(tt.page)),
			} {
				got, err := readPage(&d, r)
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%s: got %q, %v; want %q", name, got, err, tt.want)
				}
			}
		})
	}
}

func TestBadPageIsRejectedWithItsPlaceAndReason(t *testing.T) {
	for _, tt := range []struct {
		name, page string
		offset     int64
		reason     fault
	}{
		{"HTML", "\n<!doctype html>", 1, html},
		{"byte order mark", "\xEF\xBB\xBF{}", 0, bom},
		{"array", `[{"a":1}]`, 0, notObject},
		{"null", `null`, 0, notObject},
		{"garbage after the page", `{"result":[]} {`, 14, trailing},
		{"trailing comma", `{"result":[1,]}`, 13, noValue},
		{"comma after the last member", `{"a":1,}`, 7, noKey},
		{"missing comma between events", `{"result":[{} {}]}`, 14, noComma},
		{"missing colon", `{"result" []}`, 10, noColon},
		{"bad number", `{"result":[{"a":01}]}`, 16, badNumber},
		{"word that goes on", `{"a":truer}`, 9, noComma},
		{"number that goes on", `{"a":12x}`, 7, noComma},
		{"wrong bracket", `{"result":[{"a":[1}]}`, 18, noComma},
		{"wrong bracket, short", `{"result":[{"a":[1}`, 18, noComma},
		{"invalid UTF-8", "{\"result\":[\"ab\xff\"]}", 14, badUTF8},
		{"nested too deeply", `{"result":[` + nested(MaxDepth-1) + `]}`, 11 + MaxDepth - 2, tooDeep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Reader
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.page),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.page)),
			} {
				_, err := readPage(&d, r)
				var syntax *SyntaxError
				if !errors.As(err, &syntax) || syntax.Offset != tt.offset || syntax.Msg != tt.reason.String() {
					t.Errorf("%s: %v, want byte %d: %v", name, err, tt.offset, tt.reason)
				}
			}
		})
	}
}

func TestDeepestEventIsAccepted(t *testing.T) {
	event := nested(MaxDepth - 2)
	got, err := readPage(new(Reader), strings.NewReader(`{"result":[`+event+`]}`))
	if err != nil || !slices.Equal(got, []string{event}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPageBreaksOffAnywhere(t *testing.T) {
	page := `{"ok":1,"result":[{"a":"b\n"},{"c":-1.5e3}],"wait":true}`
	whole, err := readPage(new(Reader), strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	reset := errors.New("connection reset")
	for i := range page {
		for _, broken := range []error{nil, reset} {
			got, err := readPage(new(Reader), &pieces{rest: []byte(page[:i]), size: func() int { return 7 }, err: broken})
			want := broken
			if broken == nil {
				want = io.ErrUnexpectedEOF
			}
			if !errors.Is(err, want) {
				t.Errorf("cut at %d: %v, want %v", i, err, want)
			}
			if len(got) > len(whole) || !slices.Equal(got, whole[:len(got)]) {
				t.Errorf("cut at %d: got %q", i, got)
			}
			if i > strings.Index(page, `,{"c"`) && len(got) < 2 {
				t.Errorf("cut at %d: the first event is not handed out", i)
			}
		}
	}
}

func TestConnectionBreaksAfterTheClosingBrace(t *testing.T) {
	reset := errors.New("connection reset")
	_, err := readPage(new(Reader), &pieces{rest: []byte("{}\n"), size: func() int { return 99 }, err: reset})
	if !errors.Is(err, reset) {
		t.Errorf("got %v", err)
	}
}

func TestEventIsHandedOutWhileTheRestIsOnTheWire(t *testing.T) {
	r, w := io.Pipe()
	seen := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- new(Reader).Read(r, "result",
			func(raw []byte) error { seen <- string(raw); return nil },
			func([]byte, Value) error { return nil })
	}()
	for _, part := range []struct{ text, event string }{
		{`{"result":[{"a"`, ""},
		{`:1}`, `{"a":1}`},
		{`,{"b":2}`, `{"b":2}`},
		{`,1`, ""},
		{`2,`, "12"},
		{`"x"`, `"x"`},
		{`]}`, ""},
	} {
		if _, err := io.WriteString(w, part.text); err != nil {
			t.Fatal(err)
		}
		if part.event != "" {
			if got := <-seen; got != part.event {
				t.Errorf("got %s, want %s", got, part.event)
			}
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestValuesCrossTheBufferAndLetItGrow(t *testing.T) {
	for _, size := range []int{startSize - 40, startSize - 1, startSize, startSize + 1, 3 * startSize} {
		long := `{"long":"` + strings.Repeat(`é\u00e9\\`, size/10) + `"}`
		page := `{"result":[{"a":1},` + long + `,{"b":2},` + long + `],"last":"` + strings.Repeat("x", size) + `"}`
		var d Reader
		got, err := readPage(&d, &pieces{rest: []byte(page), size: func() int { return 4099 }})
		want := []string{`{"a":1}`, long, `{"b":2}`, long, `last="` + strings.Repeat("x", size) + `"`}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("size %d: %d values, %v", size, len(got), err)
		}
		if len(d.buf) > 2*(size+40)+startSize {
			t.Errorf("size %d: the buffer has grown to %d", size, len(d.buf))
		}
	}
}

func TestValueAboveTheBoundEndsThePage(t *testing.T) {
	for _, limit := range []int{100, startSize, startSize + 1, 2*startSize + 3} {
		for _, chunk := range []int{1 << 10, 1 << 30} {
			d := Reader{MaxValue: limit}
			fits := `"` + strings.Repeat("x", limit-2) + `"`
			got, err := readPage(&d, &pieces{rest: []byte(`{"result":[` + fits + `],"m":` + fits + `}`), size: func() int { return chunk }})
			if err != nil || !slices.Equal(got, []string{fits, "m=" + fits}) {
				t.Errorf("limit %d: %d values, %v", limit, len(got), err)
			}
			for _, page := range []string{
				`{"result":[1,` + fits[1:] + `]}`,
				`{"result":[1,"y` + fits[1:] + `]}`,
				`{"result":[1],"m":"y` + fits[1:] + `}`,
				`{"result":[1],"y` + fits[1:] + `:2}`,
			} {
				got, err := readPage(&d, &pieces{rest: []byte(page), size: func() int { return chunk }})
				if !slices.Equal(got, []string{"1"}) {
					t.Errorf("limit %d: got %d values", limit, len(got))
				}
				if flawed := strings.Contains(page, ",xx"); errors.Is(err, ErrTooLarge) == flawed {
					t.Errorf("limit %d: %v for %.20s", limit, err, page)
				}
			}
			if len(d.buf) > max(startSize, limit+1) {
				t.Errorf("limit %d: the buffer has grown to %d", limit, len(d.buf))
			}
		}
	}
}

// endless is a reader that repeats one byte for ever.
type endless byte

func (e endless) Read(buf []byte) (int, error) {
	for i := range buf {
		buf[i] = byte(e)
	}
	return len(buf), nil
}

func TestValueWithoutEndIsGivenUpAtTheBound(t *testing.T) {
	for _, begun := range []string{`{"result":[{"a":"`, `{"result":[{"a":1}],"b":"`, `{"`, `{"n":1`} {
		d := Reader{MaxValue: 3 * startSize}
		_, err := readPage(&d, io.MultiReader(strings.NewReader(begun), endless('7')))
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", begun, err)
		}
		if len(d.buf) > d.MaxValue+1 {
			t.Errorf("%s: the buffer has grown to %d", begun, len(d.buf))
		}
	}
	_, err := readPage(new(Reader), io.MultiReader(strings.NewReader(`{"result":["\q`), endless('7')))
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != 12 {
		t.Errorf("got %v, want the flaw at byte 12", err)
	}
}

func TestErrorOfACallbackIsReturnedAsItIs(t *testing.T) {
	enough := errors.New("enough")
	page := `{"ok":1,"result":[1,2]}`
	none := func([]byte, Value) error { return nil }
	if err := new(Reader).Read(strings.NewReader(page), "result", func([]byte) error { return enough }, none); err != enough {
		t.Errorf("event: %v", err)
	}
	fail := func([]byte, Value) error { return enough }
	if err := new(Reader).Read(strings.NewReader(page), "result", func([]byte) error { return nil }, fail); err != enough {
		t.Errorf("member: %v", err)
	}
}

func TestSourceThatGivesNothingIsGivenUp(t *testing.T) {
	_, err := readPage(new(Reader), &pieces{rest: []byte(`{"a":1}`), size: func() int { return 0 }})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

func TestReaderAllocatesNothingOnceItHasItsBuffer(t *testing.T) {
	page := eventPage(300)
	var d Reader
	var src bytes.Reader
	none := func([]byte, Value) error { return nil }
	allocs := testing.AllocsPerRun(10, func() {
		src.Reset(page)
		if err := d.Read(&src, "result", func([]byte) error { return nil }, none); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a page", allocs)
	}
}
