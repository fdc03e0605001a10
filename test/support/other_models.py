# SPDX-License-Identifier: Apache-2.0
"""Files of a model with another skeleton than COCO's (test/skeletons/conftest.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.skeleton import SkeletonDefinition

INPUT_SIZE = (64, 64)


@dataclass(frozen=True)
class OtherModel:
    """A model of 64x64 px: ``m.pth``, ``m.onnx`` and ``m_end2end.onnx`` (float32) in a folder."""

    folder: Path
    skeleton: SkeletonDefinition

    @property
    def checkpoint(self) -> Path:
        return self.folder / "m.pth"

    @property
    def onnx(self) -> Path:
        return self.folder / "m.onnx"

    @property
    def end2end(self) -> Path:
        return self.folder / "m_end2end.onnx"
