# Two commands do everything: `make run` shows a request suspended and resumed, `make test` checks the whole project.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CFG    ?= cfg/async.cfg
PORT   ?= 5060
WORKERS ?= 2

.PHONY: run test lint unit bench compatibility clean

$(BIN)/kamailio-py: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

# what the tests need besides is a good deal more
$(VENV)/for-tests: $(BIN)/kamailio-py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

run: $(BIN)/kamailio-py
	$(BIN)/python -m kamailio_py.demo --cfg $(CFG) --port $(PORT)

test: lint unit

lint: $(VENV)/for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/for-tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

bench: $(BIN)/kamailio-py
	$(BIN)/kambench run

compatibility: $(BIN)/kamailio-py
	$(BIN)/python -m kamailio_py.tools.surface ../shared/reference > docs/compatibility.md

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
