# SPDX-License-Identifier: Apache-2.0
"""SkeletonArray messages to the fusion's `Skeletons`, with SkeletonInfo and CameraInfo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.camera_info import camera_of
from hrnet_pose_ros.pipeline.people.message_fields import (
    MessageRefused,
    frame_name,
    malformed,
    stamp_and_frame,
)
from hrnet_pose_ros.pipeline.skeleton_messages import SkeletonMismatch, poses_of
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.skeleton import SkeletonDefinition

# A key point further from the image's corner than this, px, is not one.
FURTHEST = 1e5


def skeletons_of(
    message: Any, skeleton: SkeletonDefinition | None, info: Any, *, rectified: bool
) -> Skeletons:
    """Return the skeletons of a SkeletonArray.

    Parameters
    ----------
    skeleton
        The definition from the SkeletonInfo; None if there has been none.
    info
        The CameraInfo of the camera; None if there has been none.
    rectified
        Whether the images are rectified, as in the SkeletonInfo.

    Raises
    ------
    MessageRefused
        ``no_skeleton_info`` and ``no_camera_info``: there is none, or it does not fit;
        ``no_extrinsics``: the frame is empty; ``malformed``: sizes or boxes are impossible.
    """
    stamp, frame = stamp_and_frame(message)
    if skeleton is None:
        raise MessageRefused(Refusal.NO_SKELETON_INFO, "no SkeletonInfo has arrived")
    size = int(message.image_width), int(message.image_height)
    if not all(size):
        raise malformed(f"the image has {size[0]} x {size[1]} pixels")
    camera = fitting_camera(info, frame, size, rectified=rectified)
    try:
        poses, boxes = poses_of(message, skeleton)
    except SkeletonMismatch as error:
        raise MessageRefused(Refusal.NO_SKELETON_INFO, str(error)) from None
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
        raise malformed("a box is not finite, or has no area")
    variances = poses.covariances[..., [0, 1], [0, 1]]
    with np.errstate(invalid="ignore", over="ignore"):
        determinant = variances.prod(axis=2) - poses.covariances[..., 0, 1] ** 2
        usable = (np.abs(poses.keypoints) < FURTHEST).all(axis=2) & (variances > 0).all(axis=2)
        usable &= np.isfinite(poses.covariances).all(axis=(2, 3)) & (determinant >= 0)
    poses = replace(poses, scores=np.nan_to_num(poses.scores), valid=poses.valid & usable)
    detection_scores = np.array([one.detection_score for one in message.skeletons], np.float64)
    return Skeletons(
        stamp=stamp,
        frame=frame,
        camera=camera,
        image_size=size,
        poses=poses,
        boxes=boxes,
        ids=tuple(str(one.id) for one in message.skeletons),
        detection_scores=np.clip(detection_scores, 0, 1),  # NaN stays: not known
    )


def fitting_camera(info: Any, frame: str, size: tuple[int, int], *, rectified: bool) -> Camera:
    """Return the camera of an image from a CameraInfo of the same frame.

    Raises MessageRefused (``no_camera_info``) if there is none (None), it is of another frame, or
    it cannot be used.
    """
    if info is None:
        raise MessageRefused(Refusal.NO_CAMERA_INFO, "no CameraInfo has arrived")
    of = frame_name(info.header.frame_id)
    if of and of != frame:
        raise MessageRefused(
            Refusal.NO_CAMERA_INFO,
            f"the image is in the frame '{frame}', but its CameraInfo is of '{of}': one of the two "
            "topics is another camera's, or a driver sets a wrong frame_id",
        )
    try:
        return camera_of(info, size, rectified=rectified)
    except ValueError as error:
        raise MessageRefused(
            Refusal.NO_CAMERA_INFO, f"CameraInfo cannot be used: {error}"
        ) from None
