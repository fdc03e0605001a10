# SPDX-License-Identifier: Apache-2.0
"""Real training data: the labelled persons of the bundled clip, as a COCO data set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from street_data import StreetData

from hrnet_pose_ros.coco.annotations import read_annotations

ROOT = Path(__file__).resolve().parents[2]
PERSONS = 8


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> StreetData:
    """The 8 persons with the most labelled joints, one in a frame, and their frames."""
    from street import clip_frames

    content = json.loads((ROOT / "test" / "data" / "street_keypoints.json").read_text())
    best = {}
    for person in sorted(content["annotations"], key=lambda one: one["num_keypoints"]):
        best[person["image_id"]] = person
    chosen = sorted(best.values(), key=lambda one: -one["num_keypoints"])[:PERSONS]
    frames = {person["image_id"] for person in chosen}
    folder = tmp_path_factory.mktemp("street")
    (folder / "images").mkdir()
    for number, frame in clip_frames(frames):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), frame[:, :, ::-1])
    content["images"] = [
        {**image, "file_name": f"{image['id']}.png"}
        for image in content["images"]
        if image["id"] in frames
    ]
    content["annotations"] = chosen
    path = folder / "person_keypoints.json"
    path.write_text(json.dumps(content))
    return StreetData(folder, read_annotations(path))
