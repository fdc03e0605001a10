# SPDX-License-Identifier: Apache-2.0
"""How far quantising a network moves its key points, on crops that it was not calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrnet_pose_ros.model_files.metadata import STRIDE
from hrnet_pose_ros.pose.oks import mean_crop_oks

# One of so many crops is kept out of the calibration, to judge the result on; of fewer than MANY
# every second one, or the judgement would rest on a few.
JUDGED_EVERY = 4
MANY = 32


@dataclass(frozen=True)
class KeyPointChange:
    """How far quantising moved the key points of crops it was not calibrated on.

    Attributes
    ----------
    calibrated, judged
        Crops that the calibration saw, and the others.
    joints
        Key points that the float32 graph found on the others.
    mean_oks
        Mean OKS of the persons against float32, in [0, 1]; NaN where nobody is seen.
    shares
        Share of the key points within so many heatmap cells, by the number of cells.
    """

    calibrated: int
    judged: int
    joints: int
    mean_oks: float
    shares: dict[float, float]

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.1%} within {c:g}" for c, share in self.shares.items())
        return (
            f"calibrated on {self.calibrated} crops; against float32 on {self.judged} others "
            f"({self.joints} key points): mean OKS {self.mean_oks:.4f}; {shares or 'none'} cell"
        )


def split_crops(crops: np.ndarray, input_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Crops ``[N, H', W', 3]`` resized to (width, height), and bool ``[N]``: which of them judge.

    Raises ValueError for fewer than 2.
    """
    if len(crops) < 2:
        raise ValueError(f"quantising needs at least 2 crops of persons, got {len(crops)}")
    judged = np.zeros(len(crops), bool)
    judged[:: JUDGED_EVERY if len(crops) >= MANY else 2] = True
    return np.stack([cv2.resize(crop, input_size) for crop in crops]), judged


def as_images(count: int) -> np.ndarray:
    """Transforms ``[N, 2, 3]`` from crop to image where each crop is itself the image."""
    return np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1))


def key_point_change(
    reference: tuple[np.ndarray, np.ndarray],
    changed: tuple[np.ndarray, np.ndarray],
    input_size: tuple[int, int],
    calibrated: int,
) -> KeyPointChange:
    """Compare the key points of two networks on the same crops.

    Parameters
    ----------
    reference, changed
        Key points ``[N, 17, 2]`` in pixels of the crops, and bool ``[N, 17]``: those that were
        found. One that the reference found and the other did not counts as far away.
    input_size
        (width, height) of the crops in pixels.
    calibrated
        Crops that the calibration saw, to be told.
    """
    (points, seen), (others, found) = reference, changed
    others = np.where(found[..., None], others, np.inf)  # a lost joint is no near one
    distances = np.linalg.norm(others - points, axis=-1)[seen] / STRIDE
    return KeyPointChange(
        calibrated=calibrated,
        judged=len(points),
        joints=int(seen.sum()),
        mean_oks=mean_crop_oks(others, points, input_size, seen),
        shares={c: float((distances <= c).mean()) for c in (0.05, 0.25, 0.5)} if seen.any() else {},
    )
