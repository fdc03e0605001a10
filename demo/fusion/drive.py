# SPDX-License-Identifier: Apache-2.0
"""The simulated drive: its bag is played to the node, and says what is to be drawn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2, Range
from tf2_msgs.msg import TFMessage

from demo.clips import TimedMessage
from demo.fusion.moments import CameraView
from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.pipeline.images import rgb_frame_of_compressed
from hrnet_pose_ros.pipeline.people.message_fields import MessageRefused
from hrnet_pose_ros.pipeline.people.point_clouds import point_cloud_of
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.simulation.bag import PICTURE, TOPICS, TRUTH, TRUTH_FILE, write_simulation
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.sensor import START_NS
from hrnet_pose_ros.simulation.simulator import FRAMES, Simulator
from hrnet_pose_ros.simulation.truth import Truth
from hrnet_pose_ros.simulation.truth_messages import read_truth

TYPES = {
    "hrnet_pose_ros/msg/SkeletonArray": SkeletonArray,
    "hrnet_pose_ros/msg/SkeletonInfo": SkeletonInfo,
    "nav_msgs/msg/Odometry": Odometry,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/Imu": Imu,
    "sensor_msgs/msg/LaserScan": LaserScan,
    "sensor_msgs/msg/PointCloud2": PointCloud2,
    "sensor_msgs/msg/Range": Range,
    "tf2_msgs/msg/TFMessage": TFMessage,
}
RANGES = tuple(topic for sensor, topic in TOPICS.items() if sensor.startswith("ultrasonic"))
SKELETONS, POINTS = TOPICS["camera"], TOPICS["lidar"]
# LIDAR returns that are drawn: those between these heights, m, for this time, ns.
DRAWN_HEIGHTS, DRAWN_FOR = (0.3, 2.2), 200_000_000


@dataclass(frozen=True)
class View:
    """What the sensors saw at the stamp of an image; fields as in `DriveMoment`."""

    stamp: int
    picture: np.ndarray
    poses: Poses
    boxes: np.ndarray
    obstacles: tuple[np.ndarray, ...]
    points: np.ndarray


class Drive:
    """A drive, by default with pictures, simulated into a new bag; `demo.clips.Playable`.

    Attributes
    ----------
    scenario
        The scenario.
    truths
        By the stamp of the image, ns.
    camera
        Where the camera is said to be on the vehicle.
    """

    start = START_NS
    image_topic = SKELETONS
    listeners = 1

    def __init__(
        self,
        scenario: SimulationScenario,
        bag: Path,
        advance: Callable[[float], None] = lambda seconds: None,
        *,
        pictures: bool = True,
    ) -> None:
        shutil.rmtree(bag, ignore_errors=True)
        write_simulation(bag, scenario, pictures=pictures, advance=advance)
        self.scenario = scenario
        self.truths: dict[int, Truth] = {
            truth.stamp: truth for truth in read_truth(bag / TRUTH_FILE)
        }
        self._bag = bag
        self._simulator = Simulator(scenario)
        self._places = self._simulator.extrinsics()
        camera = scenario.configs.camera
        place = self._places[FRAMES["camera"]].translation
        self.camera = CameraView(place, float(np.deg2rad(camera.view)))
        self.rate = camera.timing.rate
        with Reader(bag) as reader:
            played = [c for c in reader.connections if c.topic not in (TRUTH, PICTURE)]
            self.topics = {c.topic: TYPES[c.msgtype] for c in played}
        self.images = len(self.truths)

    def events(self) -> Iterator[TimedMessage]:
        """See `demo.clips.Playable`."""
        with Reader(self._bag) as bag:
            played = [c for c in bag.connections if c.topic in self.topics]
            for connection, at, data in bag.messages(played):
                message = deserialize_message(data, self.topics[connection.topic])
                yield TimedMessage(at - self.start, connection.topic, message)

    def views(self) -> Iterator[View]:
        """What is to be drawn of each image, in the order of their stamps."""
        points, points_end = np.zeros((0, 2)), 0
        picture = np.zeros((0, 0, 3), np.uint8)
        with BagReader(self._bag) as bag:
            for item in bag.messages([t for t in (PICTURE, SKELETONS, POINTS) if t in bag.topics]):
                if item.topic == PICTURE:
                    picture = rgb_frame_of_compressed(item.message)
                elif item.topic == POINTS:
                    points, points_end = self._points(item.message), item.time + DRAWN_FOR
                else:
                    stamp = stamp_of(item.message)
                    poses, boxes = poses_of(item.message)
                    fresh = points if item.time <= points_end else points[:0]
                    yield View(stamp, picture, poses, boxes, self._obstacles(stamp), fresh)

    def _points(self, message: object) -> np.ndarray:
        """The returns of a cloud that are drawn, float ``[M, 2]`` m in the base frame."""
        try:
            cloud = point_cloud_of(message)
        except MessageRefused:  # by a fault of the scenario
            return np.zeros((0, 2))
        points = self._places[cloud.frame].apply(cloud.points)
        low, high = DRAWN_HEIGHTS
        return points[(points[:, 2] > low) & (points[:, 2] < high), :2]

    def _obstacles(self, stamp: int) -> tuple[np.ndarray, ...]:
        simulator = self._simulator
        to_base = simulator.vehicle.level_pose((stamp - START_NS) / 1e9).inverse()
        corners = simulator.scene.obstacle_corners()
        return tuple(to_base.apply(one)[:, :2] for one in corners)
