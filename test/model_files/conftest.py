# SPDX-License-Identifier: Apache-2.0
"""Models folders that hold nothing but what a test puts there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_pose_ros import installed


@pytest.fixture
def workspaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two ROS prefixes, an installed package without a source tree."""
    folders = []
    for name in ("overlay", "underlay"):
        folder = tmp_path / name / "share" / "hrnet_pose_ros" / "models"
        folder.mkdir(parents=True)
        (folder / "both.onnx").write_bytes(b"")
        (folder / f"{name}.onnx").write_bytes(b"")
        folders.append(folder)
    prefixes = f"{tmp_path / 'overlay'}:{tmp_path / 'gone'}:{tmp_path / 'underlay'}"
    monkeypatch.setenv("AMENT_PREFIX_PATH", prefixes)
    site = tmp_path / "site" / "hrnet_pose_ros"
    (site / "models").mkdir(parents=True)
    (site / "models" / "pip.onnx").write_bytes(b"")
    (tmp_path / "site" / "models").mkdir()  # another package's: not ours
    monkeypatch.setattr(installed, "__file__", str(site / "installed.py"))
    return folders[0], folders[1]
