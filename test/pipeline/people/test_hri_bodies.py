# SPDX-License-Identifier: Apache-2.0
"""Bodies of ROS4HRI, against the published definitions of hri_msgs."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from some_people import TYPES, over_the_wire, person, person_message
from std_msgs.msg import Header
from vision_msgs.msg import BoundingBox2D, Point2D, Pose2D

from hrnet_pose_ros.fusion.person import Gesture, Points3D, Posture
from hrnet_pose_ros.msg import Keypoint, Skeleton, SkeletonArray
from hrnet_pose_ros.pipeline.people.hri_bodies import (
    POINTS,
    body_gesture,
    body_id,
    body_posture,
    body_transform,
    cropped,
    ids_list,
    region,
    skeleton2d,
)
from hrnet_pose_ros.skeleton import COCO17, find_skeleton

hri = pytest.importorskip("hri_msgs.msg")

HEADER = Header(stamp=Time(sec=5), frame_id="camera_optical_frame")
SIZE = (640, 480)


def skeletons(
    keypoints: dict[str, tuple[float, float, float]],
    box: tuple[float, float, float, float] = (100, 50, 80, 200),
    score: float = 0.8,
) -> SkeletonArray:
    """A person with these joints of COCO-17 (x, y, score), and a box x, y, width, height."""
    nan = math.nan
    table = [keypoints.get(name, (nan, nan, 0.0)) for name in COCO17.joint_names]
    x, y, width, height = box
    bounds = BoundingBox2D(size_x=float(width), size_y=float(height))
    bounds.center = Pose2D(position=Point2D(x=x + width / 2, y=y + height / 2))
    one = Skeleton(id="3", detection_score=score, score=0.5, bbox=bounds)
    one.keypoints = [Keypoint(x=x, y=y, score=c) for x, y, c in table]
    return SkeletonArray(header=HEADER, image_width=SIZE[0], image_height=SIZE[1], skeletons=[one])


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.text(max_size=6), min_size=2, max_size=2, unique=True))
def test_ids_are_legal_names_and_stay_different(ids: list[str]) -> None:
    names = [body_id(one) for one in ids]
    assert names[0] != names[1]
    for name in names:
        assert re.fullmatch(r"[a-z][A-Za-z0-9_]*", name) and "__" not in name


def test_the_order_of_points_is_that_of_the_message() -> None:
    assert [getattr(hri.Skeleton2D, name.upper()) for name in POINTS] == list(range(18))


def test_a_skeleton() -> None:
    array = skeletons(
        {
            "nose": (319.5, 239.5, 0.9),
            "left_shoulder": (300.0, 280.0, 0.8),
            "right_shoulder": (200.0, 260.0, 0.6),
            "left_ankle": (300.0, 500.0, 0.9),  # below the image
            "right_ankle": (-0.5, 479.5, 0.7),  # its corner
        }
    )
    points = over_the_wire(skeleton2d(TYPES, array, 0, COCO17)).skeleton
    found = {name: (p.x, p.y, p.c) for name, p in zip(POINTS, points, strict=True)}
    assert found["nose"] == pytest.approx((0.5, 0.5, 0.9))
    assert found["neck"] == pytest.approx((250.5 / 640, 270.5 / 480, 0.6))
    assert found["left_ankle"][1:] == (1.0, 0.0)
    assert found["right_ankle"] == pytest.approx((0.0, 1.0, 0.7))
    assert found["left_knee"] == (0.0, 0.0, 0.0)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(
        st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=6, max_size=6
    ),
    box=st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4),
)
def test_everything_is_between_0_and_1(values: list[float], box: tuple[float, ...]) -> None:
    a, b = tuple(values[:3]), tuple(values[3:])
    array = skeletons({"left_shoulder": a, "right_shoulder": b}, box, values[0])  # type: ignore[dict-item,arg-type]
    points = over_the_wire(skeleton2d(TYPES, array, 0, COCO17)).skeleton
    numbers = [value for p in points for value in (p.x, p.y, p.c)]
    roi = over_the_wire(region(TYPES, array, 0))
    numbers += [roi.xmin, roi.xmax, roi.ymin, roi.ymax, roi.c]
    assert all(0 <= value <= 1 for value in numbers)
    assert roi.xmin <= roi.xmax and roi.ymin <= roi.ymax


def test_a_skeleton_without_a_face() -> None:
    """CrowdPose has neither nose nor eyes: these points have the confidence 0."""
    definition = find_skeleton("crowdpose14")
    array = skeletons({})
    joints = [Keypoint(x=10.0 + j, y=20.0, score=0.5) for j in range(definition.joints)]
    array.skeletons[0].keypoints = joints
    points = skeleton2d(TYPES, array, 0, definition).skeleton
    seen = {name for name, point in zip(POINTS, points, strict=True) if point.c > 0}
    assert seen == {*definition.roles, "neck"} & set(POINTS)


def test_a_region() -> None:
    roi = over_the_wire(region(TYPES, skeletons({}, (-20, 99.5, 100, 120)), 0))
    assert roi.header == HEADER
    assert (roi.xmin, roi.ymin) == pytest.approx((0.0, 100 / 480))
    assert (roi.xmax, roi.ymax) == pytest.approx((80.5 / 640, 220 / 480))
    assert roi.c == pytest.approx(0.8)


def test_a_cropped_image() -> None:
    rgb = np.arange(480 * 640 * 3, dtype=np.uint32).astype(np.uint8).reshape(480, 640, 3)
    part = cropped(rgb, skeletons({}, (9.5, -20, 30, 60)), 0)
    assert part is not None and np.array_equal(part, rgb[0:41, 10:40])
    for outside in ((700, 0, 30, 30), (math.nan, 0, 30, 30), (10, 10, -5, 5)):
        assert cropped(rgb, skeletons({}, outside), 0) is None


@pytest.mark.parametrize(
    ("posture", "expected"),
    [(Posture.UPRIGHT, "STANDING"), (Posture.LYING, "LAYING"), (Posture.UNKNOWN, "OTHER")],
)
def test_postures(posture: Posture, expected: str) -> None:
    message = over_the_wire(body_posture(TYPES, HEADER, person_message(person(posture=posture))))
    assert message.posture == getattr(hri.BodyPosture, expected)


@pytest.mark.parametrize(
    ("gesture", "expected"),
    [
        (Gesture.NONE, "OTHER"),
        (Gesture.LEFT_HAND_RAISED, "LEFT_HAND_RAISED"),
        (Gesture.RIGHT_HAND_RAISED, "RIGHT_HAND_RAISED"),
        (Gesture.LEFT_HAND_RAISED | Gesture.RIGHT_HAND_RAISED, "BOTH_HANDS_RAISED"),
    ],
)
def test_gestures(gesture: Gesture, expected: str) -> None:
    message = over_the_wire(body_gesture(TYPES, HEADER, person_message(person(gesture=gesture))))
    assert message.gesture == getattr(hri.Gesture, expected)


def test_the_list() -> None:
    message = over_the_wire(ids_list(TYPES, HEADER, ["b1", "b2"]))
    assert message.ids == ["b1", "b2"] and message.header == HEADER


def test_the_frame_is_at_the_hips() -> None:
    one = person("7", heading=math.pi / 2, heading_variance=0.1)
    made = over_the_wire(body_transform(TYPES, HEADER, person_message(one), COCO17))
    assert made.child_frame_id == "body_b7" and made.header == HEADER
    place = made.transform.translation
    assert (place.x, place.y) == (4.0, -1.0) and place.z == pytest.approx(0.53 * 1.8)
    turn = made.transform.rotation
    assert (turn.z, turn.w) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))


@pytest.mark.parametrize("height", [math.nan, 0.0, -1.0])
def test_a_height_that_nobody_has_is_unknown(height: float) -> None:
    one = person_message(person())
    one.height = height
    place = body_transform(TYPES, HEADER, one, COCO17).transform.translation
    assert place.z == pytest.approx(0.53 * 1.7)


def test_the_frame_is_at_hips_that_were_measured() -> None:
    places = np.full((17, 3), np.nan)
    places[11], places[12] = (4.1, -0.9, 1.0), (4.1, -1.1, 0.9)
    one = person(keypoints=Points3D(places, np.zeros((17, 3, 3))))
    place = body_transform(TYPES, HEADER, person_message(one), COCO17).transform.translation
    assert (place.x, place.y, place.z) == pytest.approx((4.1, -1.0, 0.95))


def test_no_frame_without_a_place() -> None:
    one = person_message(person(place=(math.nan, 0, 0)))
    assert body_transform(TYPES, HEADER, one, None) is None
