#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Inside an image with ROS 2 Jazzy: installs the package from /ws/src/hrnet_pose_ros and what it needs.
# Arguments: further pip requirements (TensorRT, cuda-python).
set -euo pipefail

source_folder=/ws/src/hrnet_pose_ros
set +u # ROS's own scripts read variables that are not set
. /opt/ros/jazzy/setup.sh
set -u

apt-get update
apt-get install -y --no-install-recommends python3-venv python3-colcon-common-extensions python3-rosdep
# rviz2 and ros2bag are for people at a desk, and bring a desktop with them.
rosdep update --rosdistro jazzy
rosdep install --from-paths "$source_folder" --ignore-src -y --rosdistro jazzy \
  --skip-keys 'rviz2 python3-sphinx-copybutton'
rm -rf /var/lib/apt/lists/*

# The system's packages are visible in it: ROS's Python packages, and NumPy that they are built with.
python3 -m venv --system-site-packages /venv
/venv/bin/pip install --no-cache-dir -r "$source_folder/requirements-vehicle.txt" "$@"

cd /ws
. /venv/bin/activate
colcon build --packages-select hrnet_pose_ros --cmake-args -DBUILD_TESTING=OFF
rm -rf build log
