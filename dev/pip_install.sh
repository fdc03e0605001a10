# SPDX-License-Identifier: Apache-2.0
# Sourced by a script that has a function `die MESSAGE LINE...`.
#
# install_with_pip PYTHON LOG ARGUMENT...: what `PYTHON -m pip install ARGUMENT...` does, without its
# chatter. Where it fails, the script ends with the words of pip that say which package failed and
# why, and with what can be done about it. The whole output is left in LOG.
install_with_pip() {
  local python=$1 log=$2 whole
  shift 2
  mkdir -p "$(dirname "$log")"
  if "$python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >"$log" 2>&1; then
    grep -vE 'is ignored: it is neither a file nor a directory|DEPRECATION' "$log" >&2 || true
    return
  fi
  mapfile -t said < <(_pip_errors "$log")
  mapfile -t advice < <(_pip_advice "$python" "$log")
  whole="The whole output is in $log. Run the command again: it goes on where it stopped."
  die "pip install $* failed:" "${said[@]}" "${advice[@]}" "$whole"
}

# The lines from the first error on, without the middle of a long one (a compiler's output).
_pip_errors() {
  local lines
  mapfile -t lines < <(
    sed -nE '/^ *(ERROR|error):|Traceback/,$p' "$1" | grep -vE '^ *$|DEPRECATION|^WARNING' |
      # Of the versions that there are, the newest five.
      sed -E 's/\(from versions: .*((, [^,]+){5})\)$/(from versions: …\1)/
        s/^(ERROR: Ignored the following versions.*: ).*;((.*;){4}[^;]*)$/\1…;\2/'
  )
  ((${#lines[@]})) || mapfile -t lines < <(tail -n 5 "$1")
  if ((${#lines[@]} > 20)); then
    lines=("${lines[@]:0:5}" "…" "${lines[@]: -14}")
  fi
  printf '%s\n' "${lines[@]}"
}

_pip_advice() {
  local python=$1 log=$2 machine reason
  machine="$("$python" -c 'import platform; print(platform.python_version())') on $(uname -m)"
  if grep -qE 'No space left on device|Errno 28' "$log"; then
    echo "The disk is full: $(df -h --output=avail,target "$(dirname "$log")" | tail -n 1 | xargs) (free, folder)."
  elif grep -qE 'connection broken by|Could not fetch URL|Max retries exceeded|ReadTimeoutError' "$log"; then
    reason=$(grep -oE "(connection broken by|Caused by) '?[A-Za-z]+Error.*" "$log" | tail -n 1)
    echo "The package index was not reached${reason:+ ($reason)}."
    echo "Check the network, HTTPS_PROXY, and the index that 'pip config list' names."
  elif grep -qE 'No matching distribution found|ResolutionImpossible' "$log"; then
    echo "The index was reached, but has no such version for Python $machine."
    echo "Take another Python (PYTHON=python3.12), or a complete index ('pip config list' names yours)."
  elif grep -qE 'subprocess-exited-with-error|Failed building wheel|failed-wheel-build' "$log"; then
    echo "The package has no wheel for Python $machine, and could not be built from source."
    echo "Take another Python (PYTHON=python3.12), or install what the build is missing."
  fi
}
