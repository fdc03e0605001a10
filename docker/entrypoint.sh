#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command with ROS 2, the virtual environment and the package.
set -e
. /opt/ros/jazzy/setup.bash
. /venv/bin/activate
. /ws/install/setup.bash
exec "$@"
