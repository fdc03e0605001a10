# SPDX-License-Identifier: Apache-2.0
"""The COCO-17 skeleton: joint names, limbs, mirror pairs and OKS sigmas.

Joint order, limbs and sigmas are those of the COCO key point task. Every array with a joint axis in
this package uses this order.
"""

from __future__ import annotations

import numpy as np

SKELETON = "coco17"

JOINT_NAMES: tuple[str, ...] = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
JOINTS = len(JOINT_NAMES)

# Pairs of joints that a drawing connects, as in COCO's annotation file but 0-based.
LIMBS: tuple[tuple[int, int], ...] = (
    (15, 13),
    (13, 11),
    (16, 14),
    (14, 12),
    (11, 12),
    (5, 11),
    (6, 12),
    (5, 6),
    (5, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (1, 2),
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
)

# (left, right) joints that swap when a person is mirrored.
MIRROR_PAIRS: tuple[tuple[int, int], ...] = (
    (1, 2),
    (3, 4),
    (5, 6),
    (7, 8),
    (9, 10),
    (11, 12),
    (13, 14),
    (15, 16),
)


def _mirrored_order() -> np.ndarray:
    order = np.arange(JOINTS)
    for left, right in MIRROR_PAIRS:
        order[left], order[right] = right, left
    return order


# MIRRORED[j] is the counterpart of joint j in a mirrored person.
MIRRORED: np.ndarray = _mirrored_order()

# Per-joint OKS sigmas of the COCO evaluation (the constant k of a joint is twice its sigma).
OKS_SIGMAS: np.ndarray = np.array(
    [
        *(0.026, 0.025, 0.025, 0.035, 0.035),
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ]
)
