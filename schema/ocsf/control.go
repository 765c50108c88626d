package ocsf

import (
	"strconv"

	"github.com/skopeflow/skopeflow/internal/jsonscan"
	"github.com/skopeflow/skopeflow/schema"
)

// A response is what a control did: action_id and disposition_id.
type control struct{ action, disposition int }

var controls = map[schema.Action]control{
	schema.ActionAllowed:     {1, 1},
	schema.ActionBypassed:    {1, 16},
	schema.ActionAlerted:     {3, 19},
	schema.ActionCoached:     {3, 19},
	schema.ActionBlocked:     {2, 2},
	schema.ActionQuarantined: {2, 3},
	schema.ActionIsolated:    {2, 4},
	schema.ActionRestricted:  {4, 11},
	schema.ActionEncrypted:   {4, 7},
	schema.ActionDeleted:     {4, 5},
	schema.ActionRestored:    {4, 9},
	schema.ActionObserved:    {3, 17},
	schema.ActionOther:       {other, other},
}

// finer are the vendor's words, folded, that say more than the normalized action.
var finer = map[string]control{
	"drop": {2, 6}, "reset": {2, 21},
	"restrictaccess": {2, 24}, "restrict": {2, 24}, "expirelink": {2, 24}, "expiresharedlink": {2, 24}, "revoke": {2, 24},
	"readonly": {4, other},
	"irm":      {4, 18}, "rms": {4, 18}, "label": {4, 18}, "tag": {4, 18},
	"decrypt":          {4, 7},
	"legalhold":        {3, other},
	"anomalydetection": {3, 15}, "detection": {3, 15}, "detect": {3, 15},
}

var actionNames = map[int]string{1: "Allowed", 2: "Denied", 3: "Observed", 4: "Modified"}

var dispositionNames = map[int]string{
	1: "Allowed", 2: "Blocked", 3: "Quarantined", 4: "Isolated", 5: "Deleted", 6: "Dropped", 7: "Custom Action", 9: "Restored", 11: "Corrected",
	15: "Detected", 16: "No Action", 17: "Logged", 18: "Tagged", 19: "Alert", 21: "Reset", 24: "Access Revoked",
}

func controlOf(a *schema.Artifact) (control, bool) {
	c, ok := controls[a.Action]
	if !ok {
		return c, false
	}
	var space [32]byte
	if more, ok := finer[string(appendFolded(space[:0], a.ActionRaw))]; ok {
		return more, true
	}
	return c, true
}

// appendFolded appends s in lower case, without spaces, underscores and hyphens.
func appendFolded(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ', c == '_', c == '-':
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c|0x20)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func actionID(dst []byte, a *schema.Artifact) []byte {
	if c, ok := controlOf(a); ok {
		dst = strconv.AppendInt(dst, int64(c.action), 10)
	}
	return dst
}

func dispositionID(dst []byte, a *schema.Artifact) []byte {
	if c, ok := controlOf(a); ok {
		dst = strconv.AppendInt(dst, int64(c.disposition), 10)
	}
	return dst
}

// actionName and dispositionName are the captions; for what the framework has no value for, the vendor's word.
func actionName(dst []byte, a *schema.Artifact) []byte {
	c, ok := controlOf(a)
	return appendCaption(dst, actionNames[c.action], a, ok)
}

func dispositionName(dst []byte, a *schema.Artifact) []byte {
	c, ok := controlOf(a)
	return appendCaption(dst, dispositionNames[c.disposition], a, ok)
}

func appendCaption(dst []byte, caption string, a *schema.Artifact, controlled bool) []byte {
	switch {
	case !controlled:
		return dst
	case caption != "":
		return jsonscan.AppendString(dst, caption)
	case a.ActionRaw != "":
		return jsonscan.AppendString(dst, a.ActionRaw)
	}
	return dst
}
