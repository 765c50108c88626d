package normalize

import "strings"

// datasetOf returns the dataset with a canonical name.
func datasetOf(name string) (dataset, bool) {
	switch name {
	case "alert":
		return alert, true
	case "page":
		return page, true
	case "connection":
		return connection, true
	case "application":
		return application, true
	case "network":
		return network, true
	case "audit":
		return audit, true
	case "incident":
		return incident, true
	case "endpoint":
		return endpoint, true
	case "clientstatus":
		return clientstatus, true
	case "infrastructure":
		return infrastructure, true
	case "transaction":
		return transaction, true
	}
	return dataset{}, false
}

// Dataset says which dataset a stream such as "events/page", "page" or "alerts/dlp" carries and, for alerts/*, which subtype.
func Dataset(stream string) (dataset, subtype string, ok bool) {
	family, name, split := strings.Cut(stream, "/")
	if !split {
		family, name = "events", stream
	}
	switch family {
	case "events":
		if name == "epdlp" {
			name = "endpoint"
		}
		if _, ok := datasetOf(name); !ok {
			return "", "", false
		}
		return name, "", true
	case "alerts":
		if name == "" || strings.Contains(name, "/") {
			return "", "", false
		}
		if known, ok := subtypes[string(appendFolded(nil, name))]; ok {
			return "alert", known, true
		}
		return "alert", strings.ReplaceAll(strings.ToLower(name), "-", "_"), true
	}
	return "", "", false
}
