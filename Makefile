# Everything a person does with this checkout. `make` alone lists it.
# Needs python3 (3.11 to 3.13) with venv, and nothing else: no docker, no root, no database, no Redis.

# The first of these that really runs and is fit: a version manager's stubs can be on the PATH and fail.
FIT := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	"$$name" -c '$(FIT)' >/dev/null 2>&1 && { echo "$$name"; break; }; done)
BIN := .venv/bin
RUN := $(BIN)/python
TESTS ?= tests
PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo serve test slow chaos bench pages screenshots backup restore check lock browser clock clean installed installed-dev python

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: installed  ## start everything, play the story through the public API, keep serving (DEMO_SERVE=0: end after it)
	@exec $(RUN) -m backend.local demo

serve: installed  ## start everything, without the story
	@exec $(RUN) -m backend.local serve

test: installed-dev  ## all tests but the slow ones; TESTS=path for some of them
	@$(RUN) -m pytest -n $(PROCESSES) --dist worksteal -m "not slow and not chaos and not pages and not screenshots" $(TESTS)

slow: installed-dev  ## the tests that take minutes
	@$(RUN) -m pytest -m slow $(TESTS)

chaos: installed-dev  ## workers killed, Valkey wiped, PostgreSQL stopped under load: minutes
	@$(RUN) -m pytest -m chaos -s $(TESTS)

bench: installed-dev  ## what a run costs: CPU, added latency, throughput; BENCH="--seconds 5" for a short one
	@$(RUN) -m benchmarks.runs $(BENCH)

pages: installed-dev  ## what each page weighs, asks of the database and takes
	@$(RUN) -m pytest -q -m pages tests/backend/web

# The month that they tell ends on this day: no picture depends on the day on which it is taken.
PICTURED := 2030-10-28 14:30

screenshots: installed-dev browser clock  ## take the pictures of the README and docs/dashboard.md anew, into docs/screenshots
	@ahead=$$(( $$(date -u -d '$(PICTURED)' +%s) - $$(date +%s) )); \
	PICTURED='$(PICTURED)' faketime -m -f "+$${ahead}s" $(RUN) -m pytest -q -m screenshots tests/backend/web/test_screenshots.py

backup: installed  ## back the database up to FILE=… (docs/backup.md)
	@exec $(RUN) -m backend.local.backup backup $(FILE)

restore: installed  ## restore FILE=… into an empty database; OVERWRITE=1: in place of what is there
	@exec $(RUN) -m backend.local.backup restore $(if $(filter 1,$(OVERWRITE)),--overwrite) $(FILE)

check: installed-dev  ## lint, format, types, missing migrations, tests
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	@$(RUN) -m backend.local.throwaway $(RUN) -m mypy .
	@$(RUN) -m backend.local.throwaway $(RUN) manage.py makemigrations --check --dry-run
	@$(MAKE) --no-print-directory test

lock: python  ## work the locks in requirements/*.txt out anew
	@$(PYTHON) -m venv var/uv && var/uv/bin/pip install --quiet --disable-pip-version-check --upgrade uv
	@cd requirements && export UV_CUSTOM_COMPILE_COMMAND="make lock" && \
	compile() { part=$$1; shift; echo "  $$part.txt"; ../var/uv/bin/uv pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links "$$@" $$part.in -o $$part.txt; } && \
	compile base && compile embedded -c base.txt && compile model --no-deps && compile dev

browser:  ## install Debian's Chromium, for the tests that click through the dashboard
	@if command -v chromium >/dev/null; then chromium --version; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else echo "Install Chromium so that it is on the PATH as 'chromium'; on Debian: sudo apt-get install chromium"; exit 1; fi

clock:  ## install Debian's faketime, for pictures that are the same on any day
	@if command -v faketime >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime; \
	else echo "Install faketime so that it is on the PATH; on Debian: sudo apt-get install faketime"; exit 1; fi

clean: python  ## remove all that these targets made in this checkout
	@$(PYTHON) -m backend.local.clean

installed: python
	@$(PYTHON) backend/local/install.py base embedded model

installed-dev: python
	@$(PYTHON) backend/local/install.py base embedded model dev

python:
	@[ -n "$(PYTHON)" ] || { echo "Bespoke needs Python 3.11, 3.12 or 3.13 with venv on the PATH (on Debian: apt-get install python3-venv)."; exit 1; }
