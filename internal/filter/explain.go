package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/skopeflow/skopeflow/internal/typo"
)

// inspect finds what the checker of types lets pass.
func (v *vocabulary) inspect(which string, checked *cel.Ast) error {
	var err error
	found := func(e celast.Expr, format string, args ...any) {
		if err == nil {
			at := checked.NativeRep().SourceInfo().GetStartLocation(e.ID())
			err = fmt.Errorf("compile %s: %s: %s", which, place(at), fmt.Sprintf(format, args...))
		}
	}
	var own []string // names of variables of loops, which may hide a field
	celast.PreOrderVisit(checked.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		switch e.Kind() {
		case celast.StructKind:
			found(e, "a filter reads objects and cannot make one (%s)", e.AsStruct().TypeName())
		case celast.ComprehensionKind:
			own = append(own, e.AsComprehension().IterVar())
		case celast.CallKind:
			call := e.AsCall()
			switch args := call.Args(); {
			case call.FunctionName() == inNetwork && len(args) == 1:
				network, ok := literal(args[0])
				if _, bad := netip.ParsePrefix(network); ok && bad != nil {
					found(args[0], "%q is not a network such as 10.0.0.0/8", network)
				}
			case slices.Contains(comparisons, call.FunctionName()):
				if value, what := v.impossible(args[0], args[1], own); what != "" {
					found(value, "%s", what)
				} else if value, what := v.impossible(args[1], args[0], own); what != "" {
					found(value, "%s", what)
				}
			}
		}
	}))
	return err
}

var comparisons = []string{operators.Equals, operators.NotEquals, operators.In}

// impossible says what is wrong with a text, or one of a list, that a field with a fixed vocabulary is compared with.
func (v *vocabulary) impossible(named, with celast.Expr, own []string) (at celast.Expr, what string) {
	name := dotted(named)
	values := v.values[name]
	if values == nil || slices.Contains(own, name) {
		return nil, ""
	}
	texts := []celast.Expr{with}
	if with.Kind() == celast.ListKind {
		texts = with.AsList().Elements()
	}
	for _, e := range texts {
		text, ok := literal(e)
		if !ok || text == "" || slices.Contains(values, text) {
			continue
		}
		if near := typo.Meant(text, values); near != "" {
			return e, fmt.Sprintf("%s is never %q, did you mean %q?", name, text, near)
		}
		return e, fmt.Sprintf("%s is never %q, it is one of %s", name, text, strings.Join(values, ", "))
	}
	return nil, ""
}

func literal(e celast.Expr) (string, bool) {
	if e.Kind() != celast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().Value().(string)
	return text, ok
}

// explain makes the first issue a sentence, and says which name may have been meant. parsed is nil if the issue is one of syntax.
func (v *vocabulary) explain(which string, issues *cel.Issues, parsed *cel.Ast) error {
	all := issues.Errors()
	if len(all) == 0 {
		return fmt.Errorf("compile %s: %w", which, issues.Err())
	}
	first := all[0]
	message, _, _ := strings.Cut(first.Message, "\n")
	name, unknown := unknownName(first, parsed)
	switch word := v.bareWord(first, parsed); {
	case word != "":
		message = fmt.Sprintf("%s is no field with a text; if the text is meant, write %q, and put other quotes around the whole so that a shell leaves these", word, word)
	case strings.HasPrefix(message, "invalid argument to has()"):
		message = `has() takes a field of a group, such as has(user.email); for any other, write dataset != ""`
	case unknown:
		message = "there is no field " + name
		if near := typo.Meant(name, v.names); near != "" {
			message += ", did you mean " + near + "?"
		}
	}
	return fmt.Errorf("compile %s: %s: %s", which, place(first.Location), message)
}

func place(at common.Location) string {
	if at.Line() <= 1 {
		return fmt.Sprintf("column %d", at.Column()+1)
	}
	return fmt.Sprintf("line %d, column %d", at.Line(), at.Column()+1)
}

// unknownName returns the dotted name that an issue is about, if it is about one.
func unknownName(issue *common.Error, parsed *cel.Ast) (string, bool) {
	if parsed == nil || !strings.HasPrefix(issue.Message, "undefined field") && !strings.HasPrefix(issue.Message, "undeclared reference") {
		return "", false
	}
	var name string
	celast.PreOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.ID() == issue.ExprID {
			name = dotted(e)
		}
	}))
	return name, name != ""
}

// bareWord returns the name that an issue is about if it stands where a text is compared: dataset == page.
func (v *vocabulary) bareWord(issue *common.Error, parsed *cel.Ast) string {
	if parsed == nil {
		return ""
	}
	word := ""
	celast.PreOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		var texts []celast.Expr
		switch e.Kind() {
		case celast.ListKind:
			texts = e.AsList().Elements()
		case celast.CallKind:
			if slices.Contains(comparisons, e.AsCall().FunctionName()) {
				texts = e.AsCall().Args()[1:]
			}
		}
		for _, text := range texts {
			if text.Kind() != celast.IdentKind {
				continue
			}
			_, group := v.groups[text.AsIdent()]
			if text.ID() == issue.ExprID || group && e.ID() == issue.ExprID {
				word = text.AsIdent()
			}
		}
	}))
	return word
}

// dotted returns the name that a chain of selections spells, or "" if e is something else.
func dotted(e celast.Expr) string {
	switch e.Kind() {
	case celast.IdentKind:
		return e.AsIdent()
	case celast.SelectKind:
		if outer := dotted(e.AsSelect().Operand()); outer != "" {
			return outer + "." + e.AsSelect().FieldName()
		}
	}
	return ""
}

// slip finds what people write who know other languages, in an expression that cannot be parsed.
func slip(expression string) (at common.Location, what string) {
	depth := 0
	for i := 0; i < len(expression); {
		token := tokenAt(expression[i:])
		switch strings.ToLower(token) {
		case "=":
			what = "a single = compares nothing, write =="
		case "<>":
			what = "write != for <>"
		case "and", "&":
			what = "write && for " + token
		case "or", "|":
			what = "write || for " + token
		case "not":
			what = "write ! for " + token
		case "@":
			what = "a text stands in quotes; put other quotes around the whole so that a shell leaves them"
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case ",":
			if depth == 0 {
				what = "a comma joins nothing, write && or || between conditions"
			}
		}
		if what != "" {
			before := expression[:i]
			line := before[strings.LastIndexByte(before, '\n')+1:]
			return common.NewLocation(1+strings.Count(before, "\n"), utf8.RuneCountInString(line)), what
		}
		i += len(token)
	}
	return nil, ""
}

// tokenAt returns the word, text, operator or single character that s begins with. s is not empty.
func tokenAt(s string) string {
	for _, operator := range []string{"==", "!=", "<=", ">=", "<>", "&&", "||"} {
		if strings.HasPrefix(s, operator) {
			return operator
		}
	}
	if s[0] == '"' || s[0] == '\'' {
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case s[0]:
				return s[:i+1]
			}
		}
		return s
	}
	end := strings.IndexFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch {
	case end < 0:
		return s
	case end == 0:
		_, end = utf8.DecodeRuneInString(s)
	}
	return s[:end]
}
