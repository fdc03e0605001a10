# SPDX-License-Identifier: Apache-2.0
"""Hundreds of persons out of the eight bundled crops: moved, scaled, mirrored, lighter, darker."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files import metadata, quantized
from hrnet_pose_ros.network import key_point_change
from hrnet_pose_ros.skeleton import COCO17

ACROSS, DOWN = 3, 2  # persons of an image of `write_data`
FEW_JUDGED, FEW_CALIBRATED = 24, 12


def judged_by_few(patch: pytest.MonkeyPatch) -> None:
    """Let an eighth of the persons judge a quantisation and calibrate it: hundreds take minutes."""
    for module in (metadata, key_point_change, quantized):
        patch.setattr(module, "LEAST_JUDGED", FEW_JUDGED)
    patch.setattr(key_point_change, "LEAST_CALIBRATED", FEW_CALIBRATED)


def many_crops(count: int) -> np.ndarray:
    """uint8 ``[count, 256, 192, 3]`` RGB, the same ones every time."""
    random = np.random.default_rng(0)
    crops = load_check_crops()
    varied = []
    for number in range(count):
        crop = crops[number % len(crops)]
        height, width = crop.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, random.uniform(0.9, 1.1))
        matrix[:, 2] += random.uniform(-8, 8, 2)
        moved = cv2.warpAffine(crop, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        if random.random() < 0.5:
            moved = moved[:, ::-1]
        varied.append(np.clip(moved * random.uniform(0.8, 1.2), 0, 255).astype(np.uint8))
    return np.stack(varied)


def write_data(folder: Path, images: int) -> Path:
    """A COCO key point data set of so many images with 6 persons each; returns its folder.

    The labels hold one joint a person: what reads this data set wants boxes only.
    """
    (folder / "images").mkdir(parents=True)
    crops = many_crops(images * ACROSS * DOWN)
    height, width = crops.shape[1:3]
    content = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joint_names)}],
    }
    for image in range(images):
        part = crops[image * ACROSS * DOWN : (image + 1) * ACROSS * DOWN]
        rows = part.reshape(DOWN, ACROSS, height, width, 3)
        picture = rows.transpose(0, 2, 1, 3, 4).reshape(DOWN * height, ACROSS * width, 3)
        name = f"{image}.png"
        fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
        cv2.imwrite(str(folder / "images" / name), picture[:, :, ::-1], fast)
        content["images"].append(
            {
                "id": image,
                "file_name": name,
                "width": ACROSS * width,
                "height": DOWN * height,
            }
        )
        for person in range(ACROSS * DOWN):
            row, column = divmod(person, ACROSS)
            x, y = column * width + 0.1 * width, row * height + 0.1 * height
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [x, y, 0.8 * width, 0.8 * height],
                    "keypoints": [x + 10, y + 10, 2] + [0] * 48,
                }
            )
    (folder / "person_keypoints.json").write_text(json.dumps(content))
    return folder
