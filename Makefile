PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo serve deploy test lint format bench clean

demo: $(VENV)/ready  ## the whole thing once, offline: sandbox, crawl, table
	@$(BIN)/scrapy demo

serve: $(VENV)/ready  ## scrapyd on 127.0.0.1:6800 with the schedules of scrapyd.conf
	@exec $(BIN)/python -m scrapyd

deploy: $(VENV)/ready  ## this project to the scrapyd of [deploy] in scrapy.cfg, or TARGET=name
	@$(BIN)/scrapy deploy $(TARGET)

test: $(VENV)/ready-dev  ## every check: ruff, mypy, pytest
	$(BIN)/python -m pytest

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready-bench  ## side by side with others, about half an hour: tables and a chart
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .scrapy

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "coinspider needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/ready: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/ready-bench: requirements-bench.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

$(VENV)/ready-dev: requirements-dev.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
