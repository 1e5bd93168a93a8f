SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_COMPILE_BYTECODE := 1

# uv from the path, or from the package index into .uv
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync

.PHONY: help env run draft test test-fast test-embedded lint sign ui results diagnosis lectures seeds compare bench-serve clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet uv

env: $(if $(findstring .uv/,$(UV)),$(UV)) ## make the environment, and one per runtime, from uv.lock
	$(UV) sync --frozen
	$(RUN) python -m pipeline.runtimes.environments >/dev/null
	$(RUN) python -m pipeline.runtimes.emulation
	$(RUN) python -m pipeline.embedded

run: env ## the whole pipeline, from the data to the bundle; ends with the table of results
	$(RUN) edgeproof run

draft: env ## a bundle marked NOT PROVEN in draft/, even if a gate fails
	$(RUN) edgeproof draft

test: env ## all tests except test-embedded; tests that need QEMU are skipped if it is missing
	$(RUN) pytest -m "not embedded"

test-fast: env ## the tests without training
	$(RUN) pytest -m "not slow and not embedded"

test-embedded: run ## the model without Python, emulated and in Chromium; .ci/run lists the Debian packages
	$(RUN) pytest -m embedded

lint: env ## ruff and the type checker
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

sign: env ## sign the bundle: make sign KEY=private.pem [CERTIFICATE=maker.pem CHAIN=between.pem]
	$(RUN) edgeproof sign "$(KEY)" $(if $(CERTIFICATE),--certificate "$(CERTIFICATE)") $(addprefix --chain ,$(CHAIN))

ui: env ## open the MLflow UI on http://127.0.0.1:5000
	$(RUN) edgeproof ui

results: env ## write the table of results into README.md
	$(RUN) edgeproof report README.md

diagnosis: env ## test the diagnosis on its corpus of faults, and write the figures into README.md
	$(RUN) python -m tests.diagnosis.faults
	$(RUN) python -m tests.diagnosis.judge

lectures: env ## run the worked examples of the lectures: all, or make lectures NAME=S12
	$(RUN) edgeproof lectures $(NAME)

seeds: env ## run the pipeline with ten seeds: mean, deviation, range; writes benchmarks/seeds.md
	$(RUN) python -m benchmarks.seeds

compare: env ## time the pipeline and Keras's MNIST example in turn, and print the ratios
	$(RUN) python -m benchmarks.compare_with_keras_example

bench-serve: env ## load-test our server and others on the same file, in turn
	$(RUN) python -m benchmarks.bench_serve

clean: ## remove everything made here except DVC's cache
	rm -rf .venv .uv data model exported embedded evaluation reports dist draft release .state
