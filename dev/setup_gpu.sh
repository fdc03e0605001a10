#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# After `dev/setup.sh test`: installs the TensorRT and cuda-python that the GPU at hand needs, if there
# is one, in .dev/gpu. That folder comes before the test environment on PYTHONPATH, whose locked
# packages are those that a machine without a GPU builds with. Idempotent.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
dev="$root/.dev"
die() {
  printf '\n[setup] error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '         %s\n' "$line" >&2; done
  exit 1
}
# shellcheck source=dev/pip_install.sh
. "$root/dev/pip_install.sh"

wanted=$("$dev/venv/bin/python" "$root/dev/gpu_packages.py") ||
  die 'the GPU at hand cannot be used (the line above says why); see docs/tensorrt.md'
if [[ -f $dev/.made-gpu && $(cat "$dev/.made-gpu") == "$wanted" ]]; then
  exit 0
fi
rm -rf "$dev/gpu"
mkdir -p "$dev/gpu" "$dev/log"
if [[ -n $wanted ]]; then
  packages=$(head -n 1 <<<"$wanted") folder=$(sed -n 2p <<<"$wanted")
  printf '\033[1m[setup]\033[0m installing %s in .dev/gpu for the GPU at hand\n' "$packages"
  # shellcheck disable=SC2086  # several words
  install_with_pip "$dev/venv/bin/python" "$dev/log/pip_gpu.txt" --target "$dev/gpu" $packages
  [[ -z $folder ]] || ln -s "$folder/tensorrt" "$dev/gpu/tensorrt"
fi
echo "$wanted" >"$dev/.made-gpu"
