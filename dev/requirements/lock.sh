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
# The plugins that ROS brings for pytest: made for 7 on Ubuntu 24.04, and Jazzy's fail from 9 on.
compile test.in -c vehicle.lock -o test-vehicle.lock \
  -c <(echo 'pytest<8; python_version < "3.13"') -c <(echo 'pytest>=8,<9; python_version >= "3.13"')
# The CUDA packages that torch's default build asks for depend on the machine: leave them to pip.
compile torch.in -c run.lock -c ros.lock -c test.lock -o torch.lock
sed -i -E '/^(nvidia|cuda|triton)/d' torch.lock
# What the other locks do not bring already: it is installed without its dependencies.
compile train.in -c run.lock -c ros.lock -c test.lock -c torch.lock -o train.lock
sed -i -E '/^(pytorch-lightning|lightning-utilities|torchmetrics)==/!d' train.lock
# The site's tools have an environment of their own (dev/docs.sh).
compile docs.in -o docs.lock

# Every lock has wheels for every Python and machine that it is for. empy and tensorrt-rtx-cu13 are
# plain Python without one; OpenVINO's for aarch64 need glibc 2.35 (Ubuntu 22.04 and later).
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
has_wheels() {
  local machine=$1 version
  shift
  for version in 3.10 3.11 3.12 3.13 3.14; do
    uv pip install --quiet --dry-run --target "$scratch" --no-deps --only-binary :all: \
      --no-binary empy --no-binary tensorrt-rtx-cu13 --python-version "$version" \
      --python-platform "$machine" "${@/#/-r}" ||
      { echo "no wheels for Python $version on $machine: $*" >&2 && return 1; }
  done
}
has_wheels x86_64-manylinux_2_28 run.lock ros.lock test.lock
has_wheels x86_64-manylinux_2_28 torch.lock
has_wheels x86_64-manylinux_2_28 docs.lock
has_wheels x86_64-manylinux_2_28 vehicle.lock test-vehicle.lock no-deps.lock
has_wheels aarch64-manylinux_2_35 vehicle.lock test-vehicle.lock no-deps.lock
