# Everything runs in .venv, which the first target makes by itself: only python3, make and git are needed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete

.PHONY: help demo test check bench torture format lock picture clean

help:
	@echo "make demo    play the main job against a sandbox of 12 nodes (no account needed)"
	@echo "make test    run the tests"
	@echo "make check   format, lint and types"
	@echo "make bench   print the table of speed ratios"
	@echo "make torture kill hnctl at each record of its journal and at 200 moments, and go on (an hour)"
	@echo "make format  let ruff format and mend the code"
	@echo "make lock    pin requirements-dev.txt anew"
	@echo "make picture draw the README's pictures anew"
	@echo "make clean   take .venv and all caches away"

# Stale when the pins or the package's own description changed since.
$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hnctl needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(BIN)/hnctl sandbox demo

test: $(STAMP)
	$(BIN)/python -m pytest -n auto

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

torture: $(STAMP)
	PYTHONPATH=tests $(BIN)/python tests/hnctl/kill_loop.py
	PYTHONPATH=tests $(BIN)/python tests/hnctl/kill_loop.py --faults 10%

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

picture: $(STAMP)
	$(BIN)/python docs/make_picture.py

# uv resolves for every platform at once and writes no index address.
lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --all-extras --no-emit-package hnctl pyproject.toml -o requirements-dev.txt
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
