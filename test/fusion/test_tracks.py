# SPDX-License-Identifier: Apache-2.0
"""Tracks as arrays: what is done for all persons at once is what would be done for each."""

from __future__ import annotations

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, figure, skeletons
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.image_fusion import _side_rays
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.stance import Stance, stance_of
from hrnet_pose_ros.fusion.tracking.associator import Spotted, associate
from hrnet_pose_ros.fusion.tracking.existence import Existence
from hrnet_pose_ros.fusion.tracking.track import STATES, States, Track
from hrnet_pose_ros.pose.camera import Camera

FRAME = 100_000_000
CAMERA = np.array([0.3, 0.0, 1.4])


def track(name: str, at: tuple[float, float], std: float) -> Track:
    mean, covariance = np.zeros(STATES), std**2 * np.eye(STATES)
    mean[:2] = at
    return Track(name, 0, mean, covariance, 0.5, 0)


def test_the_states_of_all_tracks_are_stacked_once_an_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = PeopleFusion(FusionSettings(fixed_base=True), EXTRINSICS)
    stack, times = States.of.__func__, []  # type: ignore[attr-defined]

    def counted(cls: type[States], *arguments: object) -> States:
        times.append(1)
        return stack(cls, *arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr(States, "of", classmethod(counted))
    for k in range(4):
        image = skeletons([figure((5.0, 0.0)), figure((7.0, 1.5))], START + k * FRAME)
        assert isinstance(core.fuse(image, image.stamp), People)
    assert len(times) == 4


def test_the_rays_of_an_images_sides_are_computed_once_a_calibration() -> None:
    _side_rays.cache_clear()
    for _ in range(3):
        rays = _side_rays(Camera(900.0, 900.0, 640.0, 360.0), (1280, 720))
    assert _side_rays.cache_info().misses == 1
    np.testing.assert_allclose(rays[:, 0], [-640 / 900, 639 / 900])
    other = _side_rays(Camera(450.0, 450.0, 320.0, 180.0), (640, 360))
    assert _side_rays.cache_info().misses == 2
    assert other[1, 0] != rays[1, 0]


places = st.tuples(st.floats(2, 25), st.floats(-8, 8))


@settings(max_examples=50, deadline=None)
@given(st.lists(places, min_size=1, max_size=5), st.lists(places, min_size=1, max_size=5))
def test_association_gates_by_the_mahalanobis_distance(
    where: list[tuple[float, float]], spots: list[tuple[float, float]]
) -> None:
    tracks = [track(str(n), at, 0.1 + 0.05 * n) for n, at in enumerate(where)]
    states = States.of(tracks, CAMERA)
    away = np.array(spots) - CAMERA[:2]
    value = 1 / np.hypot(*away.T)
    spotted = Spotted(
        azimuth=np.arctan2(away[:, 1], away[:, 0]),
        azimuth_var=np.full(len(spots), 1e-4),
        value=value,
        variance=(0.05 * value) ** 2,
        ids=[""] * len(spots),
    )
    found = associate(tracks, states, spotted)
    assert len({one.id for one in found.tracks.values()}) == len(found.tracks)
    for n, own in found.tracks.items():
        t = tracks.index(own)
        slopes = states.slopes[t]
        total = slopes @ own.covariance[:2, :2] @ slopes.T
        total += np.diag([spotted.azimuth_var[n], spotted.variance[n]])
        residual = np.array([spotted.azimuth[n], spotted.value[n]]) - states.seen[t]
        assert residual @ np.linalg.solve(total, residual) < 13.8 * (1 + 1e-9)
    rows = [tracks.index(one) for one in found.tracks.values()]
    np.testing.assert_array_equal(found.states.means, states.means[rows])


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0, 1) | st.just(np.nan)), min_size=1))
def test_existence_of_many_is_that_of_each(cases: list[tuple[float, float]]) -> None:
    existence = Existence(FusionSettings())
    before, scores = np.array(cases).T
    together = existence.seen(before, scores)
    assert together.tolist() == [float(existence.seen(b, s)) for b, s in cases]
    assert ((together >= 0.001) & (together <= 0.999)).all()
    assert (together[scores > 0.5] >= np.minimum(before, 0.999)[scores > 0.5]).all()


@given(st.lists(st.none() | st.sampled_from(Refusal)))
def test_outcomes_counted_together_are_those_counted_one_by_one(
    outcomes: list[Refusal | None],
) -> None:
    together, one_by_one = Tally(), Tally()
    together.count_all(outcomes)
    for outcome in outcomes:
        one_by_one.count(outcome)
    assert together == one_by_one
    assert together.received == together.used + together.refused


def test_the_middle_of_a_pair_is_the_mean_of_those_that_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = PeopleFusion(FusionSettings(fixed_base=True), EXTRINSICS)
    looked: list[tuple[PersonViews, Stance]] = []

    def remember(views: PersonViews, roles: JointRoles, correlation: float) -> Stance:
        looked.append((views, stance_of(views, roles, correlation)))
        return looked[-1][1]

    monkeypatch.setattr("hrnet_pose_ros.fusion.people_fusion.stance_of", remember)
    image = skeletons([figure((5.0, 0.0)), figure((7.0, 1.5))], START)
    image.poses.valid[1, core.roles.knees[0]] = False
    image.poses.valid[1, list(core.roles.ankles)] = False
    core.fuse(image, START)
    (views, stance), hips = looked[0], list(core.roles.hips)
    np.testing.assert_allclose(stance.hips.slope, views.slope[:, hips].mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(stance.knees.slope[1], views.slope[1, core.roles.knees[1]])
    assert np.isnan(stance.ankles.slope[1])
    assert stance.knees.count.tolist() == [2, 1]
    # Two errors of variance v that are correlated by c: the mean has v (1 + c) / 2.
    v, c = views.slope_var[0, hips], core.settings.joint_correlation
    mean = ((1 - c) * v.sum() + c * np.sqrt(v).sum() ** 2) / 4
    np.testing.assert_allclose(stance.hips.slope_var[0], mean, rtol=1e-12)
