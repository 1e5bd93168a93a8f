SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_COMPILE_BYTECODE := 1

# uv from the path, or from the package index into .uv
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
# Commands, then the table of what they came to, also where a gate fails; the status is that of the commands.
with_table = trap 'exit 130' INT; $(1); status=$$?; $(RUN) python -m pipeline.reporting.summary; exit $$status

.PHONY: help env run draft test test-fast test-embedded lint docs sign ui results diagnosis lectures seeds compare bench-serve clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet uv

env: $(if $(findstring .uv/,$(UV)),$(UV)) ## make the environment, and one for each runtime, from uv.lock
	$(UV) sync --frozen
	$(RUN) python -m pipeline.runtimes.environments >/dev/null
	$(RUN) python -m pipeline.runtimes.emulation
	$(RUN) python -m pipeline.embedded

run: env ## the whole line: data, baseline, model, proof, bundle; ends with the table, also where a gate fails
	$(call with_table,$(RUN) dvc repro && $(RUN) python -m pipeline.tracking sync)

draft: env ## a bundle of what there is, whatever gate it fails, marked as not proven, in draft/
	$(call with_table,$(RUN) dvc repro diagnose embed && $(RUN) python -m pipeline.package --draft)

test: env ## all tests but those of test-embedded; those that need QEMU are skipped where it is not to be had
	$(RUN) pytest -m "not embedded"

test-fast: env ## the tests without training
	$(RUN) pytest -m "not slow and not embedded"

test-embedded: run ## the model without Python, on emulated processors and in Chromium; .ci/run tells which packages of Debian that needs
	$(RUN) pytest -m embedded

lint: env ## ruff and the type checker
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

docs: $(if $(findstring .uv/,$(UV)),$(UV)) ## build the documentation as a website in site/, and check its links
	NO_MKDOCS_2_WARNING=1 UV_PROJECT_ENVIRONMENT=.uv/docs $(UV) run --frozen --only-group docs mkdocs build --strict

sign: env ## sign the bundle: make sign KEY=~/keys/private.pem [CERTIFICATE=~/keys/maker.pem CHAIN=~/keys/between.pem]
	$(RUN) python -m pipeline.bundle.sign "$(KEY)" $(if $(CERTIFICATE),--certificate "$(CERTIFICATE)") $(if $(CHAIN),--chain $(CHAIN))

ui: env ## open the MLflow UI on http://127.0.0.1:5000
	@echo "starting on http://127.0.0.1:5000, which takes a moment"
	$(RUN) mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

results: env ## write the tables of results into README.md and docs/results.md
	$(RUN) python -m pipeline.reporting.summary README.md
	$(RUN) python -m pipeline.reporting.summary docs/results.md
	cp reports/learning_curves.png reports/confusion.png reports/mistakes.png docs/pictures

diagnosis: env ## judge the diagnosis by its corpus of real faults, and write the figures into docs/benchmarks.md
	$(RUN) python -m tests.diagnosis.faults
	$(RUN) python -m tests.diagnosis.judge

lectures: env ## the worked examples of the lectures: all, or make lectures NAME=S12
	$(RUN) python -m lectures $(NAME)

seeds: env ## the line with ten seeds, each in a copy: mean, deviation and range; writes benchmarks/seeds.md and docs/results.md
	$(RUN) python -m benchmarks.seeds

compare: env ## time the line and Keras's own MNIST example in turn, and print the ratios
	$(RUN) python -m benchmarks.compare_with_keras_example

bench-serve: env ## our server and others with the same file, under load in turn
	$(RUN) python -m benchmarks.bench_serve

clean: ## remove everything made here but the cache of DVC
	rm -rf .venv .uv data model exported embedded evaluation reports dist draft release site .state
