# Two commands on a fresh machine: `make demo` and `make test`. Both need Python 3.11+ and the Python package registry.

PYTHON ?= python3
PORT ?= 8000
FILMS ?=
TMDB ?=
ARGS ?=
UV := .uv/bin/uv
BIN := .venv/bin
RUN := $(BIN)/python -m genresite.embedded run --
# Tests have servers of their own, so that a demo running beside them loses neither films nor messages.
TEST_ENV := GENRESITE_VAR=$(CURDIR)/var/test

.PHONY: demo test test-slow check manage lock install clean

demo: install  ## the site, from nothing, at http://127.0.0.1:$(PORT)
	@$(RUN) $(BIN)/python -m genresite.demo --port $(PORT) $(if $(FILMS),--films "$(FILMS)") $(if $(TMDB),--tmdb "$(TMDB)")

test: install  ## all tests but the slow proofs
	@$(TEST_ENV) $(RUN) $(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: install  ## the proofs that take minutes
	@$(TEST_ENV) $(RUN) $(BIN)/python -m pytest -m slow $(ARGS)

check: install  ## format, lint, types, import contracts, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	GENRESITE_NO_SECRETS=1 $(BIN)/mypy genresite predictor catalog ledger ml_core
	$(TEST_ENV) GENRESITE_NO_SECRETS=1 $(RUN) $(BIN)/python manage.py makemigrations --check --dry-run

manage: install  ## make manage ARGS="createsuperuser"
	@$(RUN) sh -c 'SECRET_KEY=$${SECRET_KEY:-$$(cat "$${GENRESITE_VAR:-var}/secret_key")} HTTPS=$${HTTPS:-0} $(BIN)/python manage.py $(ARGS)'

lock: $(UV)  ## requirements.lock from pyproject.toml
	$(UV) pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements.lock

install: .venv/.installed

$(UV):
	@echo "==> Getting uv"
	@$(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv

# uv, not pip: only then do torch and torchvision come from the same source and fit each other. Compiled at once: a process that must not
# write beside the packages would compile them each time, and importing torch takes twice as long then.
.venv/.installed: requirements.lock | $(UV)
	@echo "==> Installing what the lock names into .venv"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@touch $@

clean:  ## everything this machine made, data included
	-$(BIN)/python -m genresite.embedded stop
	rm -rf .venv .uv var staticfiles
