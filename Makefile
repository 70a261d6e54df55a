# `make demo` lip-syncs a real face, `make test` runs every check, `make bench` measures speed.
# All set up .venv on their own; PYTHON may name any Python from 3.11 on.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test bench clean

demo: $(VENV)/demo.done
	$(BIN)/python demo/demo.py

test: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/pytest -n 2

bench: $(VENV)/test.done
	$(BIN)/python benchmarks/bench.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/test.done: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[train,test,lint,onnxruntime]'
	touch $@

clean:
	rm -rf $(VENV)
