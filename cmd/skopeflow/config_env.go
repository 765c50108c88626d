package main

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// A setting is one variable as its struct tags describe it.
type setting struct {
	name, byDefault, desc string
}

// settingsOf lists the fields of spec that are variables, in their order.
func settingsOf(prefix string, spec any) []setting {
	var list []setting
	t := reflect.TypeOf(spec).Elem()
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if name := tag.Get("env"); name != "" {
			list = append(list, setting{prefix + name, tag.Get("default"), tag.Get("desc")})
		}
	}
	return list
}

func variableNames(prefix string, spec any) []string {
	var list []string
	for _, s := range settingsOf(prefix, spec) {
		list = append(list, s.name)
	}
	return list
}

// fillFromEnv reads the variables of spec, a pointer to a struct of settings.
//
// envconfig stops at the first bad value, and with a name of its own in a tag it
// reads that name without the prefix too. So each field goes to it alone, in a
// struct whose only field carries the variable's whole name.
func fillFromEnv(prefix string, spec any, p *problems) {
	v := reflect.ValueOf(spec).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Tag.Get("env") == "" {
			continue
		}
		name := prefix + field.Tag.Get("env")
		byDefault := field.Tag.Get("default")
		if value, set := os.LookupEnv(name); set && strings.TrimSpace(value) == "" {
			if byDefault != "" {
				p.reject(name, "empty; remove it to have %s, or give it a value", byDefault)
			}
			continue
		}
		one := reflect.New(reflect.StructOf([]reflect.StructField{{Name: name, Type: field.Type, Tag: field.Tag}}))
		if err := envconfig.Process("", one.Interface()); err != nil {
			p.reject(name, "%s", remedy(err))
			continue
		}
		v.Field(i).Set(one.Elem().Field(0))
	}
}

// remedy turns envconfig's error into a sentence. The types of this package
// bring their own.
func remedy(err error) string {
	var bad *envconfig.ParseError
	if !errors.As(err, &bad) {
		return err.Error()
	}
	switch bad.TypeName {
	case reflect.TypeFor[bool]().String():
		return strconv.Quote(bad.Value) + " is neither true nor false; write one of them"
	case reflect.TypeFor[int]().String():
		return strconv.Quote(bad.Value) + " is not a whole number; write one"
	case reflect.TypeFor[slog.Level]().String():
		return strconv.Quote(bad.Value) + " is not a level; write debug, info, warn or error"
	}
	return bad.Err.Error()
}
