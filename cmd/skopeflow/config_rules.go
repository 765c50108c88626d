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
	var rules pipeline.Rules
	f, err := filter.Compile(i.KeepIf, i.DropIf)
	p.require(err == nil, prefix+"KEEP_IF, "+prefix+"DROP_IF", "%v", err)
	rules.Filter = f
	hashed, keyed := len(i.HashFields) > 0, i.HashKeyFile != ""
	p.require(hashed || !keyed, prefix+"HASH_KEY_FILE", "no field is hashed; name some in %sHASH_FIELDS, or remove it", prefix)
	p.require(keyed || !hashed, prefix+"HASH_KEY_FILE", "not set; name a file with the key of %sHASH_FIELDS, made with openssl rand -hex 32", prefix)
	if hashed != keyed {
		return rules
	}
	key, err := c.readKey(prefix+"HASH_KEY_FILE", i.HashKeyFile)
	if err != nil {
		p.add(prefix+"HASH_KEY_FILE", "%v", err)
		return rules
	}
	rules.Privacy, err = privacy.New(i.HashFields, i.RemoveFields, key)
	p.require(err == nil, prefix+"HASH_FIELDS, "+prefix+"REMOVE_FIELDS", "%v", err)
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
