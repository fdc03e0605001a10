# SPDX-License-Identifier: Apache-2.0
# Source this in bash to use the environment of dev/setup.sh: Python, ROS 2 and the built package.
_dev="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.dev"

. "${_dev%/.dev}/dev/unsource.sh"
set +u
. "$_dev/venv/bin/activate"
if ! grep -q '^include-system-site-packages = true' "$_dev/venv/pyvenv.cfg"; then
  # With wheels, the virtual environment is the ROS prefix; its libraries are in two kinds of folders.
  export AMENT_PREFIX_PATH="$_dev/venv" CMAKE_PREFIX_PATH="$_dev/venv"
  LD_LIBRARY_PATH="$_dev/venv/lib$(printf ':%s' "$_dev"/venv/lib/python3.*/site-packages/ros_*.libs)"
  export LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi
# Not while building: the package must not find its own previous build.
if [[ -z ${HRNET_POSE_DEV_BUILD:-} ]]; then
  . "$_dev/install/local_setup.bash"
fi

# Keep demo and tests away from robots on the network, and avoid lost images on this machine.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export ROS_DOMAIN_ID="${HRNET_POSE_DOMAIN_ID:-87}"
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export FASTRTPS_DEFAULT_PROFILES_FILE="${_dev%/.dev}/config/fastdds_shared_memory.xml"
unset _dev
