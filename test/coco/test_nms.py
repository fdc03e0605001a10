# SPDX-License-Identifier: Apache-2.0
"""OKS-NMS against its definition, joint by joint."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.coco.nms import OKS_THRESHOLD, oks_nms, padded_areas
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17


def poses_of(points: np.ndarray, valid: np.ndarray) -> Poses:
    n = len(points)
    return Poses(
        keypoints=np.where(valid[..., None], points, np.nan).astype(np.float32),
        scores=valid.astype(np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (n, COCO17.joints, 1, 1)),
        valid=valid,
    )


def by_definition(poses: Poses, scores: list[float], areas: list[float], limit: float) -> list[int]:
    """No arrays: each pair of persons, each joint."""
    kept: list[int] = []
    for one in sorted(range(len(scores)), key=lambda n: (-scores[n], n)):
        for better in kept:
            total, joints = 0.0, 0
            for joint in range(COCO17.joints):
                a, b = bool(poses.valid[better, joint]), bool(poses.valid[one, joint])
                joints += a or b
                if a and b:
                    dx, dy = (
                        float(poses.keypoints[better, joint, axis])
                        - float(poses.keypoints[one, joint, axis])
                        for axis in (0, 1)
                    )
                    area = (areas[better] + areas[one]) / 2
                    total += math.exp(
                        -(dx * dx + dy * dy) / (2 * area * (2 * COCO17.sigmas[joint]) ** 2)
                    )
            if joints and total / joints > limit:
                break
        else:
            kept.append(one)
    return kept


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    persons=st.integers(0, 8),
    spread=st.sampled_from([0.5, 2.0, 6.0, 20.0]),
    limit=st.sampled_from([0.5, OKS_THRESHOLD]),
)
def test_as_defined(seed: int, persons: int, spread: float, limit: float) -> None:
    rng = np.random.default_rng(seed)
    body = rng.uniform(0, 200, (COCO17.joints, 2))
    points = body + rng.normal(0, spread, (persons, COCO17.joints, 2))
    poses = poses_of(points, rng.random((persons, COCO17.joints)) < rng.choice([0.0, 0.7, 1.0]))
    scores = rng.integers(0, 4, persons) / 4  # with equal ones
    areas = rng.uniform(1e3, 4e4, persons)
    kept = oks_nms(poses, scores, areas, limit)
    assert kept.tolist() == by_definition(poses, scores.tolist(), areas.tolist(), limit)


def test_of_twins_the_better_stays() -> None:
    points = np.repeat(np.random.default_rng(0).uniform(0, 100, (1, COCO17.joints, 2)), 3, axis=0)
    points[2] += 300
    poses = poses_of(points, np.ones((3, COCO17.joints), bool))
    assert oks_nms(poses, np.array([0.3, 0.8, 0.5]), np.full(3, 1e4)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("box", "area"),
    [
        ((10, 20, 60, 100), (1.25 * 75) * (1.25 * 100)),  # too narrow: 0.75 of the height
        ((10, 20, 90, 60), (1.25 * 90) * (1.25 * 120)),  # too wide
    ],
)
def test_padded_area(box: tuple[float, ...], area: float) -> None:
    np.testing.assert_allclose(padded_areas(np.array([box], float), (192, 256)), [area])
