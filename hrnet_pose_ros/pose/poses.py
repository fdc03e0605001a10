# SPDX-License-Identifier: Apache-2.0
"""The array type that every engine returns and every consumer uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

# The score of a person is the mean over the joints whose score exceeds this (HRNet reference).
PERSON_SCORE_THRESHOLD = 0.2


@dataclass(frozen=True)
class Poses:
    """Key points of the N persons in one image, in the order of their boxes; J joints each.

    Attributes
    ----------
    keypoints
        float32 ``[N, J, 2]``, x and y in image pixels, pixel centres at integers; may lie
        outside the image; NaN where not valid.
    scores
        float32 ``[N, J]``, the raw peak of the heatmap (it may exceed 1), or a probability if the
        engine is calibrated; 0 where not valid.
    covariances
        float32 ``[N, J, 2, 2]``, px², symmetric and positive definite; NaN where not valid.
    valid
        bool ``[N, J]``: whether the heatmap of the joint has a peak above 0.
    skeleton
        The definition of the J joints.

    Examples
    --------
    Two persons, the second without a left wrist:

    >>> import numpy as np
    >>> from hrnet_pose_ros.pose.poses import Poses
    >>> from hrnet_pose_ros.skeleton import COCO17
    >>> wrist = COCO17.joint_names.index("left_wrist")
    >>> keypoints = np.full((2, 17, 2), 100, np.float32)
    >>> scores = np.full((2, 17), 0.5, np.float32)
    >>> covariances = np.tile(4 * np.eye(2, dtype=np.float32), (2, 17, 1, 1))
    >>> valid = np.ones((2, 17), bool)
    >>> keypoints[1, wrist], scores[1, wrist], valid[1, wrist] = np.nan, 0, False
    >>> covariances[1, wrist] = np.nan
    >>> poses = Poses(keypoints, scores, covariances, valid)
    >>> len(poses), poses.keypoints.shape
    (2, (2, 17, 2))
    >>> poses.valid[:, wrist].tolist()
    [True, False]
    >>> poses.person_scores().tolist()
    [0.5, 0.5]
    >>> len(poses.select(poses.valid[:, wrist]))  # persons whose left wrist was found
    1
    """

    keypoints: np.ndarray
    scores: np.ndarray
    covariances: np.ndarray
    valid: np.ndarray
    skeleton: SkeletonDefinition = COCO17

    def __post_init__(self) -> None:
        n, joints = self.keypoints.shape[0], self.skeleton.joints
        for name, shape in (
            ("keypoints", (n, joints, 2)),
            ("scores", (n, joints)),
            ("covariances", (n, joints, 2, 2)),
            ("valid", (n, joints)),
        ):
            actual = getattr(self, name).shape
            if actual != shape:
                raise ValueError(
                    f"Poses.{name} must have shape {shape} for the skeleton "
                    f"'{self.skeleton.name}', got {actual}"
                )

    def __len__(self) -> int:
        return len(self.keypoints)

    @classmethod
    def empty(cls, skeleton: SkeletonDefinition = COCO17) -> Poses:
        """Return the poses of an image without persons (N = 0)."""
        joints = skeleton.joints
        return cls(
            keypoints=np.zeros((0, joints, 2), np.float32),
            scores=np.zeros((0, joints), np.float32),
            covariances=np.zeros((0, joints, 2, 2), np.float32),
            valid=np.zeros((0, joints), bool),
            skeleton=skeleton,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Poses]) -> Poses:
        """Concatenate the poses of consecutive groups of boxes, in order.

        Raises ValueError if there are no parts, or if they have different skeletons.
        """
        if not parts:
            raise ValueError("there are no poses to concatenate")
        skeletons = {part.skeleton.name: part.skeleton for part in parts}
        if any(part.skeleton != parts[0].skeleton for part in parts):
            raise ValueError(f"poses of different skeletons: {', '.join(skeletons)}")
        return cls(
            keypoints=np.concatenate([p.keypoints for p in parts]),
            scores=np.concatenate([p.scores for p in parts]),
            covariances=np.concatenate([p.covariances for p in parts]),
            valid=np.concatenate([p.valid for p in parts]),
            skeleton=parts[0].skeleton,
        )

    def select(self, persons: np.ndarray) -> Poses:
        """Return the poses of some persons, given as indices or as a mask over N."""
        return replace(
            self,
            keypoints=self.keypoints[persons],
            scores=self.scores[persons],
            covariances=self.covariances[persons],
            valid=self.valid[persons],
        )

    def person_scores(self) -> np.ndarray:
        """Return float32 ``[N]``: the mean of the joint scores above 0.2; 0 if there are none."""
        counted = self.valid & (self.scores > PERSON_SCORE_THRESHOLD)
        total = np.where(counted, self.scores, 0.0).sum(axis=1)
        return (total / np.maximum(counted.sum(axis=1), 1)).astype(np.float32)
