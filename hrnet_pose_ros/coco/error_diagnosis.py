# SPDX-License-Identifier: Apache-2.0
"""Error types of a model, joint by joint.

After Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation"
(ICCV 2017). Each is defined by the similarity of a key point to a labelled position,
``exp(-d² / (2·area·k²))``, with the area of the person and the k of the joint:

good
    at least 0.85 to its own label
jitter
    at least 0.5, but below 0.85 to its own label
inversion
    below 0.5 to its own label, at least 0.5 to that of the mirrored joint of the same person
swap
    below 0.5 to its own label, at least 0.5 to that of the joint, or of the mirrored joint, of
    another person in the image
miss
    none of these, and every joint that is not valid

If both an inversion and a swap are possible, the higher similarity decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.pose.oks import oks

ERROR_TYPES = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
NOT_LABELLED = -1

GOOD_SIMILARITY = 0.85
NEAR_SIMILARITY = 0.5
# Minimum OKS of a match between a result and a labelled person (Ronchi and Perona, section 3).
MATCH_OKS = 0.1


@dataclass(frozen=True)
class Matches:
    """K results matched with labelled persons.

    Attributes
    ----------
    persons, poses
        int64 ``[K]``: indices into the annotations and into the poses.
    oks
        float64 ``[K]``.
    similarities
        float64 ``[K, J]``: of each key point with its own label; NaN if not labelled.
    errors
        int64 ``[K, J]``: indices into `ERROR_TYPES`, or `NOT_LABELLED`.
    unmatched_persons
        Labelled persons without a result.
    """

    persons: np.ndarray
    poses: np.ndarray
    oks: np.ndarray
    similarities: np.ndarray
    errors: np.ndarray
    unmatched_persons: int


def match_results(annotations: PersonAnnotations, data: DatasetPoses) -> Matches:
    """Match the results left by OKS-NMS with labelled persons and classify the error of each joint.

    In each image, in descending order of score, a result is matched with the unmatched person of
    the highest OKS if that is at least `MATCH_OKS`. Crowds and persons without a labelled joint
    are ignored.
    """
    skeleton = annotations.skeleton
    joints = skeleton.joints
    countable = ~annotations.crowd & annotations.labelled.any(axis=1) & (annotations.areas > 0)
    free = countable.copy()
    pairs: list[tuple[int, int, float]] = []
    for pose in data.kept():
        same = annotations.image_index == data.boxes.image_index[pose]
        persons = np.flatnonzero(free & same)
        if not len(persons):
            continue
        points = np.broadcast_to(data.poses.keypoints[pose], (len(persons), joints, 2))
        similar = oks(
            points,
            annotations.keypoints[persons],
            annotations.areas[persons],
            annotations.labelled[persons],
            skeleton,
        )
        best = int(similar.argmax())
        if similar[best] >= MATCH_OKS:
            free[persons[best]] = False
            pairs.append((int(persons[best]), int(pose), float(similar[best])))
    persons = np.array([pair[0] for pair in pairs], np.int64)
    poses = np.array([pair[1] for pair in pairs], np.int64)
    similarities = np.full((len(pairs), joints), np.nan)
    errors = np.full((len(pairs), joints), NOT_LABELLED)
    for row, (person, pose, _) in enumerate(pairs):
        points = data.poses.keypoints[pose].astype(np.float64)
        same = annotations.image_index == annotations.image_index[person]
        others = np.flatnonzero(countable & same)
        similarities[row], errors[row] = _errors(
            annotations, person, others[others != person], points
        )
    found = np.array([pair[2] for pair in pairs])
    return Matches(persons, poses, found, similarities, errors, int(free.sum()))


def _errors(
    annotations: PersonAnnotations, person: int, others: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities and errors ``[J]`` of one result's key points ``[J, 2]``."""
    labelled, mirrored = annotations.labelled[person], annotations.skeleton.mirrored
    falloff = 2 * annotations.areas[person] * (2 * annotations.skeleton.sigmas) ** 2  # [J]

    def similarity(persons: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """``[P, J]`` with these joints of persons ``[P]``; 0 if a joint is not labelled."""
        squared = ((annotations.keypoints[persons][:, joints] - points) ** 2).sum(axis=-1)
        known = annotations.labelled[persons][:, joints] & np.isfinite(squared)
        return np.where(known, np.exp(-np.where(known, squared, 0) / falloff), 0.0)

    joints = np.arange(len(labelled))
    own = similarity(np.array([person]), joints)[0]
    # A joint that is its own mirror joint, as the nose, is not inverted.
    inverted = np.where(joints == mirrored, 0, similarity(np.array([person]), mirrored)[0])
    swapped = np.zeros(len(joints))
    if len(others):
        both = np.concatenate([similarity(others, joints), similarity(others, mirrored)])
        swapped = both.max(axis=0)
    errors = np.full(len(joints), MISS)
    errors[np.maximum(inverted, swapped) >= NEAR_SIMILARITY] = SWAP
    errors[(inverted >= NEAR_SIMILARITY) & (inverted >= swapped)] = INVERSION
    errors[own >= NEAR_SIMILARITY] = JITTER
    errors[own >= GOOD_SIMILARITY] = GOOD
    errors[~labelled] = NOT_LABELLED
    return np.where(labelled, own, np.nan), errors


def error_fractions(matches: Matches) -> np.ndarray:
    """float64 ``[J, 5]``: the fraction of each error type among the labels of each joint."""
    counts = np.stack([(matches.errors == kind).sum(axis=0) for kind in range(len(ERROR_TYPES))], 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
