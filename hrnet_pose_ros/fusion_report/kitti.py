# SPDX-License-Identifier: Apache-2.0
"""Distances of people in KITTI-formatted folders: camera alone and with LIDAR against labels.

Truth is the middle of the labelled box. For a cyclist, it is that of bicycle and rider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.fusion.inputs import PointCloud, Skeletons
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics
from hrnet_pose_ros.fusion_report.kitti_files import (
    KittiFrame,
    KittiLabel,
    KittiSequence,
    persons_of,
    read_cloud,
)
from hrnet_pose_ros.fusion_report.metrics import mean, nees, quantiles, share
from hrnet_pose_ros.fusion_report.tables import CHI2_95
from hrnet_pose_ros.image_files import read_image_file

Detect = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

# A detection belongs to a label from this intersection over union on, as in the published rows.
MATCHING_IOU = 0.3
# Of KITTI's calibration, which was made with targets: camera and LIDAR agree within this, rad.
CALIBRATED = float(np.deg2rad(0.1))
# KITTI's LIDAR has 64 beams and an error of 2 cm.
LIDAR_NOISE = 0.02
# Mean absolute errors of the distance on all pedestrians of KITTI's validation split, m (Bertoni,
# Kreiss and Alahi: MonoLoco, ICCV 2019; MonoLoco++, T-ITS 2021; MonStereo, ICRA 2021).
PUBLISHED = (
    ("geometric: key points and mean stature", 1.04),
    ("MonoLoco", 0.97),
    ("MonoLoco++", 0.76),
    ("MonStereo (stereo)", 0.30),
    ("floor from unknown stature of adults", 0.43),
)
# The same floor for other distances: the mean absolute deviation of adults' stature.
STATURE_FLOOR = 0.046


@dataclass(frozen=True)
class LabelResult:
    """What became of one labelled person.

    ``distance`` m; ``error`` m of the distance, ``place_error`` m of the position, ``nees`` of the
    position; NaN if the person was not found.
    """

    sequence: str
    frame: str
    kind: str
    distance: float
    occluded: int
    truncated: float
    error: float = float("nan")
    place_error: float = float("nan")
    nees: float = float("nan")


@dataclass(frozen=True)
class ImagePersons:
    """The skeletons of a frame: poses, boxes, scores, ids, and the label of each (-1: none)."""

    skeletons: Skeletons
    labels: np.ndarray


def persons_by_labels(frame: KittiFrame, engine: PoseEngine) -> ImagePersons:
    """Return the skeletons in the labelled boxes."""
    labels = list(persons_of(frame))
    boxes = np.array([label.box for label in labels]).reshape(-1, 4)
    ids = tuple(label.identity for label in labels)
    return ImagePersons(
        _skeletons(frame, engine, boxes, np.ones(len(boxes)), ids), np.arange(len(labels))
    )


def persons_by_detector(frame: KittiFrame, engine: PoseEngine, detect: Detect) -> ImagePersons:
    """Return the skeletons in the boxes of a detector, and which labels they belong to."""
    image = read_image_file(frame.image)
    boxes, scores = detect(image)
    labels = [label.box for label in persons_of(frame)]
    overlap = _overlaps(np.array(labels).reshape(-1, 4), np.asarray(boxes, float))
    owner = np.full(len(boxes), -1)
    for label, box in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[label, box] >= MATCHING_IOU:
            owner[box] = label
    return ImagePersons(_skeletons(frame, engine, boxes, scores, (), image), owner)


def fuse_sequence(
    sequence: KittiSequence, persons: Sequence[ImagePersons], *, lidar: bool
) -> list[LabelResult]:
    """Return the result of each labelled person, with or without the LIDAR."""
    results = []
    fusion = None
    waiting = list(sequence.odometry)
    for frame, seen in zip(sequence.frames, persons, strict=True):
        if fusion is None or not sequence.drive:
            calibration = frame.calibration
            places = {"camera": calibration.camera_to_base, "lidar": calibration.lidar_to_base}
            settings = FusionSettings(
                yaw_std=CALIBRATED, sensor_mount_std=CALIBRATED, lidar_noise=LIDAR_NOISE
            )
            fusion = PeopleFusion(settings, FixedExtrinsics(places))
        now = max(frame.stamp, frame.cloud_stamp)
        while waiting and waiting[0].stamp <= now:
            fusion.receive(waiting[0], waiting.pop(0).stamp)
        if lidar and frame.cloud is not None:
            fusion.receive(PointCloud(frame.cloud_stamp, "lidar", read_cloud(frame.cloud)), now)
        answer = fusion.fuse(seen.skeletons, now)
        found = answer.people if isinstance(answer, People) else ()
        camera = frame.calibration.camera_to_base.translation[:2]
        for number, label in enumerate(persons_of(frame)):
            truth = frame.calibration.ground_point(label.place) - camera
            result = _result(sequence.name, frame, label, truth)
            skeletons = np.flatnonzero(seen.labels == number)
            if len(skeletons) and found:
                person = found[int(skeletons[0])]
                place = person.position[:2] - camera
                error = place - truth
                result = _result(
                    sequence.name,
                    frame,
                    label,
                    truth,
                    error=float(np.hypot(*place) - np.hypot(*truth)),
                    place_error=float(np.hypot(*error)),
                    nees=float(nees(error[None], person.covariance[None, :2, :2])[0]),
                )
            results.append(result)
    return results


def kitti_rows(results: Sequence[LabelResult], boxes: str, sensors: str) -> list[dict[str, Any]]:
    """Return the rows of the table: by kind of person, single frames and drives apart."""
    rows = []
    sequences = list(dict.fromkeys(one.sequence for one in results))
    for name in [*sequences, "all"]:
        for kind in dict.fromkeys(one.kind for one in results):
            some = [r for r in results if r.kind == kind and name in (r.sequence, "all")]
            if not some:
                continue
            error = np.abs([one.error for one in some])
            found = np.isfinite(error)
            distances = np.array([one.distance for one in some])
            rows.append(
                {
                    "data": name,
                    "kind": kind,
                    "boxes": boxes,
                    "sensors": sensors,
                    "labels": len(some),
                    "matched": share(found),
                    "mean_error": mean(error),
                    "median_error": quantiles(error, 0.5)[0],
                    "p95_error": quantiles(error, 0.95)[0],
                    "mean_error_percent": mean(100 * error / distances),
                    "mean_place_error": mean(np.array([one.place_error for one in some])),
                    "within_95": share(np.array([one.nees for one in some])[found] <= CHI2_95),
                    "floor": STATURE_FLOOR * float(distances[found].mean())
                    if found.any()
                    else None,
                }
            )
    return rows


def _result(
    sequence: str, frame: KittiFrame, label: KittiLabel, truth: np.ndarray, **values: float
) -> LabelResult:
    distance = float(np.hypot(*truth))
    return LabelResult(
        sequence, frame.name, label.kind, distance, label.occluded, label.truncated, **values
    )


def _skeletons(
    frame: KittiFrame,
    engine: PoseEngine,
    boxes: np.ndarray,
    scores: np.ndarray,
    ids: tuple[str, ...],
    image: np.ndarray | None = None,
) -> Skeletons:
    image = read_image_file(frame.image) if image is None else image
    poses = engine.estimate(image, np.asarray(boxes, np.float32).reshape(-1, 4))
    size = (image.shape[1], image.shape[0])
    camera = frame.calibration.camera
    return Skeletons(frame.stamp, "camera", camera, size, poses, boxes, ids, scores)


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    areas = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None]
    return common / np.maximum(areas - common, 1e-9)
