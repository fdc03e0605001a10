# SPDX-License-Identifier: Apache-2.0
"""The hand-labelled persons of the bundled clip as a COCO data set on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

LABELS = Path("test/data/street_keypoints.json")


class Dataset(NamedTuple):
    """An annotation file and its folder of images: 36 persons in 35 images."""

    annotations: Path
    images: Path


@pytest.fixture(scope="session")
def street(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    from street import clip_frames

    folder = tmp_path_factory.mktemp("street")
    content = json.loads((root / LABELS).read_text())
    names = {image["id"]: f"{image['id']:06d}.png" for image in content["images"]}
    for image in content["images"]:
        image["file_name"] = names[image["id"]]
    (folder / "images").mkdir()
    (folder / "person_keypoints.json").write_text(json.dumps(content))

    for number, frame in clip_frames(names):
        picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
        cv2.imwrite(str(folder / "images" / names[number]), picture, options)
    return Dataset(folder / "person_keypoints.json", folder / "images")
