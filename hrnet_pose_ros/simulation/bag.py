# SPDX-License-Identifier: Apache-2.0
"""Writes a simulation as a rosbag2, with the truth in it and beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.engines.engine import EngineInfo
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
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_info
from hrnet_pose_ros.replay.bags import BagWriter, message_types
from hrnet_pose_ros.replay.definitions import typestore
from hrnet_pose_ros.simulation import messages
from hrnet_pose_ros.simulation.picture import draw_scene
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.sensor import START_NS, SensorEvent, nanoseconds
from hrnet_pose_ros.simulation.sensor_configs import LONGEST
from hrnet_pose_ros.simulation.simulator import BASE_FRAME, ODOMETRY_FRAME, Simulator
from hrnet_pose_ros.simulation.truth_messages import (
    PERSON_ARRAY,
    person_array,
    truth_line,
)

TRUTH_FILE = "truth.jsonl"
PICTURE = "/image/compressed"
TRUTH, TF, TF_STATIC = "/people/truth", "/tf", "/tf_static"
TOPICS = {
    "camera": "/skeletons",
    "depth": "/depth",
    "lidar": "/points",
    "scan": "/scan",
    "ultrasonic_left": "/range/left",
    "ultrasonic_front_left": "/range/front_left",
    "ultrasonic_front_right": "/range/front_right",
    "ultrasonic_right": "/range/right",
    "imu": "/imu",
    "odometry": "/odom",
}


@dataclass(frozen=True)
class SimulatedBag:
    """What was written: messages by topic, and the number of people in the scene."""

    path: Path
    people: int
    counts: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """One line."""
        total = sum(self.counts.values())
        return f"{self.people} people, {total} messages on {len(self.counts)} topics"


def write_simulation(
    path: Path,
    scenario: SimulationScenario,
    *,
    pictures: bool = False,
    advance: Callable[[float], None] = lambda seconds: None,
) -> SimulatedBag:
    """Simulate a scenario and write all that its sensors give.

    The log time of a message is its arrival. The truth is in the topic `TRUTH`, where the message
    definitions have it, and in the file `TRUTH_FILE` in the bag's folder.

    Parameters
    ----------
    path
        The new bag; BagError if it exists.
    pictures
        Also write pictures of the scene, for people to look at.
    advance
        Called with the seconds of the scenario that have passed.
    """
    simulator = Simulator(scenario)
    with BagWriter(path) as bag:
        writer = _EventWriter(simulator, bag, pictures)
        writer.begin()
        with (path / TRUTH_FILE).open("w", encoding="utf-8") as truths:
            for event in simulator.events():
                line = writer.write(event)
                if line:
                    truths.write(line + "\n")
                advance((event.arrival - START_NS) / 1e9)
        writer.end()
    return SimulatedBag(path, len(simulator.scene.walkers), dict(sorted(writer.counts.items())))


class _EventWriter:
    def __init__(self, simulator: Simulator, bag: BagWriter, pictures: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._simulator, self._bag, self._pictures = simulator, bag, pictures
        self._types = typestore().types
        self._ours = message_types()
        self._configs = simulator.scenario.configs
        frames = simulator.extrinsics()
        self._waiting = {frame: simulator.unknown_until(frame) for frame in frames}
        self._frames = frames
        self._known: dict[str, Transform] = {}

    def begin(self) -> None:
        """What is latched: the skeleton's definition and the static transforms."""
        info = EngineInfo(
            model=f"errors of {self._simulator.residuals.origin}",
            engine="simulation",
            device="none",
            precision="float32",
            decoding="quarter",
            checksum="",
            input_width=192,
            input_height=256,
            calibrated=True,
        )
        if "camera" in self._simulator.sensors:
            header = messages.header_of(self._types, START_NS, "")
            message = skeleton_info(
                self._ours, header, info, image_rectified=True, assigned_ids=False
            )
            self._put("/skeleton_info", "hrnet_pose_ros/msg/SkeletonInfo", START_NS, message)
        self._transforms(START_NS)

    def end(self) -> None:
        """Transforms that are withheld until the end of the scenario."""
        self._transforms(nanoseconds(self._simulator.scenario.duration))

    def write(self, event: SensorEvent) -> str:
        """Write a measurement and what belongs to it; returns a line of truth for an image."""
        self._transforms(event.arrival)
        topic, value, at = TOPICS[event.sensor], event.value, event.arrival
        types, configs = self._types, self._configs
        message: Any
        if isinstance(value, Skeletons):
            return self._skeletons(event, value)
        if isinstance(value, DepthImage):
            message = messages.depth_message(types, value, configs.depth.encoding)
            height, width = value.depth.shape
            info = messages.camera_info_message(
                types, value.camera, (width, height), value.stamp, value.frame
            )
            self._put("/depth/camera_info", "sensor_msgs/msg/CameraInfo", at, info)
            self._put(topic, "sensor_msgs/msg/Image", at, message)
        elif isinstance(value, PointCloud):
            message = messages.cloud_message(types, value)
            self._put(topic, "sensor_msgs/msg/PointCloud2", at, message)
        elif isinstance(value, LaserScan):
            message = messages.scan_message(types, value, 1 / configs.scan.timing.rate)
            self._put(topic, "sensor_msgs/msg/LaserScan", at, message)
        elif isinstance(value, UltrasonicRange):
            self._put(topic, "sensor_msgs/msg/Range", at, messages.range_message(types, value))
        elif isinstance(value, ImuSample):
            self._put(topic, "sensor_msgs/msg/Imu", at, self._imu(value))
        elif isinstance(value, OdometrySample):
            self._odometry(topic, at, value)
        return ""

    def _skeletons(self, event: SensorEvent, value: Skeletons) -> str:
        types, at = self._types, event.arrival
        info = messages.camera_info_message(
            types, value.camera, value.image_size, value.stamp, value.frame
        )
        self._put("/camera_info", "sensor_msgs/msg/CameraInfo", at, info)
        if self._pictures:
            self._picture(event, value)
        age = (at - event.time) / 1e9
        message = messages.skeletons_message(types, self._ours, value, age)
        self._put("/skeletons", "hrnet_pose_ros/msg/SkeletonArray", at, message)
        truth = self._simulator.truth(event)
        self._put(TRUTH, PERSON_ARRAY, at, person_array(types, truth, BASE_FRAME))
        return truth_line(truth)

    def _picture(self, event: SensorEvent, value: Skeletons) -> None:
        simulator = self._simulator
        time = (event.time - START_NS) / 1e9
        picture = draw_scene(simulator.scene, simulator.vehicle, simulator.camera, time)
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
        message = self._types["sensor_msgs/msg/CompressedImage"](
            header=messages.header_of(self._types, value.stamp, value.frame),
            format="bgr8; jpeg compressed bgr8",
            data=jpeg.ravel(),
        )
        self._put(PICTURE, "sensor_msgs/msg/CompressedImage", event.arrival, message)

    def _imu(self, value: ImuSample) -> Any:
        imu = self._configs.imu
        return messages.imu_message(
            self._types,
            value,
            angle=math.radians(imu.angle_error),
            rate=math.radians(imu.rate_error + imu.rate_bias),
            acceleration=imu.acceleration_error,
        )

    def _odometry(self, topic: str, at: int, value: OdometrySample) -> None:
        message = messages.odometry_message(self._types, value, ODOMETRY_FRAME, BASE_FRAME)
        self._put(topic, "nav_msgs/msg/Odometry", at, message)
        if not np.isfinite([*value.position, *value.orientation]).all():
            return  # by a fault: no transform can hold it
        if at < nanoseconds(min(self._simulator.unknown_until(BASE_FRAME), LONGEST)):
            return  # by a fault: only /tf is missing
        pose = Transform.from_quaternion(value.orientation, value.position)
        moved = messages.transform_message(
            self._types, value.stamp, ODOMETRY_FRAME, {BASE_FRAME: pose}
        )
        self._put(TF, "tf2_msgs/msg/TFMessage", at, moved)

    def _transforms(self, now: int) -> None:
        """The static transforms that are known by now, all again when one is added."""
        ready = [
            f for f, end in self._waiting.items() if end <= LONGEST and nanoseconds(end) <= now
        ]
        if not ready:
            return
        for frame in ready:
            del self._waiting[frame]
            self._known[frame] = self._frames[frame]
        message = messages.transform_message(self._types, START_NS, BASE_FRAME, self._known)
        self._put(TF_STATIC, "tf2_msgs/msg/TFMessage", now, message)

    def _put(self, topic: str, type_name: str, at: int, message: Any) -> None:
        self._bag.write(topic, type_name, at, message)
        self.counts[topic] += 1
