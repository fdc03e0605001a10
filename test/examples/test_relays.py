# SPDX-License-Identifier: Apache-2.0
"""The relays. Those of detectors run on stand-ins of the foreign messages with all 2D fields.

The foreign message packages cannot be installed here; the field names are those of the published
definitions that the relays' docstrings cite.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import RegionOfInterest
from some_people import TYPES, output, person
from some_people import over_the_wire as read_back
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.fusion.person import MotionState, PeopleStatus, Posture
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.pipeline.detections import persons_of
from hrnet_pose_ros.pipeline.people.person_messages import person_array
from hrnet_pose_ros.pipeline.settings import Settings

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera_optical_frame")
IMAGE_SIZE = (1280, 720)


def load(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, root / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def over_the_wire(message: Detection2DArray) -> Detection2DArray:
    """Serialise and read back: fails where a field has a wrong type."""
    return deserialize_message(serialize_message(message), Detection2DArray)


def persons(message: Detection2DArray) -> Any:
    """What the node takes from the message with its default parameters."""
    return persons_of(
        message,
        IMAGE_SIZE,
        Settings.of({}),
    )


def yolo_detection(
    class_id: int, class_name: str, score: float, box: tuple[float, ...], name: str
) -> SimpleNamespace:
    """yolo_msgs/msg/Detection."""
    x, y, width, height, theta = box
    return SimpleNamespace(
        class_id=class_id,
        class_name=class_name,
        score=score,
        id=name,
        bbox=SimpleNamespace(
            center=SimpleNamespace(position=SimpleNamespace(x=x, y=y), theta=theta),
            size=SimpleNamespace(x=width, y=height),
        ),
    )


def autoware_object(
    roi: tuple[int, int, int, int], existence: float, *classes: tuple[int, float]
) -> SimpleNamespace:
    """tier4_perception_msgs/msg/DetectedObjectWithFeature."""
    x, y, width, height = roi
    return SimpleNamespace(
        object=SimpleNamespace(
            existence_probability=existence,
            classification=[
                SimpleNamespace(label=label, probability=probability)
                for label, probability in classes
            ],
        ),
        feature=SimpleNamespace(
            roi=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
        ),
    )


def test_yolo_ros(root: Path) -> None:
    message = SimpleNamespace(
        header=HEADER,
        detections=[
            yolo_detection(2, "car", 0.9, (900.0, 400.0, 300.0, 200.0, 0.0), "3"),
            yolo_detection(0, "person", 0.75, (100.0, 200.0, 60.0, 180.0, 0.0), "17"),
            yolo_detection(0, "", 0.5, (300.0, 200.0, 60.0, 180.0, 0.1), ""),  # unnamed class
        ],
    )
    relayed = over_the_wire(load(root, "yolo_ros_relay").convert(message))
    assert relayed.header == HEADER
    assert [detection.id for detection in relayed.detections] == ["3", "17", ""]
    assert all(detection.header == HEADER for detection in relayed.detections)
    assert relayed.detections[2].bbox.center.theta == 0.1
    found = persons(relayed)
    assert found.indices == [1, 2]
    assert found.class_ids == ["person", "0"]
    assert found.scores == [0.75, 0.5]
    assert found.boxes[0].tolist() == [70.0, 110.0, 60.0, 180.0]


def test_autoware(root: Path) -> None:
    message = SimpleNamespace(
        header=HEADER,
        feature_objects=[
            autoware_object((10, 20, 300, 200), 0.9, (1, 1.0)),  # a car
            autoware_object((70, 110, 61, 180), 0.5, (6, 0.25), (7, 0.75)),
            autoware_object((0, 0, 10, 20), 0.5),  # not classified
            autoware_object((0, 0, 10, 20), 0.5, (200, 1.0)),  # a label of the future
        ],
    )
    relayed = over_the_wire(load(root, "autoware_relay").convert(message))
    assert relayed.header == HEADER
    names = [
        [result.hypothesis.class_id for result in detection.results]
        for detection in relayed.detections
    ]
    assert names == [["car"], ["bicycle", "pedestrian"], [], ["label_200"]]
    found = persons(relayed)
    assert found.indices == [1]
    assert found.class_ids == ["pedestrian"]
    assert found.scores == [0.375]
    assert found.boxes[0].tolist() == [70.0, 110.0, 61.0, 180.0]


def test_people_to_autoware(root: Path) -> None:
    """As autoware_perception_msgs defines: poses of middles, twists in the object's axes."""
    autoware = pytest.importorskip("autoware_perception_msgs.msg")
    convert = load(root, "autoware_people_relay").convert
    walking = person(
        heading=math.pi / 2,
        heading_variance=0.04,
        velocity=np.array([0.0, 1.5, 0.0]),
        covariance=np.diag([0.01, 0.04, 0.01, 0.09, 0.16, 0.01]),
        motion=MotionState.WALKING,
    )
    unknown = person(height=math.nan, radius=math.nan, velocity=np.array([-9.0, 0, 0]))
    slow = person(velocity=np.array([0.5, 0.0, 0.0]), sources=Source.ODOMETRY)
    people = person_array(TYPES, output(walking, unknown, person(posture=Posture.LYING), slow))
    relayed = read_back(convert(people))
    assert isinstance(relayed, autoware.DetectedObjects) and relayed.header == people.header
    first, second, lying, fourth = relayed.objects
    assert first.existence_probability == pytest.approx(0.9)
    [kind] = first.classification
    assert kind.label == autoware.ObjectClassification.PEDESTRIAN and kind.probability == 1.0
    assert first.shape.type == autoware.Shape.CYLINDER
    size = first.shape.dimensions
    assert (size.x, size.y, size.z) == pytest.approx((0.6, 0.6, 1.8))
    kinematics = first.kinematics
    pose = kinematics.pose_with_covariance.pose
    assert (pose.position.x, pose.position.y) == (4.0, -1.0)
    assert pose.position.z == pytest.approx(0.9)
    assert pose.orientation.z == pytest.approx(math.sqrt(0.5))
    assert kinematics.orientation_availability == kinematics.AVAILABLE
    assert kinematics.has_position_covariance and kinematics.has_twist
    assert kinematics.pose_with_covariance.covariance[35] == pytest.approx(0.04)
    twist = kinematics.twist_with_covariance
    assert (twist.twist.linear.x, twist.twist.linear.y) == pytest.approx((1.5, 0.0))
    assert (twist.covariance[0], twist.covariance[7]) == pytest.approx((0.16, 0.09))
    # Without odometry the velocity is relative to the vehicle: Autoware must not take it.
    assert not second.kinematics.has_twist
    # With it, the velocity is known also of somebody who may be standing or walking.
    assert fourth.kinematics.has_twist
    assert fourth.kinematics.twist_with_covariance.twist.linear.x == pytest.approx(0.5)
    assert second.kinematics.orientation_availability == second.kinematics.UNAVAILABLE
    size = second.shape.dimensions
    assert (size.x, size.z) == pytest.approx((0.6, 1.7))
    assert lying.shape.dimensions.x > 1.8 > lying.shape.dimensions.z


def test_people_to_autoware_say_nothing_on_a_fault(root: Path) -> None:
    pytest.importorskip("autoware_perception_msgs.msg")
    convert = load(root, "autoware_people_relay").convert
    assert convert(person_array(TYPES, output(status=PeopleStatus.ERROR))) is None
    empty = convert(person_array(TYPES, output(status=PeopleStatus.DEGRADED)))
    assert len(empty.objects) == 0


@pytest.mark.parametrize(
    ("name", "field"), [("yolo_ros_relay", "detections"), ("autoware_relay", "feature_objects")]
)
def test_nothing_detected_is_still_a_message(root: Path, name: str, field: str) -> None:
    relayed = load(root, name).convert(SimpleNamespace(header=HEADER, **{field: []}))
    assert relayed.header == HEADER
    assert len(relayed.detections) == 0


@pytest.mark.parametrize(
    ("name", "package"),
    [("yolo_ros_relay", "yolo_msgs"), ("autoware_relay", "tier4_perception_msgs")],
)
def test_only_main_needs_the_foreign_package(root: Path, name: str, package: str) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(ModuleNotFoundError, match=package):
        load(root, name).main()
