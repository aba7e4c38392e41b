# make repro: set up and run the experiment · make test: set up and test · make check: lint and types
# make review DATASET=photos: look at the clusters in a browser, name and correct them
# make bench: measure everything beside what else there is; PART="kmeans store" for some of it

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONWARNINGS = ignore

.PHONY: repro review test check bench clean

repro: .venv/installed
	@test -e .git || { echo "DVC needs a git repository here: clone the project, or say git init" >&2; exit 1; }
	@python -m pipeline.graph
	@dvc repro
	@echo
	@cat report/table.md
	@echo
	@echo "The report: $(CURDIR)/report/index.html"

review: .venv/installed
	@python -m pages.review $(DATASET)

test: .venv/installed-dev
	@PYTHONWARNINGS= pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/installed-dev
	@ruff check .
	@ruff format --check .
	@mypy

bench: .venv/installed-dev
	@python -m bench $(PART)

clean:
	rm -rf .venv data candidates metrics report

.venv/installed: requirements.txt requirements-core.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; exit(f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}") if v < (3, 11) else None'
	@test -d .venv || $(PYTHON) -m venv .venv
	@echo "installing the requirements into .venv (some minutes, once)"
	@pip install --quiet --requirement requirements.txt
	@echo "compiling loops for this processor (half a minute, once)"
	@python -m cluster
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt requirements-ray.txt
	@pip install --quiet --requirement requirements-dev.txt
	@touch $@
