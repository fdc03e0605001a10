# SPDX-License-Identifier: Apache-2.0
"""How far quantising a network moves its key points, on crops that it was not calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.model_files.metadata import LEAST_JUDGED, STRIDE, Int8Judgement
from hrnet_pose_ros.network.onnx_files import ExportError
from hrnet_pose_ros.pose.oks import mean_crop_oks
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

# A calibration takes the range of each activation from so many persons at least.
LEAST_CALIBRATED = 50


@dataclass(frozen=True)
class KeyPointChange:
    """How far quantising moved the key points of crops it was not calibrated on.

    Attributes
    ----------
    calibrated
        Crops that the calibration saw.
    judged
        Of the other crops those on which the float32 graph found somebody.
    joints
        Key points that it found there.
    mean_oks
        Mean OKS of the persons against float32, in [0, 1]; NaN where nobody is seen.
    fractions
        Share of the key points within so many heatmap cells, by the number of cells.
    """

    calibrated: int
    judged: int
    joints: int
    mean_oks: float
    fractions: dict[float, float]

    def __str__(self) -> str:
        fractions = ", ".join(
            f"{fraction:.1%} within {c:g}" for c, fraction in self.fractions.items()
        )
        return (
            f"calibrated on {self.calibrated} persons; against float32 on {self.judged} others "
            f"({self.joints} key points): mean OKS {self.mean_oks:.4f}; {fractions or 'none'} cell"
        )


def split_persons(pictures: np.ndarray) -> np.ndarray:
    """Which persons judge a quantisation and which calibrate it: bool ``[N]``, those that judge.

    Half of them judge, and at least 200 (`LEAST_JUDGED`). All persons of one picture are on the
    same side: they share light, camera and often clothes.

    Parameters
    ----------
    pictures
        int ``[N]``: which picture a person is in.

    Raises
    ------
    ValueError
        There are too few; the message says how many there are and are needed.
    """
    found, counts = np.unique(pictures, return_counts=True)
    wanted = max(LEAST_JUDGED, (len(pictures) + 1) // 2)
    judging: list[int] = []
    persons = 0
    for place in (*range(0, len(found), 2), *range(1, len(found), 2)):  # every second one first
        if persons < wanted:
            judging.append(int(found[place]))
            persons += int(counts[place])
    if persons < LEAST_JUDGED or len(pictures) - persons < LEAST_CALIBRATED:
        raise ValueError(
            f"quantising needs at least {LEAST_JUDGED} persons to judge the result on, and "
            f"{LEAST_CALIBRATED} others in other pictures to calibrate with; there are "
            f"{len(pictures)} persons in {len(found)} pictures"
        )
    return np.isin(pictures, judging)


def judges(seen: np.ndarray) -> int:
    """How many of N persons can judge: those on whom the model in float32 found somebody.

    ``seen``: bool ``[N, J]``, the key points that it found.
    """
    return int(seen.any(axis=1).sum())


def check_judges(judged: int, least_oks: float | None) -> None:
    """Raise ExportError where fewer than `LEAST_JUDGED` persons judge; None takes any number.

    Known before the calibration, which takes minutes.
    """
    if least_oks is not None and judged < LEAST_JUDGED:
        raise ExportError(
            f"{judged} persons judge: of those who do not calibrate the ones on whom the "
            f"model in float32 finds somebody; at least {LEAST_JUDGED} are needed: give more "
            "persons (--data, --crops)"
        )


def checked_judgement(change: KeyPointChange, least_oks: float | None) -> Int8Judgement:
    """What a file in 8 bits is to say of itself.

    Raises ExportError where fewer than `LEAST_JUDGED` persons judge or the mean OKS is below
    ``least_oks``; None takes whatever came out.
    """
    check_judges(change.judged, least_oks)
    if least_oks is not None and change.mean_oks < least_oks:
        raise ExportError(
            f"{change}; a mean OKS of {least_oks:g} is needed. More persons, from the camera that "
            "will be used, may help (--data, --crops); --least-oks takes less, where you know that "
            "it is enough"
        )
    return Int8Judgement(change.calibrated, change.judged, float(np.nan_to_num(change.mean_oks)))


def as_images(count: int) -> np.ndarray:
    """Transforms ``[N, 2, 3]`` from crop to image where each crop is itself the image."""
    return np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1))


def key_point_change(
    reference: tuple[np.ndarray, np.ndarray],
    changed: tuple[np.ndarray, np.ndarray],
    input_size: tuple[int, int],
    calibrated: int,
    skeleton: SkeletonDefinition = COCO17,
) -> KeyPointChange:
    """Compare the key points of two networks on the same crops.

    Parameters
    ----------
    reference, changed
        Key points ``[N, J, 2]`` in pixels of the crops, and bool ``[N, J]``: those that were
        found. One that the reference found and the other did not counts as far away.
    input_size
        (width, height) of the crops in pixels.
    calibrated
        Crops that the calibration saw, for the report.
    skeleton
        The definition of the J joints.
    """
    (points, seen), (others, found) = reference, changed
    others = np.where(found[..., None], others, np.inf)  # a lost joint is not a near one
    # UDP's cells are 1.6 % wider than 4 px: near enough for these fractions.
    distances = np.linalg.norm(others - points, axis=-1)[seen] / STRIDE
    return KeyPointChange(
        calibrated=calibrated,
        judged=judges(seen),
        joints=int(seen.sum()),
        mean_oks=mean_crop_oks(others, points, input_size, seen, skeleton),
        fractions={c: float((distances <= c).mean()) for c in (0.05, 0.25, 0.5)}
        if seen.any()
        else {},
    )
