# SPDX-License-Identifier: Apache-2.0
"""Kinds of errors, on two people whose every key point is put where the kind says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.error_diagnosis import (
    ERROR_TYPES,
    GOOD,
    INVERSION,
    JITTER,
    MISS,
    NOT_LABELLED,
    SWAP,
    error_fractions,
    match_results,
)
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

AREA = 10_000.0
LEFT_WRIST, RIGHT_WRIST, NOSE = 9, 10, 0


def two_people() -> PersonAnnotations:
    """In one image, 300 px apart, joints 20 px or more apart; a third, in a group, is not seen."""
    body = np.stack([np.arange(COCO17.joints) * 1.0, np.arange(COCO17.joints) * 20.0], axis=1)
    keypoints = np.stack([body + [100, 50], body + [400, 50], body + [100, 50]])
    visibility = np.full((3, COCO17.joints), 2, np.uint8)
    visibility[0, 1] = 0
    return PersonAnnotations(
        path=Path("two.json"),
        image_ids=np.array([7]),
        image_files=("7.png",),
        image_sizes=np.array([[600, 480]]),
        ids=np.array([1, 2, 3]),
        image_index=np.zeros(3, np.int64),
        boxes=np.array([[80, 40, 60, 360], [380, 40, 60, 360], [80, 40, 60, 360]], float),
        areas=np.full(3, AREA),
        crowd=np.array([False, False, True]),
        keypoints=keypoints,
        visibility=visibility,
    )


def estimated(people: PersonAnnotations, points: np.ndarray, valid: np.ndarray) -> DatasetPoses:
    poses = Poses(
        keypoints=np.where(valid[..., None], points, np.nan).astype(np.float32),
        scores=(0.8 * valid).astype(np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (2, COCO17.joints, 1, 1)),
        valid=valid,
    )
    return DatasetPoses(ground_truth_boxes(people), poses, (192, 256))


def at_similarity(similarity: float, joint: int) -> float:
    """The distance in px at which a key point of that joint has this similarity."""
    return float(np.sqrt(-2 * np.log(similarity) * AREA) * 2 * COCO17.sigmas[joint])


@pytest.mark.parametrize(
    ("joint", "place", "expected"),
    [
        (LEFT_WRIST, lambda p: p[0, LEFT_WRIST], GOOD),
        (LEFT_WRIST, lambda p: p[0, LEFT_WRIST] + [at_similarity(0.86, 9), 0], GOOD),
        (LEFT_WRIST, lambda p: p[0, LEFT_WRIST] + [at_similarity(0.84, 9), 0], JITTER),
        (LEFT_WRIST, lambda p: p[0, LEFT_WRIST] + [-at_similarity(0.51, 9), 0], JITTER),
        (LEFT_WRIST, lambda p: p[0, LEFT_WRIST] + [-at_similarity(0.49, 9), 0], MISS),
        (LEFT_WRIST, lambda p: p[0, RIGHT_WRIST], INVERSION),
        (LEFT_WRIST, lambda p: p[1, LEFT_WRIST], SWAP),
        (LEFT_WRIST, lambda p: p[1, RIGHT_WRIST], SWAP),
        (LEFT_WRIST, lambda p: p[1, NOSE], MISS),  # another joint of another person
        (NOSE, lambda p: p[0, NOSE] + [at_similarity(0.3, 0), 0], MISS),  # is its own mirror
        (NOSE, lambda p: p[1, NOSE], SWAP),
        (LEFT_WRIST, lambda p: p[0, LEFT_WRIST] * np.nan, MISS),  # not valid
        (1, lambda p: p[0, 1], NOT_LABELLED),
    ],
)
def test_kinds(joint: int, place, expected: int) -> None:
    people = two_people()
    points = people.keypoints[:2].copy()
    # Mirrored joints must lie apart from each other for the rows that tell them apart.
    points[0, joint] = place(people.keypoints)
    valid = np.isfinite(points).all(axis=2)
    matches = match_results(people, estimated(people, points, valid))
    row = matches.persons.tolist().index(0)
    assert matches.errors[row, joint] == expected
    others = np.setdiff1d(np.arange(COCO17.joints), [joint, 1])
    assert (matches.errors[row, others] == GOOD).all()


def test_the_rows_above_tell_joints_apart() -> None:
    """A wrist on the other wrist is below 0.5 to its own place, else it would be jitter."""
    people = two_people()
    apart = np.linalg.norm(people.keypoints[0] - people.keypoints[0, COCO17.mirrored], axis=1)
    wrist = at_similarity(0.5, LEFT_WRIST)
    assert apart[LEFT_WRIST] > wrist


def test_each_person_is_matched_once_and_groups_never() -> None:
    people = two_people()
    points = np.stack([people.keypoints[0], people.keypoints[0] + 0.5])  # both on the first
    matches = match_results(people, estimated(people, points, np.ones((2, COCO17.joints), bool)))
    assert matches.persons.tolist() == [0]
    assert matches.unmatched_persons == 1


def test_shares_of_a_joint_add_up() -> None:
    people = two_people()
    points = people.keypoints[:2] + np.random.default_rng(0).normal(0, 15, (2, COCO17.joints, 2))
    matches = match_results(people, estimated(people, points, np.ones((2, COCO17.joints), bool)))
    fractions = error_fractions(matches)
    assert fractions.shape == (COCO17.joints, len(ERROR_TYPES))
    np.testing.assert_allclose(fractions.sum(axis=1), 1)
