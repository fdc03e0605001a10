# SPDX-License-Identifier: Apache-2.0
"""The simulated measurements as the messages that real drivers publish.

Every function takes ``types``, the message classes by their full names
(``sensor_msgs/msg/Imu``), and passes all fields by keyword, with NumPy arrays for numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    OdometrySample,
    PointCloud,
    Skeletons,
    UltrasonicRange,
)
from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.pipeline.detections import Persons
from hrnet_pose_ros.pipeline.message_types import MessageTypes
from hrnet_pose_ros.pipeline.skeleton_messages import Times, skeleton_array
from hrnet_pose_ros.pipeline.stamps import time_fields
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.simulation.motion_sensors import quaternion_of

Types = Mapping[str, Any]

FLOAT32 = 7  # sensor_msgs/PointField
ULTRASOUND = 0  # sensor_msgs/Range
# The values of an unknown covariance and of one that is not estimated.
UNKNOWN, NOT_ESTIMATED = 0.0, -1.0


def header_of(types: Types, stamp: int, frame: str) -> Any:
    """A std_msgs/Header."""
    time = types["builtin_interfaces/msg/Time"](**time_fields(stamp))
    return types["std_msgs/msg/Header"](stamp=time, frame_id=frame)


def skeletons_message(
    types: Types, ours: MessageTypes, value: Skeletons, age: float, omitted: int = 0
) -> Any:
    """A SkeletonArray; ``age`` in s from the stamp to the arrival."""
    persons = Persons(
        detections=list(value.ids),
        indices=list(range(len(value))),
        ids=list(value.ids),
        class_ids=["person"] * len(value),
        scores=[float(score) for score in value.detection_scores],
        boxes=value.boxes,
        omitted=omitted,
        drops={},
    )
    image = SimpleNamespace(header=header_of(types, value.stamp, value.frame))
    return skeleton_array(
        ours,
        image=image,
        detections=image,
        image_size=value.image_size,
        persons=persons,
        poses=value.poses,
        times=Times(age=age),
    )


def camera_info_message(
    types: Types, camera: Camera, size: tuple[int, int], stamp: int, frame: str
) -> Any:
    """The CameraInfo of an image without distortion; ``size`` is (width, height)."""
    k = [camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1]
    p = [camera.fx, 0, camera.cx, 0, 0, camera.fy, camera.cy, 0, 0, 0, 1, 0]
    return types["sensor_msgs/msg/CameraInfo"](
        header=header_of(types, stamp, frame),
        height=size[1],
        width=size[0],
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k, np.float64),
        r=np.eye(3).ravel(),
        p=np.array(p, np.float64),
        binning_x=0,
        binning_y=0,
        roi=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def depth_message(types: Types, value: DepthImage, encoding: str) -> Any:
    """A depth Image: ``16UC1`` in mm with 0 for holes, or ``32FC1`` in m with NaN (REP 118)."""
    height, width = value.depth.shape
    if encoding == "16UC1":
        held = np.nan_to_num(value.depth, nan=0.0, posinf=0.0, neginf=0.0)
        data = np.round(held * 1000).astype("<u2")
    else:
        data = value.depth.astype("<f4")
    return types["sensor_msgs/msg/Image"](
        header=header_of(types, value.stamp, value.frame),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * data.itemsize,
        data=data.view(np.uint8).ravel(),
    )


def cloud_message(types: Types, value: PointCloud) -> Any:
    """A PointCloud2 with x, y, z and, where they are known, ``time`` in s from the stamp."""
    names = ["x", "y", "z"] + (["time"] if value.times is not None else [])
    table = np.empty((len(value.points), len(names)), "<f4")
    table[:, :3] = value.points
    if value.times is not None:
        table[:, 3] = value.times
    return types["sensor_msgs/msg/PointCloud2"](
        header=header_of(types, value.stamp, value.frame),
        height=1,
        width=len(table),
        fields=[
            types["sensor_msgs/msg/PointField"](
                name=name, offset=4 * place, datatype=FLOAT32, count=1
            )
            for place, name in enumerate(names)
        ],
        is_bigendian=False,
        point_step=4 * len(names),
        row_step=4 * len(names) * len(table),
        data=table.view(np.uint8).ravel(),
        is_dense=bool(np.isfinite(value.points).all()),
    )


def scan_message(types: Types, value: LaserScan, period: float) -> Any:
    """A LaserScan; ``period`` in s between two scans."""
    return types["sensor_msgs/msg/LaserScan"](
        header=header_of(types, value.stamp, value.frame),
        angle_min=value.angle_min,
        angle_max=value.angle_min + value.angle_increment * max(len(value.ranges) - 1, 0),
        angle_increment=value.angle_increment,
        time_increment=value.time_increment,
        scan_time=period,
        range_min=value.range_min,
        range_max=value.range_max,
        ranges=value.ranges.astype(np.float32),
        intensities=np.zeros(0, np.float32),
    )


def range_message(types: Types, value: UltrasonicRange) -> Any:
    """A Range, with infinities as REP 117 has them."""
    return types["sensor_msgs/msg/Range"](
        header=header_of(types, value.stamp, value.frame),
        radiation_type=ULTRASOUND,
        field_of_view=value.field_of_view,
        min_range=value.min_range,
        max_range=value.max_range,
        range=value.range,
        variance=0.0,  # not known
    )


def imu_message(
    types: Types, value: ImuSample, angle: float, rate: float, acceleration: float
) -> Any:
    """An Imu; the standard deviations in rad, rad/s and m/s²."""
    orientation = value.orientation
    covariance = np.diag([angle**2, angle**2, math.pi**2]).ravel()  # yaw has no reference
    if orientation is None:
        orientation, covariance[0] = np.array([0.0, 0.0, 0.0, 1.0]), NOT_ESTIMATED
    linear = value.linear_acceleration
    linear_covariance = acceleration**2 * np.eye(3).ravel()
    if linear is None:
        linear, linear_covariance[0] = np.zeros(3), NOT_ESTIMATED
    return types["sensor_msgs/msg/Imu"](
        header=header_of(types, value.stamp, value.frame),
        orientation=_quaternion(types, orientation),
        orientation_covariance=covariance,
        angular_velocity=_vector(types, value.angular_velocity),
        angular_velocity_covariance=rate**2 * np.eye(3).ravel(),
        linear_acceleration=_vector(types, linear),
        linear_acceleration_covariance=linear_covariance,
    )


def odometry_message(types: Types, value: OdometrySample, parent: str, child: str) -> Any:
    """An Odometry of ``child`` in ``parent``; its covariances are not known."""
    geometry = "geometry_msgs/msg/"
    pose = types[geometry + "Pose"](
        position=_point(types, value.position), orientation=_quaternion(types, value.orientation)
    )
    twist = types[geometry + "Twist"](
        linear=_vector(types, value.linear), angular=_vector(types, value.angular)
    )
    return types["nav_msgs/msg/Odometry"](
        header=header_of(types, value.stamp, parent),
        child_frame_id=child,
        pose=types[geometry + "PoseWithCovariance"](pose=pose, covariance=np.full(36, UNKNOWN)),
        twist=types[geometry + "TwistWithCovariance"](twist=twist, covariance=np.full(36, UNKNOWN)),
    )


def transform_message(
    types: Types, stamp: int, parent: str, transforms: Mapping[str, Transform]
) -> Any:
    """A TFMessage of the transforms from some frames to one parent."""
    geometry = "geometry_msgs/msg/"
    return types["tf2_msgs/msg/TFMessage"](
        transforms=[
            types[geometry + "TransformStamped"](
                header=header_of(types, stamp, parent),
                child_frame_id=frame,
                transform=types[geometry + "Transform"](
                    translation=_vector(types, transform.translation),
                    rotation=_quaternion(types, quaternion_of(transform.rotation)),
                ),
            )
            for frame, transform in transforms.items()
        ]
    )


def _vector(types: Types, values: np.ndarray) -> Any:
    x, y, z = (float(value) for value in values)
    return types["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)


def _point(types: Types, values: np.ndarray) -> Any:
    x, y, z = (float(value) for value in values)
    return types["geometry_msgs/msg/Point"](x=x, y=y, z=z)


def _quaternion(types: Types, values: np.ndarray) -> Any:
    x, y, z, w = (float(value) for value in values)
    return types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w)
