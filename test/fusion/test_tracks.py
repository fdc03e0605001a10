# SPDX-License-Identifier: Apache-2.0
"""Tracks as arrays: what is done for all persons at once is what would be done for each."""

from __future__ import annotations

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, figure, skeletons
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.image_fusion import _side_rays
from hrnet_pose_ros.fusion.joint_roles import HIPS_ALIKE, JointRoles
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.range_fusion import fuse
from hrnet_pose_ros.fusion.range_table import ErrorModel, RangeTable
from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.stance import Stance, stance_of
from hrnet_pose_ros.fusion.tracking.associator import Spotted, associate
from hrnet_pose_ros.fusion.tracking.existence import Existence
from hrnet_pose_ros.fusion.tracking.track import STATES, YAW, States, Track
from hrnet_pose_ros.fusion.tracking.tracker import begin_states
from hrnet_pose_ros.fusion.tracking.updater import Sightings, update
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


@given(st.floats(0.25, 2.0), st.floats(0.1, 0.6), st.floats(4, 30))
def test_somebody_near_by_is_not_found_far_away(near: float, part: float, far: float) -> None:
    """In inverse range, a track's error would reach to infinity; it is one in metres."""
    std = part * near
    if far - near < 6 * np.hypot(std, 0.08 * far):
        return
    tracks = [track("1", (CAMERA[0] + near, CAMERA[1]), std)]
    spotted = Spotted(
        azimuth=np.zeros(1),
        azimuth_var=np.full(1, 1e-4),
        value=np.array([1 / far]),
        variance=np.array([(0.08 / far) ** 2]),
        ids=[""],
    )
    assert not associate(tracks, States.of(tracks, CAMERA), spotted).tracks


@pytest.mark.parametrize("name", ["", "7"])
def test_who_comes_after_somebody_near_by_is_placed_where_they_are(name: str) -> None:
    """Somebody passes the camera; later, somebody else is seen at the same bearing, far away.

    With the same id of the detector as well, which then has mistaken one for the other.
    """
    core = PeopleFusion(FusionSettings(fixed_base=True), EXTRINSICS)
    for k in range(12):
        image = skeletons([figure((2.6 - 0.13 * k, 0.05))], START + k * FRAME, ids=(name,))
        assert isinstance(core.fuse(image, image.stamp), People)
    image = skeletons([figure((9.0, 0.0))], START + 20 * FRAME, ids=(name,))
    people = core.fuse(image, image.stamp)
    assert isinstance(people, People)
    (person,) = [one for one in people.people if one.skeleton_index == 0]
    assert person.position[0] == pytest.approx(9.0, abs=1.5)
    deviation = np.sqrt(person.covariance[0, 0])
    assert abs(person.position[0] - 9.0) < 2 * deviation < 3


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
    v, c = views.slope_var[0, hips], HIPS_ALIKE
    mean = ((1 - c) * v.sum() + c * np.sqrt(v).sum() ** 2) / 4
    np.testing.assert_allclose(stance.hips.slope_var[0], mean, rtol=1e-12)


def test_a_hardly_known_range_does_not_lead_the_filter_behind_the_camera() -> None:
    """Somebody lies 7 m away and is known by the feet alone, to a third of the range; the box,
    which is low, allows 60 m."""
    camera, n = CAMERA, 1
    azimuth, value, std = np.array([0.1]), np.array([1 / 8.8]), np.array([2.67 / 8.8**2])
    answers = CueAnswers(n)
    answers.value[:], answers.variance[:] = value, std**2
    model = ErrorModel.of(FusionSettings(), imu=False)
    table = RangeTable.of(("ground",), {"ground": answers}, np.full((n, 17), np.nan), model)
    fused = fuse(table, {"ground": 0.05}, 0.997)
    assert not fused.sure[0]
    sightings = Sightings(azimuth, np.array([1e-5]), table, fused, np.ones(n), np.ones(n))
    priors = np.array([[30.0, 35.0]])
    means, covariances = begin_states(azimuth, priors, camera, model.lasting, 1.0)
    means, covariances = update(means, covariances, sightings, camera)
    away = means[0, :2] - camera[:2]
    assert 6 < np.hypot(*away) < 13
    assert abs(np.arctan2(away[1], away[0]) - 0.1) < 0.02
    # What is as far away as the range says is within two standard deviations.
    along = away / np.hypot(*away)
    assert np.hypot(*away) - 7.0 < 2 * np.sqrt(along @ covariances[0, :2, :2] @ along)


@pytest.mark.parametrize("far", [9.0, 10.0, 12.0])
def test_a_track_that_is_known_well_is_not_left_for_a_range_that_is_not(far: float) -> None:
    camera, n = CAMERA, 1
    answers = CueAnswers(n)
    answers.value[:], answers.variance[:] = 1 / far, (0.4 / far) ** 2
    model = ErrorModel.of(FusionSettings(), imu=False)
    table = RangeTable.of(("ground",), {"ground": answers}, np.full((n, 17), np.nan), model)
    fused = fuse(table, {"ground": 0.05}, 0.997)
    sightings = Sightings(np.zeros(n), np.array([1e-5]), table, fused, np.ones(n), np.ones(n))
    known = track("1", (10.3, 0.0), 0.3)
    means, _ = update(known.mean[None], known.covariance[None], sightings, camera)
    assert np.hypot(*(means[0, :2] - camera[:2])) == pytest.approx(10.0, abs=0.3)


def test_a_bearing_alone_turns_a_person_of_unknown_range_about_the_camera() -> None:
    """The hips jump by 0.11 rad; the line of the state and the new ray meet at the camera."""
    answers = CueAnswers(1)
    answers.refuse(True, Refusal.NOT_UPRIGHT)
    model = ErrorModel.of(FusionSettings(), imu=False)
    table = RangeTable.of(("ground",), {"ground": answers}, np.full((1, 17), np.nan), model)
    fused = fuse(table, {"ground": 0.05}, 0.997)
    somebody = track("1", (8.5, 0.0), 0.35)
    somebody.covariance[0, 0], somebody.covariance[YAW, YAW] = 9.3**2, 0.01**2
    sightings = Sightings(np.array([0.11]), np.array([0.02**2]), table, fused, *np.ones((2, 1)))
    means, covariances = update(somebody.mean[None], somebody.covariance[None], sightings, CAMERA)
    away = means[0, :2] - CAMERA[:2]
    assert np.hypot(*away) == pytest.approx(8.2, rel=0.05)
    assert 0.03 < np.arctan2(away[1], away[0]) < 0.11
    assert np.sqrt(np.linalg.eigvalsh(covariances[0, :2, :2])[-1]) == pytest.approx(9.3, rel=0.05)
