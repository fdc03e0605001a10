# SPDX-License-Identifier: Apache-2.0
"""docs/outputs.md: consumers' configurations fit what is published, and every output is named."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hrnet_pose_ros.nodes.people.outputs import OUTPUTS
from hrnet_pose_ros.nodes.person_fusion_node import NODE_NAME
from hrnet_pose_ros.pipeline.people.people_cloud import HEIGHTS, SPACING

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
CLOUD = "/people/cloud"


def parameters(root: Path) -> dict[str, list[Any]]:
    """The ``ros__parameters`` of the page's blocks, by the name of the node."""
    found: dict[str, list[Any]] = {}
    for block in BLOCK.findall((root / "docs" / "outputs.md").read_text()):
        [(name, content)] = yaml.safe_load(block).items()
        content = content.get(name, content)
        found.setdefault(name, []).append(content["ros__parameters"])
    return found


def test_every_yaml_block_of_the_documents_can_be_read(root: Path) -> None:
    count = 0
    for page in sorted((root / "docs").glob("*.md")):
        for block in BLOCK.findall(page.read_text()):
            assert yaml.safe_load(block), page.name
            count += 1
    assert count > 5


def in_band(source: dict[str, Any], low: str, high: str) -> bool:
    return bool(source[low] < min(HEIGHTS) and max(HEIGHTS) < source[high])


def test_the_collision_monitor(root: Path) -> None:
    [monitor] = parameters(root)["collision_monitor"]
    [name] = monitor["observation_sources"]
    source = monitor[name]
    assert source["type"] == "pointcloud" and source["topic"] == CLOUD
    assert in_band(source, "min_height", "max_height")
    # 0 would switch the check off by which a fault stops the robot.
    assert 0 < source["source_timeout"] <= 1 and 0 < monitor["source_timeout"] <= 1
    for zone in (monitor[name] for name in monitor["polygons"]):
        assert zone["min_points"] <= len(HEIGHTS)
        assert zone["action_type"] in ("stop", "slowdown", "limit", "approach")
        if "points" in zone:
            points = json.loads(zone["points"])
            assert len(points) >= 3 and all(len(point) == 2 for point in points)


@pytest.mark.parametrize("place", [0, 1])
def test_the_costmaps(root: Path, place: int) -> None:
    costmap = parameters(root)["local_costmap"][place]
    layer = costmap["people_layer" if place == 0 else "obstacle_layer"]
    names = layer["observation_sources"].split()
    assert "people" in names and all(name in layer for name in names)
    source = layer["people"]
    assert source["topic"] == CLOUD and source["data_type"] == "PointCloud2"
    assert source["marking"] is True and source["clearing"] is False
    assert in_band(source, "min_obstacle_height", "max_obstacle_height")
    assert 0 < source["expected_update_rate"] <= 1
    # What is marked is forgotten: voxels decay, or the scan clears them.
    if place == 0:
        assert 0 < layer["voxel_decay"] <= 1 and layer["decay_model"] == 0
        assert layer["voxel_size"] >= SPACING
    else:
        scan = layer["scan"]
        assert scan["clearing"] is True
        # Rays into the open clear as well, and do not mark an obstacle where nav2 lets them end.
        assert scan["inf_is_valid"] is True
        assert scan["obstacle_max_range"] < scan["raytrace_max_range"]


def test_the_voxel_layer(root: Path) -> None:
    """A scan clears voxels at its own height: all points of a person have to be among them."""
    page = (root / "docs" / "outputs.md").read_text()
    paragraph = next(text for text in page.split("\n\n") if "::VoxelLayer" in text)
    values = dict(re.findall(r"`(\w+): ([\d.]+)`", paragraph))
    bottom, size = float(values["origin_z"]), float(values["z_resolution"])
    assert {math.floor((height - bottom) / size) for height in HEIGHTS} == {0}
    assert int(values["mark_threshold"]) == 0 < int(values["z_voxels"]) <= 16


def test_the_lifecycle_manager(root: Path) -> None:
    [manager] = parameters(root)["lifecycle_manager_people"]
    assert manager["bond_timeout"] == 0.0
    assert set(manager["node_names"]) == {"hrnet_pose", NODE_NAME}


def test_every_output_is_on_the_page(root: Path) -> None:
    page = (root / "docs" / "outputs.md").read_text()
    for one in OUTPUTS:
        package, _, kind = one.message.split("/")
        assert f"`{one.topic}`" in page and f"`{package}/{kind}`" in page
