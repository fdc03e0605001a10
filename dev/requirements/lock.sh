#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Renews the lock files from the .in files beside it (needs uv: pip install uv).
set -euo pipefail
cd "$(dirname "$0")"
compile() { uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header "$@"; }
compile run.in -o run.lock
compile ros.in -c run.lock -o ros.lock
compile test.in -c run.lock -c ros.lock -o test.lock
# A vehicle: Jazzy on Ubuntu 24.04. launch_testing's plugin needs pytest 7, ROS's messages NumPy 1.26.
vehicle() { uv pip compile --quiet --python-version 3.12 --no-annotate --no-header "$@"; }
vehicle ../../requirements-vehicle.txt -o vehicle.lock
vehicle test.in -c vehicle.lock -c <(echo "pytest<8") -o test-vehicle.lock
# The CUDA packages that torch's default build asks for depend on the machine: leave them to pip.
compile torch.in -c run.lock -c ros.lock -c test.lock | grep -vE "^(nvidia|cuda|triton)" >torch.lock
# What the other locks do not bring already: it is installed without its dependencies.
compile train.in -c run.lock -c ros.lock -c test.lock -c torch.lock |
  grep -E "^(pytorch-lightning|lightning-utilities|torchmetrics)==" >train.lock
# The site's tools have an environment of their own (dev/docs.sh).
compile docs.in -o docs.lock
