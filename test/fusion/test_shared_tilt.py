# SPDX-License-Identifier: Apache-2.0
"""The camera's tilt by all tracks together: as if all were estimated in one state, and robust."""

from __future__ import annotations

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, figure, skeletons
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People
from hrnet_pose_ros.fusion.range_table import ErrorModel
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking import shared_tilt
from hrnet_pose_ros.fusion.tracking.predictor import Predictor
from hrnet_pose_ros.fusion.tracking.shared_tilt import SharedTilt, told
from hrnet_pose_ros.fusion.tracking.track import LASTING, PLACE, STATES, TILT, States, Track

MODEL = ErrorModel.of(FusionSettings(fixed_base=True), imu=False)
CAMERA = np.array([0.3, 0.0])
FRAME = 100_000_000


def states_of(places: list[tuple[float, float]], tilts: np.ndarray, noise: np.ndarray) -> States:
    """Tracks at places, each of which has measured its tilt once, with variances ``noise``.

    Their inverse ranges depend on the tilt as those of ground contacts of a camera at 1.4 m.
    """
    means, covariances = np.zeros((len(places), STATES)), np.zeros((len(places), STATES, STATES))
    for n, place in enumerate(places):
        means[n, PLACE] = place
        covariances[n] = np.diag([0.5, 0.5, 1.0, 1.0, *MODEL.lasting**2])
        away = np.array(place) - CAMERA
        r = np.hypot(*away)
        # Further away by r²/1.4 m for each rad.
        by_tilt = away / r * r**2 / 1.4
        covariances[n, PLACE, TILT] = by_tilt * MODEL.tilt**2
        covariances[n, TILT, PLACE] = covariances[n, PLACE, TILT]
        covariances[n, PLACE, PLACE] += np.outer(by_tilt, by_tilt) * MODEL.tilt**2
        gain = covariances[n, :, TILT] / (MODEL.tilt**2 + noise[n])
        means[n] += gain * tilts[n]
        covariances[n] -= np.outer(gain, covariances[n, :, TILT])
    return States(means, covariances, CAMERA)


places = st.tuples(st.floats(3, 25), st.floats(-8, 8))
evidence = st.tuples(places, st.floats(-0.01, 0.01), st.floats(0.004, 0.05))


@settings(max_examples=50, deadline=None)
@given(st.lists(evidence, min_size=1, max_size=6))
def test_it_is_the_estimate_of_pitch_and_roll_from_all_measurements(
    cases: list[tuple[tuple[float, float], float, float]],
) -> None:
    """With nothing in common, and evidence that fits: the posterior of a linear normal model."""
    where, tilts, stds = [c[0] for c in cases], *(np.array([c[k] for c in cases]) for k in (1, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_tilt, "COMMON_STD", 0.0)
        patch.setattr(shared_tilt, "COMMON_JITTER", 0.0)
        patch.setattr(shared_tilt, "FREEDOM", 1e9)
        patch.setattr(shared_tilt, "LEAST", 0.0)
        states = states_of(where, tilts, stds**2)
        shared = SharedTilt.of(states, MODEL)
    u = shared.towards
    np.testing.assert_allclose(np.hypot(*u.T), 1)
    for left_out in (None, *range(len(cases))):
        use = np.arange(len(cases)) != left_out
        matrix = np.eye(2) / MODEL.tilt**2 + (u[use].T / stds[use] ** 2) @ u[use]
        covariance = np.linalg.inv(matrix)
        both = covariance @ (u[use].T @ (tilts[use] / stds[use] ** 2))
        if left_out is None:
            found, towards = shared.at(u), u
        else:
            found, towards = shared.by_others[[left_out]], u[[left_out]]
        variance = np.einsum("ni,ij,nj->n", towards, covariance, towards)
        np.testing.assert_allclose(found[:, 1], variance, rtol=1e-6)
        np.testing.assert_allclose(found[:, 0], towards @ both, rtol=1e-5, atol=1e-9)


def test_a_single_track_is_told_nothing() -> None:
    states = states_of([(8.0, 1.0)], np.array([0.01]), np.array([0.004**2]))
    shared = SharedTilt.of(states, MODEL)
    np.testing.assert_allclose(shared.by_others, [[0.0, MODEL.tilt**2]], atol=1e-12)
    np.testing.assert_array_equal(told(states, shared).means, states.means)
    assert len(SharedTilt.of(states.select([]), MODEL).by_others) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(evidence, min_size=1, max_size=6))
def test_who_is_told_knows_more_and_stays_in_the_same_direction(
    cases: list[tuple[tuple[float, float], float, float]],
) -> None:
    where, tilts, stds = [c[0] for c in cases], *(np.array([c[k] for c in cases]) for k in (1, 2))
    states = states_of(where, tilts, stds**2)
    after = told(states, SharedTilt.of(states, MODEL))
    assert (np.linalg.eigvalsh(after.covariances) > 0).all()
    before = states.covariances[:, TILT, TILT]
    assert (after.covariances[:, TILT, TILT] <= before * (1 + 1e-9)).all()
    np.testing.assert_allclose(after.seen[:, 0], states.seen[:, 0], atol=1e-9)
    # The evidence of many is no better than what is common to it.
    assert (after.covariances[:, TILT, TILT] >= 1 / (1 / before + 1 / 0.25**2 * 57.3**2)).all()


def test_what_is_told_moves_people_as_a_tilt_does() -> None:
    """Ground contacts at 10 and 20 m: the same angle moves the second one by the square."""
    where = [(10.3, 0.0), (20.3, 0.0), (6.3, 0.0)]
    states = states_of(where, np.array([0.0, 0.0, -0.008]), np.array([1.0, 1.0, 0.001**2]))
    after = told(states, SharedTilt.of(states, MODEL))
    learned = after.means[:2, TILT]
    assert (learned < -0.004).all()
    moved = after.seen[:2, 1] - states.seen[:2, 1]
    np.testing.assert_allclose(moved, -learned / 1.4, rtol=0.1)


def test_evidence_that_nobody_shares_counts_little() -> None:
    """Four agree, and one, with wrong feet, is sure of the contrary."""
    where = [(6.0, -2.0), (8.0, 1.0), (9.0, 3.0), (12.0, -1.0), (10.0, 0.0)]
    tilts = np.array([-0.006, -0.005, -0.007, -0.006, 0.03])
    shared = SharedTilt.of(states_of(where, tilts, np.full(5, 0.003**2)), MODEL)
    alone = SharedTilt.of(states_of(where[:4], tilts[:4], np.full(4, 0.003**2)), MODEL)
    ahead = np.array([[1.0, 0.0]])
    assert shared.at(ahead)[0, 0] == pytest.approx(alone.at(ahead)[0, 0], abs=0.003)


@pytest.mark.parametrize("pitch", [-0.8, 0.8])
def test_six_persons_know_a_tilt_that_one_does_not(pitch: float) -> None:
    """A mount that is off by 0.8°: the farther half of six persons of average stature."""
    where = [(5.0, -2.0), (6.5, 2.0), (8.0, 0.0), (11.0, -3.0), (14.0, 3.5), (17.0, -0.5)]
    errors = {}
    for count in (1, 6):
        core = PeopleFusion(FusionSettings(fixed_base=True), EXTRINSICS)
        rng = np.random.default_rng(3)
        for k in range(20):
            image = skeletons(
                [figure(place) for place in where[-count:]],
                START + k * FRAME,
                noise=rng.normal(0, 1.0, (count, 17, 2)),
                pitch=np.deg2rad(pitch),
            )
            people = core.fuse(image, image.stamp)
        assert isinstance(people, People)
        far = people.people[-1]
        errors[count] = np.hypot(*(far.position[:2] - where[-1]))
        std = np.sqrt(np.linalg.eigvalsh(far.covariance[:2, :2])[-1])
        assert errors[count] < 2.5 * std
    assert errors[6] < 0.6 * errors[1]


def test_an_imu_that_comes_or_falls_silent_changes_what_is_known_of_the_tilt() -> None:
    def predicted(tilts: list[float]) -> Track:
        core = PeopleFusion(FusionSettings(), EXTRINSICS)
        predictor = Predictor(core.settings)
        one = Track("1", 0, np.zeros(STATES), np.eye(STATES), 0.9, 0)
        one.mean[TILT] = 0.001
        one.covariance[LASTING, LASTING] = np.diag(MODEL.lasting**2)
        one.covariance[TILT, TILT] = 1e-6
        one.covariance[0, TILT] = one.covariance[TILT, 0] = 1e-4
        for k, tilt in enumerate(tilts):
            lasting = MODEL.lasting.copy()
            lasting[1] = tilt
            predictor.predict([one], k * FRAME, core.ego, lasting, CAMERA)
        return one

    silent = predicted([0.002, 0.009])
    assert silent.covariance[TILT, TILT] == pytest.approx(1e-6 + 0.009**2 - 0.002**2, rel=0.01)
    assert silent.mean[TILT] == pytest.approx(0.001, rel=0.01)
    came = predicted([0.009, 0.002])
    assert came.covariance[TILT, TILT] == pytest.approx(0.002**2)
    assert came.mean[TILT] == came.covariance[0, TILT] == 0.0
