#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the documentation site from docs/ into docs_output/; any warning is an error. The tools in
# dev/requirements/docs.lock are installed once, into .dev/docs. Neither ROS 2 nor the built package
# is needed.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tools="$root/.dev/docs"
lock="$root/dev/requirements/docs.lock"

say() { printf '\033[1m[docs]\033[0m %s\n' "$*"; }
die() {
  printf '\n[docs] error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '         %s\n' "$line" >&2; done
  exit 1
}

# Make the API reference independent of a sourced dev/env.sh or ROS 2.
_dev="$root/.dev"
# shellcheck source=dev/unsource.sh
. "$root/dev/unsource.sh"
unset PYTHONPATH

python=${PYTHON:-}
if [[ -z $python ]]; then
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
fi
[[ -n $python ]] || die "Python 3.10 or later is needed." \
  "Install it and select it: make docs PYTHON=python3.12"

key=$("$python" -c 'import sys; print(sys.base_prefix, sys.version)' | cat - "$lock" | sha256sum | cut -d' ' -f1)
if [[ ! -f $tools/.made || $(cat "$tools/.made") != "$key" ]]; then
  say "installing the documentation tools in .dev/docs (about 1 minute)"
  rm -rf "$tools"
  mkdir -p "$root/.dev"
  touch "$root/.dev/COLCON_IGNORE"
  "$python" -m venv "$tools" ||
    die "$python cannot create virtual environments." "On Debian and Ubuntu: apt install python3-venv"
  # shellcheck source=dev/pip_install.sh
  . "$root/dev/pip_install.sh"
  install_with_pip "$tools/bin/python" "$root/.dev/log/pip_docs.txt" -r "$lock"
  echo "$key" >"$tools/.made"
fi

say "building the site"
"$tools/bin/python" -m sphinx -b html -j auto -W --keep-going -q \
  -d "$tools/doctrees" "$root/docs" "$root/docs_output"
say "done: docs_output/index.html"
