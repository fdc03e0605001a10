# SPDX-License-Identifier: Apache-2.0
"""What ``hrnet_pose bag-info`` says about the sensors of the fusion, one fault at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_messages import (
    STAMP,
    TYPES,
    camera_info,
    cloud,
    header,
    image,
    imu,
    odometry,
    quaternion,
    range_reading,
    transforms,
    vector,
)

from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.stamps import time_fields
from hrnet_pose_ros.replay.bag_advice import text_of
from hrnet_pose_ros.replay.bag_info import bag_info
from hrnet_pose_ros.replay.bags import BagWriter
from hrnet_pose_ros.replay.fusion_check import nearest_distances
from hrnet_pose_ros.replay.parameter_file import settings_of

ALONE = settings_of(None, {})
MS = 1_000_000
FORWARD = quaternion(-0.5, 0.5, -0.5, 0.5)  # of an optical frame
HOUSING = transforms(("base_link", "camera", STAMP, (0.0, 0.0, 1.0), quaternion()))
XYZT = [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("time", 12, 7)]


def points(first: float = 0.0, last: float = 0.1, scale: float = 1.0) -> Any:
    table = np.tile([5.0 * scale, 1.0, 0.5, 0.0], (20, 1)).astype("<f4")
    table[:, 3] = np.linspace(first, last, 20)
    return cloud(XYZT, table.view(np.uint8).ravel(), 16)


def skeletons() -> Any:
    stage = TYPES["hrnet_pose_ros/msg/StageTimes"](*[np.nan] * 6)
    return TYPES["hrnet_pose_ros/msg/SkeletonArray"](
        header=header("camera"),
        detections_stamp=TYPES["builtin_interfaces/msg/Time"](0, 0),
        image_width=640,
        image_height=480,
        omitted=0,
        times=stage,
        skeletons=[],
    )


def sound() -> dict[str, tuple[str, Any]]:
    """Topics, types and messages of sensors in order; each is sent 20 times at 10 Hz."""
    depth = np.full((6, 8), 3000, np.uint16)
    places = [
        ("base_link", name, STAMP, (0.0, 0.0, 1.0), quaternion()) for name in ("lidar", "imu")
    ]
    places += [("base_link", name, STAMP, (0.0, 0.0, 1.0), FORWARD) for name in ("camera", "depth")]
    return {
        "/tf_static": ("tf2_msgs/msg/TFMessage", transforms(*places)),
        "/camera_info": ("sensor_msgs/msg/CameraInfo", camera_info(640, 480, frame="camera")),
        "/depth/camera_info": ("sensor_msgs/msg/CameraInfo", camera_info(8, 6)),
        "/depth": ("sensor_msgs/msg/Image", image(depth, "16UC1")),
        "/points": ("sensor_msgs/msg/PointCloud2", points()),
        "/imu": ("sensor_msgs/msg/Imu", imu()),
        "/skeletons": ("hrnet_pose_ros/msg/SkeletonArray", skeletons()),
    }


def advice(path: Path, topics: dict[str, tuple[str, Any]], shift: dict[str, int]) -> list[str]:
    with BagWriter(path) as bag:
        for step in range(20):
            for topic, (kind, message) in topics.items():
                at = STAMP + 100 * MS * step
                if hasattr(message, "header"):
                    stamp = at + MS * shift.get(topic, 0)
                    message.header.stamp = TYPES["builtin_interfaces/msg/Time"](
                        **time_fields(stamp)
                    )
                bag.write(topic, kind, at + 20 * MS, message)
    report = bag_info(path, ALONE, fusion=PersonFusionSettings())
    assert "the fusion of people with these inputs" in text_of(report)
    return [one for one in report.advice if "(fusion)" in one or one.startswith("The fusion")]


def test_sound_sensors_without_a_skeleton_info(tmp_path: Path) -> None:
    [one] = advice(tmp_path / "bag", sound(), {})
    assert "there is no SkeletonInfo" in one


@pytest.mark.parametrize(
    ("topic", "message", "text"),
    [
        ("/depth", image(np.full((6, 8), 3, np.uint16), "16UC1"), "16UC1 has to be in mm"),
        ("/depth", image(np.full((6, 8), 3000.0, np.float32), "32FC1"), "32FC1 has to be in m"),
        ("/depth", image(np.full((6, 8), 3, np.uint16), "16UC1", frame="x"), "place of 'x'"),
        ("/depth/camera_info", camera_info(8, 6, frame="camera"), "its CameraInfo is of 'camera'"),
        ("/points", points(3.0, 90.0), "the field time is in a unit that is not known"),
        ("/points", points(scale=1000.0), "has to be in m"),
        ("/imu", imu(linear_acceleration=vector(z=1.0)), "it has to be in m/s²"),
        ("/imu", imu(linear_acceleration=vector(z=-9.81)), "its sign is wrong"),
        ("/imu", imu(orientation=quaternion(x=1.0, w=0.0)), "z of the IMU's world has to point up"),
        ("/imu", imu(header=header("")), "the frame is empty"),
        ("/tf_static", HOUSING, "the camera in 'camera' looks straight up in 'base_link'"),
        ("/tf_static", transforms(), "the place of 'lidar' in 'base_link' is not known"),
    ],
)
def test_each_fault_is_named(topic: str, message: Any, text: str, tmp_path: Path) -> None:
    topics = sound()
    topics[topic] = (topics[topic][0], message)
    found = advice(tmp_path / "bag", topics, {})
    assert any(text in one for one in found), found


@pytest.mark.parametrize(
    ("shift", "text"),
    [
        (-3000, "the stamps are 3.020 s behind the clock"),
        (400, "the stamps are 0.380 s ahead of the clock"),
    ],
)
def test_stamps_of_another_clock(shift: int, text: str, tmp_path: Path) -> None:
    found = advice(tmp_path / "bag", sound(), {"/points": shift})
    assert any(text in one for one in found), found


def test_two_ultrasonic_sensors_with_one_frame(tmp_path: Path) -> None:
    topics = sound()
    kind = "sensor_msgs/msg/Range"
    place = ("base_link", "sonar", STAMP, (0.3, 0.0, 0.4), quaternion())
    topics["/tf_static"][1].transforms.extend(transforms(place).transforms)
    topics |= {f"/sonar/{side}": (kind, range_reading(2.0)) for side in ("left", "right")}
    found = [one for one in advice(tmp_path / "bag", topics, {}) if "sonar" in one]
    assert len(found) == 1 and "'sonar' is the frame of /sonar/left as well" in found[0], found


def test_a_sensor_that_is_never_near_an_image(tmp_path: Path) -> None:
    topics = {name: one for name, one in sound().items() if name != "/skeletons"}
    path = tmp_path / "bag"
    with BagWriter(path) as bag:
        for step in range(20):
            sent = {**topics, "/skeletons": sound()["/skeletons"]} if step % 4 == 0 else topics
            for topic, (kind, message) in sent.items():
                at = STAMP + 400 * MS * step + (150 * MS if topic == "/skeletons" else 0)
                if hasattr(message, "header"):
                    message.header.stamp = TYPES["builtin_interfaces/msg/Time"](**time_fields(at))
                bag.write(topic, kind, at + 20 * MS, message)
    report = bag_info(path, ALONE)
    [one] = [text for text in report.advice if text.startswith("/points (fusion)")]
    assert "only 0% of the images have a message within sensor_tolerance_ms (60)" in one
    assert "the median distance is 150 ms" in one


def test_the_depth_image_is_no_camera_image(tmp_path: Path) -> None:
    advice(tmp_path / "bag", sound(), {})
    report = bag_info(tmp_path / "bag", ALONE)
    assert report.pairing is None and not any("images" in one for one in report.advice)
    [depth] = [one for one in report.topics if one.name == "/depth"]
    assert depth.is_depth and depth.formats == {"16UC1 8x6": 20} and not depth.unreadable


def test_a_moving_camera_in_a_long_recording(tmp_path: Path) -> None:
    """Transforms are kept for 10 s only: at the end, those of the middle have been forgotten."""
    path, topics = tmp_path / "bag", sound()
    topics["/tf_static"] = (
        topics["/tf_static"][0],
        transforms(("base_link", "neck", STAMP, (0.0, 0.0, 1.0), quaternion())),
    )
    with BagWriter(path) as bag:
        for step in range(400):
            at = STAMP + 100 * MS * step
            head = transforms(("neck", "camera", at, (0.0, 0.0, 0.1), FORWARD))
            bag.write("/tf", "tf2_msgs/msg/TFMessage", at + 20 * MS, head)
            for topic in ("/tf_static", "/camera_info", "/skeletons"):
                kind, message = topics[topic]
                if topic == "/skeletons":
                    message.header.stamp = TYPES["builtin_interfaces/msg/Time"](
                        **time_fields(at - 10 * MS)
                    )
                bag.write(topic, kind, at + 10 * MS, message)
    report = bag_info(path, ALONE)
    assert not [one for one in report.advice if "the place of" in one]


def test_stamps_of_hours_are_compared_without_a_table_of_all_pairs() -> None:
    images = STAMP + 100 * MS * np.arange(200_000)
    clouds = images[::-1] + 30 * MS
    assert nearest_distances(images, clouds).tolist() == [30 * MS] * 200_000
    assert not len(nearest_distances(images, clouds[:0]))


@pytest.mark.parametrize(
    ("moves", "speed", "ratio"), [(1.0, 1.0, ""), (0.0, 1.0, "0.00"), (1.0, -1.0, "-1.00")]
)
def test_odometry_whose_pose_and_twist_differ(
    moves: float, speed: float, ratio: str, tmp_path: Path
) -> None:
    """A base that only sends a twist, and one that drives backwards by its twist."""
    with BagWriter(tmp_path / "bag") as bag:
        for step in range(40):
            at, half = STAMP + 100 * MS * step, 0.02 * step  # half of the yaw
            message = odometry(
                position=arc(0.1 * step * moves, 0.04),
                orientation=quaternion(z=np.sin(half), w=np.cos(half)),
                linear=vector(speed),
            )
            message.header.stamp = TYPES["builtin_interfaces/msg/Time"](**time_fields(at))
            bag.write("/odom", "nav_msgs/msg/Odometry", at + 20 * MS, message)
            for topic in ("/tf_static", "/camera_info", "/skeletons"):
                bag.write(topic, sound()[topic][0], at + 20 * MS, sound()[topic][1])
    report = bag_info(tmp_path / "bag", ALONE)
    found = [one for one in report.advice if one.startswith("/odom (fusion)")]
    assert len(found) == bool(ratio) and all(f"moves {ratio}" in one for one in found)


def arc(way: float, turn: float) -> tuple[float, float, float]:
    """Where a vehicle is after a way, m, that turns by so many rad in 0.1 m."""
    radius = 0.1 / turn
    return radius * np.sin(way / radius), radius * (1 - np.cos(way / radius)), 0.0
