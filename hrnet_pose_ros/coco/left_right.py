# SPDX-License-Identifier: Apache-2.0
"""Left-right confusion: where the two key points of a mirror pair lie.

A model that cannot tell a person's ankles apart puts both key points on one foot. The error types
in error_diagnosis.py call one of them good and the other an inversion; only the two together show
what happened.

The measure is the similarity ``exp(-d² / (2·area·k²))`` of a key point with a labelled position, as
in error_diagnosis.py, with the same limit: 0.5 (`NEAR_SIMILARITY`, after Ronchi and Perona, ICCV
2017), which a wrist of a person of 10 000 px² reaches at 15 px, an ankle at 21 px.

A pair is evaluated if both joints are labelled and so far apart that each has less than this
similarity with the other: if they were closer, a key point on the wrong joint would still count as
jitter. A key point lies on the nearer of the two labels if it has this similarity with it,
otherwise on neither. The outcomes are

both right
    each key point lies on its own joint
both on one
    both lie on the same joint
exchanged
    each lies on the other's joint
elsewhere
    one of them, or both, lies on neither, or is not valid
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.error_diagnosis import NEAR_SIMILARITY, Matches
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.skeleton import SkeletonDefinition

OUTCOMES = ("both right", "both on one", "exchanged", "elsewhere")
BOTH_RIGHT, BOTH_ON_ONE, EXCHANGED, ELSEWHERE = range(4)
NOT_EVALUATED = -1


def pair_names(skeleton: SkeletonDefinition) -> tuple[str, ...]:
    """Names of a skeleton's mirror pairs, in their order: eyes, ears, … ankles."""
    names = skeleton.joint_names
    return tuple(
        names[left].removeprefix("left_") + "s"
        if names[left].startswith("left_")
        else f"{names[left]}, {names[right]}"
        for left, right in skeleton.mirror_pairs
    )


@dataclass(frozen=True)
class LeftRight:
    """The outcomes of K results matched with labelled persons, with P mirror pairs each.

    Attributes
    ----------
    outcomes
        int64 ``[K, P]``: indices into `OUTCOMES`, or `NOT_EVALUATED`.
    """

    outcomes: np.ndarray

    @property
    def evaluated(self) -> np.ndarray:
        """int64 ``[P]``: number of persons for whom the pair can be evaluated."""
        return (self.outcomes != NOT_EVALUATED).sum(axis=0)

    @property
    def fractions(self) -> np.ndarray:
        """float64 ``[P, 4]``: the fraction of each outcome; NaN if no person is evaluated."""
        counts = np.stack([(self.outcomes == one).sum(axis=0) for one in range(len(OUTCOMES))], 1)
        evaluated = self.evaluated[:, None]
        return np.where(evaluated, counts / np.maximum(evaluated, 1), np.nan)


def left_right(annotations: PersonAnnotations, data: DatasetPoses, matches: Matches) -> LeftRight:
    """Where the key points of each mirror pair lie, for results matched by `match_results`."""
    skeleton = annotations.skeleton
    pairs = np.array(skeleton.mirror_pairs, np.int64).reshape(-1, 2)  # [P, 2]
    places = annotations.keypoints[matches.persons][:, pairs]  # [K, P, 2, 2]
    labelled = annotations.labelled[matches.persons][:, pairs].all(axis=2)
    points = data.poses.keypoints[matches.poses].astype(np.float64)[:, pairs]
    valid = data.poses.valid[matches.poses][:, pairs]
    areas = annotations.areas[matches.persons][:, None]
    reach = (
        -2 * np.log(NEAR_SIMILARITY) * areas * (2 * skeleton.sigmas[pairs[:, 0]]) ** 2
    )  # [K, P] px²

    apart = ((places[:, :, 0] - places[:, :, 1]) ** 2).sum(axis=-1) > reach
    squared = ((points[:, :, :, None] - places[:, :, None]) ** 2).sum(axis=-1)  # point, place
    squared = np.where(valid[..., None], squared, np.inf)
    near = squared.min(axis=-1) <= reach[..., None]
    left_on, right_on = np.moveaxis(np.where(near, squared.argmin(axis=-1), -1), -1, 0)

    outcomes = np.full(apart.shape, ELSEWHERE)
    outcomes[(left_on == 0) & (right_on == 1)] = BOTH_RIGHT
    outcomes[(left_on == right_on) & (left_on >= 0)] = BOTH_ON_ONE
    outcomes[(left_on == 1) & (right_on == 0)] = EXCHANGED
    outcomes[~(labelled & apart)] = NOT_EVALUATED
    return LeftRight(outcomes)
