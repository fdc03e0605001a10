#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Renews the lock files from the .in files beside it (needs uv: pip install uv), each for every
# Python that dev/setup.sh accepts: where one version does not serve them all, markers say which.
set -euo pipefail
cd "$(dirname "$0")"
compile() { uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header "$@"; }
compile run.in -o run.lock
compile ros.in -c run.lock -o ros.lock
compile test.in -c run.lock -c ros.lock -o test.lock
# On a sourced ROS 2: NumPy of the system's series (Debian 13: 2.2, Ubuntu 26.04: 2.3).
compile ../../requirements-vehicle.txt -o vehicle.lock \
  -c <(echo 'numpy<2.3; python_version < "3.14"') -c <(echo 'numpy<2.4')
compile test.in -c vehicle.lock -c <(echo 'pytest<8; python_version < "3.13"') -o test-vehicle.lock
# The CUDA packages that torch's default build asks for depend on the machine: leave them to pip.
compile torch.in -c run.lock -c ros.lock -c test.lock | grep -vE "^(nvidia|cuda|triton)" >torch.lock
# What the other locks do not bring already: it is installed without its dependencies.
compile train.in -c run.lock -c ros.lock -c test.lock -c torch.lock |
  grep -E "^(pytorch-lightning|lightning-utilities|torchmetrics)==" >train.lock
