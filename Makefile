# The two commands of the README: make demo, make test. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.ready

.PHONY: setup demo test

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[flowers,models,peers,test]'
	touch $@

demo: $(STAMP)
	$(VENV)/bin/vebi demo --out demo

test: $(STAMP)
	$(VENV)/bin/ruff check src tests benchmarks
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope
