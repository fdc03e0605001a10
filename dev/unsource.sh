# SPDX-License-Identifier: Apache-2.0
# Sourced with the folder .dev in $_dev: takes all that lies in it out of the shell's search paths.
# A shell that has sourced dev/env.sh is then as it was before, with or without a ROS 2 of its own.
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
