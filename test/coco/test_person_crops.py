# SPDX-License-Identifier: Apache-2.0
"""Crops of a data set: those the engine cuts, and not more than are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from many_persons import write_data

from hrnet_pose_ros.coco.annotations import PersonAnnotations, read_annotations
from hrnet_pose_ros.coco.person_crops import person_crops
from hrnet_pose_ros.image_files import read_annotated_image
from hrnet_pose_ros.pose.boxes import CropRule, crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[PersonAnnotations, Path]:
    """10 images of 6 persons."""
    folder = write_data(tmp_path_factory.mktemp("data") / "set", images=10)
    return read_annotations(folder / "person_keypoints.json"), folder / "images"


@pytest.mark.parametrize("rule", get_args(CropRule))
def test_crops_are_those_of_the_vehicle(
    rule: CropRule, data: tuple[PersonAnnotations, Path]
) -> None:
    annotations, images = data
    crops, image_index = person_crops(annotations, images, (96, 128), most=1000, crop=rule)
    assert crops.shape == (60, 128, 96, 3)
    np.testing.assert_array_equal(image_index, annotations.image_index)
    person = 20
    index = annotations.image_index[person]
    frame = read_annotated_image(
        images / annotations.image_files[index], annotations.image_sizes[index]
    )
    transforms = crop_to_image(annotations.boxes[person : person + 1], (96, 128), rule)
    np.testing.assert_array_equal(crops[person], warp_crops(frame, transforms, (96, 128))[0])


@pytest.mark.parametrize(("most", "images"), [(1, 1), (12, 2), (13, 3), (30, 5), (59, 10)])
def test_enough_persons_from_all_over(
    data: tuple[PersonAnnotations, Path], most: int, images: int
) -> None:
    crops, image_index = person_crops(*data, (96, 128), most)
    found = np.unique(image_index)
    assert len(found) == images
    assert len(crops) == 6 * images
    if images > 1:
        assert found.max() >= 5  # not the first ones only
