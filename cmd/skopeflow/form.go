package main

import (
	"fmt"
	"slices"

	"github.com/skopeflow/skopeflow/schema"
	"github.com/skopeflow/skopeflow/schema/ecs"
	"github.com/skopeflow/skopeflow/schema/ocsf"
	"github.com/skopeflow/skopeflow/schema/witfoo"
)

// A form is how artifacts are published: as they are, or as a view of another schema.
type form struct {
	name    string
	profile string // of the content type; "" for the artifact itself
	append  func(dst []byte, a *schema.Artifact) []byte
	places  func(a *schema.Artifact) map[string][]string // artifact field → paths in the document; nil for the artifact itself
}

// formNames are what PUBLISH_FORMAT can be.
var formNames = []string{"artifact", "ocsf", "ecs", "witfoo"}

// formNamed returns the form with a name.
func formNamed(name, ocsfVersion string) (form, error) {
	always := func(places func() map[string][]string) func(*schema.Artifact) map[string][]string {
		return func(*schema.Artifact) map[string][]string { return places() }
	}
	switch name {
	case "artifact":
		return form{name: name, append: func(dst []byte, a *schema.Artifact) []byte { return a.AppendJSON(dst) }}, nil
	case "ocsf":
		v, err := ocsf.New(ocsfVersion)
		if err != nil {
			return form{}, err
		}
		return form{name, "ocsf-" + ocsfVersion, v.Append, v.Places}, nil
	case "ecs":
		return form{name, "ecs-" + ecs.Version, ecs.Append, always(ecs.Places)}, nil
	case "witfoo":
		return form{name, name, witfoo.Append, always(witfoo.Places)}, nil
	}
	return form{}, fmt.Errorf("%q is not a format; choose one of %q", name, formNames)
}

func (c *PublishConfig) validate(p *problems) {
	known := slices.Contains(formNames, c.Format)
	p.require(known, "PUBLISH_FORMAT", "%q is not a format; choose one of %q", c.Format, formNames)
	_, err := ocsf.New(c.OCSFVersion)
	p.require(err == nil, "PUBLISH_OCSF_VERSION", "%v", err)
}

// form returns how artifacts are published. The configuration has been validated.
func (c *PublishConfig) form() (form, error) { return formNamed(c.Format, c.OCSFVersion) }
