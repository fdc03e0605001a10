# SPDX-License-Identifier: Apache-2.0
"""The node `person_detector` over DDS, alone and before the pose node."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
from ros_robot import FRAME_ID, RELIABLE, TIMEOUT, nanoseconds
from vision_msgs.msg import Detection2DArray


def test_camera_to_skeletons_through_both_nodes(
    robot: Any, start: Callable[..., Any], street_frames: list[np.ndarray]
) -> None:
    patient = {"max_age_ms": 10000.0, "max_wait_ms": 10000.0}
    robot.listen(Detection2DArray, "detections", RELIABLE)
    node = start(**patient)
    detector = start(executable="person_detector_node", tile_columns=2, tile_rows=1)
    robot.wait_until_active(node)
    robot.wait(lambda: robot.images.get_subscription_count() >= 2)
    stamps = []

    def answered() -> bool:
        stamp = robot.now()
        robot.send_image(street_frames[2], stamp)
        stamps.append(stamp)
        robot.wait(lambda: False, 0.5, fail=False)
        return bool(robot.heard["skeletons"])

    robot.wait(answered)
    skeletons = robot.heard["skeletons"][0]
    stamp = nanoseconds(skeletons)
    detections = robot.wait(
        lambda: next((m for m in robot.heard["detections"] if nanoseconds(m) == stamp), None)
    )
    assert nanoseconds(detections) in stamps and detections.header.frame_id == FRAME_ID
    assert len(detections.detections) >= 2
    assert [s.id for s in skeletons.skeletons] == [d.id for d in detections.detections]
    assert all(d.results[0].hypothesis.class_id == "person" for d in detections.detections)
    assert detector.signal(signal.SIGINT) == 0, detector.log
    assert "Traceback" not in detector.log


def test_a_wrong_parameter_is_one_line(start: Callable[..., Any]) -> None:
    node = start(executable="person_detector_node", min_score=1.5)
    assert node.process.wait(TIMEOUT) == 1
    assert "min_score" in node.log and "Traceback" not in node.log
