# SPDX-License-Identifier: Apache-2.0
"""Messages of packages that need not be installed: what is published with them is off without."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from hrnet_pose_ros.pipeline.message_types import MessageClasses


def find_message(node: Node, types: MessageClasses, name: str, output: str) -> Any | None:
    """Return a message class by its full name; None, and a line in the log, if there is none.

    Parameters
    ----------
    name
        Like ``foxglove_msgs/msg/ImageAnnotations``.
    output
        What is off without it, for the log.
    """
    try:
        return types[name]
    except (ImportError, AttributeError) as error:
        node.get_logger().info(f"{output} is off: {missing(name, error)}")
        return None


def missing(name: str, error: Exception) -> str:
    """Return why a message is not there, and what to install."""
    package = name.partition("/")[0]
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent in (package, f"{package}.msg"):
        debian = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
        return f"{package} is not installed (apt install {debian})"
    return f"{name} cannot be used: {error}"
