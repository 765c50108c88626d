package filter

import (
	"fmt"
	"net/netip"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

const inNetwork = "inNetwork"

func (v *vocabulary) environment() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.CustomTypeProvider(v), cel.CustomTypeAdapter(v),
		cel.ParserRecursionLimit(100), cel.ParserErrorRecoveryLimit(2),
		cel.RegexProgramSizeLimit(500),
		cel.CrossTypeNumericComparisons(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateComprehensionNestingLimit(2)),
		ext.Strings(), boundedTexts(),
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
		if at, what := slip(expression); what != "" {
			return nil, fmt.Errorf("compile %s: %s: %s", which, place(at), what)
		}
		return nil, v.explain(which, issues, nil)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, v.explain(which, issues, parsed)
	}
	if err := v.inspect(which, checked); err != nil {
		return nil, err
	}
	if t := checked.OutputType(); t != cel.BoolType && t != cel.DynType {
		return nil, fmt.Errorf("compile %s: the expression is of type %s, and a filter needs true or false", which, cel.FormatCELType(t))
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostTracking(costs{}), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", which, err)
	}
	return program, nil
}
