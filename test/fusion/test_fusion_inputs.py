# SPDX-License-Identifier: Apache-2.0
"""Inputs and settings refuse what they cannot mean, and name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fusion_scene import CAMERA, START, figure, skeletons

from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    OdometrySample,
    PointCloud,
    Skeletons,
)
from hrnet_pose_ros.fusion.settings import FusionSettings

ZERO = np.zeros(3)
ONE = skeletons([figure((5.0, 0.0))])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: DepthImage(START, "d", CAMERA, np.zeros((2, 2, 1))), "DepthImage.depth"),
        (lambda: PointCloud(START, "l", np.zeros((4, 2))), "PointCloud.points"),
        (lambda: PointCloud(START, "l", np.zeros((4, 3)), np.zeros(3)), "PointCloud.times"),
        (lambda: LaserScan(START, "s", 0, 0.1, np.zeros((2, 2))), "LaserScan.ranges"),
        (lambda: ImuSample(START, "i", np.zeros(2)), "ImuSample.angular_velocity"),
        (lambda: ImuSample(START, "i", ZERO, orientation=ZERO), "ImuSample.orientation"),
        (lambda: OdometrySample(START, ZERO, ZERO, ZERO, ZERO), "OdometrySample.orientation"),
        (
            lambda: Skeletons(START, "c", CAMERA, (9, 9), ONE.poses, np.zeros((2, 4))),
            "Skeletons.boxes",
        ),
        (
            lambda: Skeletons(START, "c", CAMERA, (9, 9), ONE.poses, ONE.boxes, ("a", "b")),
            "1 poses, 2 ids",
        ),
    ],
)
def test_a_wrong_shape_is_an_error_that_names_the_field(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()


def test_ids_and_scores_may_be_left_out() -> None:
    bare = Skeletons(START, "c", CAMERA, (1920, 1080), ONE.poses, ONE.boxes)
    assert bare.ids == ("",)
    assert bare.detection_scores.tolist() == [1.0]
    assert len(bare) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stature", 0.0),
        ("tilt_std", -1.0),
        ("max_coast", np.inf),
        ("keypoint_correlation", 1.0),
        ("gate", 0.1),
        ("outlier", {"lidar": 0.0}),
    ],
)
def test_a_setting_without_sense_is_an_error_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        FusionSettings(**{name: value})
