# SPDX-License-Identifier: Apache-2.0
"""The robot and the node of test/ros."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ros"))

from node_fixtures import namespace, robot, ros, start  # noqa: F401
