# SPDX-License-Identifier: Apache-2.0
"""CameraInfo messages to cameras."""

from __future__ import annotations

from typing import Any

from hrnet_pose_ros.pose.camera import Camera


def camera_of(info: Any, image_size: tuple[int, int], *, rectified: bool) -> Camera:
    """Return the camera of a CameraInfo message, for images of the given size.

    Raises ValueError as `Camera.from_calibration` does.
    """
    roi = info.roi
    return Camera.from_calibration(
        k=info.k,
        p=info.p,
        d=info.d,
        distortion_model=info.distortion_model,
        size=(info.width, info.height),
        image_size=image_size,
        rectified=rectified,
        binning=(info.binning_x, info.binning_y),
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )
