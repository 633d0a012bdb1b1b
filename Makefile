# Copyright The mrlog Authors
# SPDX-License-Identifier: Apache-2.0

# What a developer does with mrlog; "make" alone lists it. A target needs Go
# and a POSIX shell. Whatever else it can use is installed where possible,
# else skipped with a line that says so.

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

GO       ?= go
FUZZTIME ?= 30s
FUZZ     ?= .
BENCH    ?= .

# TORTURE_TIME is how long writers are killed at random; the rest of make
# torture takes what it takes.
TORTURE_TIME ?= 10m

# TOOLS are what scripts/need looks for before the tests.
TOOLS := gofumpt staticcheck race strace jq fuse swtpm tpm2_eventlog xxd corpus

# VERSION is empty outside a git checkout; the program then names itself.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w $(if $(VERSION),-X main.version=$(VERSION))

STAGE := ./scripts/stage

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)$$/  make \1\t\2/p' Makefile | expand -t 16

.PHONY: build
build: ## bin/mrlog, static and reproducible
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/mrlog ./cmd/mrlog

.PHONY: demo
demo: build ## record, show, convert, verify; then alter one byte
	@./scripts/demo

.PHONY: test
test: need ## everything: static checks, tests, tests under the race detector
	@failed=; \
	$(MAKE) check || failed="$$failed check"; \
	$(STAGE) tests $(GO) test -shuffle=on ./... || failed="$$failed tests"; \
	$(MAKE) race || failed="$$failed race"; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

.PHONY: check
check: ## static checks only: vet, gofumpt, staticcheck, architecture, go.mod
	@failed=; for s in vet gofumpt staticcheck archtest tidy; do \
		$(STAGE) $$s $(MAKE) stage-$$s || failed="$$failed $$s"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

.PHONY: race
race: ## tests under the race detector
	@./scripts/need race || exit 1; \
	if CGO_ENABLED=1 $(GO) build -race runtime/race runtime/cgo 2>/dev/null; then \
		CGO_ENABLED=1 $(STAGE) race $(GO) test -race -shuffle=on $$($(GO) list ./... | grep -v /internal/archtest); \
	fi

.PHONY: fuzz
fuzz: ## every fuzz target in turn; FUZZTIME=30s, FUZZ=PATTERN
	@./scripts/fuzz '$(FUZZTIME)' '$(FUZZ)'

.PHONY: bench
bench: ## benchmarks with allocations; BENCH=PATTERN
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: perf
perf: build ## speed and memory of the whole program, on a million records
	$(GO) run ./internal/perf $(PERFFLAGS)

.PHONY: torture
torture: ## break the built program in every way; TORTURE_TIME=10m, TORTUREFLAGS="-seed N -only crash"
	@./scripts/need strace fuse swtpm xxd || exit 1
	$(GO) run ./internal/torture -time '$(TORTURE_TIME)' $(TORTUREFLAGS)

.PHONY: cover
cover: ## statement coverage, with a page in bin/cover.html
	@mkdir -p bin
	$(GO) test -coverpkg=./... -coverprofile=bin/cover.out ./...
	$(GO) tool cover -html=bin/cover.out -o bin/cover.html
	@$(GO) tool cover -func=bin/cover.out | tail -n 1

.PHONY: clean
clean: ## remove what the targets above made
	rm -rf bin dist

# Steps of the targets above.

.PHONY: need
need:
	@$(STAGE) tools ./scripts/need $(TOOLS)

.PHONY: stage-vet
stage-vet:
	@$(GO) vet ./...

.PHONY: stage-gofumpt
stage-gofumpt:
	@./scripts/need gofumpt || exit 1; \
	[ -x bin/tools/gofumpt ] || exit 0; \
	files=$$(bin/tools/gofumpt -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "not formatted (bin/tools/gofumpt -w FILE):"; echo "$$files"; exit 1; fi

.PHONY: stage-staticcheck
stage-staticcheck:
	@./scripts/need staticcheck || exit 1; \
	[ -x bin/tools/staticcheck ] || exit 0; \
	bin/tools/staticcheck ./...

.PHONY: stage-archtest
stage-archtest:
	@$(GO) test -count=1 ./internal/archtest

.PHONY: stage-tidy
stage-tidy:
	@./scripts/tidy
