# SPDX-License-Identifier: Apache-2.0
"""Foxglove's annotations, against the published definitions of foxglove_msgs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from some_people import TYPES, over_the_wire

from hrnet_pose_ros.pipeline.image_annotations import image_annotations
from hrnet_pose_ros.pose.drawing import LEFT_COLOUR
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17, find_skeleton

foxglove = pytest.importorskip("foxglove_msgs.msg")

STAMP = Time(sec=12, nanosec=34)
KINDS = foxglove.PointsAnnotation


def one_person(keypoints: np.ndarray, scores: np.ndarray, name: str = "coco17") -> Poses:
    joints = len(scores)
    return Poses(
        keypoints=keypoints[None].astype(np.float32),
        scores=scores[None].astype(np.float32),
        covariances=np.ones((1, joints, 2, 2), np.float32),
        valid=np.isfinite(keypoints).all(axis=1)[None],
        skeleton=find_skeleton(name),
    )


def test_pixels_count_from_the_corner_of_the_first() -> None:
    keypoints = np.full((17, 2), np.nan)
    keypoints[5], keypoints[7] = (10.0, 20.0), (12.0, 40.0)  # left shoulder and elbow
    poses = one_person(keypoints, np.full(17, 0.9))
    boxes = np.array([[0.0, 0.0, 30.0, 200.0]])
    message = over_the_wire(image_annotations(TYPES, STAMP, poses, boxes, ["17"]))
    box, limb, joints = message.points
    assert all(one.timestamp == STAMP for one in (*message.points, *message.texts))
    assert box.type == KINDS.LINE_LOOP
    assert [(p.x, p.y) for p in box.points][::2] == [(0.5, 0.5), (30.5, 200.5)]
    assert limb.type == KINDS.LINE_LIST and joints.type == KINDS.POINTS
    for one in (limb, joints):
        assert [(p.x, p.y) for p in one.points] == [(10.5, 20.5), (12.5, 40.5)]
        colour = one.outline_color
        assert [colour.r, colour.g, colour.b] == pytest.approx(np.array(LEFT_COLOUR) / 255)
    assert [text.text for text in message.texts] == ["17"]


def test_each_segment_has_its_colour() -> None:
    poses = one_person(np.arange(34.0).reshape(17, 2), np.full(17, 0.9))
    message = image_annotations(TYPES, STAMP, poses, np.array([[0, 0, 40, 80]]), [""])
    limbs = next(one for one in message.points if one.type == KINDS.LINE_LIST)
    joints = next(one for one in message.points if one.type == KINDS.POINTS)
    assert len(limbs.points) == 2 * len(limbs.outline_colors) == 2 * len(COCO17.limbs)
    assert len(joints.points) == len(joints.outline_colors) == 17
    assert not message.texts


def test_only_what_was_seen_is_drawn() -> None:
    keypoints, scores = np.arange(34.0).reshape(17, 2), np.full(17, 0.9)
    keypoints[0], scores[1] = math.nan, 0.1
    nothing = np.full((1, 4), np.nan)
    message = over_the_wire(
        image_annotations(TYPES, STAMP, one_person(keypoints, scores), nothing, ["1"])
    )
    assert {one.type for one in message.points} == {KINDS.LINE_LIST, KINDS.POINTS}
    assert len(message.points[-1].points) == 15
    assert all(math.isfinite(p.x) for one in message.points for p in one.points)


def test_hands_and_face_are_thinner() -> None:
    wholebody = find_skeleton("wholebody133")
    places = np.arange(266.0).reshape(133, 2)
    poses = one_person(places, np.full(133, 0.9), "wholebody133")
    message = image_annotations(TYPES, STAMP, poses, np.array([[0, 0, 200, 400]]), ["1"])
    body, fine = (one for one in message.points if one.type == KINDS.POINTS)
    assert len(fine.points) == len(wholebody.details) and fine.thickness < body.thickness


def test_nobody_clears_the_image() -> None:
    empty = Poses.empty(COCO17)
    message = over_the_wire(image_annotations(TYPES, STAMP, empty, np.zeros((0, 4)), []))
    assert not message.points and not message.texts and not message.circles
