# Guanlan. Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# One build folder outside the clone, so that a new clone does not compile DataFusion again.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/guanlan/target
export GUANLAN_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/guanlan
CARGO ?= cargo
GUANLAN := $(CARGO_TARGET_DIR)/debug/guanlan
WEB := dashboards/web
WEB_SOURCES := $(shell find $(WEB) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
DEMO_DIR ?= demo-company
DEMO_FLAGS ?=

.PHONY: help demo test lint bench build web tools fuzz walk e2e clean-demo

help: ## What there is to call
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

demo: build ## Build, simulate a company, serve it
	$(GUANLAN) demo $(DEMO_DIR) $(DEMO_FLAGS)

build: tools web ## Build the web UI and the one binary
	$(CARGO) build --locked --workspace

tools: ## Check what the build needs and say what is missing
	@tests/prepare.sh build

web: $(WEB)/dist/.built

$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

$(WEB)/dist/.built: $(WEB)/node_modules/.installed $(WEB_SOURCES)
	cd $(WEB) && npm run --silent build
	@touch $@

test: build ## Every test: rooms, the walk through the line, the browser
	@tests/prepare.sh test
	cd $(WEB) && npm run --silent test && npm run --silent budget
	@if $(CARGO) nextest --version >/dev/null 2>&1; \
	then $(CARGO) nextest run --locked --workspace; \
	else $(CARGO) test --locked --workspace; fi
	$(MAKE) --no-print-directory e2e

e2e: build ## The browser test: each persona in Chromium against the real server
	@tests/prepare.sh browser
	cd $(WEB) && npm run --silent e2e

fuzz: build ## What nobody meant, a minute a door: SQL, files, questions, requests
	@tests/prepare.sh test
	GUANLAN_FUZZ_SECONDS=$${GUANLAN_FUZZ_SECONDS:-60} $(CARGO) nextest run --locked --workspace -E 'test(fuzz) + test(random_statements) + test(damage) + test(by_chance)' --no-capture

walk: build ## One story from source to action; read tests/walk.rs first
	@tests/prepare.sh test
	$(CARGO) test --locked --test guanlan walk -- --nocapture

lint: build ## Format, clippy, types, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	cd $(WEB) && npm run --silent check && npm run --silent lint
	@tests/prepare.sh lint
	$(CARGO) deny --locked check licenses bans sources
	@$(CARGO) deny --locked check advisories 2>/tmp/guanlan-advisories.log \
	|| if grep -qiE 'fetch|network|resolve' /tmp/guanlan-advisories.log; \
	then echo "advisories: the advisory database cannot be reached from here; not checked"; \
	else cat /tmp/guanlan-advisories.log; exit 1; fi

bench: web ## Measure the budgets with the peer beside them
	@tests/prepare.sh bench
	$(CARGO) build --locked --profile bench-release --workspace
	$(GUANLAN_CACHE)/venv/bin/python benches/run.py

clean-demo: ## Remove the demo company's folder
	rm -rf $(DEMO_DIR)
