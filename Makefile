# make study TRIALS=50   the environment, then a search
# make test              the environment, then every check and test
# make test-slow         the tests that take minutes
# make test-stack        the stack of docker-compose.yml, run for real; needs Docker (KEEP_VOLUMES=1 keeps its volumes)
# make ui                MLflow's pages and Optuna's dashboard on the local studies, until Ctrl-C
# make reproduce-quality   the README's tables of quality, from nothing, in an hour and a half (CARS=folder:PATH)
# make lock              the lock file anew, from the bounds in pyproject.toml

PYTHON ?= python3
TRIALS ?= 50
TORCH_ARGS ?=
CARS ?= folder:../shared/recordings/cars
BIN := .venv/bin
READY := .venv/ready

.PHONY: study test test-slow test-stack ui reproduce-quality lock

study: $(READY)
	$(BIN)/python hpo/run_study.py --trials $(TRIALS)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow and not stack" -n 2 --dist loadfile

test-slow: $(READY)
	$(BIN)/pytest -m slow

test-stack: $(READY)
	TORCH_ARGS="$(TORCH_ARGS)" KEEP_VOLUMES="$(KEEP_VOLUMES)" $(BIN)/pytest tests/hpo/stack/test_stack.py -m stack -rs

ui: $(READY)
	@$(BIN)/python -m hpo.stack.ui

reproduce-quality: $(READY)
	$(BIN)/python benchmarks/quality.py --data $(CARS)

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
