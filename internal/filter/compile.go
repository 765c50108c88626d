package filter

import (
	"fmt"
	"net/netip"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/skopeflow/skopeflow/internal/typo"
)

const inNetwork = "inNetwork"

func (v *vocabulary) environment() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.CustomTypeProvider(v), cel.CustomTypeAdapter(v),
		cel.ParserRecursionLimit(100), cel.ParserErrorRecoveryLimit(2),
		cel.RegexProgramSizeLimit(10_000),
		cel.CrossTypeNumericComparisons(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateComprehensionNestingLimit(2)),
		ext.Strings(ext.StringsValidateFormatCalls(true)),
		cel.Function(inNetwork, cel.MemberOverload("string_in_network_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(addressInNetwork))),
	}
	for name, f := range v.top {
		options = append(options, cel.Variable(name, f.typ))
	}
	for name, g := range v.groups {
		options = append(options, cel.Variable(name, v.objects[g].typ))
	}
	return cel.NewEnv(options...)
}

// addressInNetwork takes an IPv4 address that is written as an IPv6 one for what it is.
func addressInNetwork(address, network ref.Val) ref.Val {
	prefix, err := netip.ParsePrefix(string(network.(types.String)))
	if err != nil {
		return types.NewErr("%q is not a network such as 10.0.0.0/8", string(network.(types.String)))
	}
	at, err := netip.ParseAddr(string(address.(types.String)))
	return types.Bool(err == nil && prefix.Contains(at.Unmap()))
}

// compile returns nil for an empty expression. which is its name in errors.
func (v *vocabulary) compile(env *cel.Env, which, expression string) (cel.Program, error) {
	if expression == "" {
		return nil, nil
	}
	if len(expression) > maxLength {
		return nil, fmt.Errorf("compile %s: the expression has %d bytes, and %d are allowed", which, len(expression), maxLength)
	}
	parsed, issues := env.Parse(expression)
	if issues.Err() != nil {
		return nil, v.explain(which, issues, nil)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, v.explain(which, issues, parsed)
	}
	if err := inspect(which, checked); err != nil {
		return nil, err
	}
	if t := checked.OutputType(); t != cel.BoolType && t != cel.DynType {
		return nil, fmt.Errorf("compile %s: the expression is of type %s, and a filter needs true or false", which, cel.FormatCELType(t))
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", which, err)
	}
	return program, nil
}

// inspect finds what the checker of types lets pass.
func inspect(which string, checked *cel.Ast) error {
	var err error
	found := func(e celast.Expr, format string, args ...any) {
		if err == nil {
			at := checked.NativeRep().SourceInfo().GetStartLocation(e.ID())
			err = fmt.Errorf("compile %s: %s: %s", which, place(at), fmt.Sprintf(format, args...))
		}
	}
	celast.PreOrderVisit(checked.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		switch e.Kind() {
		case celast.StructKind:
			found(e, "a filter reads objects and cannot make one (%s)", e.AsStruct().TypeName())
		case celast.CallKind:
			call := e.AsCall()
			if call.FunctionName() != inNetwork || len(call.Args()) != 1 || call.Args()[0].Kind() != celast.LiteralKind {
				return
			}
			network, ok := call.Args()[0].AsLiteral().Value().(string)
			if _, bad := netip.ParsePrefix(network); ok && bad != nil {
				found(call.Args()[0], "%q is not a network such as 10.0.0.0/8", network)
			}
		}
	}))
	return err
}

// explain makes the first issue a sentence, and says which name may have been meant. parsed is nil if the issue is one of syntax.
func (v *vocabulary) explain(which string, issues *cel.Issues, parsed *cel.Ast) error {
	all := issues.Errors()
	if len(all) == 0 {
		return fmt.Errorf("compile %s: %w", which, issues.Err())
	}
	first := all[0]
	message, _, _ := strings.Cut(first.Message, "\n")
	if name, ok := unknownName(first, parsed); ok {
		message = fmt.Sprintf("there is no field %s", name)
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
