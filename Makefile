# Every target makes the virtual environment it needs from nothing but python3.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = -m pip install --quiet --disable-pip-version-check
HARDTACK_REAL ?= $(abspath ../shared/real)
export HARDTACK_REAL

BASE  = .venv/.base
DEV   = .venv/.dev
TORCH = .venv-torch/.torch
HUBS  = .venv-torch/.hubs
CLIENTS = .venv-clients/.clients
INFINITY = .venv-infinity/.infinity
PEERS = .venv-peers/.peers

.PHONY: help demo test test-native test-browser test-clients test-all test-world test-containers lint format bench bench-brief starter-scores docs clean

help:            ## what there is to make
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(BASE)    ## the whole way with the starter models, in a minute, with no network
	.venv/bin/hardtack demo

test: $(DEV)     ## every test that needs neither torch nor nncf nor the real models
	.venv/bin/python -m pytest -q -n 2 -m "not torch and not real and not int8 and not browser and not clients"

test-native: $(DEV)  ## the native engine's double under address, undefined behaviour and thread sanitizers
	.venv/bin/python native/sanitize.py

test-browser: $(DEV)  ## the page of `hardtack serve` in a headless Chromium (apt-get install chromium chromium-driver)
	.venv/bin/python -m pytest -q -m browser

test-clients: $(CLIENTS)  ## openai, cohere, huggingface_hub, langchain and llama-index against `hardtack serve`
	.venv-clients/bin/python -m pytest -q -m clients

test-all: test $(TORCH) $(HUBS)  ## those, and the ones with torch, with nncf and with the real models under HARDTACK_REAL
	.venv/bin/python -m pytest -q -m "real and not torch and not int8"
	.venv-torch/bin/python -m pytest -q -m "torch or int8"

test-world: $(DEV)  ## those that take minutes or gigabytes: twenty kills, a killed gigabyte
	.venv/bin/python -m pytest -q -m "world and not torch"

# The wheels of OpenVINO alone are 60 MB, a base image 200 MB: what is dear is kept in .containers.
test-containers: $(DEV)  ## images for real: docker, podman, compose, a registry; needs root on Debian, installs by apt
	.venv/bin/python $(PIP) -e '.[dev,containers]'
	.venv/bin/python -m pytest -q -m containers tests/containers

lint: $(DEV)     ## ruff, mypy, and the generated parts of the docs
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python docs/generate.py --check

format: $(DEV)   ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(TORCH) $(INFINITY) $(PEERS)  ## side by side with sentence-transformers and infinity: ratios, medians
	.venv-torch/bin/python -m benchmarks

bench-brief: $(TORCH)  ## that the benchmarks run: one round of little, whose figures say nothing
	HARDTACK_BENCH=brief .venv-torch/bin/python -m benchmarks supply mirror runtime bake

starter-scores: $(TORCH)  ## what the starter models score, judged by torch
	.venv-torch/bin/python starter/scores.py

docs: $(DEV)     ## write the generated parts of the docs anew
	.venv/bin/python docs/generate.py

clean:           ## remove what the other targets made
	rm -rf .venv .venv-clients .venv-infinity .venv-peers .venv-torch .containers dist .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-out

$(BASE): pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) -e .
	touch $@

$(DEV): $(BASE)
	.venv/bin/python $(PIP) -e '.[dev]'
	touch $@

# peers, for the benchmarks alone: what they pin clashes with ours; no torchvision, as below, and no telemetry
$(PEERS):
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python $(PIP) torch==2.13.0
	.venv-peers/bin/python $(PIP) torch==2.13.0 'sentence-transformers>=6' 'optimum-intel[openvino]==2.2.0' fastembed==0.9.1 onnx onnxscript
	.venv-peers/bin/python -m pip uninstall --quiet --yes torchvision openvino-telemetry
	touch $@

# a peer, for the benchmarks alone; the torchvision that it brings is a CUDA build, which cannot be imported
$(INFINITY):
	test -x .venv-infinity/bin/python || $(PYTHON) -m venv .venv-infinity
	.venv-infinity/bin/python $(PIP) torch==2.13.0
	.venv-infinity/bin/python $(PIP) torch==2.13.0 transformers==4.47.1 'infinity-emb[all]==0.0.78'
	.venv-infinity/bin/python -m pip uninstall --quiet --yes torchvision
	touch $@

# they pin older versions of what we use, and so live by themselves
$(CLIENTS): pyproject.toml
	test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python $(PIP) -e '.[dev,clients]'
	touch $@

# torch first and by itself: any other order pulls gigabytes of CUDA packages
$(TORCH): pyproject.toml
	test -x .venv-torch/bin/python || $(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python $(PIP) torch==2.13.0
	.venv-torch/bin/python $(PIP) -e '.[torch,int8,dev]'
	touch $@

# the two ends of what is supported, each laid over the installed one by the tests of real clients
$(HUBS): $(TORCH)
	.venv-torch/bin/python $(PIP) --upgrade --target .venv-torch/hub-oldest 'huggingface_hub==1.31.*'
	.venv-torch/bin/python $(PIP) --upgrade --target .venv-torch/hub-newest 'huggingface_hub<3'
	touch $@
