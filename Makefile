# Everything a contributor runs. `make demo` and `make test` need only Python >= 3.11, make and the
# package registries: they create their environments, and install programs through apt if they may.
#
# Environments
#   .venv         the newest versions of everything, for all targets
#   .venv-oldest  the oldest supported IPython and ipykernel, for the integration tests; all else it
#                 takes from .venv, so that making it costs seconds instead of a minute
#   .venv-fidelity  torch and xgboost besides the other libraries, for `make fidelity` alone
# A stamp file inside says which extras an environment holds; it is older than pyproject.toml when
# that changed since, and make then installs again. `make demo` asks for the light extra "demo"
# only, so the first demo starts soon; `make test` later adds the rest to the same environment,
# which holds "demo" too, so that a demo after a test installs nothing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# With this set, as images for containers like to have it, each of the hundreds of kernels would
# compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
# The tests share two environments and one coverage file: one target at a time, also with -j.
.NOTPARALLEL:

# The first of these that is Python >= 3.11; or say `make PYTHON=…`.
PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

BIN := .venv/bin
DEMO_STAMP := .venv/.holds-demo
DEV_STAMP := .venv/.holds-dev
OLDEST_STAMP := .venv-oldest/.holds-test
# What else pip is told there, for a torch without CUDA, a tenth of the size:
#   make fidelity FIDELITY_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"
FIDELITY_OPTIONS ?=
FIDELITY_STAMP := .venv-fidelity/.holds-fidelity
PANEL_STAMP := .venv/.holds-panel
# What the Sessions panel is built from; hatch_build.py builds it, and only when one is newer.
PANEL_SOURCES := hatch_build.py $(wildcard ui/*.json) $(shell find ui/src ui/style ui/schema -type f)

# Parallel tests: more workers than this make the timeouts of real kernels tight on small machines.
WORKERS ?= 2
# How many kernels `make kill-test` kills at random moments (tests/integration/test_kill.py), and
# how many of them the integration tests do: the first sessions of the same, seeded series.
KILLS ?= 200
SHARE_OF_KILLS ?= 20
# What depends on the versions of IPython and ipykernel, and is run with the oldest ones.
OLDEST_TESTS := tests/integration/test_recorder.py tests/integration/test_resume.py \
	tests/integration/test_unloaded.py tests/integration/test_rerunning.py $(addprefix tests/integration/test_faces.py::, \
	test_every_magic_has_help test_tables_are_html_in_a_notebook_and_text_for_programs \
	test_completion test_errors_are_one_line_and_say_what_to_do test_enable_and_disable)
PYTEST_PARALLEL := -n $(WORKERS) --dist worksteal
# Rooms whose tests must reach every line and branch, nearly: they hold the user's only copy.
COVERED_ROOMS := model log store
COVERAGE_FLOOR := 95

.PHONY: help demo test lint types unit integration kill-test browser oldest browser-and-oldest fidelity bench docs-schema \
	clean python system-packages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO_STAMP) ## a guided tour with real kernels
	$(BIN)/jupyter session demo

test: lint types unit integration browser-and-oldest ## all checks and tests; what CI runs
	@echo "All checks and tests passed."

# A part of the tests that collects none (pytest's exit code 5) fails, by intention.

lint: $(DEV_STAMP) ui/node_modules/.package-lock.json ## ruff, TypeScript, prettier: rules and format
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	npm --prefix ui run --silent lint

types: $(DEV_STAMP) ## mypy, strict
	$(BIN)/python -m mypy

# Coverage is taken here and not from integration tests: what they time, tracing would falsify.
unit: $(DEV_STAMP) system-packages ## unit and fault tests, with the coverage of model, log and store
	$(BIN)/python -m pytest $(PYTEST_PARALLEL) -m "not integration and not browser" --cov --cov-report=
	@low=; for room in $(COVERED_ROOMS); do \
		echo "Coverage of $$room, lines and branches; floor: $(COVERAGE_FLOOR) %"; \
		$(BIN)/python -m coverage report --fail-under=$(COVERAGE_FLOOR) \
			--include="src/ipysession/$$room.py,src/ipysession/$$room/*" || low+=" $$room"; \
	done; \
	[ -z "$$low" ] || { echo "Below the floor:$$low" >&2; exit 1; }

integration: $(PANEL_STAMP) system-packages ## real kernels and servers, newest versions
	IPYSESSION_KILLS=$(SHARE_OF_KILLS) $(BIN)/python -m pytest $(PYTEST_PARALLEL) -m "integration and not browser"

# The tests of one file share a server; two files run side by side, as most of the time is waiting.
browser: $(PANEL_STAMP) system-packages ## real Chromium
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/browser

kill-test: $(DEV_STAMP) ## kill real kernels at random moments, KILLS=200 of them
	IPYSESSION_KILLS=$(KILLS) $(BIN)/python -m pytest $(PYTEST_PARALLEL) tests/integration/test_kill.py

# Browsers wait more than they work: meanwhile the oldest versions are tested.
browser-and-oldest: $(PANEL_STAMP) $(OLDEST_STAMP) system-packages ## these two at the same time
	@mkdir -p test-results
	@$(MAKE) --no-print-directory oldest >test-results/oldest.log 2>&1 & oldest=$$!; failed=0; \
	$(MAKE) --no-print-directory browser || failed=1; \
	wait $$oldest || failed=1; \
	cat test-results/oldest.log; \
	exit $$failed

oldest: $(OLDEST_STAMP) system-packages ## recorder, resume, magics with the oldest IPython and ipykernel
	.venv-oldest/bin/python -m pytest $(PYTEST_PARALLEL) $(OLDEST_TESTS)

fidelity: $(FIDELITY_STAMP) ## kinds of objects that come back, those of torch and xgboost too
	.venv-fidelity/bin/python -m pytest tests/checkpoint/test_fidelity.py \
		tests/checkpoint/test_fidelity_libraries.py

bench: $(DEV_STAMP) ## measurements, side by side with peers
	$(BIN)/python -m benchmarks

docs-schema: $(DEV_STAMP) ## write docs/log.schema.json from the models
	$(BIN)/python -m ipysession.model.schema

clean: ## remove environments, caches and what was built
	rm -rf .venv .venv-oldest .venv-fidelity build dist test-results htmlcov .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache \
		ui/node_modules ui/lib src/ipysession/labextension
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# ---- environments ----------------------------------------------------------------------------

$(DEMO_STAMP): pyproject.toml | python
	$(call install,.venv,[demo])
	touch $@

# Most of what the tests install is never imported: Python compiles the rest when it is, which is
# quicker. In the demo that could show warnings of the compiler's among a cell's outputs.
$(DEV_STAMP): pyproject.toml | python
	$(call install,.venv,[dev] --no-compile)
	touch $@ $(DEMO_STAMP)

# What stands in a .pth file comes last on sys.path: pip counts it as installed, does not touch it,
# and puts in front of it what the constraints ask for.
$(OLDEST_STAMP): $(DEV_STAMP) scripts/oldest-constraints.txt
	$(PYTHON) -m venv .venv-oldest
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-oldest/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/newest.pth"
	$(call into,.venv-oldest,[test] --no-compile --constraint scripts/oldest-constraints.txt)
	touch $@

$(FIDELITY_STAMP): pyproject.toml | python
	$(call install,.venv-fidelity,[fidelity] $(FIDELITY_OPTIONS))
	touch $@

# The panel's files are copied into the environment: after a change they are copied again.
$(PANEL_STAMP): $(DEV_STAMP) $(PANEL_SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

ui/node_modules/.package-lock.json: ui/package-lock.json | system-packages
	npm --prefix ui ci --no-audit --no-fund
	touch $@

# $(call install,folder,extras and options)
define install
	scripts/system-packages.sh venv $(PYTHON)
	$(PYTHON) -m venv $(1)
	$(call into,$(1),$(2))
endef

define into
	@echo "Installing ipysession$(firstword $(2)) into $(1)"
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --editable .$(2)
endef

python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or say: make PYTHON=/path/to/python3" >&2; exit 1; }

system-packages:
	@scripts/system-packages.sh tests
