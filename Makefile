# Both commands do all their own set-up in .venv; run again, they start at once.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt

.PHONY: train test bench clean

train: .venv/installed
	$(BIN)/dcgan train

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses=auto --dist=loadfile

bench: .venv/installed-test
	$(BIN)/python benchmarks/tracking_overhead.py
	$(BIN)/python benchmarks/image_cache.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	    "Python 3.11 to 3.13 is needed; choose one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv: about 5 GB with the CUDA libraries of PyTorch, one to three minutes ..."
	$(PIP) --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(PIP) --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
