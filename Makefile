# Everything runs in .venv, which make fills by itself: Python 3.11 or later and make are all that must be there.
# `make test ARGS="-k layers"` passes arguments on to pytest; JOBS is how many processes share the tests.

# The first Python that is new enough and can make an environment; `make PYTHON=/path/to/python` overrules the search.
# constraints.txt was resolved with 3.11, so that one comes first.
PYTHON ?= $(shell for python in python3.11 python3 python; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo $$python && break; done)
BIN := .venv/bin
JOBS ?= 2
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Where there is an Airflow, the tests of what is exported to it run as well.
AIRFLOW := $(if $(wildcard .venv-airflow/airflow.stamp),SQLML_AIRFLOW_PYTHON=$(CURDIR)/.venv-airflow/bin/python)

THROUGH_ARROW := tests/sql/test_values.py tests/sql/test_call_forms.py tests/sql/test_native.py tests/test_connections.py

.PHONY: help demo test test-long airflow test-arrow lint types docs format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    install sqlml with its demo, and run it"
	@echo "make test    install everything the tests need, and run them"
	@echo "make test-long   run the tests that take minutes, which 'make test' leaves out"
	@echo "make airflow install Airflow in an environment of its own; 'make test-long' then runs its tests too"
	@echo "make test-arrow  run the contract's tests with native = off"
	@echo "make lint    check the style of the code"
	@echo "make types   check the types"
	@echo "make format  rewrite the code in the style that lint checks"
	@echo "make docs    generate docs/errors.md and docs/cli.md"
	@echo "make clean   remove every environment and cache"

demo: .venv/demo.stamp
	$(BIN)/sqlml demo

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not long" $(ARGS)

test-long: .venv/dev.stamp
	$(AIRFLOW) $(BIN)/python -m pytest -m long $(ARGS)

airflow: .venv-airflow/airflow.stamp

# The contract once more, through the other way into DuckDB.
test-arrow: .venv/dev.stamp
	SQLML_NATIVE=off $(BIN)/python -m pytest -q $(THROUGH_ARROW)

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev.stamp
	$(BIN)/mypy

docs: .venv/dev.stamp
	$(BIN)/python docs/generate_errors.py
	$(BIN)/python docs/generate_cli.py

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-airflow build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "sqlml needs Python 3.11 or later with its venv module" \
		"(on Debian: the package python3-venv). If it lies elsewhere: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# A stamp is newer than what it was installed from: nothing is installed twice.
.venv/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[demo]'
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[dev,demo,models,fast,catboost,jvm,lightgbm,lineage,onnx,polars,spark,tables,xgboost]'
	@touch $@

# Airflow asks for other versions of what sqlml stands on: it calls sqlml as a command, and never imports it.
.venv-airflow/airflow.stamp:
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check 'apache-airflow>=3'
	@touch $@
