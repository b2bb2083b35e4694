PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each package by its hash; REQUIREMENTS=requirements.txt for the newest within the bounds.
REQUIREMENTS ?= requirements.lock

.DEFAULT_GOAL := help
.PHONY: help demo serve deploy test test-fast coverage lint format docs lock audit licenses bench dbt clean clean-data

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready  ## the whole thing once, offline: sandbox, crawl, table
	@$(BIN)/scrapy demo

serve: $(VENV)/ready  ## scrapyd on 127.0.0.1:6800 with the schedules of scrapyd.conf
	@exec $(BIN)/python -m coinspider.daemon

deploy: $(VENV)/ready  ## this project to the scrapyd of [deploy] in scrapy.cfg, or TARGET=name
	@$(BIN)/scrapy deploy $(TARGET)

test: $(VENV)/ready-dev  ## all tests
	$(BIN)/python -m pytest

test-fast: $(VENV)/ready-dev  ## tests/unit, which need no process and no database
	$(BIN)/python -m pytest tests/unit

coverage: $(VENV)/ready-dev  ## all tests, and which lines they reach, in processes that they start too
	$(BIN)/python -m pytest --cov=coinspider

lint: $(VENV)/ready-dev  ## ruff, ruff format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready-dev  ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/ready-dev  ## the site in build/site; a warning fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

lock: $(VENV)/ready-audit  ## requirements.lock from requirements.txt, with hashes
	@{ sed -n '/^#/p;/^#/!q' requirements.lock; \
	$(BIN)/uv pip compile requirements.txt --universal --python-version 3.11 --upgrade --quiet \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate; \
	} > requirements.new && mv requirements.new requirements.lock

# Without an answer of the index there is no file. Whatever happens, nothing audited is no success.
audit: $(VENV)/ready-audit  ## known holes in what requirements.lock names, and a bill of materials
	@mkdir -p build && rm -f build/sbom.json
	@$(BIN)/pip-audit --progress-spinner off --disable-pip --require-hashes -r requirements.lock \
	-f cyclonedx-json -o build/sbom.json || { test -s build/sbom.json \
	|| echo 'Nothing is audited: the index can'"'"'t be asked for known holes.'; false; }
	@grep -q pkg:pypi/ build/sbom.json || { echo 'Nothing is audited: build/sbom.json names no package.'; false; }

licenses: $(VENV)/ready-audit  ## the licences of all packages that are installed
	@$(BIN)/pip-licenses --order=license

bench: $(VENV)/ready-bench  ## side by side with others, about half an hour: tables and a chart
	$(BIN)/python -m benchmarks

dbt: build/dbt/ready  ## dbt in build/dbt, an environment of its own, for deploy/dbt

clean:  ## remove .venv and what was built; the database and the logs stay
	rm -rf $(VENV) build

clean-data:  ## remove the embedded database, the logs and scrapyd's files, after a question
	@pid=$$(head -n 1 .scrapy/postgresql/postmaster.pid 2> /dev/null) && ps -p $$pid > /dev/null \
	&& { echo 'The embedded database is in use: end make serve and the crawls first.'; exit 1; } || true
	@printf 'Remove .scrapy: the embedded database, the logs, the schedules'"'"' state? [y/N] '
	@read answer && [ "$$answer" = y ] && rm -rf .scrapy || { echo 'Nothing is removed.'; false; }

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "coinspider needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready: $(REQUIREMENTS) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

$(VENV)/ready-bench: requirements-bench.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

$(VENV)/ready-audit: requirements-audit.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	@touch $@

$(VENV)/ready-dev: requirements-dev.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

build/dbt/ready: requirements-dbt.txt
	$(PYTHON) -m venv build/dbt
	build/dbt/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dbt.txt
	@touch $@
