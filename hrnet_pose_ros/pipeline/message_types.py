# SPDX-License-Identifier: Apache-2.0
"""The message classes that conversions construct: those of rclpy, or those of a bag library.

Conversions pass all fields of a message by keyword, which both kinds of classes accept.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

# Classes by the full names of their types, like ``sensor_msgs/msg/Imu``.
MessageClasses: TypeAlias = Mapping[str, Any]


class MessageTypes(NamedTuple):
    """The classes of the messages that the node publishes, and of those nested in them."""

    Keypoint: Any
    Skeleton: Any
    SkeletonArray: Any
    SkeletonInfo: Any
    StageTimes: Any
    BoundingBox2D: Any
    Pose2D: Any
    Point2D: Any
    Header: Any
    Time: Any


def rclpy_types() -> MessageTypes:
    """Return the classes that rclpy publishes."""
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header
    from vision_msgs.msg import BoundingBox2D, Point2D, Pose2D

    import hrnet_pose_ros.msg as ours

    return MessageTypes(
        Keypoint=ours.Keypoint,
        Skeleton=ours.Skeleton,
        SkeletonArray=ours.SkeletonArray,
        SkeletonInfo=ours.SkeletonInfo,
        StageTimes=ours.StageTimes,
        BoundingBox2D=BoundingBox2D,
        Pose2D=Pose2D,
        Point2D=Point2D,
        Header=Header,
        Time=Time,
    )


class RclpyClasses(dict[str, Any]):
    """The classes of rclpy by the full names of their types, each imported when it is needed.

    ``classes["sensor_msgs/msg/Imu"]`` is ``sensor_msgs.msg.Imu``; ImportError if its package is not
    installed.
    """

    def __missing__(self, name: str) -> Any:
        package, _, kind = name.split("/")
        self[name] = getattr(import_module(f"{package}.msg"), kind)
        return self[name]
