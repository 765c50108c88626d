package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/skopeflow/skopeflow/internal/typo"
)

// nearMiss is the edit distance up to which one name is taken for a misspelt
// other.
const nearMiss = 2

var (
	// Nobody but us uses these prefixes, so whatever we do not know there is a
	// mistake.
	ownPrefixes = []string{"NETSKOPE_", "PUBLISH_"}

	// Others use these too: only what looks like one of ours is a mistake.
	sharedPrefixes = []string{"NATS_", "KAFKA_", "HTTP_", "LOG_", "DATA_"}

	// Variables of Netskope's own command line, which may share a shell with us.
	// Its NETSKOPE_API_TOKEN means the same to both.
	vendorVariables = []string{"NETSKOPE_TENANT", "NETSKOPE_PROFILE", "NETSKOPE_CA_BUNDLE", "NETSKOPE_NO_UPDATE_CHECK"}

	// Kubernetes sets these in each pod for each Service of its namespace; a
	// Service named netskope-simulator is no misspelling.
	serviceVariable = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	serviceAddress  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// refuseUnknown adds a problem for each variable of the environment that was
// probably meant for us and that we do not know. Values are never quoted.
func refuseUnknown(known []string, p *problems) {
	environ := os.Environ()
	slices.Sort(environ)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if slices.Contains(known, name) || slices.Contains(vendorVariables, name) || fromKubernetes(name, value) {
			continue
		}
		switch {
		case hasAnyPrefix(name, ownPrefixes):
			p.errs = append(p.errs, fmt.Errorf("unknown variable %s; %s", name, meant(name, known)))
		case hasAnyPrefix(name, sharedPrefixes):
			if near, d := typo.Nearest(name, known); d <= nearMiss {
				p.errs = append(p.errs, fmt.Errorf("unknown variable %s; did you mean %s?", name, near))
			}
		}
	}
}

func fromKubernetes(name, value string) bool {
	return serviceVariable.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && serviceAddress.MatchString(value)
}

func hasAnyPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// meant says what to do about an unknown variable: a misspelt one, one of an
// instance that is not listed, or one that lacks a word, as NETSKOPE_TOKEN does.
func meant(name string, known []string) string {
	near, d := typo.Nearest(name, known)
	if d <= nearMiss {
		return fmt.Sprintf("did you mean %s?", near)
	}
	if instance := unlistedInstance(name); instance != "" {
		return fmt.Sprintf("list %s in NETSKOPE_INSTANCES if it is an instance's", instance)
	}
	words := strings.Split(name, "_")
	longer := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		has := strings.Split(k, "_")
		return slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(has, w) })
	})
	if len(longer) > 0 {
		near, _ = typo.Nearest(name, longer)
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "skopeflow help env lists those there are"
}
