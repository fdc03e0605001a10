# SPDX-License-Identifier: Apache-2.0
"""Depth images (REP 118) to the fusion's `DepthImage`."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import DepthImage
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.people.message_fields import (
    MessageRefused,
    malformed,
    rows_of,
    stamp_and_frame,
)
from hrnet_pose_ros.pipeline.people.skeleton_inputs import fitting_camera

# Type and unit in metres of the two encodings of REP 118.
DEPTH_ENCODINGS = {"16UC1": ("u2", 1e-3), "32FC1": ("f4", 1.0)}


def depth_image_of(message: Any, info: Any, *, rectified: bool) -> DepthImage:
    """Return the depth image of a ``sensor_msgs/Image``.

    Parameters
    ----------
    info
        The CameraInfo of the depth image, which has to be of the same frame: whether the depth is
        registered to the colour image follows from the frame, and is never guessed. None if there
        has been none.
    rectified
        Whether the depth image is rectified.

    Raises
    ------
    MessageRefused
        ``malformed``: another encoding, or sizes that contradict each other; ``empty``: no pixel
        has a depth; ``no_camera_info`` and ``no_extrinsics``: see `fitting_camera`.
    """
    stamp, frame = stamp_and_frame(message)
    if message.encoding not in DEPTH_ENCODINGS:
        raise malformed(
            f"the encoding of a depth image is '{message.encoding}'; allowed: 16UC1 (mm) and 32FC1 "
            "(m)"
        )
    kind, unit = DEPTH_ENCODINGS[message.encoding]
    height, width = int(message.height), int(message.width)
    order = ">" if message.is_bigendian else "<"
    raw = rows_of(
        message.data,
        height=height,
        width=width,
        row_step=int(message.step),
        item=np.dtype(order + kind),
        name="step",
    )
    if not raw.size:
        raise malformed(f"the depth image has {width} x {height} pixels")
    depth = raw.astype(np.float32)
    if unit != 1:
        depth *= np.float32(unit)
    with np.errstate(invalid="ignore"):
        if not ((depth > 0) & (depth < np.inf)).any():
            raise MessageRefused(Refusal.EMPTY, "no pixel of the depth image has a depth")
    camera = fitting_camera(info, frame, (width, height), rectified=rectified)
    return DepthImage(stamp, frame, camera, depth)
