# SPDX-License-Identifier: Apache-2.0
"""Messages of sensors with the classes of the bag library, for readers that are duck-typed."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.stamps import time_fields
from hrnet_pose_ros.replay.definitions import typestore

STAMP = 1_760_000_000_000_000_000
TYPES = typestore().types


def header(frame: str = "sensor", stamp: int = STAMP) -> Any:
    time = TYPES["builtin_interfaces/msg/Time"](**time_fields(stamp))
    return TYPES["std_msgs/msg/Header"](stamp=time, frame_id=frame)


def image(pixels: np.ndarray, encoding: str, /, frame: str = "depth", **fields: Any) -> Any:
    height, width = pixels.shape[:2]
    values = {
        "header": header(frame),
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": width * pixels.itemsize,
        "data": np.ascontiguousarray(pixels).view(np.uint8).ravel(),
    }
    return TYPES["sensor_msgs/msg/Image"](**(values | fields))


def camera_info(
    width: int, height: int, frame: str = "depth", focal: float = 100.0, **fields: Any
) -> Any:
    cx, cy = (width - 1) / 2, (height - 1) / 2
    values = {
        "header": header(frame),
        "width": width,
        "height": height,
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": np.array([focal, 0, cx, 0, focal, cy, 0, 0, 1.0]),
        "r": np.eye(3).ravel(),
        "p": np.array([focal, 0, cx, 0, 0, focal, cy, 0, 0, 0, 1.0, 0]),
        "binning_x": 0,
        "binning_y": 0,
        "roi": TYPES["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    }
    return TYPES["sensor_msgs/msg/CameraInfo"](**(values | fields))


def cloud(
    fields: list[tuple[str, int, int]], data: np.ndarray, point_step: int, **values: Any
) -> Any:
    """A PointCloud2 of one row; ``fields`` are name, offset, datatype."""
    field = TYPES["sensor_msgs/msg/PointField"]
    given = {
        "header": header("lidar"),
        "height": 1,
        "width": len(data) // max(point_step, 1),
        "fields": [field(name=n, offset=o, datatype=d, count=1) for n, o, d in fields],
        "is_bigendian": False,
        "point_step": point_step,
        "row_step": len(data),
        "data": data,
        "is_dense": False,
    }
    return TYPES["sensor_msgs/msg/PointCloud2"](**(given | values))


def scan(ranges: Any, **fields: Any) -> Any:
    values = {
        "header": header("scan"),
        "angle_min": -1.0,
        "angle_max": 1.0,
        "angle_increment": 0.01,
        "time_increment": 0.0,
        "scan_time": 0.1,
        "range_min": 0.1,
        "range_max": 30.0,
        "ranges": np.asarray(ranges, np.float32),
        "intensities": np.zeros(0, np.float32),
    }
    return TYPES["sensor_msgs/msg/LaserScan"](**(values | fields))


def range_reading(distance: float, **fields: Any) -> Any:
    values = {
        "header": header("sonar"),
        "radiation_type": 0,
        "field_of_view": 0.5,
        "min_range": 0.2,
        "max_range": 4.0,
        "range": distance,
        "variance": 0.0,
    }
    return TYPES["sensor_msgs/msg/Range"](**(values | fields))


def vector(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Any:
    return TYPES["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)


def quaternion(x: float = 0.0, y: float = 0.0, z: float = 0.0, w: float = 1.0) -> Any:
    return TYPES["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w)


def imu(**fields: Any) -> Any:
    values = {
        "header": header("imu"),
        "orientation": quaternion(),
        "orientation_covariance": np.zeros(9),
        "angular_velocity": vector(0.1, 0.2, 0.3),
        "angular_velocity_covariance": np.zeros(9),
        "linear_acceleration": vector(0.0, 0.0, 9.81),
        "linear_acceleration_covariance": np.zeros(9),
    }
    return TYPES["sensor_msgs/msg/Imu"](**(values | fields))


def odometry(
    child: str = "base_link",
    position: tuple[float, float, float] = (1.0, 2.0, 0.0),
    orientation: Any = None,
    linear: Any = None,
    angular: Any = None,
    stamp: int = STAMP,
) -> Any:
    geometry = "geometry_msgs/msg/"
    pose = TYPES[geometry + "Pose"](
        position=TYPES[geometry + "Point"](*position), orientation=orientation or quaternion()
    )
    twist = TYPES[geometry + "Twist"](linear=linear or vector(1.0), angular=angular or vector())
    return TYPES["nav_msgs/msg/Odometry"](
        header=header("odom", stamp),
        child_frame_id=child,
        pose=TYPES[geometry + "PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
        twist=TYPES[geometry + "TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
    )


def transforms(*rows: tuple[str, str, int, tuple[float, float, float], Any]) -> Any:
    """A TFMessage; rows of parent, child, stamp in ns, translation, quaternion."""
    geometry = "geometry_msgs/msg/"
    return TYPES["tf2_msgs/msg/TFMessage"](
        transforms=[
            TYPES[geometry + "TransformStamped"](
                header=header(parent, stamp),
                child_frame_id=child,
                transform=TYPES[geometry + "Transform"](translation=vector(*at), rotation=turn),
            )
            for parent, child, stamp, at, turn in rows
        ]
    )
