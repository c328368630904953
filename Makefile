# make study TRIALS=50   the environment, then a search
# make test              the environment, then every check and test
# make test-slow         the tests that take minutes
# make lock              the lock file anew, from the bounds in pyproject.toml

PYTHON ?= python3
TRIALS ?= 50
TORCH_ARGS ?=
BIN := .venv/bin
READY := .venv/ready

.PHONY: study test test-slow lock

study: $(READY)
	$(BIN)/python hpo/run_study.py --trials $(TRIALS)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(READY)
	$(BIN)/pytest -m slow

# torch comes first and by itself, so that its build (CPU or CUDA) can be chosen with TORCH_ARGS.
$(READY): requirements-torch.lock requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH_ARGS) -r requirements-torch.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $(READY)

lock:
	echo torch > .excluded
	uv pip compile pyproject.toml --extra dev --excludes .excluded --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command "make lock" -o requirements.lock
	rm .excluded
