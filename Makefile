# Everything a person does with the checkout. Needs Python 3.11 to 3.13 and make, nothing else; `make` alone explains.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo test up bench faults shared shippers fuzz lint docs lock

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# Only packages of the lock, by hash, as wheels: nothing is built here and nothing is resolved anew. Not compiled to
# bytecode either: that takes longer than the rest, and Python does it for the tenth that is ever imported.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input
LOCKED := install --no-compile --no-deps --require-hashes --only-binary :all: -r
OURSELVES := install --no-deps --no-build-isolation --no-index --editable .

# Apache Kafka's jars, for the tests against it: fetched by Maven once, or named by QORGAN_KAFKA_HOME.
QORGAN_KAFKA_HOME ?= $(CURDIR)/build/kafka
export QORGAN_KAFKA_HOME

# Most tests of flow wait for something: two at a time take little more than half as long.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)
APART := faults or kafka or shared or shippers

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.dev ## everything to work on Qorgan, in .venv

demo: $(VENV)/.run ## a simulated bank, an attack, its incidents: about two minutes
	@$(BIN)/qorgan demo $(ARGS)

up: $(VENV)/.run ## broker, store and workers in one process tree, until Ctrl-C
	@$(BIN)/qorgan up $(ARGS)

test: $(VENV)/.dev ## the short suite: nothing beside Python is needed
	@$(PYTEST) -m "not ($(APART))"

faults: $(VENV)/.dev $(QORGAN_KAFKA_HOME) ## kills and outages, and Apache Kafka (Java and Maven)
	@$(PYTEST) -m "faults or kafka"

shared: $(VENV)/.dev ## the tests on recordings kept beside the project, in ../shared/data
	@$(PYTEST) -m "shared"

shippers: $(VENV)/.dev $(QORGAN_KAFKA_HOME) ## deploy/shippers run by rsyslog and syslog-ng (Debian's packages)
	@$(PYTEST) -m "shippers"

fuzz: $(VENV)/.dev ## random rules, events and feeds; ARGS=600: ten minutes for each target
	@QORGAN_FUZZ=$(or $(ARGS),20) $(BIN)/python -m pytest -q -n $(JOBS) tests/fuzz

bench: $(VENV)/.dev ## the benchmarks of BENCHMARKS.md
	@$(BIN)/qorgan bench all $(ARGS)

lint: $(VENV)/.dev ## format, style, types, import rules, alert rules
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@mkdir -p build && $(BIN)/lint-imports --no-cache > build/imports.txt 2>&1 || { cat build/imports.txt; exit 1; }
	@if command -v promtool > /dev/null; then \
	  promtool check rules deploy/prometheus/alerts.yml && promtool test rules deploy/prometheus/alerts_test.yml; \
	else echo "promtool is not here: the alert rules were not checked (Debian's package prometheus has it)"; fi

docs: $(VENV)/.dev ## render what is rendered from the code: metrics, settings, commands, dashboard
	@$(BIN)/python -m pipeline.documents

lock: $(VENV)/.dev ## both lock files, anew from pyproject.toml
	@for set in "requirements.lock:--extra build" "requirements-dev.lock:--extra build --extra dev"; do \
	  $(BIN)/uv pip compile pyproject.toml $${set#*:} --universal --python-version 3.11 --generate-hashes --quiet \
	    --no-annotate --no-header --output-file $${set%%:*} > /dev/null || exit 1; \
	done

# ---------------------------------------------------------------------------------------------------------------

$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null; then \
	    mkdir -p build; $$python -m venv $(VENV) > build/venv.log 2>&1 && exit 0; \
	    cat build/venv.log >&2; rm -rf $(VENV); \
	    echo "$$python cannot make virtual environments: install its venv package (Debian: python3-venv)." >&2; exit 1; \
	  fi; \
	done; \
	echo "Qorgan needs Python 3.11, 3.12 or 3.13: install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1

# A stamp is older than its lock when the lock was changed: only then is anything installed.
$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked packages into $(VENV): once, about a minute."
	@$(PIP) $(LOCKED) requirements.lock && $(PIP) $(OURSELVES)
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked packages and the tools of development into $(VENV): once, about a minute."
	@$(PIP) $(LOCKED) requirements-dev.lock && $(PIP) $(OURSELVES)
	@mkdir -p build && touch $@ $(VENV)/.run

$(CURDIR)/build/kafka: tests/faults/kafka/pom.xml
	@command -v mvn > /dev/null && command -v java > /dev/null || { \
	  echo "Apache Kafka's tests need Java 17 and Maven, or QORGAN_KAFKA_HOME naming a folder of its jars." >&2; exit 1; }
	@rm -rf $@ && mvn --quiet --batch-mode -Dstyle.color=never --file $< dependency:copy-dependencies -DoutputDirectory=$@ && touch $@
