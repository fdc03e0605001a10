# SPDX-License-Identifier: Apache-2.0
# Source this in a script that defines a function `die MESSAGE LINE...`.
#
# install_with_pip PYTHON LOG ARGUMENT...: runs `PYTHON -m pip install ARGUMENT...` and shows only its
# warnings. On failure, the script ends with the part of pip's output that says which package failed
# and why, and with advice. The complete output is written to LOG.
install_with_pip() {
  local python=$1 log=$2 said advice code=0
  shift 2
  mkdir -p "$(dirname "$log")"
  "$python" -m pip install --progress-bar off --disable-pip-version-check --no-input "$@" \
    >"$log" 2>"$log.stderr" || code=$?
  ((code)) || grep -vE 'is ignored: it is neither a file nor a directory|DEPRECATION' "$log.stderr" >&2 || true
  cat "$log.stderr" >>"$log"
  rm "$log.stderr"
  ((code)) || return 0
  mapfile -t said < <(_pip_errors "$log")
  mapfile -t advice < <(_pip_advice "$python" "$log")
  die "pip install $* failed:" "${said[@]}" "${advice[@]}" \
    "The complete output is in $log. Run the command again to continue where it stopped."
}

# The lines from the first error on; the middle of long output (from compilers) is cut out.
_pip_errors() {
  local lines
  mapfile -t lines < <(
    sed -nE '/^ *(ERROR|error):|^Traceback|No module named/,$p' "$1" |
      grep -vE '^ *$|DEPRECATION|^WARNING' |
      # Keep only the newest five of the available versions.
      sed -E 's/\(from versions: .*((, [^,]+){5})\)$/(from versions: …\1)/
        s/^(ERROR: Ignored the following versions.*: ).*;((.*;){4}[^;]*)$/\1…;\2/'
  )
  ((${#lines[@]})) || mapfile -t lines < <(tail -n 5 "$1")
  if ((${#lines[@]} > 20)); then
    lines=("${lines[@]:0:5}" "…" "${lines[@]: -14}")
  fi
  printf '%s\n' "${lines[@]}"
}

# Advice that depends on the output of pip.
_pip_advice() {
  local log=$2 target reason package
  target="Python $("$1" -c 'import platform; print(platform.python_version())') on $(uname -m)"
  if grep -q 'No space left on device' "$log"; then
    echo "The disk is full: $(df -h --output=avail,target "$(dirname "$log")" | tail -n 1 | xargs) (free, disk)."
  elif grep -qE 'connection broken by|Max retries exceeded|ReadTimeoutError|Could not fetch URL' "$log"; then
    reason=$(grep -oE "connection broken by .*" "$log" | sed 's/<[^>]*>: //' | tail -n 1)
    echo "The package index was not reached${reason:+: $reason}."
    echo "Check the network, HTTPS_PROXY, and the index that 'pip config list' shows."
  elif grep -q '(from versions: none)' "$log"; then
    echo "The index has no version of it for $target, or was not reached ('pip config list' shows it)."
  elif grep -qE 'No matching distribution found|requires a different Python' "$log"; then
    echo "The index was reached but does not have this version for $target."
    echo "Use another Python (PYTHON=python3.12) or a complete index ('pip config list' shows yours)."
  elif grep -qE 'subprocess-exited-with-error|failed-wheel-build|Failed building wheel' "$log"; then
    package=$(sed -E '/^ *(ERROR|error):/,$d' "$log" |
      sed -nE 's/^ *(Collecting|Processing|Building wheel for) ([^ ]+).*/\2/p' | tail -n 1)
    echo "${package:-The package} has no wheel for $target, and could not be built from source."
    echo "Use another Python (PYTHON=python3.12), or install the missing build dependencies."
  fi
}
