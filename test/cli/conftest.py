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
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_typestore

    from hrnet_pose_ros.pipeline.images import rgb_frame_of_compressed

    folder = tmp_path_factory.mktemp("street")
    content = json.loads((root / LABELS).read_text())
    names = {image["id"]: f"{image['id']:06d}.png" for image in content["images"]}
    for image in content["images"]:
        image["file_name"] = names[image["id"]]
    (folder / "images").mkdir()
    (folder / "person_keypoints.json").write_text(json.dumps(content))

    store = get_typestore(Stores.ROS2_JAZZY)
    with Reader(root / "demo" / "street_bag") as bag:
        topics = [c for c in bag.connections if c.msgtype.endswith("CompressedImage")]
        for number, (connection, _, data) in enumerate(bag.messages(topics)):
            if number in names:
                frame = rgb_frame_of_compressed(store.deserialize_cdr(data, connection.msgtype))
                picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
                cv2.imwrite(
                    str(folder / "images" / names[number]),
                    picture,
                    [cv2.IMWRITE_PNG_COMPRESSION, 1],
                )
    return Dataset(folder / "person_keypoints.json", folder / "images")
