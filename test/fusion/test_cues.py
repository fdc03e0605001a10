# SPDX-License-Identifier: Apache-2.0
"""Each cue against closed forms: where the truth is known, and what it says when it cannot know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fusion_scene import (
    BEAMS,
    CAMERA,
    EXTRINSICS,
    HEIGHT,
    PLACE,
    SCAN_PLACE,
    SIZE,
    START,
    cloud,
    depth_image,
    figure,
    scan,
    skeletons,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import truncnorm

from hrnet_pose_ros.fusion.body import ANKLE_HEIGHT, SURFACE_TO_AXIS, SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.buffers import StampLimits
from hrnet_pose_ros.fusion.cues.answers import InverseRange
from hrnet_pose_ros.fusion.cues.bearing import bearings_of
from hrnet_pose_ros.fusion.cues.body_length import BodyLength
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.cues.ground_contact import FOOT_STD, GroundContact
from hrnet_pose_ros.fusion.cues.laser_scan import LaserScanCue
from hrnet_pose_ros.fusion.cues.lidar_cloud import LidarCloud
from hrnet_pose_ros.fusion.cues.regions import Clusters, Regions
from hrnet_pose_ros.fusion.cues.returns import returns_of
from hrnet_pose_ros.fusion.cues.returns_cue import BENT_AXIS_STD
from hrnet_pose_ros.fusion.cues.segments import Segments
from hrnet_pose_ros.fusion.cues.ultrasonic_cone import UltrasonicCone, cut_off
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.gravity import GravityAlignment
from hrnet_pose_ros.fusion.inputs import LaserScan, PointCloud, Skeletons, UltrasonicRange
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.person_view import HIDDEN_VARIANCE, PersonViews, mean_variance, views_of
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.stance import stance_of
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics, Transform, rotation_rpy
from hrnet_pose_ros.skeleton import COCO17

SETTINGS = FusionSettings()
COCO_ROLES = JointRoles.of(COCO17)
RANGE = st.floats(3, 30)
ANGLE = st.floats(-0.6, 0.6)
QUICK = settings(max_examples=40, deadline=None)


def scene_of(image: Skeletons, extrinsics: FixedExtrinsics = EXTRINSICS) -> Scene:
    gravity = GravityAlignment(StampLimits())
    place = extrinsics.sensor_to_base("camera", image.stamp)
    assert place is not None
    views = views_of(image, place, 0.0, SETTINGS.min_score)
    return Scene(
        stamp=image.stamp,
        views=views,
        stance=stance_of(views, COCO_ROLES, SETTINGS.joint_correlation),
        roles=COCO_ROLES,
        settings=SETTINGS,
        extrinsics=extrinsics,
        gravity=gravity,
        ego=EgoMotion(StampLimits(), gravity),
    )


def at(r: float, azimuth: float = 0.0) -> tuple[float, float]:
    return r * np.cos(azimuth), r * np.sin(azimuth)


def ranged(answer: object) -> InverseRange:
    assert isinstance(answer, InverseRange), answer
    return answer


NOTHING: Sequence[list[tuple[float, float]]] = [[]]


@QUICK
@given(RANGE, ANGLE, st.floats(-0.2, 0.3), st.floats(-0.1, 0.1), st.floats(-3, 3))
def test_camera_cues_are_exact_for_an_exact_figure_however_the_camera_is_tilted(
    r: float, azimuth: float, pitch: float, roll: float, yaw: float
) -> None:
    """A base that is turned, a camera that is tilted: the range is that of the figure."""
    x, y = at(r, azimuth)
    image = skeletons([figure((x, y), 1.7)])
    turn = Transform(rotation_rpy(0, 0, yaw), np.zeros(3))
    level = EXTRINSICS.sensor_to_base("camera", START)
    assert level is not None
    tilt = rotation_rpy(roll, pitch, 0)
    # The same rays through a camera that is tilted: its pixels are those of the tilted figure.
    tilted = Transform(tilt @ level.rotation, level.translation)
    p = tilted.inverse().apply(figure((x, y), 1.7))
    if (p[:, 2] < 0.5).any():
        return
    pixels = np.stack([CAMERA.fx * p[:, 0] / p[:, 2], CAMERA.fy * p[:, 1] / p[:, 2]], 1)
    pixels += [CAMERA.cx, CAMERA.cy]
    if (pixels < 25).any() or (pixels[:, 0] > 1890).any() or (pixels[:, 1] > 1050).any():
        return
    moved = skeletons([figure((x, y), 1.7)], noise=(pixels - image.poses.keypoints[0])[None])
    scene = scene_of(moved, FixedExtrinsics({"camera": turn @ tilted}))
    bearing = bearings_of(scene).azimuth[0] + scene.views.heading
    assert np.cos(bearing - azimuth - yaw) == pytest.approx(1, abs=1e-6)
    (ground,) = GroundContact().measure(scene, list(NOTHING))
    if scene.views.cut_below[0] and not scene.lines.thighs[0]:
        assert ground is Refusal.TRUNCATED
    elif scene.views.cut_below[0]:  # the feet are extrapolated: the figure's torso is exact
        assert 1 / ranged(ground).value == pytest.approx(r, rel=0.01)
    else:
        assert 1 / ranged(ground).value == pytest.approx(r, rel=5e-3)
    (body,) = BodyLength().measure(scene, list(NOTHING))
    # The figure's ankles are at 0.08 m instead of 0.039 of its stature: 0.8 %.
    assert 1 / ranged(body).value == pytest.approx(r, rel=0.03)


@pytest.mark.parametrize("stature", [1.2, 1.7, 1.9])
def test_feet_outside_of_the_image_are_where_the_body_leads(stature: float) -> None:
    """At 2.3 m, the image ends at the shins: the line through the joints above meets the ground."""
    image = skeletons([figure((2.3, 0.2), stature)], std=3.0)
    # A network puts the ankles somewhere inside of the image, and is sure of them.
    image.poses.keypoints[0, 15:] = image.poses.keypoints[0, 13:15] + [0.0, 30.0]
    scene = scene_of(image)
    (ground,), (body,) = (cue.measure(scene, [[]]) for cue in (GroundContact(), BodyLength()))
    found = ranged(ground)
    assert 1 / found.value == pytest.approx(np.hypot(2.3, 0.2), rel=0.01)
    assert found.stature == 0  # whatever the stature is
    assert 1 / ranged(body).value == pytest.approx(np.hypot(2.3, 0.2) * 1.7 / stature, rel=0.02)
    # Each joint's error counts as the line carries it to the ground: more than that of an ankle.
    assert found.joints is not None
    slope_var = np.nan_to_num(scene.views.slope_var[0])
    drop = HEIGHT - ANKLE_HEIGHT
    assert found.joints**2 @ slope_var > slope_var[13] / 2 / drop**2


def test_a_sitting_person_whose_feet_are_not_seen_has_no_ground_contact() -> None:
    """The thighs are not upright, so the hips may be at any height."""
    image = skeletons([figure((2.6, 0.0), posture="sitting")])
    image.poses.keypoints[0, 15:, 1] = 1079
    scene = scene_of(image)
    assert not scene.lines.thighs[0]
    assert list(GroundContact().measure(scene, [[]])) == [Refusal.TRUNCATED]


def test_the_ground_cue_has_the_variance_of_the_textbook() -> None:
    """sigma_Y = Y² sigma_theta / h: with 1/Y, sigma = sigma_theta / h, at any distance."""
    for r in (5.0, 10.0, 20.0):
        (answer,) = GroundContact().measure(scene_of(skeletons([figure((r, 0))])), [[]])
        found = ranged(answer)
        drop = HEIGHT - ANKLE_HEIGHT
        assert abs(found.tilt) == pytest.approx((1 + (drop / r) ** 2) / drop, rel=1e-3)
        # Two ankles of 1 px each: the mean, as an angle, over the drop.
        assert found.joints is not None
        slope_var = scene_of(skeletons([figure((r, 0))])).views.slope_var[0]
        noise = float(found.joints**2 @ np.nan_to_num(slope_var))
        angle = 1e-3 / np.sqrt(2)
        assert np.sqrt(noise) == pytest.approx(angle / drop, rel=0.02)


def one_uncertain_ankle(r: float, std: float, error: float) -> tuple[InverseRange, np.ndarray]:
    """The ground contact of a figure whose right ankle is off, and claims ``std``; both in px."""
    noise = np.zeros((1, 17, 2))
    noise[0, 16, 1] = error
    image = skeletons([figure((r, 0.0))], noise=noise)
    image.poses.covariances[0, 16] = std**2 * np.eye(2)
    (answer,) = GroundContact().measure(scene_of(image), [[]])
    found = ranged(answer)
    assert found.joints is not None
    return found, found.joints[[15, 16]] / found.joints.sum()


def test_a_foot_whose_key_point_is_uncertain_counts_less() -> None:
    exact, even = one_uncertain_ankle(10.0, 1.0, 0.0)
    np.testing.assert_allclose(even, [0.5, 0.5], atol=1e-6)
    off, weights = one_uncertain_ankle(10.0, 20.0, -20.0)
    assert weights[1] < 0.2
    # Half of the error is what the mean of both would have.
    plain = 0.5 * 20 / CAMERA.fy / (HEIGHT - ANKLE_HEIGHT)
    assert abs(off.value - exact.value) < 0.4 * plain
    assert off.variance > exact.variance  # the place of one foot is not that of the middle


def test_near_by_both_feet_count_because_they_may_be_apart() -> None:
    """Two feet are 0.2 m apart, which is many pixels near by, and few far away."""
    near, far = (one_uncertain_ankle(r, 5.0, 0.0)[1] for r in (3.0, 20.0))
    assert near[1] > 0.4
    assert far[1] < 0.2


def test_the_weights_of_feet_give_the_smallest_variance() -> None:
    """Against all other weights, by the same errors: key points, and how far feet are apart."""
    r, std = 8.0, 6.0
    _, weights = one_uncertain_ankle(r, std, 0.0)
    drop = HEIGHT - ANKLE_HEIGHT
    slopes = np.array([1.0, std]) / CAMERA.fy
    apart = FOOT_STD * drop / r**2
    c = SETTINGS.joint_correlation

    def variance(first: np.ndarray) -> np.ndarray:
        second = 1 - first
        own = (first * slopes[0]) ** 2 + (second * slopes[1]) ** 2
        own += 2 * c * first * second * slopes[0] * slopes[1]
        return own + ((first - second) * apart) ** 2

    at_all = variance(np.linspace(0, 1, 1001))
    assert variance(weights[:1])[0] == pytest.approx(at_all.min(), rel=0.01)


@pytest.mark.parametrize("height", [1.2, 1.5, 1.9])
def test_body_length_scales_with_stature_and_owns_up_to_it(height: float) -> None:
    (answer,) = BodyLength().measure(scene_of(skeletons([figure((10.0, 0), height)])), [[]])
    found = ranged(answer)
    assert 1 / found.value == pytest.approx(10 * 1.7 / height, rel=0.03)
    assert found.stature == pytest.approx(-found.value)


def test_the_variances_of_directions_are_those_of_a_pinhole() -> None:
    scene = scene_of(skeletons([figure((10.0, 0))], std=2.0))
    nose = 0
    # On the optical axis, a pixel is 1/f rad in both directions.
    np.testing.assert_allclose(np.sqrt(scene.views.azimuth_var[0, nose]), 2e-3, rtol=1e-2)
    np.testing.assert_allclose(np.sqrt(scene.views.slope_var[0, nose]), 2e-3, rtol=1e-2)


def test_the_mean_of_correlated_values() -> None:
    assert mean_variance(np.array([1.0, 1.0, np.nan]), 0.0) == pytest.approx(0.5)
    assert mean_variance(np.array([1.0, 1.0]), 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("cue", "how", "reason"),
    [
        (GroundContact(), dict(hidden=(13, 14, 15, 16)), Refusal.JOINTS_MISSING),
        (BodyLength(), dict(hidden=(11, 12)), Refusal.JOINTS_MISSING),
        (BodyLength(), dict(posture="lying"), Refusal.NOT_UPRIGHT),
        (GroundContact(), dict(at=(1.9, 0.0)), Refusal.TRUNCATED),
        (GroundContact(), dict(at=(200.0, 0.0)), Refusal.TOO_SMALL),
        (BodyLength(), dict(at=(200.0, 0.0)), Refusal.TOO_SMALL),
    ],
)
def test_a_camera_cue_says_why_it_cannot_measure(cue, how: dict, reason: Refusal) -> None:
    hidden = how.get("hidden", ())
    place = how.get("at", (8.0, 1.0))
    shape = figure(place, heading=0.6, posture=how.get("posture", "upright"))
    noise = np.zeros((1, 17, 2))
    image = skeletons([shape], hidden=hidden, noise=noise)
    if reason is Refusal.TRUNCATED:  # a network draws joints outside of the image to its border
        image.poses.keypoints[..., 1] = np.minimum(image.poses.keypoints[..., 1], 1079)
    assert list(cue.measure(scene_of(image), [[]])) == [reason]


def test_feet_above_the_horizon_meet_no_ground() -> None:
    image = skeletons([figure((20.0, 0))], noise=np.array([0.0, -200.0]))
    assert list(GroundContact().measure(scene_of(image), [[]])) == [Refusal.ABOVE_HORIZON]


def test_feet_apart_by_more_than_a_stride_are_ambiguous() -> None:
    noise = np.zeros((1, 17, 2))
    noise[0, 15, 1] = -60.0
    image = skeletons([figure((8.0, 0))], noise=noise)
    assert list(GroundContact().measure(scene_of(image), [[]])) == [Refusal.AMBIGUOUS]


def test_somebody_without_joints_has_the_bearing_of_the_box() -> None:
    image = skeletons([figure(at(10, 0.3))], hidden=tuple(range(17)))
    scene = scene_of(image)
    found = bearings_of(scene)
    assert found.azimuth[0] + scene.views.heading == pytest.approx(0.3, abs=0.02)
    with_joints = bearings_of(scene_of(skeletons([figure(at(10, 0.3))])))
    assert found.variance[0] > 4 * with_joints.variance[0]


def in_image(image: Skeletons) -> Skeletons:
    """The same persons without what is outside of the image."""
    width, height = SIZE
    points, boxes = image.poses.keypoints, image.boxes
    low = np.maximum(boxes[:, :2], 0)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], [width, height])
    there = (points >= 0).all(axis=2) & (points < [width, height]).all(axis=2)
    scores = np.where(there, image.poses.scores, np.float32(0.0))
    poses = replace(image.poses, valid=image.poses.valid & there, scores=scores)
    return replace(image, poses=poses, boxes=np.concatenate([low, high - low], axis=1))


@QUICK
@given(st.floats(3, 12), st.floats(-3.2, 3.2), st.sampled_from([-1.0, 1.0]), st.floats(-0.3, 0.15))
def test_who_is_cut_off_by_a_side_of_the_image_is_further_out_than_what_is_seen(
    r: float, heading: float, side: float, outside: float
) -> None:
    """From an arm inside of the image to an arm outside: the axis is where the bearing says."""
    azimuth = side * (np.arctan(SIZE[0] / 2 / CAMERA.fx) + outside / r)
    image = in_image(skeletons([figure(at(r, azimuth), 1.7, heading)]))
    if image.boxes[0, 2] < 5:
        return
    found = bearings_of(scene_of(image))
    error, std = found.azimuth[0] - azimuth, np.sqrt(found.variance[0])
    assert abs(error) < 2.5 * std
    assert std * r < 0.5  # it is known to half a metre that the person is there


RNG = np.random.default_rng(5)


@pytest.mark.parametrize("r", [3.0, 6.0, 12.0])
@pytest.mark.parametrize("kind", ["depth", "lidar", "scan"])
def test_ranging_cues_find_the_axis(kind: str, r: float) -> None:
    places = np.array([at(r, 0.1)])
    makes = {
        "depth": (DepthImageCue, lambda: depth_image(places, START, RNG, noise=1e-5)),
        "lidar": (LidarCloud, lambda: cloud(places, START, RNG)),
        "scan": (LaserScanCue, lambda: scan(places, START, RNG)),
    }
    cue_class, measurement = makes[kind]
    cue = cue_class(SETTINGS)
    assert cue.receive(measurement(), START) is None
    answers = list(cue.measure(scene_of(skeletons([figure(tuple(places[0]))])), [[]]))
    if kind == "depth" and r > SETTINGS.depth_max_range:
        assert answers == [Refusal.NO_RETURN]
        return
    found = ranged(answers[0])
    # The surface of a cylinder is at its radius only in the middle; legs are 0.2 m apart.
    assert 1 / found.value == pytest.approx(r, abs=0.07)
    assert np.sqrt(found.variance) / found.value**2 < 0.25


def test_a_sensor_that_is_silent_or_blind_is_no_measurement() -> None:
    cue = LidarCloud(SETTINGS)
    scene = scene_of(skeletons([figure((8.0, 0))]))
    assert list(cue.measure(scene, [[]])) == [Refusal.NO_MEASUREMENT]
    assert cue.receive(PointCloud(START, "lidar", np.zeros((0, 3), np.float32)), START) is None
    assert list(cue.measure(scene, [[]])) == [Refusal.NO_RETURN]
    nan = PointCloud(START + 1, "lidar", np.full((50, 3), np.nan, np.float32))
    assert cue.receive(nan, START) is None
    assert list(cue.measure(scene, [[]])) == [Refusal.NO_RETURN]
    nowhere = PointCloud(START + 2, "elsewhere", BEAMS.astype(np.float32))
    assert cue.receive(nowhere, START) is None
    assert list(cue.measure(scene, [[]])) == [Refusal.NO_MEASUREMENT]
    assert cue.buffer.tally.reasons == {Refusal.NO_EXTRINSICS: 1}


def test_a_scan_without_sense_is_malformed() -> None:
    cue = LaserScanCue(SETTINGS)
    bad = LaserScan(START, "laser", np.nan, 0.01, np.ones(5, np.float32))
    assert cue.receive(bad, START) is Refusal.MALFORMED
    assert cue.buffer.tally.reasons == {Refusal.MALFORMED: 1}


def test_a_person_outside_of_the_depth_image_is_out_of_view() -> None:
    cue = DepthImageCue(SETTINGS)
    cue.receive(depth_image(np.array([at(5)]), START, RNG), START)
    scene = scene_of(skeletons([figure(at(5, 0.7))]))
    assert list(cue.measure(scene, [[]])) == [Refusal.OUT_OF_VIEW]


def test_what_is_known_decides_between_two_clusters() -> None:
    """A board of 0.4 m, 3 m away, hides half of a person at 6 m; both give returns in the torso."""
    scene = scene_of(skeletons([figure((6.0, 0.0))]))
    board, person = wall(3.0, 0.2, 0.2), wall(5.9, 0.2)
    points = np.concatenate([board, person[person[:, 1] < 0.0]])
    for prior, expected in ([(1 / 6, 1e-4)], 6.02), ([(1 / 3, 1e-4)], 3.12):
        cue = LidarCloud(SETTINGS)
        cue.receive(PointCloud(START, "lidar", points), START)
        (answer,) = cue.measure(scene, [prior])
        assert 1 / ranged(answer).value == pytest.approx(expected, abs=0.1)


def test_returns_belong_to_one_person() -> None:
    """Of two persons at the same bearing, the LIDAR sees the nearer one only."""
    cue = LidarCloud(SETTINGS)
    cue.receive(cloud(np.array([[5.0, 0.0]]), START, RNG), START)
    scene = scene_of(skeletons([figure((5.0, 0.0)), figure((9.0, 0.0))]))
    near, far = cue.measure(scene, [[(0.2, 1e-4)], [(1 / 9, 2e-3)]])
    assert 1 / ranged(near).value == pytest.approx(5, abs=0.1)
    assert far is Refusal.OTHER_PERSON


def wall(x: float, half_width: float, middle: float = 0.0) -> np.ndarray:
    """Points of an upright board at x, across the bearing of a person straight ahead."""
    y, z = np.meshgrid(middle + np.arange(-half_width, half_width, 0.05), np.arange(0.6, 1.6, 0.1))
    return np.stack([np.full(y.size, x), y.ravel(), z.ravel() - 1.7], axis=1).astype(np.float32)


def measured(points: np.ndarray, range_known: float, figure_at: float = 8.0) -> object:
    """What a LIDAR with these points says about a person straight ahead."""
    cue = LidarCloud(SETTINGS)
    assert cue.receive(PointCloud(START, "lidar", points), START) is None
    image = skeletons([figure((figure_at, 0.0))])
    (answer,) = cue.measure(scene_of(image), [[(1 / range_known, 1e-4)]])
    return answer


@pytest.mark.parametrize("expected_there", [True, False])
def test_a_wall_is_no_person_wherever_somebody_is_expected(expected_there: bool) -> None:
    """Wider than any person: even where camera and track expect one, the range is the wall's."""
    known = 8.0 if expected_there else 6.0
    assert measured(wall(7.9, 2.0), known) is Refusal.BACKGROUND
    assert 1 / ranged(measured(wall(7.9, 0.2), known)).value == pytest.approx(8.02, abs=0.05)


def test_a_wall_goes_on_behind_the_person_before_it() -> None:
    """Its two pieces, 1 m each, are no wider than a person with arms: only together they are."""
    person = wall(6.9, 0.22)
    behind = wall(7.9, 1.2)
    shadow = np.abs(behind[:, 1]) < 0.25 * 7.9 / 6.9
    points = np.concatenate([person, behind[~shadow]])
    assert 1 / ranged(measured(points, 8.0)).value == pytest.approx(7.02, abs=0.05)
    # Where the sensor has no return of the person, the wall is not taken instead.
    assert measured(behind, 8.0) is Refusal.BACKGROUND
    gone = person[:2]  # hidden, or black clothes: too few for a cluster
    assert measured(np.concatenate([gone, behind[~shadow]]), 8.0) is Refusal.BACKGROUND


def test_a_wall_that_is_seen_at_an_angle_is_one_wall() -> None:
    points = wall(7.9, 1.5)
    points[:, 0] += 0.7 * points[:, 1]  # 35 degrees
    assert measured(points, 8.0) is Refusal.BACKGROUND


def test_what_rises_above_the_head_is_no_person() -> None:
    """A pillar as wide as a person, 2.3 m high, behind a person whose box ends at 1.7 m."""
    pillar = wall(7.9, 0.2)
    above = pillar.copy()
    above[:, 2] += 0.7
    assert measured(np.concatenate([pillar, above]), 8.0) is Refusal.BACKGROUND
    assert isinstance(measured(pillar, 8.0), InverseRange)


def test_a_pole_is_too_thin_and_the_person_behind_it_is_found() -> None:
    """8 cm in front of the middle of a person, of whom both sides are seen."""
    pole, behind = wall(6.9, 0.04), np.concatenate([wall(7.9, 0.06, 0.15), wall(7.9, 0.06, -0.15)])
    assert measured(pole, 7.0) is Refusal.AMBIGUOUS
    found = measured(np.concatenate([pole, behind]), 7.0)
    assert 1 / ranged(found).value == pytest.approx(8.02, abs=0.05)


def test_something_narrow_before_a_body_is_ambiguous() -> None:
    """25 cm wide: a post, or a person from the side; within the silhouette, a body is behind it."""
    post = wall(6.9, 0.125)
    assert isinstance(measured(post, 7.0), InverseRange)
    body = wall(7.9, 0.03, 0.2)
    assert measured(np.concatenate([post, body]), 7.0) is Refusal.AMBIGUOUS


def test_what_is_looked_over_is_a_table() -> None:
    """Boards up to 1 m, before a person of whom the sensor sees the chest above them."""
    table, chest = wall(6.9, 0.3), wall(7.9, 0.2)
    points = np.concatenate([table[table[:, 2] < -0.7], chest[chest[:, 2] > -0.65]])
    assert 1 / ranged(measured(points, 7.3)).value == pytest.approx(8.02, abs=0.05)


def test_a_doubtful_range_says_so() -> None:
    """The wider and the nearer to what is known, the less it is doubted."""
    wide, narrow = ranged(measured(wall(7.9, 0.2), 8.0)), ranged(measured(wall(7.9, 0.1), 8.0))
    elsewhere = ranged(measured(wall(7.9, 0.2), 6.0))
    assert wide.doubt < 1e-3
    assert narrow.doubt > 10 * wide.doubt
    assert elsewhere.doubt > 10 * wide.doubt


def test_the_returns_of_somebody_in_front_are_not_of_who_is_behind() -> None:
    """Both are 0.25 m apart to the side; of the one behind, the LIDAR has no return."""
    cue = LidarCloud(SETTINGS)
    points = wall(5.9, 0.22)
    points[:, 1] += 0.1
    cue.receive(PointCloud(START, "lidar", points), START)
    scene = scene_of(skeletons([figure((6.0, 0.1)), figure((8.0, -0.15))]))
    front, behind = cue.measure(scene, [[(1 / 6, 1e-4)], [(1 / 8, 4e-4)]])
    assert 1 / ranged(front).value == pytest.approx(6.02, abs=0.05)
    assert behind is Refusal.OTHER_PERSON


def test_returns_that_two_persons_claim_are_doubted() -> None:
    """One is hidden behind the other, in the same direction; the returns fit both.

    Unless the image tells which one is in front.
    """

    def front(distance: float, prior: tuple[float, float]) -> InverseRange:
        cue = LidarCloud(SETTINGS)
        cue.receive(PointCloud(START, "lidar", wall(5.9, 0.22)), START)
        scene = scene_of(skeletons([figure((6.0, 0.0)), figure((distance, 0.1))]))
        first, second = cue.measure(scene, [[(1 / 6, 1e-3)], [prior]])
        assert second is Refusal.OTHER_PERSON
        return ranged(first)

    contested, alone = front(6.1, (1 / 6.2, 1e-3)), front(6.1, (1 / 9, 1e-6))
    assert 0.05 < contested.doubt < 0.5
    assert alone.doubt < contested.doubt / 2
    assert front(6.5, (1 / 6.4, 1e-3)).doubt < contested.doubt / 2


def test_a_thing_wider_than_a_person_alone_is_doubted() -> None:
    """1.2 m: with a companion whom nobody has detected, or the end of a wall."""
    alone, wide = ranged(measured(wall(7.9, 0.25), 8.0)), ranged(measured(wall(7.9, 0.6), 8.0))
    assert wide.doubt > 10 * alone.doubt


def seen_by_scan(
    things: list[tuple[float, float, float]], known: float, step: float = 0.0025
) -> object:
    """The answer of a scan for a person ahead; ``things`` are x, y from, y to, m."""
    angles = -0.5 + step * np.arange(round(1 / step) + 1)
    ranges = np.full(len(angles), np.inf, np.float32)
    origin = SCAN_PLACE.translation
    for x, right, left in things:
        r = (x - origin[0]) / np.cos(angles)
        y = origin[1] + r * np.sin(angles)
        ranges = np.where((y > right) & (y < left), np.minimum(ranges, r), ranges)
    cue = LaserScanCue(SETTINGS)
    one = LaserScan(START, "laser", -0.5, step, ranges.astype(np.float32), 0.05, 30.0)
    assert cue.receive(one, START) is None
    (answer,) = cue.measure(scene_of(skeletons([figure((8.0, 0.0))])), [[(1 / known, 2e-4)]])
    return answer


def test_the_end_of_a_wall_is_not_taken_instead_of_one_leg() -> None:
    """A scan cannot tell one leg from a pole, so it cannot tell what of both is the person."""
    leg, end = (7.9, -0.06, 0.06), (8.8, -0.1, 1.0)
    assert seen_by_scan([leg], 8.4) is Refusal.AMBIGUOUS
    found = seen_by_scan([end], 8.4)
    assert 1 / ranged(found).value == pytest.approx(8.86, abs=0.1)
    assert seen_by_scan([leg, end], 8.4) is Refusal.AMBIGUOUS
    # A pole far from what is known is none.
    pole = (4.0, -0.03, 0.03)
    assert isinstance(seen_by_scan([pole, (7.9, -0.15, 0.15)], 8.0), InverseRange)


def test_the_wall_that_a_scanner_sees_between_two_legs_does_not_make_them_a_table() -> None:
    """To the camera, which is higher, the wall in the plane of the scan is above the legs."""
    legs, wall_behind = [(7.9, -0.2, -0.1), (7.9, 0.1, 0.2)], (10.5, -0.5, 0.5)
    found = ranged(seen_by_scan([*legs, wall_behind], 8.0))
    assert 1 / found.value == pytest.approx(7.96, abs=0.1)


def test_a_single_beam_before_a_wall_may_be_a_leg() -> None:
    step = 0.00875  # 7 cm apart
    leg, wall_behind = (7.9, 0.0, 0.06), (8.8, -0.5, 0.5)
    assert isinstance(seen_by_scan([wall_behind], 8.4, step), InverseRange)
    assert seen_by_scan([leg, wall_behind], 8.4, step) is Refusal.AMBIGUOUS
    # A beam past the edge of the legs tells nothing.
    legs, behind = [(7.9, -0.16, -0.06), (7.9, 0.06, 0.16)], (8.8, 0.2, 0.26)
    assert isinstance(seen_by_scan([*legs, behind], 8.4, step), InverseRange)


@pytest.mark.parametrize("bent", [False, True])
def test_who_sat_in_the_images_before_has_a_less_certain_axis(bent: bool) -> None:
    places = np.array([at(6.0, 0.1)])
    cue = LidarCloud(SETTINGS)
    cue.receive(cloud(places, START, RNG), START)
    scene = scene_of(skeletons([figure((places[0, 0], places[0, 1]))]))
    answers = cue.measure(scene, [[(1 / 6, 1e-4)]], bent=np.array([bent]))
    wider = abs(answers.axis[0]) / answers.value[0] ** 2
    assert wider == pytest.approx(BENT_AXIS_STD / SURFACE_TO_AXIS_STD if bent else 1.0, rel=1e-6)


def test_a_scan_sees_that_something_nearer_hides_a_part() -> None:
    """In a plane below the camera, what is nearer is seen lower, and is of the same beam."""
    whole = seen_by_scan([(7.9, -0.3, 0.3)], 8.0)
    hidden = seen_by_scan([(4.0, 0.05, 0.6), (7.9, -0.3, 0.3)], 8.0)
    assert ranged(hidden).doubt > 5 * ranged(whole).doubt


def test_a_sensor_learns_how_far_it_is_beside_the_camera() -> None:
    cue = LidarCloud(SETTINGS)
    aside = np.deg2rad(0.8)
    for k in range(10):
        stamp = START + k
        places = np.array([[8 * np.cos(aside), 8 * np.sin(aside)]])
        cue.receive(cloud(places, stamp, RNG), stamp)
        (answer,) = cue.measure(scene_of(skeletons([figure((8.0, 0.0))], stamp)), [[(1 / 8, 1e-4)]])
        assert 1 / ranged(answer).value == pytest.approx(8, abs=0.1)
    assert cue.alignment.azimuth == pytest.approx(aside, abs=np.deg2rad(0.2))
    assert np.sqrt(cue.alignment.variance) < np.deg2rad(0.4)  # 0.7 before


def test_the_ground_looks_higher_further_away() -> None:
    """Where a mount is off by 0.5°, points 0.15 m above the ground may be the ground, 15 m away."""
    for r, kept in ((2.0, 1), (15.0, 0)):
        scene = scene_of(skeletons([figure((r, 0.0))]))
        points = np.array([[r, 0.0, 0.15]], np.float32)
        assert len(returns_of(points, scene, 60.0)) == kept


def test_clusters_are_split_at_gaps_and_small_ones_left_out() -> None:
    ranges = np.array([5.0, 2.0, 5.1, 2.1, 9.0])
    # Of the first person, all of them; of the second, none; of the third, one thing that is whole.
    indices = np.array([0, 1, 2, 3, 4, 1, 3])
    regions = Regions(Segments(np.array([5, 0, 2])), indices, 2, np.array([0.5, 1.0, 1.0]))
    found = Clusters.of_regions(regions, ranges, 0.35)
    assert [found[n].tolist() for n in range(len(found))] == [[1, 3], [0, 2], [1, 3]]
    assert found.person.tolist() == [0, 0, 2] and found.body.tolist() == [2.5, 2.5, 2.0]
    assert found.median(ranges).tolist() == pytest.approx([2.05, 5.05, 2.05])
    around = [found.around[a:b].tolist() for a, b in zip(found.first, found.last, strict=True)]
    assert around == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1, 3]]
    nothing = Regions(Segments(np.zeros(2, np.int64)), indices[:0], 1, np.ones(2))
    assert len(Clusters.of_regions(nothing, ranges, 0.35)) == 0


def test_the_surface_lies_before_the_axis_and_the_error_of_that_is_shared() -> None:
    cue = LidarCloud(SETTINGS)
    wall = np.zeros((200, 3), np.float32)
    wall[:] = [8.0, 0.0, -0.6]
    wall[:, 1] += np.linspace(-0.1, 0.1, 200)
    cue.receive(PointCloud(START, "lidar", wall), START)
    (answer,) = cue.measure(scene_of(skeletons([figure((8.12, 0))])), [[]])
    found = ranged(answer)
    assert 1 / found.value == pytest.approx(8.0 + SURFACE_TO_AXIS, abs=1e-3)
    assert found.axis == pytest.approx(-(found.value**2))


def echo(r: float, view: float = 0.5, low: float = 0.2, high: float = 5.0) -> UltrasonicRange:
    return UltrasonicRange(START, "sonar", view, r, low, high)


@pytest.mark.parametrize(
    ("one", "place", "reason"),
    [
        (echo(np.inf), (3.0, 0.0), Refusal.NO_RETURN),  # clothes absorb ultrasound
        (echo(-np.inf), (3.0, 0.0), Refusal.NO_RETURN),
        (echo(5.0), (3.0, 0.0), Refusal.NO_RETURN),  # max_range: none, before REP 117
        (echo(6.0), (3.0, 0.0), Refusal.OUT_OF_RANGE),
        (echo(2.0), (3.0, 2.0), Refusal.OUT_OF_VIEW),
        (echo(4.8), (3.0, 0.0), Refusal.DISAGREES),
    ],
)
def test_an_echo_that_tells_nothing_says_why(
    one: UltrasonicRange, place: tuple[float, float], reason: Refusal
) -> None:
    cue = UltrasonicCone(SETTINGS)
    assert cue.receive(one, START) is None
    known = (1 / np.hypot(*place), 1e-4)
    assert list(cue.measure(scene_of(skeletons([figure(place)])), [[known]])) == [reason]


def test_an_echo_bounds_and_confirms() -> None:
    scene = scene_of(skeletons([figure((3.0, 0.0))]))
    near = UltrasonicCone(SETTINGS)
    near.receive(echo(1.0), START)
    (confirmed,) = near.measure(scene, [[(1 / 3, 1e-4)]])
    assert ranged(confirmed).variance == np.inf
    far = UltrasonicCone(SETTINGS)
    far.receive(echo(3.2), START)
    (bound,) = far.measure(scene, [[(1 / 3, 0.02**2)]])
    assert ranged(bound).value < 1 / 3


@QUICK
@given(st.floats(0.02, 1), st.floats(0.005, 0.2), st.floats(-2.9, 2.9))
def test_cutting_off_gives_the_moments_of_the_truncated_normal(
    value: float, std: float, alpha: float
) -> None:
    cut = cut_off(value, std**2, value + alpha * std)
    assert cut is not None
    information = 1 / std**2 + 1 / cut[1]
    mean = (value / std**2 + cut[0] / cut[1]) / information
    expected, variance = truncnorm.stats(-np.inf, alpha, loc=value, scale=std)
    assert mean == pytest.approx(float(expected), rel=1e-6, abs=1e-6 * std)
    assert 1 / information == pytest.approx(float(variance), rel=1e-5)


def test_joints_that_somebody_nearer_may_hide_are_less_certain() -> None:
    """Joints of the second person in the box of the first one, who stands lower in the image."""

    def seen(figures: list[np.ndarray]) -> PersonViews:
        return views_of(skeletons(figures), PLACE, 0.0, SETTINGS.min_score)

    alone = seen([figure((9.0, 0.1))])
    for aside, factors in ((0.1, {HIDDEN_VARIANCE}), (0.4, {1.0, HIDDEN_VARIANCE}), (2.0, {1.0})):
        both = seen([figure((5.0, aside)), figure((9.0, 0.1))])
        ratio = both.slope_var[1] / alone.slope_var[0]
        assert set(np.round(ratio, 6).tolist()) == factors
        np.testing.assert_allclose(both.slope_var[0], seen([figure((5.0, aside))]).slope_var[0])
