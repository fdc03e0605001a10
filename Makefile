# SPDX-License-Identifier: Apache-2.0
# Each target sets up what it needs in .dev/ (a step is done once) and says what it does.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

export PYTHON TORCH_PIP_ARGS
VIDEO ?=
MODEL ?=
TESTS ?=
BENCH ?=
# These wait more than they compute.
NODE_TESTS := test/nodes test/demo test/launch test/replay test/doctor test/soak

.PHONY: help
help:
	@echo 'make demo [VIDEO=path]  street clip (or your video) in, skeletons out over ROS 2: demo_output/'
	echo 'make test [TESTS=path]  every test, or those under the path'
	echo 'make test-gpu           the tests that need an NVIDIA GPU (skipped elsewhere, with the reason)'
	echo 'make bench [BENCH=--quick]  speed and memory of engines and node here: docs/benchmarks.md'
	echo 'make replay-test [MODEL=path]  the bundled clip against its golden skeletons'
	echo 'make soak               10 minutes of traffic and faults against the node'
	echo 'make lint               ruff and mypy'
	echo 'make docs               the documentation as a site: docs_output/'
	echo 'make clean              remove everything that the above made'

.PHONY: demo
demo:
	@dev/setup.sh run
	. dev/env.sh
	python -m demo.run $(if $(VIDEO),--video "$(VIDEO)")

.PHONY: test
test:
	@dev/setup.sh test
	. dev/env.sh
	export PYTHONPATH="$$PYTHONPATH:$$PWD/.dev/torch"
	export HRNET_POSE_ALL_TESTS=1
	if [[ -n "$(TESTS)" ]]; then
	  exec python -m pytest $(TESTS)
	fi
	echo '[test] two runs side by side; first comes the output of all that starts no nodes'
	code=0
	python -m pytest $(NODE_TESTS) >.dev/log/node_tests.txt 2>&1 &
	python -m pytest test $(addprefix --ignore=,$(NODE_TESTS)) || code=1
	echo '[test] and of what starts nodes'
	wait $$! || code=1
	cat .dev/log/node_tests.txt
	exit $$code

.PHONY: test-gpu
test-gpu:
	@dev/setup.sh test
	. dev/env.sh
	export PYTHONPATH="$$PYTHONPATH:$$PWD/.dev/torch"
	python -m pytest -s -rs test/gpu

.PHONY: bench
bench:
	@dev/setup.sh test
	. dev/env.sh
	export PYTHONPATH="$$PYTHONPATH:$$PWD/.dev/torch"
	python -m bench.run $(BENCH)

# Exit code 0: pass. MODEL is a name or a path; without it the bundled model, which has to pass.
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
