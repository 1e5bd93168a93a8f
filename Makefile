SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_COMPILE_BYTECODE := 1

# uv from the path, or from the package index into .uv
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync

.PHONY: help env run draft test test-fast test-long test-attacks test-embedded test-cluster lint deps docs sign image ui team \
	results diagnosis lectures seeds compare bench-serve bench-photos bench-reading bench-jax \
	bench-cluster bench-ranks fleet integer-c chaos clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet uv

env: $(if $(findstring .uv/,$(UV)),$(UV)) ## install the environment, and one for each runtime
	@$(UV) sync --frozen --check --quiet 2>/dev/null || $(UV) sync --frozen
	@$(RUN) python -m pipeline.runtimes.environments >/dev/null
	@$(RUN) python -m pipeline.runtimes.emulation
	@$(RUN) python -m pipeline.embedded

run: env ## run the whole pipeline, from the data to the bundle, and print the results
	@$(RUN) edgeproof run

draft: env ## pack a bundle into draft/ even if a gate fails, marked as not proven
	$(RUN) edgeproof draft

test: env ## run the tests that have no target of their own; skips those that need QEMU
	$(RUN) pytest -m "not long and not attacks and not embedded and not cluster"

test-fast: env ## run the tests that train nothing
	$(RUN) pytest -m "not slow and not embedded"

test-long: env ## test whole runs, backbones, other kinds of data, the analyses and the lectures
	$(RUN) pytest -m "long and not attacks"

test-attacks: env ## attack the server and the bundle, and kill programs at work
	$(RUN) pytest -m attacks

test-embedded: run ## test the exports without Python; .ci/run lists the Debian packages
	$(RUN) pytest -m embedded

test-cluster: env ## test trainings on a Dask cluster, which it starts, and in several processes
	$(RUN) pytest -m cluster

lint: env ## run ruff and the type checker
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

deps: env ## write the modules that each stage depends on into dvc.yaml
	$(RUN) python -m tests.dependencies

docs: $(if $(findstring .uv/,$(UV)),$(UV)) ## build the documentation as a website in site/, and check its links
	NO_MKDOCS_2_WARNING=1 UV_PROJECT_ENVIRONMENT=.uv/docs \
		$(UV) run --frozen --only-group docs mkdocs build --strict

sign: env ## sign the bundle: make sign KEY=~/keys/private.pem [CERTIFICATE=~/keys/maker.pem CHAIN=~/keys/between.pem]
	$(RUN) edgeproof sign "$(KEY)" \
		$(if $(CERTIFICATE),--certificate "$(CERTIFICATE)") $(addprefix --chain ,$(CHAIN))

image: env ## make an OCI image of the model server in image/; needs Debian's mmdebstrap
	$(RUN) python -m pipeline.bundle.image

ui: env ## open the MLflow UI on http://127.0.0.1:5000
	$(RUN) edgeproof ui

team: env ## start the servers of a small team on this host: PostgreSQL, S3, MLflow, Dask
	$(RUN) edgeproof team

results: env ## write the tables of results into README.md and docs/results.md
	$(RUN) edgeproof report README.md
	$(RUN) edgeproof report docs/results.md
	cp reports/learning_curves.png reports/confusion.png reports/mistakes.png \
		reports/reliability.png docs/pictures

diagnosis: env ## test the diagnosis on real faults; writes the figures into docs/benchmarks.md
	$(RUN) python -m benchmarks.diagnosis.faults
	$(RUN) python -m benchmarks.diagnosis.judge

lectures: env ## run the lectures' worked examples: all, or make lectures NAME=S12
	$(RUN) edgeproof lectures $(NAME)

seeds: env ## run the pipeline with ten seeds; writes benchmarks/seeds.md and the headlines
	$(RUN) python -m benchmarks.seeds

compare: env ## time the pipeline and Keras's own MNIST example, and print the ratios
	$(RUN) python -m benchmarks.compare_with_keras_example

bench-serve: env ## compare our server with others under load, on the same file
	$(RUN) python -m benchmarks.bench_serve

bench-photos: env ## measure memory and time of the stages before training on 1,000 to 100,000 photos
	$(RUN) python -m benchmarks.photos

bench-reading: env ## compare ways to read photos for training: make bench-reading PHOTOS=photos.zip
	$(RUN) python -m benchmarks.reading "$(PHOTOS)"

bench-jax: env ## compare training on JAX, on a GPU if there is one, with a plain JAX loop
	$(RUN) python -m benchmarks.jax_loop

bench-cluster: env ## compare 8 trainings on one Dask worker and on two, each with one core
	$(RUN) python -m benchmarks.cluster

bench-ranks: env ## compare training in two processes with one on the same cores, on JAX
	$(RUN) python -m benchmarks.ranks

fleet: env ## release the bundle to 1,000 simulated devices; writes benchmarks/fleet.md
	$(RUN) python -m benchmarks.fleet

integer-c: env ## compare the integer C of 1,000 random networks with TensorFlow Lite Micro
	$(RUN) python -m benchmarks.integer_c

chaos: env ## kill a team's servers at 20 random moments of work; writes benchmarks/chaos.md
	$(RUN) python -m tests.chaos

clean: ## remove what was made here, except the caches of DVC and the store of MLflow
	rm -rf .venv .uv data model exported embedded evaluation reports dist draft release site .state
