# SPDX-License-Identifier: Apache-2.0
# Each target sets up its requirements in .dev/ (every step runs once) and prints what it does.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

export PYTHON TORCH_PIP_ARGS
VIDEO ?=
RATE ?=
MODEL ?=
TESTS ?=
BENCH ?=

.PHONY: help
help:
	@echo 'make demo [VIDEO=path]  run the street clip (or your video) through the ROS 2 nodes: demo_output/'
	echo 'make demo-fusion [RATE=0.25]  play a simulated drive (slower) to the fusion node: demo_output/'
	echo 'make demo-guard         drive a simulated vehicle as the guard allows: demo_output/'
	echo 'make demo-fleet         replay a small fleet of bags twice and compare: demo_output/fleet/'
	echo 'make test [TESTS=path]  run all tests, or those in the path'
	echo 'make test-gpu           run the tests that need an NVIDIA GPU (skipped without one)'
	echo 'make bench [BENCH=--quick]  measure speed and memory of engines and node: docs/benchmarks.md'
	echo 'make replay-test [MODEL=path]  compare the bundled clip with its golden skeletons'
	echo 'make soak               run pose and fusion node for 10 minutes each with traffic and faults'
	echo 'make lint               run ruff and mypy'
	echo 'make docs               build the documentation site: docs_output/'
	echo 'make clean              remove everything that these targets create'

.PHONY: demo
demo:
	@dev/setup.sh run
	. dev/env.sh
	python -m demo.run $(if $(VIDEO),--video "$(VIDEO)")

.PHONY: demo-fusion
demo-fusion:
	@dev/setup.sh run
	. dev/env.sh
	python -m demo.fusion.run $(if $(RATE),--rate "$(RATE)")

.PHONY: demo-guard
demo-guard:
	@dev/setup.sh run
	. dev/env.sh
	python -m demo.guard.run

.PHONY: demo-fleet
demo-fleet:
	@dev/setup.sh run
	. dev/env.sh
	python -m demo.fleet.run

.PHONY: test
test:
	@dev/setup.sh test
	. dev/env.sh
	export PYTHONPATH="$$PYTHONPATH:$$PWD/.dev/torch"
	export HRNET_POSE_ALL_TESTS=1
	if [[ -n "$(TESTS)" ]]; then
	  exec python -m pytest $(TESTS)
	fi
	exec python -m dev.run_tests

.PHONY: test-gpu
test-gpu:
	@dev/setup.sh test
	dev/setup_gpu.sh
	. dev/env.sh
	export PYTHONPATH="$$PWD/.dev/gpu:$$PYTHONPATH:$$PWD/.dev/torch"
	python -m pytest -s -rs test/gpu

.PHONY: bench
bench:
	@dev/setup.sh test
	dev/setup_gpu.sh
	. dev/env.sh
	export PYTHONPATH="$$PWD/.dev/gpu:$$PYTHONPATH:$$PWD/.dev/torch"
	python -m bench.run $(BENCH)

# Exit code 0: pass. MODEL is a name or a path; the default is the bundled model, which must pass.
.PHONY: replay-test
replay-test:
	@dev/setup.sh run
	. dev/env.sh
	rm -rf demo_output/replay_test
	mkdir -p demo_output/replay_test
	hrnet_pose replay demo/street_bag --precision float32 $(if $(MODEL),--model "$(MODEL)") \
	  -o demo_output/replay_test/answers
	hrnet_pose compare demo/golden demo_output/replay_test/answers \
	  --scenario demo/street_scenario.yaml --images demo/street_bag -o demo_output/replay_test

.PHONY: soak
soak:
	@dev/setup.sh test
	. dev/env.sh
	HRNET_POSE_SOAK_SECONDS=600 python -m pytest -s test/soak

.PHONY: lint
lint:
	@dev/setup.sh test
	. dev/env.sh
	echo '[lint] ruff'
	ruff check .
	ruff format --check .
	echo '[lint] mypy'
	mypy

.PHONY: docs
docs:
	@dev/docs.sh

.PHONY: clean
clean:
	rm -rf .dev demo_output docs_output docs/reference .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
