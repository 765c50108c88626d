package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/skopeflow/skopeflow/internal/filter"
	"github.com/skopeflow/skopeflow/internal/pipeline"
	"github.com/skopeflow/skopeflow/internal/privacy"
)

// loadRules makes what is to be left out of what an instance collects.
func (c *Config) loadRules(prefix string, i *Instance, p *problems) pipeline.Rules {
	return pipeline.Rules{Filter: loadFilter(prefix, i, p), Privacy: c.loadPrivacy(prefix, i, p)}
}

func loadFilter(prefix string, i *Instance, p *problems) *filter.Filter {
	f, err := filter.Compile(i.KeepIf, i.DropIf)
	if err == nil {
		return f
	}
	_, err = filter.Compile(i.KeepIf, "")
	p.require(err == nil, prefix+"KEEP_IF", "%v", err)
	_, err = filter.Compile("", i.DropIf)
	p.require(err == nil, prefix+"DROP_IF", "%v", err)
	return nil
}

func (c *Config) loadPrivacy(prefix string, i *Instance, p *problems) *privacy.Rules {
	hashed, keyed := len(i.HashFields) > 0, i.HashKeyFile != ""
	p.require(hashed || !keyed, prefix+"HASH_KEY_FILE", "no field is hashed; name some in %sHASH_FIELDS, or remove it", prefix)
	p.require(keyed || !hashed, prefix+"HASH_KEY_FILE", "not set; name a file with the key of %sHASH_FIELDS, made with openssl rand -hex 32", prefix)
	if hashed != keyed {
		return nil
	}
	key, err := c.readKey(prefix+"HASH_KEY_FILE", i.HashKeyFile)
	if err == nil && keyed {
		err = privacy.CheckKey(key)
	}
	if err != nil {
		p.add(prefix+"HASH_KEY_FILE", "%v", err)
		return nil
	}
	rules, err := privacy.New(i.HashFields, i.RemoveFields, key)
	if err != nil {
		variable := "HASH_FIELDS"
		if _, bad := privacy.New(nil, i.RemoveFields, nil); bad != nil {
			variable, err = "REMOVE_FIELDS", bad
		}
		p.add(prefix+variable, "%v", err)
	}
	for _, note := range rules.Notes() {
		c.note("%sHASH_FIELDS, %sREMOVE_FIELDS: %s", prefix, prefix, note)
	}
	return rules
}

// readKey returns the key in a file, without the line break at its end; nothing if no file is named.
func (c *Config) readKey(variable, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	key, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; name a readable file that holds the key alone", err)
	}
	c.noteMode(variable, file)
	return bytes.TrimRight(key, "\r\n"), nil
}

// filterFailures says how often the expressions of each instance have failed.
func (c *Config) filterFailures() map[string]uint64 {
	failures := make(map[string]uint64)
	for instance, rules := range c.Rules {
		if rules.Filter != nil {
			failures[instance], _ = rules.Filter.Failures()
		}
	}
	return failures
}
