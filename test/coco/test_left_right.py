# SPDX-License-Identifier: Apache-2.0
"""Left against right, on persons whose two ankles are put where the outcome says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.error_diagnosis import Matches, match_results
from hrnet_pose_ros.coco.error_tables import error_tables, errors_for_json
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.coco.evaluation import Scores
from hrnet_pose_ros.coco.left_right import (
    BOTH_ON_ONE,
    BOTH_RIGHT,
    ELSEWHERE,
    EXCHANGED,
    NOT_EVALUATED,
    OUTCOMES,
    LeftRight,
    left_right,
    pair_names,
)
from hrnet_pose_ros.coco.measurement import Measurement
from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes
from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

AREA = 10_000.0
LEFT, RIGHT = 15, 16  # ankles
PAIR_NAMES = pair_names(COCO17)
ANKLES = PAIR_NAMES.index("ankles")
# Where an ankle's similarity with a place falls to 0.5, in px.
REACH = float(2 * COCO17.sigmas[LEFT] * np.sqrt(-2 * np.log(0.5) * AREA))
L, R = np.array([100.0, 400.0]), np.array([160.0, 400.0])  # the labelled ankles


def people(count: int = 1, apart: float = 60.0) -> PersonAnnotations:
    """One person an image; every pair but the ankles lies too close together to be evaluated."""
    body = np.zeros((COCO17.joints, 2)) + [120, 200]
    body[LEFT], body[RIGHT] = L, L + [apart, 0]
    return PersonAnnotations(
        path=Path("people.json"),
        image_ids=np.arange(count),
        image_files=tuple(f"{n}.png" for n in range(count)),
        image_sizes=np.tile([640, 480], (count, 1)),
        ids=np.arange(count) + 1,
        image_index=np.arange(count),
        boxes=np.tile([80.0, 100, 100, 320], (count, 1)),
        areas=np.full(count, AREA),
        crowd=np.zeros(count, bool),
        keypoints=np.tile(body, (count, 1, 1)),
        visibility=np.full((count, COCO17.joints), 2, np.uint8),
    )


def estimated(truth: PersonAnnotations, points: np.ndarray) -> tuple[DatasetPoses, Matches]:
    valid = np.isfinite(points).all(axis=2)
    poses = Poses(
        keypoints=points.astype(np.float32),
        scores=(0.8 * valid).astype(np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (len(points), COCO17.joints, 1, 1)),
        valid=valid,
    )
    data = DatasetPoses(ground_truth_boxes(truth), poses, (192, 256))
    return data, match_results(truth, data)


def with_ankles(truth: PersonAnnotations, left: np.ndarray, right: np.ndarray) -> LeftRight:
    points = truth.keypoints.copy()
    points[0, LEFT], points[0, RIGHT] = left, right
    return left_right(truth, *estimated(truth, points))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (L, R, BOTH_RIGHT),
        (L + [0, REACH - 0.5], R + [REACH - 0.5, 0], BOTH_RIGHT),
        (L + [0, REACH + 0.5], R, ELSEWHERE),
        (L, R + [REACH + 0.5, 0], ELSEWHERE),
        (L, L + [3, 2], BOTH_ON_ONE),
        (R - [5, 0], R, BOTH_ON_ONE),
        (R, L, EXCHANGED),
        (R + [4, 4], L - [9, 0], EXCHANGED),
        ((L + R) / 2, R, ELSEWHERE),  # between the feet, on neither
        (L * np.nan, R, ELSEWHERE),  # not valid
        (L * np.nan, R * np.nan, ELSEWHERE),
    ],
)
def test_outcomes(left: np.ndarray, right: np.ndarray, expected: int) -> None:
    found = with_ankles(people(), left, right)
    assert found.outcomes.shape == (1, len(PAIR_NAMES))
    assert found.outcomes[0, ANKLES] == expected
    others = np.delete(found.outcomes[0], ANKLES)
    assert (others == NOT_EVALUATED).all()


def test_the_nearer_of_two_places_that_are_both_near() -> None:
    truth = people(apart=1.5 * REACH)
    right = truth.keypoints[0, RIGHT]
    found = with_ankles(truth, L + [0.7 * REACH, 0], right)  # 0.8 from the right one
    assert found.outcomes[0, ANKLES] == BOTH_RIGHT
    found = with_ankles(truth, L + [0.8 * REACH, 0], right)
    assert found.outcomes[0, ANKLES] == BOTH_ON_ONE


def test_who_is_judged() -> None:
    """Both labelled, and so far apart that an ankle on the other one would be no jitter."""
    for apart, evaluated in ((REACH - 0.5, 0), (REACH + 0.5, 1)):
        truth = people(apart=apart)
        found = with_ankles(truth, *truth.keypoints[0, [LEFT, RIGHT]])
        assert found.evaluated[ANKLES] == evaluated
    truth = people()
    truth.visibility[0, RIGHT] = 0
    assert with_ankles(truth, L, R).evaluated[ANKLES] == 0


def four() -> tuple[PersonAnnotations, DatasetPoses, Matches]:
    """Two persons with both ankles on the left foot, one exchanged, one right."""
    truth = people(4)
    points = truth.keypoints.copy()
    points[:2, RIGHT] = L
    points[2, [LEFT, RIGHT]] = R, L
    return truth, *estimated(truth, points)


def test_shares() -> None:
    found = left_right(*four())
    assert found.evaluated.tolist() == [0] * 7 + [4]
    np.testing.assert_array_equal(found.fractions[ANKLES], [0.25, 0.5, 0.25, 0])
    assert np.isnan(found.fractions[:ANKLES]).all()


def measurement(model: str, truth: PersonAnnotations, *estimates) -> Measurement:
    data, matches = estimates
    info = EngineInfo(model, "openvino", "CPU", "float32", "quarter", "0", 192, 256)
    scores = Scores({}, np.zeros(10), np.zeros(101), np.zeros((10, 101)))
    return Measurement(info, data, scores, matches, left_right(truth, data, matches))


def cells(table: str, name: str) -> list[str]:
    """The cells of the one row with this name."""
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_tables_of_one_and_of_two() -> None:
    truth, data, matches = four()
    bad = measurement("bad", truth, data, matches)
    good = measurement("good", truth, *estimated(truth, truth.keypoints))
    alone = error_tables([bad])
    assert cells(alone, "ankles") == ["4", "25.0", "50.0", "25.0", "0.0"]
    assert cells(alone, "knees") == ["0", "–", "–", "–", "–"]
    # Three of four right ankles are on the left foot: an inversion each.
    assert cells(alone, "right ankle") == ["4", "25.0", "0.0", "75.0", "0.0", "0.0"]
    assert cells(alone, "all")[0] == str(4 * COCO17.joints)
    both = error_tables([bad, good])
    assert cells(both, "ankles") == ["4", "25.0 → 100.0", "50.0 → 0.0", "25.0 → 0.0", "0.0 → 0.0"]
    assert cells(both, "right ankle")[:2] == ["4", "25.0 → 100.0"]
    assert "bad, openvino float32, quarter → good, openvino float32, quarter" in both


def test_json() -> None:
    truth, data, matches = four()
    report = errors_for_json(measurement("bad", truth, data, matches))
    assert report["left_right"]["ankles"] == {
        "evaluated": 4,
        **dict(zip([o.replace(" ", "_") for o in OUTCOMES], [0.25, 0.5, 0.25, 0.0], strict=True)),
    }
    assert report["left_right"]["knees"]["both_right"] is None
    assert report["errors"]["left_ankle"]["inversion"] == pytest.approx(0.25)
    assert report["labelled_joints"]["left_ankle"] == 4
