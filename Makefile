# make study TRIALS=50     the environment, then a search
# make test                the environment, then every check and the quick tests; those that are skipped are listed with the reason
# make test-slow           the tests that take minutes
# make test-faults         studies under kills, full disks, lost machines and servers; half an hour (FAULTS_TABLE=FILE)
# make test-stack          the stack of docker-compose.yml, run for real; needs Docker (KEEP_VOLUMES=1 keeps its volumes)
# make ui                  MLflow's pages and the Optuna dashboard for the local studies, until Ctrl-C
# make bench               the tables of docs/performance.md: training and scoring beside a textbook WaveNet, how the cost grows, opening a
#                          corpus, several trainings in one pass, learning faster, detectors in bfloat16, the default study beside an older one (CARS=... FAN=...);
#                          QUICK=1: without the last three, which take most of the time
# make reproduce-quality   the tables of quality, from nothing, in hours; an interrupted one goes on (CARS=folder:PATH FAN=folder:PATH);
#                          QUICK=1: one fold of each, without the tables by surprise
# make lock                resolves requirements.lock again, from the bounds in pyproject.toml
#
# PYTHON=python3.11 names the interpreter, TORCH_ARGS the options of pip that choose the build of PyTorch.

PYTHON ?= python3
TRIALS ?= 50
TORCH_ARGS ?=
CARS ?= folder:../shared/recordings/cars
FAN ?= folder:../shared/recordings/fan
BIN := .venv/bin
READY := .venv/ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: study test test-slow test-faults test-stack ui bench reproduce-quality lock

# Ctrl-C (exit code 130) is a usual end of the first two, not an error of make. The trap keeps the shell until they end.
ENDS_BY_CTRL_C = trap : INT; $(1) || { code=$$?; [ $$code -eq 130 ] || exit $$code; }

study: $(READY)
	@$(call ENDS_BY_CTRL_C,$(BIN)/python hpo/run_study.py --trials $(TRIALS))

ui: $(READY)
	@$(call ENDS_BY_CTRL_C,$(BIN)/python -m hpo.stack.ui)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow and not stack" -n 2 --dist loadfile -rs

# Without tests/faults, which has its own command: it loads the machine for as long as the rest together.
test-slow: $(READY)
	$(BIN)/pytest -m slow -rs --ignore tests/faults

FAULTS_TABLE ?= runs/faults.md
test-faults: $(READY)
	@mkdir -p $(dir $(FAULTS_TABLE))
	$(BIN)/pytest tests/faults -m slow -n 2 --dist load -rs --fault-table $(FAULTS_TABLE)

test-stack: $(READY)
	TORCH_ARGS="$(TORCH_ARGS)" KEEP_VOLUMES="$(KEEP_VOLUMES)" $(BIN)/pytest tests/hpo/stack/test_stack.py -m stack -rs

bench: $(READY)
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/throughput.py --widths 64 128 --precision bfloat16
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/openings.py
	$(BIN)/python benchmarks/several_trainings.py
	$(if $(QUICK),,$(BIN)/python benchmarks/learning.py --cars $(CARS) --fan $(FAN))
	$(if $(QUICK),,$(BIN)/python benchmarks/precisions.py --cars $(CARS) --fan $(FAN))
	$(if $(QUICK),,$(BIN)/python benchmarks/default_study.py)

# Two tables at once, each on one core, the longest first.
TABLES = microphones elsewhere other_machines clip_tasks whiteness spliced_events events_of_machines equal_level
ONE_FOLD = $(if $(QUICK),--folds 0)
microphones = simulated fan --fan $(FAN) $(ONE_FOLD)
elsewhere = --cars $(CARS) --fan $(FAN) $(if $(QUICK),--quick)
other_machines = $(if $(QUICK),--kinds pump valve --seeds 2)
clip_tasks = --data $(CARS) $(ONE_FOLD)
whiteness = --cars $(CARS) --fan $(FAN) $(if $(QUICK),--seconds 20)
spliced_events = --data $(CARS) $(ONE_FOLD)
events_of_machines = $(if $(QUICK),--kinds pump --seeds 2,--seeds 2 --cars $(CARS))
equal_level = --data $(FAN) $(ONE_FOLD)

reproduce-quality: $(READY)
	$(MAKE) --jobs 2 --output-sync=target $(TABLES:%=table-%)
	$(if $(QUICK),,$(BIN)/python benchmarks/quality.py --data $(CARS))

# Four folds of half an hour, and then a table from what they have kept.
table-elsewhere: $(if $(QUICK),,$(addprefix elsewhere-fold-,1 2 3 4))

elsewhere-fold-%: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/elsewhere.py $(elsewhere) --score $*

table-%: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$*.py $($*)

# What the interpreter lacks, in words; empty where it fits. Another version than that of .venv makes .venv again.
VERSION = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
FITTING := 3.11 3.12 3.13
OTHER_PYTHON = $(or $(firstword $(foreach v,$(FITTING),$(if $(shell command -v python$(v)),python$(v)))),python3.11)
CHECK_PYTHON = $(if $(filter $(FITTING),$(call VERSION,$(PYTHON))),,$(error Python must be 3.11 to 3.13, but $(PYTHON) \
	is $(or $(call VERSION,$(PYTHON)),not installed). Name another: make $(MAKECMDGOALS) PYTHON=$(OTHER_PYTHON)))
CLEAR = $(if $(filter $(call VERSION,$(BIN)/python),$(call VERSION,$(PYTHON))),,--clear)

# torch comes first and alone, so that its build (CPU or CUDA) can be chosen with TORCH_ARGS. `ready` is made last, so an
# interrupted installation is done again.
$(READY): requirements-torch.lock requirements.lock pyproject.toml
	@$(CHECK_PYTHON)echo "Making the environment .venv with $(PYTHON). This takes minutes, once."
	@$(PYTHON) -m venv $(CLEAR) .venv
	@echo "1 of 3: PyTorch, $(if $(TORCH_ARGS),with $(TORCH_ARGS),which downloads 0.2 GB without and 2.7 GB with CUDA)"
	@$(PIP) install $(TORCH_ARGS) -r requirements-torch.lock
	@echo "2 of 3: the other libraries, 0.3 GB"
	@$(PIP) install --require-hashes -r requirements.lock
	@echo "3 of 3: the command $(BIN)/machine-listening"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "The environment is ready."

# One lock for every Python that pyproject.toml allows. torch has its own file.
lock:
	echo torch | uv pip compile pyproject.toml --universal --extra dev --excludes /dev/stdin --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements.lock
