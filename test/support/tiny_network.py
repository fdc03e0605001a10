# SPDX-License-Identifier: Apache-2.0
"""The smallest HRNet, for tests that are about the way and not about the weights.

It has all that the family has: the stem, bottlenecks, four resolutions, exchange units and the head
of HRNetV2. A training step of it takes a quarter of the compact model's time.
"""

from __future__ import annotations

from hrnet_pose_ros.network import hrnet, pose_networks

TINY = hrnet.HRNetConfiguration(
    "hrnet_tiny", 8, layer1_blocks=1, layer1_planes=8, modules=(1, 1, 1), blocks=1, head_width=32
)


def register_tiny_network() -> str:
    """Make it known in this process as the configurations of the package are; returns its name."""
    hrnet.CONFIGURATIONS[TINY.name] = pose_networks.POSE_NETWORKS[TINY.name] = TINY
    return TINY.name
