package netskopesim

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// condition is a compiled query.
type condition func(record map[string]any) bool

// errSyntax is the tenant's answer to a query that it cannot read.
var errSyntax = errors.New("syntax error in query")

// tokens splits a query. Text in quotes keeps its quotes.
var tokens = regexp.MustCompile(`"[^"]*"|'[^']*'|[()\[\],]|[^\s()\[\],]+`)

// query reads the part of the query language that clients use: the operators
// eq, ne, gt, ge, lt, le, in and like, joined by and and or, with parentheses.
type query struct{ rest []string }

func parseQuery(text string) (condition, error) {
	q := &query{tokens.FindAllString(text, -1)}
	c, err := q.or()
	if err == nil && len(q.rest) > 0 {
		err = errSyntax
	}
	return c, err
}

func (q *query) next() string {
	if len(q.rest) == 0 {
		return ""
	}
	token := q.rest[0]
	q.rest = q.rest[1:]
	return token
}

// take consumes the token if it comes next, in either case.
func (q *query) take(token string) bool {
	if len(q.rest) == 0 || !strings.EqualFold(q.rest[0], token) {
		return false
	}
	q.rest = q.rest[1:]
	return true
}

func (q *query) or() (condition, error) {
	left, err := q.and()
	for err == nil && q.take("or") {
		var right condition
		right, err = q.and()
		either := left
		left = func(r map[string]any) bool { return either(r) || right(r) }
	}
	return left, err
}

func (q *query) and() (condition, error) {
	left, err := q.term()
	for err == nil && q.take("and") {
		var right condition
		right, err = q.term()
		if err == nil {
			left = both(left, right)
		}
	}
	return left, err
}

func (q *query) term() (condition, error) {
	if q.take("(") {
		c, err := q.or()
		if err == nil && !q.take(")") {
			err = errSyntax
		}
		return c, err
	}
	name, operator := q.next(), strings.ToLower(q.next())
	values := q.values()
	if len(values) == 0 {
		return nil, errSyntax
	}
	test, err := comparison(operator, values)
	if err != nil {
		return nil, err
	}
	return func(r map[string]any) bool {
		value, ok := lookUp(r, name)
		return ok && test(value)
	}, nil
}

// values reads one value, or a list in brackets.
func (q *query) values() []string {
	if !q.take("[") {
		if v := q.next(); v != "" && !strings.Contains("()[],", v) {
			return []string{strings.Trim(v, `"'`)}
		}
		return nil
	}
	var list []string
	for {
		switch v := q.next(); v {
		case "]":
			return list
		case "":
			return nil
		case ",":
		default:
			list = append(list, strings.Trim(v, `"'`))
		}
	}
}

func comparison(operator string, values []string) (func(string) bool, error) {
	want := values[0]
	switch operator {
	case "eq":
		return func(v string) bool { return v == want }, nil
	case "ne":
		return func(v string) bool { return v != want }, nil
	case "gt":
		return func(v string) bool { return order(v, want) > 0 }, nil
	case "ge":
		return func(v string) bool { return order(v, want) >= 0 }, nil
	case "lt":
		return func(v string) bool { return order(v, want) < 0 }, nil
	case "le":
		return func(v string) bool { return order(v, want) <= 0 }, nil
	case "like":
		part := strings.ToLower(strings.Trim(want, "*"))
		return func(v string) bool { return strings.Contains(strings.ToLower(v), part) }, nil
	case "in":
		return func(v string) bool {
			return slices.Contains(values, v)
		}, nil
	}
	return nil, errSyntax
}

// order compares numbers as numbers and everything else as text.
func order(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

// lookUp finds a field by name, or by names joined with dots.
func lookUp(record map[string]any, name string) (string, bool) {
	value, ok := record[name]
	if first, rest, dotted := strings.Cut(name, "."); !ok && dotted {
		inner, isObject := record[first].(map[string]any)
		if !isObject {
			return "", false
		}
		return lookUp(inner, rest)
	}
	if number, isNumber := value.(float64); isNumber {
		return strconv.FormatFloat(number, 'f', -1, 64), ok
	}
	return fmt.Sprint(value), ok
}
