# SPDX-License-Identifier: Apache-2.0
# Source this with the folder .dev in $_dev: it removes all paths below it from the search paths of
# the shell. This undoes dev/env.sh, whether or not another ROS 2 is sourced.
for _name in PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
  _kept=
  IFS=: read -ra _parts <<<"${!_name:-}"
  for _part in "${_parts[@]}"; do
    [[ -z $_part || $_part == "$_dev"/* ]] || _kept+=":$_part"
  done
  if [[ -n $_kept ]]; then
    export "$_name=${_kept#:}"
  else
    unset "$_name"
  fi
done
unset _name _kept _parts _part
