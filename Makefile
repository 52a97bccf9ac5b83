# Needs Python >= 3.11 with venv, and make. Everything else is fetched, pinned by hash, into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench
CLIENTS := $(VENV)/.clients
ARGS ?=
# Trust whom this machine trusts, a company's proxy among them.
export UV_SYSTEM_CERTS := true

.PHONY: run test check bench chaos screenshots lock format clean
.DELETE_ON_ERROR:

run: $(READY)  ## start everything on this machine; ARGS="--port 9000" is passed on
	@exec $(BIN)/darkroom dev $(ARGS)

test: check $(CLIENTS)  ## the whole test suite, on real services
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(READY)  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) $(BENCH)  ## the timings, as medians of one run; ARGS="spine hostile subscribers mutations imaging" for parts
	$(BIN)/python -m tests.bench $(ARGS)

chaos: $(READY)  ## the promises under faults, over real processes, with figures; ARGS="store" for those so named
	$(BIN)/python -m tests.chaos $(ARGS)

screenshots: $(READY) $(BENCH)  ## the demo page as README shows it, taken anew
	$(BIN)/python -m pytest tests/test_screenshots.py
	cp .screenshots/demo-light.webp .screenshots/demo-dark.webp tests/screenshots

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The S3 emulator's pins clash with ours, so it lives in an environment of its own inside .venv.
$(READY): lock/uv.txt lock/dev.txt lock/ministack.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Darkroom needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/uv.txt
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes lock/uv.txt lock/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	test -x $(VENV)/ministack/bin/python || $(UV) venv --quiet --python $(BIN)/python $(VENV)/ministack
	$(UV) pip sync --quiet --compile-bytecode --python $(VENV)/ministack/bin/python --require-hashes lock/ministack.txt
	touch $@

# What imaging is compared with, each in an environment of its own. Without npm, sharp is left out.
$(BENCH): $(READY) lock/bench.txt lock/thumbor.txt tests/bench/imaging/sharp/package-lock.json
	for name in bench thumbor; do \
	  test -x $(VENV)/$$name/bin/python || $(UV) venv --quiet --python $(BIN)/python $(VENV)/$$name && \
	  $(UV) pip sync --quiet --python $(VENV)/$$name/bin/python --require-hashes lock/$$name.txt || exit 1; \
	done
	mkdir -p $(VENV)/sharp
	cp tests/bench/imaging/sharp/package*.json $(VENV)/sharp
	! command -v npm >/dev/null || npm ci --silent --prefix $(VENV)/sharp
	touch $@

# What others made for Node, that tests run. Without npm, these tests say so. Node 18 and 20, which distributions
# have, need the overrides in package.json: parts of parts want a newer one.
$(CLIENTS): $(READY) tests/clients/package-lock.json
	mkdir -p $(VENV)/clients
	cp tests/clients/package*.json $(VENV)/clients
	! command -v npm >/dev/null || { npm ci --silent --prefix $(VENV)/clients && touch $@; }

LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade
lock: $(READY)  ## resolve the locks anew
	$(LOCK) pyproject.toml -o lock/runtime.txt
	$(LOCK) pyproject.toml --extra embedded --group dev -c lock/runtime.txt -o lock/dev.txt
	$(LOCK) lock/ministack.in -o lock/ministack.txt
	$(LOCK) lock/uv.in -o lock/uv.txt
	$(LOCK) lock/bench.in -o lock/bench.txt
	$(LOCK) lock/thumbor.in -o lock/thumbor.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
