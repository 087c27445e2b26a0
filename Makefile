# Everything lives in .venv/; a second run does only what changed.
#   make demo        install the base package (no torch) and transcribe the bundled recordings
#   make test        install what the tests need and run the fast tests
#   make test-slow   the tests marked slow
#   make lint        ruff, mypy, clang-format, import rules
#   make format      rewrite the sources in the house format
#   make clean       remove .venv/ and all build output

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(shell find native -name '*.cc' -o -name '*.h')
# Sources are installed in editable form: only these files need another installation.
INSTALL_INPUTS := pyproject.toml constraints.txt CMakeLists.txt $(NATIVE)
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow lint format clean
.DELETE_ON_ERROR:

demo: $(VENV)/base.stamp
	@$(BIN)/sparsespeech demo

test: $(VENV)/development.stamp
	$(BIN)/python -m pytest -q -m "not slow" -n auto --dist worksteal

test-slow: $(VENV)/development.stamp
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/development.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(NATIVE)
	$(BIN)/lint-imports

format: $(VENV)/development.stamp
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE)

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "sparsespeech needs Python 3.11 or newer; name one: make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/base.stamp: $(INSTALL_INPUTS) | $(BIN)/python
	@echo "Installing the base package into $(VENV)/ ..."
	@$(PIP_INSTALL) -e .
	@$(call report_native)
	@touch $@

$(VENV)/development.stamp: $(INSTALL_INPUTS) | $(BIN)/python
	@echo "Installing the package and what its tests need (torch among it) into $(VENV)/ ..."
	@$(PIP_INSTALL) -e '.[train,media,tensorboard,dev]'
	@$(call report_native)
	@touch $(VENV)/base.stamp $@

define report_native
$(BIN)/python -c 'import sparsespeech._native' 2>/dev/null \
  || echo "Note: no C++20 compiler worked here, so the native engine was not built; pure Python runs."
endef
