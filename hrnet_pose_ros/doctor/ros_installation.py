# SPDX-License-Identifier: Apache-2.0
"""ROS 2: which one is sourced, and whether rclpy and the messages can be used."""

from __future__ import annotations

import importlib
import os

from hrnet_pose_ros.doctor.findings import Finding, Severity

DISTRO = "jazzy"  # what the tests run on
UNTESTED = ("lyrical",)  # what the package is made for as well
OURS = "hrnet_pose_ros"
# What the nodes speak besides their own.
MESSAGES = {
    "diagnostic_msgs.msg": "DiagnosticArray",
    "geometry_msgs.msg": "Point",
    "lifecycle_msgs.srv": "ChangeState",
    "nav_msgs.msg": "Odometry",
    "sensor_msgs.msg": "Image",
    "std_srvs.srv": "Trigger",
    "tf2_msgs.msg": "TFMessage",
    "vision_msgs.msg": "Detection2DArray",
    "visualization_msgs.msg": "MarkerArray",
}
SOURCE = f"source /opt/ros/{DISTRO}/setup.bash, then the workspace's install/setup.bash"


def ros() -> list[Finding]:
    """Distribution, rclpy, messages."""
    return [_distribution(), _rclpy(), _messages(), _interfaces()]


def _distribution() -> Finding:
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    distro = os.environ.get("ROS_DISTRO", "")
    details = {"distro": distro, "prefixes": prefixes}
    if not prefixes:
        return Finding("distribution", "no ROS 2 is sourced", Severity.NOTE, SOURCE, details)
    if not distro:
        return Finding("distribution", f"from {prefixes[-1]}", details=details)
    if distro in UNTESTED:
        return Finding(
            "distribution",
            distro,
            Severity.NOTE,
            f"supported, but tested on {DISTRO} only",
            details,
        )
    if distro != DISTRO:
        return Finding(
            "distribution",
            distro,
            Severity.WARNING,
            f"only {' and '.join((DISTRO, *UNTESTED))} are supported",
            details,
        )
    return Finding("distribution", distro, details=details)


def _rclpy() -> Finding:
    try:
        rclpy = importlib.import_module("rclpy")
        importlib.import_module("rclpy.lifecycle")
    except Exception as error:
        return Finding("rclpy", f"cannot be imported: {error}", Severity.ERROR, SOURCE)
    return Finding("rclpy", f"found in {os.path.dirname(str(rclpy.__file__))}")


def _messages() -> Finding:
    missing = []
    for module, name in MESSAGES.items():
        try:
            getattr(importlib.import_module(module), name)
        except Exception as error:
            missing.append(f"{module} ({error})")
    if not missing:
        return Finding("messages", "all that the nodes use are found")
    packages = " ".join(f"ros-{DISTRO}-{m.split('.')[0].replace('_', '-')}" for m in missing)
    return Finding(
        "messages", f"missing: {', '.join(missing)}", Severity.ERROR, f"apt install {packages}"
    )


def _interfaces() -> Finding:
    """Messages of this package: generated, compiled, and found at run time."""
    try:
        messages = importlib.import_module(f"{OURS}.msg")
        check = importlib.import_module("rclpy.type_support").check_for_type_support
        for name in ("SkeletonArray", "SkeletonInfo", "PersonArray"):
            check(getattr(messages, name))
    except Exception as error:
        return Finding(
            "interfaces",
            f"the messages of {OURS} cannot be used: {error}",
            Severity.ERROR,
            "colcon build in the workspace, then source its install/setup.bash",
        )
    return Finding("interfaces", f"built, in {os.path.dirname(str(messages.__file__))}")
