# SPDX-License-Identifier: Apache-2.0
# Source this (bash) to work with what dev/setup.sh made: Python, ROS 2 and the built package.
_dev="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.dev"

. "${_dev%/.dev}/dev/unsource.sh"
set +u
. "$_dev/venv/bin/activate"
if ! grep -q '^include-system-site-packages = true' "$_dev/venv/pyvenv.cfg"; then
  # The wheels' environment is itself the ROS prefix; its libraries lie in two kinds of places.
  export AMENT_PREFIX_PATH="$_dev/venv" CMAKE_PREFIX_PATH="$_dev/venv"
  LD_LIBRARY_PATH="$_dev/venv/lib$(printf ':%s' "$_dev"/venv/lib/python3.*/site-packages/ros_*.libs)"
  export LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi
# Not while building: what is built must not lie in its own search path.
if [[ -z ${HRNET_POSE_DEV_BUILD:-} ]]; then
  . "$_dev/install/local_setup.bash"
fi

# Demo and tests never reach a robot on the network, and never lose images on this machine.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export ROS_DOMAIN_ID="${HRNET_POSE_DOMAIN_ID:-87}"
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export FASTRTPS_DEFAULT_PROFILES_FILE="${_dev%/.dev}/config/fastdds_shared_memory.xml"
unset _dev
