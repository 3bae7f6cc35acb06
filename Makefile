# Two commands matter: `make demo` and `make test`. Each does all its own set-up and is quick when that is done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test lint bench setup clean

demo: $(VENV)/ready
	$(BIN)/lockstep demo $(ARGS)

test: $(VENV)/ready-dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/ready-dev
	$(BIN)/lockstep bench $(ARGS)

setup: $(VENV)/ready-dev

# The live path only: a newcomer's demo does not wait for PyTorch.
$(VENV)/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	# Its metapackage is an sdist that must see this environment. Where it is not to be had, its tests skip and say so.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e ".[tensorrt-rtx]" \
		|| echo "make: TensorRT-RTX could not be installed"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
