package netskopesim

import (
	_ "embed"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

//go:embed records.txt
var recordsText string

//go:embed shapes.txt
var shapesText string

// catalog holds the compiled template of every stream that can be generated.
type catalog struct {
	templates map[string]*template
}

// template writes records of one stream.
type template struct {
	stream string
	key    uint64 // of the seed and the stream
	digits int    // of _id
	pieces []piece
	plain  bool
}

type op int

const (
	opText op = iota // only the literal
	opTime
	opPast
	opISO
	opInt
	opBig
	opHex
	opOne
	opOdd
	opList
	opRare
)

// piece is a literal and what follows it. An alternative is itself a row of
// pieces.
type piece struct {
	literal []byte
	op      op
	low     int64
	span    uint64
	draw    uint64 // of a list; equal for lists that are drawn together
	choices [][]piece
}

// block is a stream, or a part of streams, in records.txt.
type block struct {
	digits int
	fields []field
}

type field struct {
	name, value string
	rare        bool
}

// grammar is what records.txt says.
type grammar struct {
	lists  map[string]piece
	blocks map[string]block
	plain  bool
}

func newCatalog(seed uint64, plain bool) *catalog {
	g := &grammar{lists: map[string]piece{}, blocks: map[string]block{}, plain: plain}
	g.read(recordsText)
	padding := paddings(shapesText)
	c := &catalog{templates: map[string]*template{}}
	for name, b := range g.blocks {
		if b.digits == 0 {
			continue
		}
		hash := fnv.New64a()
		fmt.Fprint(hash, seed, name)
		c.templates[name] = &template{
			stream: name, key: mix(hash.Sum64()), digits: b.digits, plain: plain,
			pieces: g.compile(b.fields, padding[name]),
		}
	}
	return c
}

func (g *grammar) read(text string) {
	var name string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		sign, rest, _ := strings.Cut(line, " ")
		b := g.blocks[name]
		switch {
		case sign == "" || sign == "#":
			continue
		case sign == "@":
			g.readList(rest)
			continue
		case sign == "=":
			var digits string
			name, digits, _ = strings.Cut(rest, " ")
			// A part of streams has no digits, which leaves zero.
			b.digits, _ = strconv.Atoi(digits)
			b.fields = nil
		case sign == "+":
			for _, f := range g.blocks[rest].fields {
				b.set(f)
			}
		case sign == "?":
			key, value, _ := strings.Cut(rest, " ")
			if !g.plain {
				b.fields = append(b.fields, field{key, value, true})
			}
		default:
			b.set(field{name: sign, value: rest})
		}
		g.blocks[name] = b
	}
}

// set gives a field its value, in place of the one that a part gave it.
func (b *block) set(f field) {
	i := slices.IndexFunc(b.fields, func(o field) bool { return o.name == f.name && !o.rare && !f.rare })
	if i < 0 {
		b.fields = append(b.fields, f)
		return
	}
	b.fields = slices.Clone(b.fields)
	b.fields[i] = f
}

// readList reads "name values" or "name leader values"; a list with a leader
// is drawn together with it.
func (g *grammar) readList(s string) {
	name, values, _ := strings.Cut(s, " ")
	p := piece{op: opList, draw: mix(uint64(len(g.lists) + 1))}
	if leader, rest, ok := strings.Cut(values, " "); ok {
		if l, known := g.lists[leader]; known {
			p.draw, values = l.draw, rest
		}
	}
	for v := range strings.SplitSeq(values, "|") {
		p.choices = append(p.choices, []piece{{literal: []byte(v)}})
	}
	g.lists[name] = p
}

// compile turns fields into pieces. Padding follows as one literal.
func (g *grammar) compile(fields []field, padding []field) []piece {
	var pieces []piece
	named := map[string]bool{}
	for _, f := range fields {
		text := "," + strconv.Quote(f.name) + ":" + f.value
		if f.rare {
			pieces = append(pieces, piece{op: opRare, choices: [][]piece{g.parse(text)}})
			continue
		}
		named[f.name] = true
		pieces = append(pieces, g.parse(text)...)
	}
	var tail []byte
	for _, f := range padding {
		if !named[f.name] {
			tail = append(tail, ","+strconv.Quote(f.name)+":"+f.value...)
		}
	}
	return append(pieces, piece{literal: append(tail, '}')})
}

func (g *grammar) parse(s string) []piece {
	var pieces []piece
	for {
		literal, rest, found := strings.Cut(s, "$(")
		if !found {
			return append(pieces, piece{literal: []byte(s)})
		}
		end := closing(rest)
		p := g.placeholder(rest[:end])
		p.literal = []byte(literal)
		pieces = append(pieces, p)
		s = rest[end+1:]
	}
}

// closing is where the placeholder that s begins within ends.
func closing(s string) int {
	depth := 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return len(s) - 1
}

func (g *grammar) placeholder(s string) piece {
	name, argument, _ := strings.Cut(s, ":")
	switch name {
	case "ts":
		return piece{op: opTime}
	case "past":
		return piece{op: opPast}
	case "iso":
		return piece{op: opISO}
	case "big":
		return piece{op: opBig}
	case "hex":
		return piece{op: opHex, low: number(argument)}
	case "int":
		low, high, _ := strings.Cut(argument, ":")
		return piece{op: opInt, low: number(low), span: uint64(number(high)-number(low)) + 1}
	case "one":
		return piece{op: opOne, choices: g.alternatives(argument)}
	case "odd":
		return piece{op: opOdd, choices: g.alternatives(argument)}
	}
	return g.lists[name]
}

// number reads a number of records.txt, which the tests hold to be right.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// alternatives splits at the bars outside of placeholders and of text that
// itself packs two values with a bar.
func (g *grammar) alternatives(s string) [][]piece {
	var list [][]piece
	depth, quoted, from := 0, false, 0
	whole := strings.Count(s, `"`)%2 == 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' && whole:
			quoted = !quoted
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0 && !quoted:
			list = append(list, g.parse(s[from:i]))
			from = i + 1
		}
	}
	return append(list, g.parse(s[from:]))
}

// paddings reads the fields of each stream with the empty value of their type.
func paddings(text string) map[string][]field {
	empty := map[string]string{
		"text": `""`, "whole": "0", "decimal": "0.0", "flag": "false", "list": "[]", "object": "{}",
	}
	all := map[string][]field{}
	var stream string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "=" {
			stream = words[1]
			continue
		}
		for _, name := range words[1:] {
			all[stream] = append(all[stream], field{name: name, value: empty[words[0]]})
		}
	}
	return all
}
