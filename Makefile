# Everything here does its own set-up: it makes .venv, installs what is missing and says so. It needs Python
# 3.11 or newer, and on Debian apt, with sudo if you are not root. PYTHON chooses another interpreter.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
PORT ?= 8000
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
BIN := .venv/bin
# What is imported is compiled then: of all that is installed that is a quarter.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
NPM := tests/browser tests/docs tests/adapters/gateways
PROPERTIES = $(shell grep -rlE '^(from|import) (hypothesis|schemathesis)' --include='test_*.py' tests)

# Every process of the tests would compile PNS anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run fleet test short lint types soak fuzz bench peers simulate screenshots format dist clean \
	packages programs
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/run ## the demo: an application with two users, PNS beside it (EMBEDDED=1: inside it; PORT=8000)
	@$(BIN)/pns demo --port $(PORT) $(if $(filter-out 0,$(EMBEDDED)),--embedded)

fleet: .venv/fleet ## three nodes on PostgreSQL and Redis behind nginx, the demo in front of them (PORT=8000)
	@$(call programs,$(FLEET))
	@$(BIN)/python -m pns.ops.fleet $(PORT)

# pip and npm install side by side. mypy keeps one core at work: it runs beside the tests.
test: ## all checks and tests, but for the long ones
	@$(MAKE) --no-print-directory --jobs 2 lint tests/__pycache__ packages
	@$(MAKE) --no-print-directory --jobs 2 types short

short: .venv/test
	$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 20

# Each of the processes of the tests would compile all that it imports.
tests/__pycache__: | .venv/test
	@echo "· compiling what the tests import"
	@said=$$($(BIN)/pytest --collect-only -q -p no:cacheprovider) || \
		{ echo "$$said" | sed -n '/= ERRORS =/,$$p'; exit 1; }

lint: .venv/test ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/test ## mypy, strict
	$(BIN)/mypy

soak: .venv/test packages ## the long variants of the tests; takes hours
	PNS_SOAK=1 $(BIN)/pytest -m soak --timeout 14400

fuzz: .venv/test ## the property tests, short and long variants
	PNS_SOAK=1 $(BIN)/pytest -m 'soak or not soak' --timeout 14400 $(PROPERTIES)

bench: .venv/test packages ## measure, each figure beside the one that says what it is worth
	$(BIN)/python -m bench

peers: .venv/peers bench/field/node_modules/.package-lock.json packages ## measure beside ws, socket.io, Channels and nchan
	$(BIN)/python -m bench.field

simulate: .venv/test ## fleets of 1 to 1,000 nodes on paper; writes the tables of docs/scaling.md
	$(BIN)/python -m bench.simulate --output docs/scaling.md

screenshots: .venv/test packages ## pictures of the bell and of the operator's page in docs/
	$(BIN)/python -m tests.browser.screenshots
	$(BIN)/python -m tests.browser.operator_screenshots

format: .venv/test ## let ruff put imports and lines in order
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

dist: .venv/test ## the wheel and the source archive, in dist/
	$(BIN)/python -m build --no-isolation
	@ls -l dist

clean: ## remove .venv and everything that was made
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .demo
	find pns tests bench migrations -name __pycache__ -prune -exec rm -rf {} +

# ── set-up ──────────────────────────────────────────────────────────────────────────────────────────

.venv/run: pyproject.toml | .venv/bin/python
	@echo "· installing PNS into .venv"
	@$(PIP) --editable .
	@touch $@

.venv/fleet: pyproject.toml | .venv/bin/python
	@echo "· installing PNS, with what it needs for PostgreSQL and Redis, into .venv"
	@$(PIP) --editable '.[postgres,redis]'
	@touch .venv/run $@

.venv/test: pyproject.toml | .venv/bin/python
	@echo "· installing PNS, and what its tests and checks need, into .venv"
	@$(PIP) --editable '.[test,lint]'
	@touch .venv/run .venv/fleet $@

.venv/peers: pyproject.toml | .venv/test
	@echo "· installing PNS's peers"
	@$(PIP) --editable '.[peers]'
	@test -e /usr/lib/nginx/modules/ngx_nchan_module.so || { $(call apt,libnginx-mod-nchan); }
	@touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "PNS needs Python 3.11 or newer: set PYTHON to where it is" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PNS needs Python 3.11 or newer, $(PYTHON) is older: set PYTHON" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call apt,python3-venv); }
	@echo "· making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@$(PIP) --upgrade pip # an old one looks at each release of each package, for a minute

# Program, and the package of Debian's that has it.
FLEET = postgres:postgresql redis-server:redis-server nginx:nginx-light
PROGRAMS = $(FLEET) strace:strace curl:curl openssl:openssl chromium:chromium nats-server:nats-server \
	chromium-headless-shell:chromium-headless-shell caddy:caddy systemd-analyze:systemd mosquitto:mosquitto \
	mosquitto_sub:mosquitto-clients firefox-esr:firefox-esr rails:ruby-railties puma:puma \
	mariadbd:mariadb-server promtool:prometheus go:golang-go

# What the tests call on, beside Python's packages: programs of Debian's, and modules of npm's.
packages: .venv/test programs $(NPM:=/node_modules/.package-lock.json)

programs: | .venv/bin/python
	@command -v npm >/dev/null || { echo "the tests of the browser need Node 20 or newer, with npm" >&2; exit 1; }
	@$(call programs,$(PROGRAMS))

%/node_modules/.package-lock.json: %/package-lock.json | programs
	@echo "· installing what $* needs of npm"
	@npm ci --prefix $* --silent
	@touch $@

define programs
for program in $(1); do \
	PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin)" command -v $${program%:*} >/dev/null || \
	missing="$$missing $${program#*:}"; done; test -z "$$missing" || { $(call apt,$$missing); }
endef

define apt
echo "· installing $(1) with apt-get"; \
	$(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $(1) >/dev/null
endef
