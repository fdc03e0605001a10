# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests over DDS; see node_fixtures.py and ros_robot.py."""

from __future__ import annotations

from node_fixtures import inject, namespace, robot, ros, start  # noqa: F401
