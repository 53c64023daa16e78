# make run    serve a lab (its own virtual environment is made first); ARGS="--ephemeral --port 0" and so on
# make test   all tests, on all cores; PYTEST_ARGS="-k strongswan" and so on
# make lint   ruff, mypy, import contracts, hadolint, compose schema
# make bench  the benchmarks
# make client-table  what deployed clients do at every fault, written to lab/faults/CLIENTS.md
# make image-pins    docker/requirements.txt with the newest versions that go together
# make image-verify  build the container image and try it; root, buildah, crun, debootstrap; no engine
# make clean  remove the virtual environment and all caches
#
# Needs Python 3.11 or later, make and git; another interpreter with PYTHON=/path/to/python3.12.
# The set-up is repeated only when pyproject.toml has changed. Nothing is installed outside .venv.

SHELL := /bin/sh
VENV := .venv
PYTHON ?=
ARGS ?=
PYTEST_ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test lint bench client-table image-pins image-verify clean

run: $(VENV)/.installed
	exec $(BIN)/ndes-lab up $(ARGS)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml docker/lab.compose.yaml

client-table: $(VENV)/.installed-test
	$(BIN)/python -m tests.faults.clients $(ARGS)

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.bench $(ARGS)

image-pins: $(VENV)/.installed
	$(BIN)/python docker/pin

image-verify:
	docker/verify

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install --editable '.[test]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) install --editable '.[test,lint]'
	@touch $@

# Debian's python3 comes without ensurepip, and often with pip or virtualenv instead: either will do.
$(VENV)/.python:
	@set -eu; \
	if $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then touch $@; exit 0; fi; \
	for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "ndes-lab needs Python 3.11 or later, and found none (Debian, Ubuntu: apt-get install python3 python3-venv;" \
	       "elsewhere: make PYTHON=/path/to/python3.12)" >&2; exit 2; \
	fi; \
	version=$$("$$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	echo "Making $(VENV) with Python $$version ($$(command -v "$$found"))"; \
	rm -rf $(VENV); \
	if "$$found" -c 'import ensurepip, venv' 2>/dev/null; then "$$found" -m venv $(VENV); \
	elif "$$found" -m virtualenv --version >/dev/null 2>&1; then "$$found" -m virtualenv --quiet $(VENV); \
	elif "$$found" -m pip --version >/dev/null 2>&1; then \
	  "$$found" -m venv --without-pip $(VENV) && "$$found" -m pip --quiet --python $(BIN)/python install pip; \
	else \
	  echo "Python $$version has neither venv, virtualenv nor pip; as root: apt-get install python$$version-venv" >&2; exit 2; \
	fi; \
	touch $@
