# SPDX-License-Identifier: Apache-2.0
"""What holds for every uncertainty calibration: monotone, positive definite, exact in JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.model_files.metadata import KEY_PREFIX, ModelError, ModelMetadata
from hrnet_pose_ros.pose.evidence import EVIDENCE
from hrnet_pose_ros.pose.oks import oks
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.pose.uncertainty import (
    UncertaintyCalibration,
    calibration_key,
    find_calibration,
    found_distances,
)
from hrnet_pose_ros.skeleton import COCO17, find_skeleton

NEUTRAL = UncertaintyCalibration(
    heatmap_factors=(1.0,) * COCO17.joints,
    box_factors=(0.0,) * COCO17.joints,
    spread_peaks=(0.5,),
    spread=(1.0,),
    peaks=(0.0, 1.0),
    probabilities=(0.0, 1.0),
    probability_shifts=(0.0,) * COCO17.joints,
)

IMAGE = (640, 480)

numbers = st.floats(1e-6, 1e3)
positive = st.lists(numbers, min_size=COCO17.joints, max_size=COCO17.joints)
places = st.lists(st.integers(-500, 1500), min_size=1, max_size=9, unique=True).map(
    lambda thousandths: [place / 1000 for place in sorted(thousandths)]
)


@st.composite
def calibrations(draw: st.DrawFn) -> UncertaintyCalibration:
    spread_peaks, peaks = draw(places), draw(places)
    spread = sorted((draw(numbers) for _ in spread_peaks), reverse=True)
    probabilities = sorted(draw(st.floats(0, 1)) for _ in peaks)
    shifts = draw(st.lists(st.floats(-6, 6), min_size=COCO17.joints, max_size=COCO17.joints))
    return UncertaintyCalibration(
        tuple(draw(positive)),
        tuple(draw(st.one_of(positive, st.just([0.0] * COCO17.joints)))),
        tuple(spread_peaks),
        tuple(spread),
        tuple(peaks),
        tuple(probabilities),
        tuple(shifts),
        tuple(draw(st.lists(st.floats(-3, 3), min_size=6, max_size=6))),
        origin=draw(st.text(max_size=20)),
    )


def some_poses(seed: int, persons: int = 3) -> tuple[Poses, np.ndarray]:
    rng = np.random.default_rng(seed)
    roots = rng.normal(0, 3, (persons, 17, 2, 2))
    covariances = roots @ roots.swapaxes(-1, -2) + 0.1 * np.eye(2)
    valid = rng.random((persons, 17)) < 0.8
    poses = Poses(
        keypoints=np.where(valid[..., None], rng.uniform(0, 500, (persons, 17, 2)), np.nan),
        scores=np.where(valid, rng.uniform(0, 1.3, (persons, 17)), 0).astype(np.float32),
        covariances=np.where(valid[..., None, None], covariances, np.nan).astype(np.float32),
        valid=valid,
    )
    return poses, rng.uniform(10, 300, (persons, 4)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(calibrations())
def test_json_round_trip_is_exact(calibration: UncertaintyCalibration) -> None:
    again = UncertaintyCalibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again == calibration


@settings(max_examples=40, deadline=None)
@given(calibrations(), st.lists(st.floats(-1, 2), min_size=2, max_size=20).map(sorted))
def test_maps_are_monotone(calibration: UncertaintyCalibration, peaks: list[float]) -> None:
    """Rounding of interpolation is forgiven, 1e-9 of the value."""
    spread = calibration.spread_of(np.array(peaks))
    assert (spread[1:] <= spread[:-1] * (1 + 1e-9)).all()
    assert (spread > 0).all()
    for joint in range(COCO17.joints):
        probability = calibration.probability_of(np.array(peaks), np.array(joint))
        assert (probability[1:] >= probability[:-1] * (1 - 1e-9)).all()
        assert ((probability > 0) & (probability < 1)).all()


@settings(max_examples=40, deadline=None)
@given(calibrations(), st.integers(0, 1000))
def test_covariances_stay_positive_definite(calibration: UncertaintyCalibration, seed: int) -> None:
    poses, boxes = some_poses(seed)
    applied = calibration.apply(poses, boxes, IMAGE)
    np.testing.assert_array_equal(applied.keypoints, poses.keypoints)
    np.testing.assert_array_equal(applied.valid, poses.valid)
    assert (applied.scores[~poses.valid] == 0).all()
    assert ((applied.scores[poses.valid] >= 0) & (applied.scores[poses.valid] <= 1)).all()
    assert np.isnan(applied.covariances[~poses.valid]).all()
    good = applied.covariances[poses.valid].astype(np.float64)
    np.testing.assert_array_equal(good, good.swapaxes(-1, -2))
    # Of the parts added up none shrinks the determinant; float32 leaves 1e-6 of the larger axis.
    assert (np.linalg.eigvalsh(good)[:, 0] > -1e-6 * np.trace(good, axis1=1, axis2=2)).all()


def test_the_formula() -> None:
    """By hand for one joint: spread 4 at its peak, 2 of the heatmap's, 0.01 of the box."""
    poses, boxes = some_poses(0, persons=1)
    boxes[0, 2:] = (40, 50)
    calibration = replace(
        NEUTRAL,
        heatmap_factors=(2.0,) * COCO17.joints,
        box_factors=(0.01,) * COCO17.joints,
        spread_peaks=(0.0, 1.0),
        spread=(16.0, 1.0),
        probability_shifts=(0.0, float(np.log(3)), *[0.0] * (COCO17.joints - 2)),
    )
    poses.valid[:] = True
    poses.scores[:] = 0.5
    poses.keypoints[:] = 0
    poses.covariances[:] = [[3, 1], [1, 2]]
    applied = calibration.apply(poses, boxes, IMAGE)
    expected = 4 * (2 * np.array([[3, 1], [1, 2]]) + 0.01 * 2000 * np.eye(2))
    np.testing.assert_allclose(applied.covariances[0, 5], expected, rtol=1e-6)
    np.testing.assert_allclose(applied.scores[0, 0], 0.5, rtol=1e-6)
    np.testing.assert_allclose(applied.scores[0, 1], 0.75, rtol=1e-6)  # odds of 1 become 3


def test_an_empty_image() -> None:
    assert len(NEUTRAL.apply(Poses.empty(), np.zeros((0, 4), np.float32), IMAGE)) == 0


@settings(max_examples=40, deadline=None)
@given(calibrations(), st.integers(0, 1000), st.floats(0, 1))
def test_a_higher_peak_never_lowers_its_score(
    calibration: UncertaintyCalibration, seed: int, more: float
) -> None:
    """Whatever the evidence weighs: a joint's own peak is not part of its own evidence."""
    poses, boxes = some_poses(seed)
    person, joint = (int(places[0]) for places in np.nonzero(poses.valid))
    before = calibration.apply(poses, boxes, IMAGE)
    poses.scores[person, joint] += np.float32(more)
    after = calibration.apply(poses, boxes, IMAGE)
    assert after.scores[person, joint] >= before.scores[person, joint] - 1e-6
    narrower, wider = (np.trace(one.covariances[person, joint]) for one in (after, before))
    assert narrower <= wider * (1 + 1e-6)


def test_evidence_moves_the_effective_peak() -> None:
    """By hand: a key point half a box below its box, at a weight of -0.4 for a whole one."""
    poses, boxes = some_poses(0, persons=1)
    poses.valid[:] = True
    poses.scores[:] = 0.7
    poses.covariances[:] = np.eye(2)
    boxes[0] = (100, 100, 50, 80)
    poses.keypoints[:] = (125, 140)
    poses.keypoints[0, 16] = (125, 180 + 40)
    weights = [0.0] * len(EVIDENCE)
    weights[EVIDENCE.index("outside_box")] = -0.4
    applied = replace(NEUTRAL, evidence_weights=tuple(weights)).apply(poses, boxes, IMAGE)
    np.testing.assert_allclose(applied.scores[0, :16], 0.7, rtol=1e-6)
    assert applied.scores[0, 16] == pytest.approx(0.7 - 0.4 * 0.5)


def test_files_of_before_the_evidence_are_read() -> None:
    """Their maps are of the raw peak, as they were fitted: the weights are 0."""
    values = NEUTRAL.to_json()
    del values["evidence_weights"]
    assert UncertaintyCalibration.from_json(values) == NEUTRAL


def test_found_distance_is_where_the_oks_term_is_a_half() -> None:
    for joint, distance in enumerate(found_distances(COCO17)):
        there = np.zeros((1, 17, 2))
        there[0, joint, 0] = distance * 30
        counted = np.arange(COCO17.joints)[None] == joint
        assert oks(there, np.zeros((1, 17, 2)), [900.0], counted)[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"heatmap_factors": (1.0,) * 16},
            "box_factors must have as many numbers as",
        ),
        ({"heatmap_factors": (-1.0,) * COCO17.joints}, "not be negative"),
        ({"heatmap_factors": (0.0,) * COCO17.joints}, "box_factors must be above 0"),
        ({"box_factors": (np.nan,) * COCO17.joints}, "box_factors must be finite"),
        ({"spread": (0.0,)}, "spread must be above 0"),
        ({"spread_peaks": (0.1, 0.9), "spread": (1.0, 2.0)}, "never increase"),
        ({"spread_peaks": (0.9, 0.1), "spread": (2.0, 1.0)}, "spread_peaks must be increasing"),
        ({"spread_peaks": (0.0, 1e-310), "spread": (2.0, 1.0)}, "spread_peaks must be increasing"),
        ({"spread": (2.0, 1.0)}, "spread must have as many numbers as spread_peaks"),
        ({"probabilities": (0.5, 0.4)}, "never decrease"),
        ({"probabilities": (0.5, 1.4)}, "in \\[0, 1\\]"),
        ({"peaks": (), "probabilities": ()}, "peaks must be increasing"),
        ({"evidence_weights": (0.0,) * 5}, "evidence_weights must have 6 numbers"),
        ({"evidence_weights": (np.inf,) * 6}, "evidence_weights must be finite"),
    ],
)
def test_impossible_ones_are_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(NEUTRAL, **change)


@pytest.mark.parametrize(
    "values", [None, [], {}, {**NEUTRAL.to_json(), "more": 1}, {**NEUTRAL.to_json(), "peaks": "x"}]
)
def test_other_json_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="calibration"):
        UncertaintyCalibration.from_json(values)


def test_a_model_carries_several() -> None:
    metadata = ModelMetadata("m", "hrnet_w32", 192, 256, 2.0, True, "", "0")
    assert KEY_PREFIX + "calibrations" not in metadata.to_properties()
    other = replace(NEUTRAL, origin="other")
    both = replace(
        metadata, calibrations={"quarter": NEUTRAL.to_json(), "dark+flip": other.to_json()}
    )
    again = ModelMetadata.from_properties(both.to_properties())
    assert again == both
    assert find_calibration(again.calibrations, "quarter", False, COCO17) == NEUTRAL
    assert find_calibration(again.calibrations, "dark", True, COCO17) == other
    assert find_calibration(again.calibrations, "dark", False, COCO17) is None
    with pytest.raises(ValueError, match="of 17 joints, but 'mpii16' has 16"):
        find_calibration(again.calibrations, "dark", True, find_skeleton("mpii16"))
    assert calibration_key("dark", True) == "dark+flip"


def test_a_damaged_key_is_named() -> None:
    metadata = ModelMetadata("m", "hrnet_w32", 192, 256, 2.0, True, "", "0")
    properties = metadata.to_properties() | {KEY_PREFIX + "calibrations": "[1"}
    with pytest.raises(ModelError, match="calibrations' is unreadable"):
        ModelMetadata.from_properties(properties)
