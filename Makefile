# make run    the quickstart: raw text to a released model
# make test   checks and tests; make test-slow: the long proofs
# make chaos  kill runs at random instants, start them again, compare what they end in (KILLS=100)
# make audit  licences of what is installed, and known holes where they can be looked up
# make bench-run, bench-…   measurements, printed as BENCH name value unit
# Each installs what it needs into .venv first. PYTHON=… names another interpreter, PRESET=… and ARGS=… another run.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
PRESET ?= quickstart
KILLS ?= 20
BIN := .venv/bin
MAKEFLAGS += --no-print-directory
.PHONY: run test test-slow chaos audit licences clean
.DELETE_ON_ERROR:

run: .venv/stamp
	@$(BIN)/gristmill run $(PRESET) $(ARGS)

test: .venv/stamp
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest -q -m "not slow" --numprocesses auto --maxprocesses 4 --no-loadscope-reorder $(ARGS)

test-slow: .venv/stamp
	@$(BIN)/python -m pytest -q -m slow $(ARGS)

chaos: .venv/stamp
	@$(BIN)/python tests/bench/chaos.py --kills $(KILLS) $(ARGS)

# pip-audit has an environment of its own: nothing here depends on it, and nothing of it on what is locked.
audit: .venv/stamp
	@[ -x .venv/audit/bin/pip-audit ] || { $(BIN)/python -m venv .venv/audit \
		&& .venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit; } 2>/dev/null || true
	@$(BIN)/python tests/bench/audit.py

licences: .venv/stamp
	@$(BIN)/python tests/bench/audit.py --licences

bench-%: .venv/stamp
	@$(BIN)/python tests/bench/bench_$*.py $(ARGS)

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

# One environment for all of them: the quickstart's text is the documentation in it, so it must not change with the goal.
# The mark `unfinished` stays behind an interrupted installation, and the next one starts from nothing.
.venv/stamp: pyproject.toml constraints.txt
	@set -e; \
	if [ -e .venv/unfinished ]; then rm -rf .venv; fi; \
	mkdir -p .venv; touch .venv/unfinished; \
	[ -x $(BIN)/pip ] || "$(PYTHON)" -m venv .venv; \
	echo "installing into .venv (minutes, the first time)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	rm .venv/unfinished; \
	touch $@
