# SPDX-License-Identifier: Apache-2.0
"""hrnet_pose.launch.xml on the bundled clip, with the real `ros2 launch` and `ros2 bag play`."""

from __future__ import annotations

import importlib.util
import shutil
import time
import unittest
from pathlib import Path
from typing import Any

import pytest

BAG = Path(__file__).resolve().parents[2] / "demo" / "street_bag"
NAMESPACE = "/smoke"
# The bag is played once; starting, compiling the model and 12 s of clip take less on any machine.
TIMEOUT = 120.0
ENOUGH = 10

# At collection launch_testing imports this file by itself: a skip raised here would end the run.
MISSING = [
    name
    for name in ("launch_testing", "launch_ros", "launch_xml", "ros2bag")
    if importlib.util.find_spec(name) is None
] + [name for name in ("ros2",) if shutil.which(name) is None]

if MISSING:

    @pytest.mark.skip(reason=f"needs {', '.join(MISSING)} (a full ROS 2 installation)")
    def test_smoke_launch() -> None:
        """Stands for the test that cannot run here."""

else:
    import launch_testing.actions
    import launch_testing.asserts
    import rclpy
    from ament_index_python.packages import get_package_share_directory
    from launch.actions import ExecuteProcess, IncludeLaunchDescription
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    from hrnet_pose_ros.msg import SkeletonArray
    from launch import LaunchDescription

    @pytest.mark.launch_test
    def generate_test_description() -> LaunchDescription:
        share = Path(get_package_share_directory("hrnet_pose_ros"))
        return LaunchDescription(
            [
                IncludeLaunchDescription(
                    AnyLaunchDescriptionSource(str(share / "launch" / "hrnet_pose.launch.xml")),
                    launch_arguments={
                        "namespace": NAMESPACE,
                        "image": "/camera/image",
                        "image_transport": "compressed",
                        "use_sim_time": "true",
                    }.items(),
                ),
                # In a loop: however long the node takes to start, images come when it is ready.
                ExecuteProcess(
                    cmd=["ros2", "bag", "play", str(BAG), "--clock", "100", "--loop"]
                    + ["--delay", "2", "--disable-keyboard-controls"],
                    output="screen",
                ),
                launch_testing.actions.ReadyToTest(),
            ]
        )

    class TestSkeletons(unittest.TestCase):
        """While the launch file's processes run."""

        def test_skeletons_come_out(self) -> None:
            heard: list[SkeletonArray] = []
            rclpy.init()
            node = rclpy.create_node("smoke")
            node.create_subscription(SkeletonArray, f"{NAMESPACE}/skeletons", heard.append, 10)
            deadline = time.monotonic() + TIMEOUT
            while len(heard) < ENOUGH and time.monotonic() < deadline:
                rclpy.spin_once(node, timeout_sec=0.2)
            node.destroy_node()
            rclpy.shutdown()
            self.assertGreaterEqual(len(heard), ENOUGH, f"skeletons heard in {TIMEOUT:.0f} s")
            self.assertTrue(any(message.skeletons for message in heard), "all were empty")
            self.assertTrue(all(message.header.frame_id for message in heard))

    @launch_testing.post_shutdown_test()
    class TestEnd(unittest.TestCase):
        """After launch has ended them with SIGINT."""

        def test_node_ends_cleanly(self, proc_info: Any) -> None:
            launch_testing.asserts.assertExitCodes(proc_info, process="hrnet_pose_node")
