# SPDX-License-Identifier: Apache-2.0
"""The robot and the node of test/support."""

from __future__ import annotations

from node_fixtures import namespace, robot, ros, start  # noqa: F401
