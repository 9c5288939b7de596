# Every target does all its own set-up in .venv; a second call starts in seconds.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
TYPESCRIPT := typescript@7.0.2
AXE := axe-core@4.14.1
JS_TOOLS := $(VENV)/.$(TYPESCRIPT)-$(AXE)
# openapi-typescript calls the compiler as a library, which version 7 is not.
TS_CLIENTS := openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20
EXTRA ?= cpu
# Tests wait more than they compute: two processes take little over half the time on two cores.
TEST_PROCESSES ?= 2
# Benchmark photographs for tests (CONTRIBUTING.md). Unset: a folder data/bench beside the checkout.
ANYSR_TEST_DATA ?= $(patsubst %/Set5,%,$(firstword $(wildcard $(CURDIR)/../*/data/bench/Set5)))
export ANYSR_TEST_DATA

# What failed beside other tests (status 1) runs once more by itself, and is named whether it passes or
# not: a wait that was too short on a busy machine is no reason to throw away a quarter of an hour.
FAILED_ALONE = { [ $$? -eq 1 ] && echo "Once more, alone:" && \
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -v -rA --show-capture=no; }

# An environment of its own: its pytest plugin would load in every run of the tests.
SCHEMATHESIS := schemathesis==4.32.5
# Most requests that it draws for an operation, beside those that it derives.
EXAMPLES ?= 15

# Of all fuzz targets together.
MINUTES ?= 5

.PHONY: help serve test test-containers fuzz nemesis schema-test lint types types-js axe format lock clean
.DEFAULT_GOAL := help

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve-$(EXTRA): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRA)]"
	@touch $@

# torch first and pinned: nothing installed later may choose another build of it.
$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[cpu,train,test]"
	@touch $@

$(VENV)/.fuzz: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[cpu,fuzz]"
	@touch $@

$(VENV)/schema/.$(SCHEMATHESIS): | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/schema
	$(VENV)/schema/bin/python -m pip install --quiet --disable-pip-version-check "$(SCHEMATHESIS)"
	@touch $@

$(JS_TOOLS): | $(BIN)/python
	npm install --silent --no-save --no-package-lock --prefix $(VENV) $(TYPESCRIPT) $(AXE)
	@touch $@

$(VENV)/.clients: | $(BIN)/python
	npm install --silent --no-save --no-package-lock --prefix $(VENV)/clients $(TS_CLIENTS)
	@touch $@

serve: $(VENV)/.serve-$(EXTRA) ## the service on http://127.0.0.1:8000
	$(BIN)/anysr serve

test: $(VENV)/.test ## lint, types and every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile || $(FAILED_ALONE)

test-containers: $(VENV)/.test ## the images and the stack, on a real engine (skips without one)
	$(BIN)/python -m pytest -m containers tests/containers

fuzz: $(VENV)/.fuzz ## coverage-guided fuzzing for MINUTES in all (tests/fuzz)
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES)

nemesis: $(VENV)/.test ## a minute of faults by a seed, and a check of what callers saw
	$(BIN)/anysr bench nemesis --seed 1 --minutes 1

schema-test: $(VENV)/.test $(VENV)/schema/.$(SCHEMATHESIS) ## the service against its own OpenAPI description, by EXAMPLES drawn requests an operation (tests/schema)
	$(BIN)/python -m tests.schema.run --examples $(EXAMPLES)

lint: $(VENV)/.test ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## strict mypy
	$(BIN)/mypy

types-js: $(VENV)/.test $(if $(shell command -v npm),$(JS_TOOLS) $(VENV)/.clients) ## the page's JavaScript, and a generated client, by TypeScript (skips without npm)
	$(BIN)/python -m pytest -q tests/service/test_page_types.py tests/service/test_generated_clients.py tests/clients/test_javascript.py

axe: $(VENV)/.test $(if $(shell command -v npm),$(JS_TOOLS)) ## the page's accessibility by axe-core (skips without one)
	$(BIN)/python -m pytest -q tests/service/page/test_accessibility.py

format: $(VENV)/.test ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: | $(BIN)/python ## renew deploy/requirements from pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	deploy/requirements/lock.sh $(BIN)/uv "$(TORCH)"

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
