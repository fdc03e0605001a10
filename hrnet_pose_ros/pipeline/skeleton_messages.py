# SPDX-License-Identifier: Apache-2.0
"""Conversion between poses and SkeletonArray messages, and the SkeletonInfo message."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.pipeline.detections import Persons
from hrnet_pose_ros.pipeline.message_types import MessageTypes
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINT_NAMES, JOINTS, LIMBS, OKS_SIGMAS, SKELETON
from hrnet_pose_ros.version import VERSION

NO_DETECTION = 4294967295  # Skeleton.NO_DETECTION


@dataclass
class Times:
    """Durations of the stages of one image, seconds; NaN if unknown. See StageTimes.msg."""

    arrival: float = math.nan
    pairing: float = math.nan
    queue: float = math.nan
    conversion: float = math.nan
    inference: float = math.nan
    age: float = math.nan


def skeleton_array(
    types: MessageTypes,
    *,
    image: Any,
    detections: Any | None,
    image_size: tuple[int, int],
    persons: Persons,
    poses: Poses,
    times: Times,
) -> Any:
    """Make the SkeletonArray of one image.

    Parameters
    ----------
    image, detections
        The messages that the poses were estimated from; their stamps are copied.
    image_size
        ``(width, height)`` of the decoded image, pixels.
    persons, poses
        N persons and their N poses, in the same order.
    """
    stamp = types.Time(sec=0, nanosec=0) if detections is None else detections.header.stamp
    # One table [N, 17, 6] of plain floats: x, y, score, var_x, cov_xy, var_y.
    table = np.empty((*poses.scores.shape, 6), np.float32)
    table[..., :2] = poses.keypoints
    table[..., 2] = np.clip(poses.scores, 0, 1)
    table[..., 3] = poses.covariances[..., 0, 0]
    table[..., 4] = poses.covariances[..., 0, 1]
    table[..., 5] = poses.covariances[..., 1, 1]
    person_scores = poses.person_scores().tolist()
    keypoint = types.Keypoint
    skeletons = [
        types.Skeleton(
            id="" if detection is None else detection.id,
            detection_index=NO_DETECTION if detection is None else persons.indices[n],
            class_id=persons.class_ids[n],
            score=person_scores[n],
            detection_score=persons.scores[n],
            bbox=_whole_image_box(types, image_size) if detection is None else detection.bbox,
            keypoints=[
                keypoint(x=x, y=y, score=score, var_x=var_x, cov_xy=cov_xy, var_y=var_y)
                for x, y, score, var_x, cov_xy, var_y in rows
            ],
        )
        for n, (detection, rows) in enumerate(zip(persons.detections, table.tolist(), strict=True))
    ]
    return types.SkeletonArray(
        header=types.Header(stamp=image.header.stamp, frame_id=image.header.frame_id),
        detections_stamp=types.Time(sec=stamp.sec, nanosec=stamp.nanosec),
        image_width=image_size[0],
        image_height=image_size[1],
        omitted=persons.omitted,
        times=types.StageTimes(
            arrival=times.arrival,
            pairing=times.pairing,
            queue=times.queue,
            conversion=times.conversion,
            inference=times.inference,
            age=times.age,
        ),
        skeletons=skeletons,
    )


def skeleton_info(
    types: MessageTypes,
    header: Any,
    info: EngineInfo,
    *,
    image_rectified: bool,
    fallback: bool = False,
) -> Any:
    """Make the SkeletonInfo of an engine; ``fallback``: the engine replaces one that failed."""
    return types.SkeletonInfo(
        header=header,
        skeleton=SKELETON,
        version=VERSION,
        model=info.model,
        engine=info.engine,
        device=info.device,
        precision=info.precision,
        decoding=info.decoding,
        checksum=info.checksum,
        input_width=info.input_width,
        input_height=info.input_height,
        flip_test=info.flip_test,
        calibrated=info.calibrated,
        fallback=fallback,
        image_rectified=image_rectified,
        joint_names=list(JOINT_NAMES),
        oks_sigmas=OKS_SIGMAS.astype(np.float32),
        limbs=[joint for limb in LIMBS for joint in limb],
        # crop=info.crop,  as soon as the message has the field
    )


def _whole_image_box(types: MessageTypes, image_size: tuple[int, int]) -> Any:
    width, height = map(float, image_size)
    center = types.Pose2D(position=types.Point2D(x=width / 2, y=height / 2), theta=0.0)
    return types.BoundingBox2D(center=center, size_x=width, size_y=height)


def poses_of(message: Any) -> tuple[Poses, np.ndarray]:
    """Return the poses and boxes of a SkeletonArray; the inverse of `skeleton_array`.

    Returns
    -------
    poses
        N poses, scores clipped to [0, 1] as in the message.
    boxes
        float64 ``[N, 4]``: x, y, width, height of the detector's boxes as received (``theta`` not
        applied).
    """
    skeletons = message.skeletons
    table = np.array(
        [
            [(k.x, k.y, k.score, k.var_x, k.cov_xy, k.var_y) for k in skeleton.keypoints]
            for skeleton in skeletons
        ],
        np.float32,
    ).reshape(len(skeletons), JOINTS, 6)
    boxes = np.array(
        [
            (
                s.bbox.center.position.x - s.bbox.size_x / 2,
                s.bbox.center.position.y - s.bbox.size_y / 2,
                s.bbox.size_x,
                s.bbox.size_y,
            )
            for s in skeletons
        ],
        np.float64,
    ).reshape(-1, 4)
    poses = Poses(
        keypoints=table[..., :2].copy(),
        scores=table[..., 2].copy(),
        covariances=table[..., [3, 4, 4, 5]].reshape(len(skeletons), JOINTS, 2, 2),
        valid=np.asarray(np.isfinite(table[..., :2]).all(axis=2)),
    )
    return poses, boxes
