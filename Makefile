# make demo   installs everything into .venv and runs the embedded study, about 20 minutes on two cores
# make help   lists the other targets

SHELL := /bin/bash
VENV := .venv
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
TOY := --configfile studies/toy/config.yaml
# The page of the first subject, shown before the study is done.
FIRST := results/toy/sub-1/browser
# What a second core does until then, all of it for the study itself.
MEANWHILE := results/toy/pretrain_encoder/done.json results/toy/sub-3/assemble_train/fmri.safetensors \
    results/toy/neurocine/paper_main/decode/caption.safetensors
# What is rerun is decided by profiles/default.
RUN := snakemake --cores $(CORES) --quiet rules reason host
INSTALLED := $(VENV)/.installed
TESTABLE := $(VENV)/.testable
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help demo demo-animator install test test-kills test-cluster test-cluster-short lint docs site toy-models lavis-env clean-env

help:
	@echo "make demo        run the embedded study: no data, no GPU (CORES=$(CORES))"
	@echo "make demo-animator  add the second method to the embedded study, after make demo"
	@echo "make install     install the workflow into $(VENV)"
	@echo "make test        formatting, types, lint and all tests"
	@echo "make test-kills  kill every training at ten random moments, on a GPU as well if there is one (minutes)"
	@echo "make test-cluster  a Slurm on this machine and its accidents (root; minutes)"
	@echo "make lint        formatting, types and lint alone"
	@echo "make docs        write schemas/config.schema.yaml and docs/config.md again from the settings classes"
	@echo "make site        write the documents as a site into site/"
	@echo "make toy-models  train the networks of the embedded study again (about an hour)"
	@echo "make lavis-env   install LAVIS for captions by it into .venv-lavis (6 GB)"
	@echo "make clean-env   remove $(VENV)"

demo: $(INSTALLED)
	@echo "Running the embedded study on $(CORES) cores. Stop it at any time; the same command resumes."
	[ -e $(FIRST) ] || { $(RUN) $(TOY) studies/toy/first.yaml --prioritize $(FIRST) -- $(FIRST) $(MEANWHILE) && \
	    echo "A first page, by ridge regression: $(FIRST)/index.html. Now the trainings."; }
	$(RUN) $(TOY)
	@echo
	@echo "Done. Open results/toy/browser/index.html in a web browser."
	@echo "Tables are in results/toy/tables/, decoded clips in results/toy/sub-*/neurocine/paper_main/clips/."

demo-animator: $(INSTALLED)
	@echo "Adding Mind-Animator to the embedded study on $(CORES) cores; after make demo only its own jobs run."
	$(RUN) $(TOY) studies/toy/animator.yaml

install: $(INSTALLED)

$(INSTALLED): constraints.txt pyproject.toml
	@python=; \
	for name in python3.11 python3.12 python3.13 python3; do \
	    if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	        python=$$name; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11, 3.12 or 3.13 found; the newest here is: $$(python3 --version 2>&1)."; \
	    echo "Install one (for example: apt install python3 python3-venv) and run make again."; exit 1; \
	fi; \
	if [ ! -x $(VENV)/bin/python ] && ! $$python -m venv $(VENV); then \
	    rm -rf $(VENV); echo "$$python cannot make a virtual environment: apt install python3-venv"; exit 1; \
	fi
	@echo "Installing packages into $(VENV); the first time this takes some minutes ..."
	$(PIP) --no-compile -e '.[workflow]'
	@$(VENV)/bin/python -m compileall -qq -j 0 $(VENV)/lib || : # by all cores; pip has one, and is as lenient
	@touch $@

$(TESTABLE): $(INSTALLED)
	$(PIP) -e '.[workflow,test]'
	@touch $@

# Tests of one file stay together: they share what took long to make.
test: lint
	OMP_NUM_THREADS=1 python -m pytest -n $(CORES) --dist loadfile

test-kills: $(TESTABLE)
	python -m pytest -m kills

# As root; names missing packages.
test-cluster: $(TESTABLE)
	python -m pytest tests/cluster -m cluster

test-cluster-short: $(TESTABLE)
	python -m pytest tests/cluster -m "cluster and short"

lint: $(TESTABLE)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy
	snakemake --lint $(TOY)

docs: $(INSTALLED)
	python -m neurocine.config_reference
	python -m neurocine.docs docs/scoring.md

site: $(TESTABLE)
	python -m mkdocs build --strict

toy-models: $(INSTALLED)
	$(RUN) $(TOY) -- toy_models
	mkdir -p studies/toy/models
	cp -R results/toy/toy_models/. studies/toy/models/
	$(RUN) $(TOY) studies/toy/prior.yaml -- results/toy_prior/train_video_prior/beta0.75/done.json
	mkdir -p studies/toy/models/video_prior
	cp -R results/toy_prior/train_video_prior/beta0.75/unet studies/toy/models/video_prior/

lavis-env: $(INSTALLED)
	test -x .venv-lavis/bin/python || $(VENV)/bin/python -m venv .venv-lavis
	sed -n 's/^ *- \([A-Za-z0-9-]*==.*\)/\1/p' envs/lavis.yaml > .venv-lavis/pins.txt
	.venv-lavis/bin/python -m pip install --quiet setuptools==69.5.1 wheel
	.venv-lavis/bin/python -m pip install --no-build-isolation -r .venv-lavis/pins.txt

clean-env:
	rm -rf $(VENV)
