# Everything a contributor runs. Nothing has to be installed by hand but Python >= 3.11, git and make.
# PYTHON=python3.13 chooses the interpreter; ARGS="..." is passed on: make test ARGS="tests/shared -k queue".

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
# Named after the interpreter and this folder: another Python, or a checkout that was moved, makes a new environment.
READY := $(VENV)/ready-$(shell { $(PYTHON) -VV; pwd; } 2>&1 | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help dev test check generated manifests-check bench chaos fuzz proofs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s  %s\n", $$1, $$2 }' Makefile

dev: $(READY)  ## a running server on http://127.0.0.1:8124 (ARGS="--port 9000" and so on)
	@$(VENV)/bin/lineshaft dev $(ARGS)

# Three processes, also on two cores: tests that kill and restart wait more than they compute. The two contract suites
# run beside each other, each on a server of its own.
test: $(READY)  ## all tests but the slow ones (ARGS="-m slow" runs those)
	$(RUN) pytest -n 3 --dist loadgroup $(ARGS)

proofs: $(READY)  ## every order of steps on the queue's scripts, as deep as CI has no time for
	$(RUN) pytest -n 2 -m long $(ARGS)

check: $(READY)  ## lint, formatting, types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

generated: $(READY)  ## what is made of something else: the dashboard, the PrometheusRule
	$(VENV)/bin/python deploy/generate.py

manifests-check: $(READY)  ## what can be said of deploy/ without a cluster
	@PYTHON="$(PYTHON)" .ci/manifests

bench: $(READY)  ## CPU per run and latencies, beside langgraph in-process
	$(RUN) tests.bench $(ARGS)

chaos: $(READY)  ## kills, stops and cuts off processes, then checks everything (ARGS="--seconds 300 --seed 7")
	$(RUN) tests.chaos $(ARGS)

fuzz: $(READY)  ## odd requests to every operation, other ones each time (FUZZ_EXAMPLES=1000 make fuzz)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} FUZZ_RANDOM=$${FUZZ_RANDOM-yes} $(RUN) pytest -n 0 -q tests/system/test_fuzz.py $(ARGS)

clean:  ## remove what make and the tools made; data in .lineshaft stay
	rm -rf $(VENV) .venv-manifests build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find api worker shared deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Lineshaft needs Python >= 3.11, not $$($(PYTHON) -V 2>&1) ($(PYTHON)). Name another: make PYTHON=python3.13" >&2; exit 1; }
	@test -e $@ || { echo "Making $(VENV); this takes a minute."; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@$(RUN) pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'  # the first that knows --group
	@$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	@touch $@
