# SPDX-License-Identifier: Apache-2.0
"""Fleets on a real Ray cluster of several nodes on this machine, one of which is killed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import FOR_ALL, ended, results, start_fleet, wait_for

from demo.fleet.bags import ClipCutter, damage
from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.fleet.folder import FleetFolder

BAGS = 4

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: pip install 'hrnet_pose_ros[ray]'",
)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose head has no core; nodes with cores are added."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    memory = {"object_store_memory": 80 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **memory})
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def ray_bags(cutter: ClipCutter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bags that take a while, and a damaged one."""
    folder = tmp_path_factory.mktemp("ray") / "bags"
    for number in range(BAGS):
        cutter.write(folder / f"drive{number}", 10 * number, 60)
    damage(cutter.write(folder / "damaged", 0, 3), 0)
    return folder


@needs_ray
def test_a_node_is_killed_in_the_middle(
    cluster: Any, ray_bags: Path, small_model: Path, tmp_path: Path
) -> None:
    """Its bag is replayed on the other node; results are those of processes of one machine."""
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(2)]
    output = tmp_path / "ray"
    process = start_fleet(ray_bags, output, small_model, "--ray", cluster.address)
    wait_for(
        lambda: len(list(output.glob("times/*"))) >= 1 or process.poll() is not None, "a result"
    )
    cluster.remove_node(nodes[0], allow_graceful=False)
    code, said = ended(process)
    assert code == 1, said
    assert "5 bags: 4 were replayed, 1 failed" in said
    assert "the Ray worker or its machine died" in said
    folder = FleetFolder(output)
    states = {entry.name: folder.state(entry.key) for entry in folder.entries()}
    assert states == {"damaged": "failed", **{f"drive{n}": "done" for n in range(BAGS)}}
    words = ["fleet", str(ray_bags), "-o", str(tmp_path / "local"), "--model", str(small_model)]
    assert main([*words, *FOR_ALL]) == 1
    assert results(output) == results(tmp_path / "local")


@needs_ray
def test_a_cluster_without_room(
    cluster: Any, ray_bags: Path, small_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "ray"
    code, said = ended(start_fleet(ray_bags, output, small_model, "--ray", cluster.address))
    assert code == 2
    assert "no machine of the Ray cluster has 1 CPU for a worker" in said
    assert not output.exists()


def test_ray_that_is_not_installed(ray_bags: Path, small_model: Path, tmp_path: Path) -> None:
    """The rest of the command needs no Ray; nothing imports it before it is asked for."""
    code = (
        "import sys\n"
        "sys.modules['ray'] = None\n"  # an import of it raises ImportError
        "from hrnet_pose_ros.cli.main import main\n"
        f"words = ['fleet', {str(ray_bags)!r}, '-o', 'out', '--model', {str(small_model)!r}]\n"
        "assert main([*words, '--dry-run']) == 0\n"
        "sys.exit(main([*words, '--ray', 'auto']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=240
    )
    assert done.returncode == 2, done.stderr
    assert (
        "--ray needs Ray, which is not installed: pip install 'hrnet_pose_ros[ray]'" in done.stderr
    )
