# SPDX-License-Identifier: Apache-2.0
"""The wire: our messages stay as they are, and vision_msgs is the published one.

rosbag2 does not check types: with a changed message, old bags are misread in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import get_package_share_directory

import hrnet_pose_ros.msg

# Published with vision_msgs 4.1.1 (ROS 2 Jazzy). Equal hashes are what makes two packages one on
# the wire.
VISION_MSGS_HASHES = {
    "Detection2DArray": "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection2D": "RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "Detection3DArray": "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
}

# Published with tf2_msgs of ROS 2 Jazzy.
TF_MESSAGE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"

# Messages of optional outputs: fields as published with hri_msgs 2.3.2, foxglove_msgs 3.2,
# autoware_perception_msgs 1.12 and nav2_msgs of ROS 2 Jazzy. No published type hashes could be
# found: the field lists are what is held. Newer ones of foxglove_msgs have more fields, which keep
# their defaults.
OPTIONAL_FIELDS: dict[str, list[tuple[str, str]]] = {
    "hri_msgs/IdsList": [("header", "std_msgs/Header"), ("ids", "sequence<string>")],
    "hri_msgs/NormalizedRegionOfInterest2D": [
        ("header", "std_msgs/Header"),
        *((name, "float") for name in ("xmin", "ymin", "xmax", "ymax", "c")),
    ],
    "hri_msgs/NormalizedPointOfInterest2D": [(name, "float") for name in "xyc"],
    "hri_msgs/Skeleton2D": [
        ("header", "std_msgs/Header"),
        ("skeleton", "hri_msgs/NormalizedPointOfInterest2D[18]"),
    ],
    "hri_msgs/BodyPosture": [("header", "std_msgs/Header"), ("posture", "uint8")],
    "hri_msgs/Gesture": [("header", "std_msgs/Header"), ("gesture", "uint8")],
    "foxglove_msgs/Color": [(name, "double") for name in "rgba"],
    "foxglove_msgs/Point2": [(name, "double") for name in "xy"],
    "foxglove_msgs/PointsAnnotation": [
        ("timestamp", "builtin_interfaces/Time"),
        ("type", "uint8"),
        ("points", "sequence<foxglove_msgs/Point2>"),
        ("outline_color", "foxglove_msgs/Color"),
        ("outline_colors", "sequence<foxglove_msgs/Color>"),
        ("fill_color", "foxglove_msgs/Color"),
        ("thickness", "double"),
    ],
    "foxglove_msgs/CircleAnnotation": [
        ("timestamp", "builtin_interfaces/Time"),
        ("position", "foxglove_msgs/Point2"),
        ("diameter", "double"),
        ("thickness", "double"),
        ("fill_color", "foxglove_msgs/Color"),
        ("outline_color", "foxglove_msgs/Color"),
    ],
    "foxglove_msgs/TextAnnotation": [
        ("timestamp", "builtin_interfaces/Time"),
        ("position", "foxglove_msgs/Point2"),
        ("text", "string"),
        ("font_size", "double"),
        ("text_color", "foxglove_msgs/Color"),
        ("background_color", "foxglove_msgs/Color"),
    ],
    "foxglove_msgs/ImageAnnotations": [
        ("circles", "sequence<foxglove_msgs/CircleAnnotation>"),
        ("points", "sequence<foxglove_msgs/PointsAnnotation>"),
        ("texts", "sequence<foxglove_msgs/TextAnnotation>"),
    ],
    "autoware_perception_msgs/DetectedObjects": [
        ("header", "std_msgs/Header"),
        ("objects", "sequence<autoware_perception_msgs/DetectedObject>"),
    ],
    "autoware_perception_msgs/DetectedObject": [
        ("existence_probability", "float"),
        ("classification", "sequence<autoware_perception_msgs/ObjectClassification>"),
        ("kinematics", "autoware_perception_msgs/DetectedObjectKinematics"),
        ("shape", "autoware_perception_msgs/Shape"),
    ],
    "autoware_perception_msgs/DetectedObjectKinematics": [
        ("pose_with_covariance", "geometry_msgs/PoseWithCovariance"),
        ("has_position_covariance", "boolean"),
        ("orientation_availability", "uint8"),
        ("twist_with_covariance", "geometry_msgs/TwistWithCovariance"),
        ("has_twist", "boolean"),
        ("has_twist_covariance", "boolean"),
    ],
    "autoware_perception_msgs/ObjectClassification": [("label", "uint8"), ("probability", "float")],
    "autoware_perception_msgs/Shape": [
        ("type", "uint8"),
        ("footprint", "geometry_msgs/Polygon"),
        ("dimensions", "geometry_msgs/Vector3"),
    ],
    "nav2_msgs/SpeedLimit": [
        ("header", "std_msgs/Header"),
        ("percentage", "boolean"),
        ("speed_limit", "double"),
    ],
}

OURS = "hrnet_pose_ros"

KEYPOINTS, SKELETONS = "sequence<hrnet_pose_ros/Keypoint>", "sequence<hrnet_pose_ros/Skeleton>"

# Names, types and order of all fields. Add new messages; never change one that stands here.
FIELDS: dict[str, list[tuple[str, str]]] = {
    "Keypoint": [
        ("x", "float"),
        ("y", "float"),
        ("score", "float"),
        ("var_x", "float"),
        ("cov_xy", "float"),
        ("var_y", "float"),
    ],
    "Skeleton": [
        ("id", "string"),
        ("detection_index", "uint32"),
        ("class_id", "string"),
        ("score", "float"),
        ("detection_score", "float"),
        ("bbox", "vision_msgs/BoundingBox2D"),
        ("keypoints", KEYPOINTS),
    ],
    "StageTimes": [
        ("arrival", "float"),
        ("pairing", "float"),
        ("queue", "float"),
        ("conversion", "float"),
        ("inference", "float"),
        ("age", "float"),
    ],
    "SkeletonArray": [
        ("header", "std_msgs/Header"),
        ("detections_stamp", "builtin_interfaces/Time"),
        ("image_width", "uint32"),
        ("image_height", "uint32"),
        ("omitted", "uint32"),
        ("times", "hrnet_pose_ros/StageTimes"),
        ("skeletons", SKELETONS),
    ],
    "SkeletonInfo": [
        ("header", "std_msgs/Header"),
        ("skeleton", "string"),
        ("version", "string"),
        ("model", "string"),
        ("engine", "string"),
        ("device", "string"),
        ("precision", "string"),
        ("decoding", "string"),
        ("crop", "string"),
        ("checksum", "string"),
        ("input_width", "uint32"),
        ("input_height", "uint32"),
        ("flip_test", "boolean"),
        ("calibrated", "boolean"),
        ("fallback", "boolean"),
        ("image_rectified", "boolean"),
        ("ids", "string"),
        ("joint_names", "sequence<string>"),
        ("oks_sigmas", "sequence<float>"),
        ("mirror_pairs", "sequence<uint16>"),
        ("limbs", "sequence<uint16>"),
        ("role_names", "sequence<string>"),
        ("role_joints", "sequence<uint16>"),
        ("detail_joints", "sequence<uint16>"),
    ],
    "Keypoint3D": [
        ("x", "float"),
        ("y", "float"),
        ("z", "float"),
        ("var_x", "float"),
        ("cov_xy", "float"),
        ("cov_xz", "float"),
        ("var_y", "float"),
        ("cov_yz", "float"),
        ("var_z", "float"),
    ],
    "Person": [
        ("id", "string"),
        ("detection_id", "string"),
        ("skeleton_index", "int32"),
        ("position", "geometry_msgs/Point"),
        ("velocity", "geometry_msgs/Vector3"),
        ("covariance", "double[36]"),
        ("height", "float"),
        ("height_variance", "float"),
        ("radius", "float"),
        ("radius_variance", "float"),
        ("heading", "float"),
        ("heading_variance", "float"),
        ("existence", "float"),
        ("posture", "uint8"),
        ("posture_probability", "float"),
        ("motion", "uint8"),
        ("motion_probability", "float"),
        ("facing", "uint8"),
        ("facing_probability", "float"),
        ("gesture", "uint16"),
        ("gesture_probability", "float"),
        ("child_probability", "float"),
        ("sources", "uint16"),
        ("measurement_age", "float"),
        ("keypoints", "sequence<hrnet_pose_ros/Keypoint3D>"),
    ],
    "PersonArray": [
        ("header", "std_msgs/Header"),
        ("status", "uint8"),
        ("reasons", "sequence<string>"),
        ("people", "sequence<hrnet_pose_ros/Person>"),
    ],
}

CONSTANTS: dict[str, dict[str, int | str]] = {
    "Keypoint": {
        "NOSE": 0,
        "LEFT_EYE": 1,
        "RIGHT_EYE": 2,
        "LEFT_EAR": 3,
        "RIGHT_EAR": 4,
        "LEFT_SHOULDER": 5,
        "RIGHT_SHOULDER": 6,
        "LEFT_ELBOW": 7,
        "RIGHT_ELBOW": 8,
        "LEFT_WRIST": 9,
        "RIGHT_WRIST": 10,
        "LEFT_HIP": 11,
        "RIGHT_HIP": 12,
        "LEFT_KNEE": 13,
        "RIGHT_KNEE": 14,
        "LEFT_ANKLE": 15,
        "RIGHT_ANKLE": 16,
    },
    "Skeleton": {"NO_DETECTION": 4294967295},
    "SkeletonInfo": {
        "CROP_REFERENCE": "reference",
        "CROP_UDP": "udp",
        "IDS_DETECTOR": "detector",
        "IDS_ASSIGNED": "assigned",
    },
    "Person": {
        "POSTURE_UNKNOWN": 0,
        "POSTURE_UPRIGHT": 1,
        "POSTURE_SITTING": 2,
        "POSTURE_CROUCHING": 3,
        "POSTURE_LYING": 4,
        "MOTION_UNKNOWN": 0,
        "MOTION_STATIONARY": 1,
        "MOTION_WALKING": 2,
        "MOTION_RUNNING": 3,
        "FACING_UNKNOWN": 0,
        "FACING_TOWARDS": 1,
        "FACING_AWAY": 2,
        "FACING_LEFT": 3,
        "FACING_RIGHT": 4,
        "GESTURE_LEFT_HAND_RAISED": 1,
        "GESTURE_RIGHT_HAND_RAISED": 2,
        "SOURCE_GROUND": 1,
        "SOURCE_BODY_LENGTH": 2,
        "SOURCE_DEPTH": 4,
        "SOURCE_LIDAR": 8,
        "SOURCE_SCAN": 16,
        "SOURCE_ULTRASONIC": 32,
        "SOURCE_IMU": 64,
        "SOURCE_ODOMETRY": 128,
    },
    "PersonArray": {
        "OK": 0,
        "DEGRADED": 1,
        "ERROR": 2,
        "REASON_DEPTH_SILENT": "depth_silent",
        "REASON_LIDAR_SILENT": "lidar_silent",
        "REASON_SCAN_SILENT": "scan_silent",
        "REASON_ULTRASONIC_SILENT": "ultrasonic_silent",
        "REASON_IMU_SILENT": "imu_silent",
        "REASON_ODOMETRY_SILENT": "odometry_silent",
        "REASON_SKELETONS_SILENT": "skeletons_silent",
        "REASON_SKELETONS_REFUSED": "skeletons_refused",
        "REASON_SKELETON_INFO_MISSING": "skeleton_info_missing",
        "REASON_CAMERA_INFO_MISSING": "camera_info_missing",
        "REASON_CAMERA_TRANSFORM_MISSING": "camera_transform_missing",
    },
}


def message_class(name: str) -> Any:
    return getattr(hrnet_pose_ros.msg, name)


def test_every_message_is_frozen(root: Path) -> None:
    assert {path.stem for path in (root / "msg").glob("*.msg")} == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name: str) -> None:
    assert list(message_class(name).get_fields_and_field_types().items()) == FIELDS[name]


@pytest.mark.parametrize("name", FIELDS)
def test_constants(name: str) -> None:
    kind = message_class(name)
    # What rosidl puts into the class by its metaclass: the constants, and defaults of fields.
    given = type(kind).__prepare__(name, ())
    found = {key: value for key, value in given.items() if not key.endswith("__DEFAULT")}
    assert found == CONSTANTS.get(name, {})
    assert all(getattr(kind, key) == value for key, value in found.items())


def test_joints_have_the_names_of_the_skeleton() -> None:
    from hrnet_pose_ros.skeleton import COCO17

    named = sorted(CONSTANTS["Keypoint"], key=CONSTANTS["Keypoint"].__getitem__)
    assert [name.lower() for name in named] == list(COCO17.joint_names)


def hashes_of(package: str, name: str) -> dict[str, str]:
    """RIHS01 hashes by type, of a message and of those nested in it, as built on this machine."""
    path = Path(get_package_share_directory(package), "msg", f"{name}.json")
    content = json.loads(path.read_text())["type_hashes"]
    return {one["type_name"]: one["hash_string"] for one in content}


def test_type_hashes_are_the_published_ones(root: Path) -> None:
    """Types with another hash do not connect, and bags of them are not read."""
    published = json.loads((root / "msg" / "type_hashes.json").read_text())
    built = {
        f"hrnet_pose_ros/msg/{name}": hashes_of(OURS, name)[f"hrnet_pose_ros/msg/{name}"]
        for name in sorted(FIELDS)
    }
    assert built == published


def test_tf2_msgs_is_the_published_one() -> None:
    found = hashes_of("tf2_msgs", "TFMessage")["tf2_msgs/msg/TFMessage"]
    assert found == TF_MESSAGE_HASH


@pytest.mark.parametrize("name", VISION_MSGS_HASHES)
def test_vision_msgs_is_the_published_one(name: str) -> None:
    assert hashes_of("vision_msgs", name)[f"vision_msgs/msg/{name}"] == VISION_MSGS_HASHES[name]


@pytest.mark.parametrize("name", OPTIONAL_FIELDS)
def test_messages_of_optional_outputs_have_the_published_fields(name: str) -> None:
    package, _, kind = name.partition("/")
    messages = pytest.importorskip(f"{package}.msg")
    found = list(getattr(messages, kind).get_fields_and_field_types().items())
    expected = OPTIONAL_FIELDS[name]
    assert found[: len(expected)] == expected if package == "foxglove_msgs" else found == expected
