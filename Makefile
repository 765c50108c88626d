SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.linked=$(VERSION)
IMAGE   ?= skopeflow:$(VERSION)

ARGS     ?=
FUZZTIME ?= 20s
BENCH    ?= .

LINT_VERSION := v2.15.0
LINT_DIR     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/skopeflow/golangci-lint-$(LINT_VERSION)
LINT         := $(LINT_DIR)/golangci-lint

.PHONY: all test race lint build demo bench fuzz chaos conformance soak update image help
.DEFAULT_GOAL := all

all: lint test build ## lint, test and build

test: ## run every test
	go test -timeout 20m ./...

race: ## run every test under the race detector, in random order, the long ones in short
	go test -race -short -shuffle=on -timeout 20m ./...

lint: $(LINT) ## check the code, the formatting and the layers
	$(LINT) run ./...

$(LINT):
	GOBIN=$(LINT_DIR) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

build: ## build bin/skopeflow
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/skopeflow ./cmd/skopeflow

demo: ## simulator, collector and status page in one process, without credentials
	@echo 'building skopeflow (a minute or two the first time) ...'
	go run -ldflags '$(LDFLAGS)' ./cmd/skopeflow demo $(ARGS)

bench: ## run the benchmarks (BENCH=regexp), one package after another
	go test -p 1 -run '^$$' -bench '$(BENCH)' -benchmem ./...

# go test fuzzes one target at a time. Minimizing is bounded, since it can take
# a minute for one input that only looks interesting.
fuzz: ## fuzz each target for FUZZTIME
	targets=$$(go test -list '^Fuzz' ./... | awk '/^Fuzz/ {n[++k] = $$1} /^ok/ {while (k) print $$2, n[k--]}')
	test -n "$$targets" || { echo 'fuzz: no target found' >&2; exit 1; }
	while read -r package target; do
		echo "fuzz: $$package $$target"
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$package" </dev/null
	done <<<"$$targets"

chaos: ## kill processes and NATS at random moments, the long way (an hour)
	SKOPEFLOW_CHAOS=long go test -count=1 -timeout 120m -v -run '^Test(Kill|Replicas)' ./cmd/skopeflow

conformance: ## hold 100,000 generated events of each dataset against the schemas (half an hour)
	SKOPEFLOW_GENERATED=100000 go test -count=1 -timeout 0 -v -run '^TestGenerated' ./normalize

soak: ## collect 2,000,000 events over 8 lanes and print the peak of memory
	SKOPEFLOW_SOAK=1 go test -count=1 -timeout 0 -v -run '^TestSoak' ./cmd/skopeflow

update: ## generate code, and write the golden files again
	go generate ./...
	grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -r -n1 dirname | sort -u | xargs -r -I{} go test {} -update

image: ## build the container image (IMAGE=name:tag)
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t $(IMAGE) .

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
