# `make demo` and `make test` install what they need by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test test-slow check format bench clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## Make .venv with the tested versions (constraints.txt)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the path; name another: make PYTHON=python3 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install  ## Train, judge, register and serve a model of real weather, ask it for a forecast, and stream to it
	$(BIN)/gatecast demo

test: install  ## Run the tests (minutes)
	$(BIN)/python -m pytest -q -n auto

test-slow: install  ## Run the slow tests too, with examples never drawn before
	$(BIN)/python -m pytest -q -n auto -m 'not gpu' --hypothesis-profile searching

check: install  ## Format, lint, types, architecture, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n auto --cov --cov-report=term

format: install  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install  ## Measure; results go to benchmarks/results
	$(BIN)/python -m benchmarks

clean:  ## Remove what the targets made
	rm -rf $(VENV) gatecast-demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
