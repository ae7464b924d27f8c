# Every task has one word. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
FUZZ_S ?= 900
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test check format lint types imports bench bench-mesh fuzz test-fabrics record-fabrics protos lock train-env clean
.DEFAULT_GOAL := help

help:  ## what can be typed
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# ---- environments: installed from lock files with hashes, once per change of those
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --progress-bar on --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(PIP) install --progress-bar on --require-hashes -r requirements-dev.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.demo

# ---- what users type
demo: $(VENV)/.demo  ## the whole story on loopback; ARGS=--once tells it and exits
	$(BIN)/xds-server demo $(ARGS)

test: $(VENV)/.dev  ## everything; installs Debian packages too when root
	bash tests/debian-packages.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev format lint types imports  ## format, lint, types, floors and the fast tests
	$(BIN)/python -m pytest -q -m "not slow and not envoy and not prometheus and not training and not network and not dns and not etcd and not netconf and not neutron and not jetconf and not browser" $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff format .

lint: $(VENV)/.dev
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## the benchmarks: one table and one JSON each, under build/bench
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-mesh: $(VENV)/.dev  ## our weights against Envoy's own policies on real Envoys: three hours, resumable; writes docs/mesh.md
	$(BIN)/python -m tests.benchmarks.mesh $(ARGS)

fuzz: $(VENV)/.dev  ## hostile bytes for an hour; FUZZ_S=60 for sixty seconds each of four ways
	FUZZ_S=$(FUZZ_S) $(BIN)/python -m pytest tests/properties/test_fuzz.py $(ARGS)

# ---- other people's servers and clients, each in an environment of its own
FABRICS := build/fabrics

$(FABRICS)/%/.made:
	$(PYTHON) -m venv $(FABRICS)/$*
	$(FABRICS)/$*/bin/python -m pip --disable-pip-version-check install --quiet $(PACKAGE)
	@touch $@

$(FABRICS)/neutron/.made: PACKAGE = neutron==29.0.0
$(FABRICS)/jetconf/.made: PACKAGE = jetconf==0.3.6 "setuptools<81"
$(FABRICS)/nsx/.made: PACKAGE = vcf-nsx==9.1.1.0
$(FABRICS)/aci/.made: PACKAGE = ansible==12.3.0

test-fabrics: $(VENV)/.dev $(FABRICS)/neutron/.made $(FABRICS)/jetconf/.made  ## a real Neutron and a real jetconf (RESTCONF), which it installs
	XDS_NEUTRON_PYTHON=$(CURDIR)/$(FABRICS)/neutron/bin/python XDS_JETCONF_PYTHON=$(CURDIR)/$(FABRICS)/jetconf/bin/python XDS_TEST_REQUIRE=neutron,jetconf \
	$(BIN)/python -m pytest tests/fabrics tests/contracts/test_network_fabric.py tests/contracts/test_remote_configurator.py $(ARGS)

record-fabrics: $(FABRICS)/nsx/.made $(FABRICS)/aci/.made  ## what the vendors' clients send, recorded anew into tests/fabrics/recordings
	$(FABRICS)/nsx/bin/python tests/fabrics/record.py nsx
	$(FABRICS)/aci/bin/python tests/fabrics/record.py aci

# ---- what maintainers type
protos: $(VENV)/.dev  ## generate xds_server/pb from protos/
	$(BIN)/python protos/generate.py

lock: $(BIN)/python  ## renew the lock files
	$(PIP) install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for editable --extra demo -o requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for editable --extra demo --extra dev -o requirements-dev.lock pyproject.toml

train-env: $(VENV)/.dev  ## what `xds-server model train` needs, torch included (in no lock)
	$(PIP) install "torch==2.13.0" -e ".[train]" --no-build-isolation

clean:  ## remove what was made
	rm -rf $(VENV) build var .mypy_cache .ruff_cache .pytest_cache .hypothesis
