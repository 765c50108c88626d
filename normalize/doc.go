// Package normalize turns raw Netskope events into artifacts. It is pure: the same event in the same envelope gives the
// same artifact, and nothing is read but the arguments.
//
// What it promises:
//   - Nothing the vendor sends is lost. Each key that is not empty is in a field, or dropped for a stated reason, or in Unmapped;
//     and unless the envelope says otherwise, Raw is the event byte for byte.
//   - A value that does not fit its field is no error: it stays in Unmapped, and a warning says which field it did not fit.
//   - Nothing is made up: no severity from a rating, no action from silence, no scheme for a URL that has none.
//   - Ids depend on the event and the tenant only, so that an event that is read again has the same id.
//
// Where vendor names meet schema names there is one table per dataset, in the file of that name: artifact field, conversion,
// vendor keys in order of preference. What needs more than a line is a named function below its table.
package normalize

// MappingVersion is the version of the tables and rules of this package. It is in each artifact.
const MappingVersion = "1.0.0"
