# Needs Python 3.11 or newer and make, nothing else. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The interpreter that builds the environment; PYTHON=/path/to/python3.12 overrides it.
NEW_ENOUGH := import sys; raise SystemExit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach p,python3 python3.11 python3.12 python3.13 python3.14,$(shell $(p) -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $(p))))
# Options for pip, for example a package index of your own.
PIP_ARGS ?=
# Options for the demo and the tests: make demo OUT=elsewhere · make test JOBS=8 ARGS="-k pacing"
OUT ?= demo-out
JOBS ?= 2
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off $(PIP_ARGS)
PACKAGES = $(shell grep -c == requirements.lock)
# pip's hundreds of lines as a few.
SAY_HOW_FAR := /^(Collecting|Processing)/ && ++n % 20 == 0 {print "  " n " of " total " fetched"; fflush()} \
  /^Installing collected/ {print "  all fetched, unpacking"; fflush()}
# What a change touches most, and answers soon.
FAST := $(addprefix tests/unit/,domain audit metrics selection handoff cli test_project.py)
CODE := $(wildcard src tests benchmarks scripts)

.PHONY: help venv demo test fast wheel wheelhouse lint types docs format bench lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

venv: $(INSTALLED) ## build .venv from requirements.lock (done once; again when the lock changes)

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "firstscan needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { echo "Python cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing $(PACKAGES) packages into .venv; once, several minutes"
	@$(PIP_INSTALL) -r requirements.lock 2> >(grep -v '^WARNING' >&2) | awk -v total=$(PACKAGES) '$(SAY_HOW_FAR)'
	@$(PIP_INSTALL) --quiet --no-deps --no-build-isolation --editable . 2> >(grep -v '^WARNING' >&2)
	@touch $@

demo: $(INSTALLED) ## run the main job on the cohort that comes with it; ends with the path of a report
	@$(BIN)/firstscan demo --out $(OUT)

test: $(INSTALLED) ## run the test suite (tests that need real scans skip where there are none)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

fast: $(INSTALLED) ## the tests of the pure rooms and the command line: a minute
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(FAST) $(ARGS)

wheel: $(INSTALLED) ## build dist/: a wheel and an sdist
	@rm -rf dist build
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@$(BIN)/python -c "from setuptools.build_meta import build_sdist; build_sdist('dist')" >/dev/null
	@ls dist

wheelhouse: wheel ## collect every package in wheelhouse/, for a machine without internet
	@$(BIN)/python -m pip download --disable-pip-version-check --progress-bar off --quiet $(PIP_ARGS) --dest wheelhouse $(shell $(BIN)/python scripts/lock.py --run-time)
	@cp dist/*.whl wheelhouse/
	@echo "There: python3 -m venv .venv && .venv/bin/pip install --no-index --find-links wheelhouse firstscan"

lint: $(INSTALLED) types ## style, format, types and the rules of who may import whom
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/lint-imports

types: $(INSTALLED) ## strict type check
	@$(BIN)/mypy

docs: $(INSTALLED) ## build the documentation in docs/_site; a warning is an error
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_site
	@echo "Open this: docs/_site/index.html"

format: $(INSTALLED) ## rewrite the code in the house's format
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: $(INSTALLED) ## run every measurement in benchmarks/ and print its numbers
	@for script in $(wildcard benchmarks/[a-z]*.py); do echo "== $$script"; $(BIN)/python "$$script"; done

lock: $(INSTALLED) ## write requirements.lock from what .venv holds
	@$(BIN)/python scripts/lock.py
	@touch $(INSTALLED)

clean: ## remove what was made here, but not .venv
	rm -rf $(OUT) build dist wheelhouse docs/_site docs/generated docs/jupyter_execute src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
