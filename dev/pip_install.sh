# SPDX-License-Identifier: Apache-2.0
# Sourced by a script that has a function `die MESSAGE LINE...`.
#
# install_with_pip PYTHON LOG ARGUMENT...: what `PYTHON -m pip install ARGUMENT...` does, with nothing
# but its warnings shown. Where it fails, the script ends with the words of pip that say which package
# failed and why, and with what can be done about it. The whole output is left in LOG.
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
    "The whole output is in $log. Run the command again: it goes on where it stopped."
}

# The lines from the first error on, without the middle of a long one (a compiler's output).
_pip_errors() {
  local lines
  mapfile -t lines < <(
    sed -nE '/^ *(ERROR|error):|^Traceback|No module named/,$p' "$1" |
      grep -vE '^ *$|DEPRECATION|^WARNING' |
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

# What to do about it, by what pip wrote.
_pip_advice() {
  local log=$2 target reason package
  target="Python $("$1" -c 'import platform; print(platform.python_version())') on $(uname -m)"
  if grep -q 'No space left on device' "$log"; then
    echo "The disk is full: $(df -h --output=avail,target "$(dirname "$log")" | tail -n 1 | xargs) (free, disk)."
  elif grep -qE 'connection broken by|Max retries exceeded|ReadTimeoutError|Could not fetch URL' "$log"; then
    reason=$(grep -oE "connection broken by .*" "$log" | sed 's/<[^>]*>: //' | tail -n 1)
    echo "The package index was not reached${reason:+: $reason}."
    echo "Check the network, HTTPS_PROXY, and the index that 'pip config list' names."
  elif grep -q '(from versions: none)' "$log"; then
    echo "The index has nothing of it for $target, or was not reached ('pip config list' names it)."
  elif grep -qE 'No matching distribution found|requires a different Python' "$log"; then
    echo "The index was reached, but has no such version for $target."
    echo "Take another Python (PYTHON=python3.12), or a complete index ('pip config list' names yours)."
  elif grep -qE 'subprocess-exited-with-error|failed-wheel-build|Failed building wheel' "$log"; then
    package=$(sed -E '/^ *(ERROR|error):/,$d' "$log" |
      sed -nE 's/^ *(Collecting|Processing|Building wheel for) ([^ ]+).*/\2/p' | tail -n 1)
    echo "${package:-The package} has no wheel for $target, and could not be built from source."
    echo "Take another Python (PYTHON=python3.12), or install what the build is missing."
  fi
}
