# SPDX-License-Identifier: Apache-2.0
"""A small COCO data set on disk, made of the bundled clip (conftest.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.coco.annotations import PersonAnnotations


@dataclass(frozen=True)
class StreetData:
    """A data set on disk: ``folder`` holds person_keypoints.json and images/."""

    folder: Path
    annotations: PersonAnnotations

    @property
    def images(self) -> Path:
        return self.folder / "images"
