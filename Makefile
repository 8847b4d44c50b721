# The commands of the project. Each sets up .venv first.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.ready
CODE := src tests benchmarks docs examples

.PHONY: setup demo lint check test slow coverage

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[flowers,models,peers,test]'
	touch $@

demo: $(STAMP)
	$(VENV)/bin/vebi demo --out demo

lint: $(STAMP)
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy

# while you work: under three minutes
check: lint
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope -m "not slow" tests/unit tests/contract/test_architecture.py tests/contract/test_public_face.py

# before you commit: under eight minutes
test: lint
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope -m "not slow"

# what builds and installs packages, or takes minutes by itself
slow: $(STAMP)
	$(VENV)/bin/python -m pytest -m slow

coverage: $(STAMP)
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope -m "not slow" --cov --cov-report=term:skip-covered
