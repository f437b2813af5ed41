# Two commands do everything on a fresh machine: `make app` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 7860
WORKERS ?= 3 # processes of pytest: on two cores, one waits for a browser or a clock at any time

MAKEFLAGS += --jobs=2 # apt beside pip, mypy beside pytest

.PHONY: app test suite quick lint setup setup-dev libseccomp programs browser bench picture fuzz soak
MINUTES ?= 60 # of fuzzing or soaking

app: setup ## serve the page
	GRADIO_SERVER_PORT=$(PORT) $(BIN)/python app.py

test: lint suite ## everything that CI checks

suite: setup-dev
	$(BIN)/python -m pytest -n $(WORKERS)

quick: lint ## what a developer runs at every save: no browser, no session, no compiler
	QUICK=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not process and not browser and not slow and not gpu" --durations=5

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## the kernels beside their rivals, on this machine's GPU
	$(BIN)/python -m kernels.bench

picture: setup-dev ## docs/picture.png, which the README shows
	$(BIN)/python -W ignore -m benchmarks.picture

fuzz: setup-dev ## an hour of what CI does for seconds: each round has another seed; stops at the first finding
	end=$$(($$(date +%s) + 60 * $(MINUTES))); \
	while [ $$(date +%s) -lt $$end ]; do FUZZ_FACTOR=20 $(BIN)/python -m pytest -n $(WORKERS) --timeout 0 tests/fuzz || exit 1; done

soak: setup-dev ## an hour of honest, wrong, hostile and endless submissions against a whole service; prints what grew
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

setup: .venv/installed libseccomp
setup-dev: .venv/installed-dev programs browser

.venv/bin/python:
	$(PYTHON) -m venv .venv

# pip compiles on one core, and tests of others' as well.
INSTALL = $(BIN)/pip install --quiet --no-compile
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '/tests/' .venv/lib || true

.venv/installed: requirements.txt | .venv/bin/python
	$(INSTALL) -r requirements.txt
	$(COMPILE)
	touch $@

# Brings what `setup` does in the same run of pip, which takes seconds to find out that there is nothing to do.
.venv/installed-dev: requirements.txt requirements-dev.txt | .venv/bin/python
	$(INSTALL) -r requirements-dev.txt
	$(COMPILE)
	touch .venv/installed $@

APT = test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq >/dev/null

libseccomp:
	@ldconfig -p | grep -q libseccomp.so.2 || ($(APT) $$(cat packages.txt)) || echo "libseccomp2 is missing: install it, or grading stays off"

# Debian's Chromium and, for the tests of many machines, its PostgreSQL, where we may install them.
programs: libseccomp
	@command -v chromium-headless-shell >/dev/null || ($(APT) chromium-headless-shell fonts-liberation) || true
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || ($(APT) --no-install-recommends postgresql) || echo "PostgreSQL is not installed: its tests are skipped"

# Another Chromium that is there, else Playwright's own.
browser: .venv/installed-dev programs
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || $(BIN)/playwright install chromium
