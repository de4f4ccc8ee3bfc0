# Each target sets itself up on a fresh machine: it needs Python 3.11 or newer, and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8765
ARGS ?=

.PHONY: serve demo test embedded check bench conformance torture surface settings bundle clean help

help:
	@echo "make serve | demo | test | check | bench | conformance | torture"

$(VENV)/.base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tause-mcp needs Python 3.11 or newer: make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]' --group dev
	@touch $@

serve: $(VENV)/.base
	@exec $(BIN)/tause-mcp serve --transport http --port $(PORT) $(ARGS)

demo: $(VENV)/.base
	@$(BIN)/tause-mcp demo $(ARGS)

# Every claim about a house holds on SQLite, memory and files, and again on PostgreSQL, Redis and S3.
test: embedded
	@$(BIN)/python -m pytest -n 2 --dist loadfile --backends=servers $(ARGS)

embedded: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/sizes.py

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

conformance: $(VENV)/.dev
	@$(BIN)/python -m tests.conformance.run $(ARGS)

torture: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m torture $(ARGS)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m torture --backends=servers tests/torture $(ARGS)

surface: $(VENV)/.dev
	@UPDATE_SURFACE=1 $(BIN)/python -m pytest -q tests/laws tests/migrations/test_newest.py
	@$(BIN)/python scripts/pages.py

bundle: $(VENV)/.dev
	@$(BIN)/python packaging/mcpb/build.py

clean:
	rm -rf $(VENV) .work dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
