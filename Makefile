# One virtual environment, two stamps: `hang` needs the runtime only, `test` adds the tools.
VENV   ?= .venv
PYTHON ?= $(firstword $(foreach p,python3 python3.11 python3.12 python3.13,$(shell \
            $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))

BIN     := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
TOOLS   := $(VENV)/.tools
INPUTS  := pyproject.toml constraints.txt
MODEL   := $(BIN)/eplb-model

# The pins hold for the build of the package itself too; pip 25.3 renamed the variable that says so.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
           PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt

.PHONY: help venv hang test test-all specs docs browser gpu bench lint clean
.DELETE_ON_ERROR:

help:
	@echo 'make hang      sets up the model, shows the hang, its cure, and the measured tables'
	@echo 'make test      sets up the tools, then lint, types, import contracts and the fast tests'
	@echo 'make test-all  the same with the slow tests, vLLM'\''s own classes and 20 times as many generated examples'
	@echo 'make browser   the pages in a real browser (needs chromium and its driver)'
	@echo 'make gpu       on a GPU host: the hang, its cures, the vectors, events and communicators'
	@echo 'make specs     Spin and z3 check every model of specs/, and every vector that Promela can say (needs spin, gcc; tcc makes it fast)'
	@echo 'make bench     what searches cost beside Spin and closed forms, with targets; BENCH=--quick, or BENCH=a part'
	@echo 'make docs      the reference of what users import, as pages in site/'
	@echo 'make lint      ruff, mypy and the import contracts'
	@echo 'make venv      the virtual environment with the runtime dependencies ($(VENV))'
	@echo 'make clean     removes what these commands made'
	@echo 'PYTHON=... chooses the interpreter (3.11 or newer), VENV=... the place of the environment.'

venv: $(RUNTIME)

$(RUNTIME): $(INPUTS)
	@test -n '$(PYTHON)' || { echo 'make: found no Python >= 3.11; say make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'make: no ensurepip here; asking the pip outside'; \
	  $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@echo 'setting up $(VENV): runtime'
	@$(INSTALL) -e .
	@touch $@

$(TOOLS): $(RUNTIME)
	@echo 'setting up $(VENV): tools'
	@$(INSTALL) -e '.[real,test,dev,plot,docs]'
	@touch $@

hang: $(RUNTIME)
	@echo '== The hang: opposite order on two ranks (a deadlock is expected)'
	@$(MODEL) check coop_vs_nccl_opposite_order; code=$$?; test $$code -eq 1 || \
	  { echo "make hang: got exit code $$code, expected 1 (a deadlock)" >&2; exit 1; }
	@echo
	@echo '== The cure: opposite order still, fewer NCCL CTAs (expected to hold)'
	@$(MODEL) check coop_vs_nccl_capped
	@echo
	@echo '== The measurements: what real GPUs did, predicted by the model'
	@$(MODEL) conform hang_frontier h200_layout nccl_ctas
	@echo
	@echo '== The hang on an emulated GPU: threads that really stop, and what each waits for'
	@$(BIN)/eplb-real replay coop_vs_nccl_opposite_order --driver threads

lint: $(TOOLS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2

test-all: lint
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -n 2 -m 'slow or vllm or not slow'

# Exit code 4 without Spin or gcc: apt-get install spin gcc tcc libc6-dev.
specs: $(TOOLS)
	@PYTHONPATH=. $(BIN)/python -m tests.specs.run

docs: $(TOOLS)
	@$(BIN)/python -m tests.docs site

# Exit code 4 without a browser: apt-get install chromium chromium-driver.
browser: $(TOOLS)
	@$(INSTALL) -e '.[browser]'
	@$(BIN)/python -m tests.browser
	$(BIN)/python -m pytest -q -n 0 -m browser tests/test_viewer.py

# On a GPU host, with its own python3 and torch: no environment is built.
gpu:
	python3 -m eplb_real gpu --gpus 2

bench: $(RUNTIME)
	@PYTHONPATH=. $(BIN)/python -m tests.bench $(BENCH)

clean:
	test ! -f $(VENV)/pyvenv.cfg || rm -rf $(VENV)
	rm -rf build dist site mutants .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find eplb_model eplb_real tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
