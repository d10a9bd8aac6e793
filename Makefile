# `make up` runs the application, `make test` tests it; each first installs what it needs into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KILLERS := tests/faults/test_lost_services.py
BENCHES := throughput improving memory ingest lists report metrics

# uv must use the Python that is there, not fetch one.
export UV_PYTHON_DOWNLOADS := never

# $(call install,FILE): exactly the versions and files that FILE names, by uv, or by pip alone where uv cannot be had.
# Compiled at once, as pip does too: half of the time that a start takes would go into that.
define install
	@echo "Installing $(1) ..."
	@$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r $(1) 2>/dev/null \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@touch $@
endef

.PHONY: up setup test check bench

up: setup
	@$(BIN)/python manage.py up $(if $(PORT),--port $(PORT))

setup: $(VENV)/.runtime

# Three processes keep two cores busy: many tests wait. What kills servers has them to itself.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --ignore $(KILLERS) $(ARGS)
	$(BIN)/python -m pytest $(KILLERS) $(ARGS)

check: export AFTERIMAGE_DATA = $(VENV)/check
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	$(BIN)/djlint --quiet --lint templates

bench: $(VENV)/.dev
	@for bench in $(BENCHES); do $(BIN)/python -m bench.$$bench || exit 1; done

$(VENV)/.runtime: requirements.txt $(VENV)/.made
	$(call install,$<)

$(VENV)/.dev: requirements-dev.txt $(VENV)/.made
	$(call install,$<)

$(VENV)/.made: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("AfterImage needs Python 3.11 or newer, \
	and this is %d.%d: name a newer one, for example with `make PYTHON=python3.12`." % sys.version_info[:2])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< \
		|| echo "uv cannot be installed here; pip alone takes a little longer."
	@touch $@
