# SPDX-License-Identifier: Apache-2.0
"""Measurements as a faulty sensor gives them: with nothing in them, or with NaN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    OdometrySample,
    PointCloud,
    Skeletons,
    UltrasonicRange,
)
from hrnet_pose_ros.pose.poses import Poses

Value = TypeVar("Value", bound=Any)

# The arrays of each kind of measurement that NaN may be written into.
_ARRAYS: dict[type, tuple[str, ...]] = {
    DepthImage: ("depth",),
    PointCloud: ("points",),
    LaserScan: ("ranges",),
    ImuSample: ("angular_velocity", "linear_acceleration", "orientation"),
    OdometrySample: ("position", "orientation", "linear", "angular"),
}


def emptied(value: Value) -> Value:
    """The measurement without content: no skeletons, no points, no beams, holes, no echo.

    An IMU or odometry has nothing to leave out: its values become NaN.
    """
    if isinstance(value, Skeletons):
        return replace(
            value,
            poses=Poses.empty(),
            boxes=np.zeros((0, 4)),
            ids=(),
            detection_scores=np.zeros(0),
        )
    if isinstance(value, DepthImage):
        return replace(value, depth=np.zeros_like(value.depth))
    if isinstance(value, PointCloud):
        times = None if value.times is None else value.times[:0]
        return replace(value, points=value.points[:0], times=times)
    if isinstance(value, LaserScan):
        return replace(value, ranges=value.ranges[:0])
    if isinstance(value, UltrasonicRange):
        return replace(value, range=np.inf)
    return with_nans(value, 1.0, np.random.default_rng(0))


def with_nans(value: Value, fraction: float, generator: np.random.Generator) -> Value:
    """The measurement with NaN in about this fraction of its values.

    Of a point, all three coordinates; of skeletons, whole joints, which are then not valid.
    """
    if isinstance(value, Skeletons):
        poses = value.poses
        hit = generator.random(poses.valid.shape) < fraction
        return replace(
            value,
            poses=Poses(
                keypoints=np.where(hit[..., None], np.nan, poses.keypoints).astype(np.float32),
                scores=np.where(hit, 0, poses.scores).astype(np.float32),
                covariances=np.where(hit[..., None, None], np.nan, poses.covariances).astype(
                    np.float32
                ),
                valid=poses.valid & ~hit,
            ),
        )
    if isinstance(value, UltrasonicRange):
        return replace(value, range=np.nan) if generator.random() < fraction else value
    changed = {}
    for name in _ARRAYS[type(value)]:
        array = getattr(value, name)
        if array is None:
            continue
        hit = generator.random(array.shape[: 1 if isinstance(value, PointCloud) else None])
        mask = hit < fraction
        kept = mask[:, None] if isinstance(value, PointCloud) else mask
        changed[name] = np.where(kept, np.nan, array).astype(array.dtype)
    return replace(value, **changed)
