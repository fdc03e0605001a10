# SPDX-License-Identifier: Apache-2.0
"""Conversion between poses and SkeletonArray messages, skeletons and SkeletonInfo messages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.pipeline.detections import Persons
from hrnet_pose_ros.pipeline.message_types import MessageTypes
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition
from hrnet_pose_ros.version import VERSION

NO_DETECTION = 4294967295  # Skeleton.NO_DETECTION
IDS_DETECTOR, IDS_ASSIGNED = "detector", "assigned"  # SkeletonInfo.IDS_*


class SkeletonMismatch(ValueError):
    """The key points of a message are not those of the skeleton."""


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
    # One table [N, J, 6] of plain floats: x, y, score, var_x, cov_xy, var_y.
    table = np.empty((*poses.scores.shape, 6), np.float32)
    table[..., :2] = poses.keypoints
    table[..., 2] = np.clip(poses.scores, 0, 1)
    table[..., 3] = poses.covariances[..., 0, 0]
    table[..., 4] = poses.covariances[..., 0, 1]
    table[..., 5] = poses.covariances[..., 1, 1]
    person_scores = poses.person_scores().tolist()
    boxes = persons.boxes.tolist()
    keypoint = types.Keypoint
    skeletons = [
        types.Skeleton(
            id=persons.ids[n],
            detection_index=NO_DETECTION if detection is None else persons.indices[n],
            class_id=persons.class_ids[n],
            score=person_scores[n],
            detection_score=persons.scores[n],
            bbox=_bounding_box(types, boxes[n]),
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
    assigned_ids: bool,
    fallback: bool = False,
) -> Any:
    """Make the SkeletonInfo of an engine.

    Parameters
    ----------
    image_rectified
        The parameter of this name.
    assigned_ids
        Whether this package assigns the ids that the detector does not give (`assign_ids`).
    fallback
        Whether the engine replaces one that failed.
    """
    skeleton = info.skeleton
    return types.SkeletonInfo(
        header=header,
        skeleton=skeleton.name,
        version=VERSION,
        model=info.model,
        engine=info.engine,
        device=info.device,
        precision=info.precision,
        decoding=info.decoding,
        crop=info.crop,
        checksum=info.checksum,
        input_width=info.input_width,
        input_height=info.input_height,
        flip_test=info.flip_test,
        calibrated=info.calibrated,
        fallback=fallback,
        image_rectified=image_rectified,
        ids=IDS_ASSIGNED if assigned_ids else IDS_DETECTOR,
        joint_names=list(skeleton.joint_names),
        oks_sigmas=skeleton.sigmas.astype(np.float32),
        mirror_pairs=np.array(skeleton.mirror_pairs, np.uint16).ravel(),
        limbs=np.array(skeleton.limbs, np.uint16).ravel(),
        role_names=list(skeleton.roles),
        role_joints=np.array(list(skeleton.roles.values()), np.uint16),
        detail_joints=np.array(skeleton.details, np.uint16),
    )


def skeleton_of(info: Any) -> SkeletonDefinition:
    """Return the skeleton definition in a SkeletonInfo; the inverse of `skeleton_info`.

    Raises SkeletonError if the message contradicts itself.
    """

    def pairs(flat: Any) -> tuple[tuple[int, int], ...]:
        joints = [int(joint) for joint in flat]
        return tuple(zip(joints[::2], joints[1::2], strict=True))

    return SkeletonDefinition(
        name=str(info.skeleton),
        joint_names=tuple(str(name) for name in info.joint_names),
        # float32 in the message: the shortest decimal is the number that was meant.
        oks_sigmas=tuple(float(str(np.float32(sigma))) for sigma in info.oks_sigmas),
        mirror_pairs=pairs(info.mirror_pairs),
        limbs=pairs(info.limbs),
        roles=dict(zip(map(str, info.role_names), map(int, info.role_joints), strict=True)),
        details=tuple(int(joint) for joint in info.detail_joints),
    )


def _bounding_box(types: MessageTypes, box: list[float]) -> Any:
    """Return the BoundingBox2D of a box x, y, width, height."""
    x, y, width, height = box
    center = types.Pose2D(position=types.Point2D(x=x + width / 2, y=y + height / 2), theta=0.0)
    return types.BoundingBox2D(center=center, size_x=width, size_y=height)


def poses_of(message: Any, skeleton: SkeletonDefinition = COCO17) -> tuple[Poses, np.ndarray]:
    """Return the poses and boxes of a SkeletonArray; the inverse of `skeleton_array`.

    Parameters
    ----------
    skeleton
        The definition of the joints, from the SkeletonInfo (`skeleton_of`).

    Returns
    -------
    poses
        N poses, scores clipped to [0, 1] as in the message.
    boxes
        float64 ``[N, 4]``: x, y, width, height of the boxes that the engine used, image pixels.

    Raises
    ------
    SkeletonMismatch
        A person has another number of key points than the skeleton has joints.
    """
    skeletons = message.skeletons
    for one in skeletons:
        if len(one.keypoints) != skeleton.joints:
            raise SkeletonMismatch(
                f"a person has {len(one.keypoints)} key points, but the skeleton "
                f"'{skeleton.name}' has {skeleton.joints} joints: use the SkeletonInfo of the same "
                "run"
            )
    table = np.array(
        [
            [(k.x, k.y, k.score, k.var_x, k.cov_xy, k.var_y) for k in skeleton.keypoints]
            for skeleton in skeletons
        ],
        np.float32,
    ).reshape(len(skeletons), skeleton.joints, 6)
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
        covariances=table[..., [3, 4, 4, 5]].reshape(len(skeletons), skeleton.joints, 2, 2),
        valid=np.asarray(np.isfinite(table[..., :2]).all(axis=2)),
        skeleton=skeleton,
    )
    return poses, boxes
