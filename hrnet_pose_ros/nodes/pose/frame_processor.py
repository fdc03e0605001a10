# SPDX-License-Identifier: Apache-2.0
"""The work on one paired image, all of it on the engine thread: convert, estimate, publish."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from hrnet_pose_ros.fusion.smoothing import SkeletonSmoother
from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineOutputs, EngineSupervisor
from hrnet_pose_ros.nodes.pose.markers import SkeletonMarkers
from hrnet_pose_ros.pipeline.detections import Persons
from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.frame_steps import answer, choose_persons, decode, size_of
from hrnet_pose_ros.pipeline.images import ImageError
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.pairing import Pair
from hrnet_pose_ros.pipeline.skeleton_messages import Times
from hrnet_pose_ros.pipeline.stamps import seconds_text
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.pose.poses import Poses


class Outputs(EngineOutputs, Protocol):
    """What the processor asks of its node."""

    camera_info: CameraInfo | None
    image_topic: str

    def age(self, stamp: int) -> float:
        """Seconds from a stamp (ns) to the node's clock; never negative."""

    def obsolete(self, epoch: int) -> Reason | None:
        """Why a frame of that epoch may not be published any more, if it may not."""

    def publish_skeletons(self, message: Any) -> None: ...

    # These publish what ``make`` returns where anybody subscribes.
    def publish_smoothed(self, make: Callable[[], Any]) -> None: ...

    def publish_overlay(self, make: Callable[[], Any]) -> None: ...

    def publish_markers(self, make: Callable[[], Any]) -> None: ...


@dataclass(frozen=True)
class Frame:
    """A pair on its way through the mailbox, with the times of its stages so far, seconds."""

    pair: Pair
    arrival: float  # image stamp to arrival, node's clock
    paired: float  # steady clock


class FrameProcessor:
    """Runs on the engine thread, with the engine that its supervisor has."""

    def __init__(self, outputs: Outputs, health: Health, engine: EngineSupervisor) -> None:
        self._outputs = outputs
        self._health = health
        self._engine = engine
        self._types = rclpy_types()
        self._markers = SkeletonMarkers()
        self._smoother = SkeletonSmoother()

    def process(self, frame: Frame) -> None:
        """Turn one pair into published skeletons, or count why not. Does not raise."""
        try:
            reason = self._process(frame)
        except Exception as error:
            what = type(error).__name__
            self._outputs.complain(what, f"image dropped by an unexpected {what}: {error}")
            reason = Reason.UNREADABLE
        if reason is not None:
            self._health.drops.add(Subject.IMAGE, reason)

    def _process(self, frame: Frame) -> Reason | None:
        outputs, settings, pair = self._outputs, self._outputs.settings, frame.pair
        taken = time.monotonic()
        if reason := self._worthless(pair, outputs.age(pair.image.stamp)):
            return reason
        if not self._engine.ready():
            return Reason.ENGINE_NOT_READY
        try:
            rgb = decode(pair, compressed=settings.image_transport == "compressed")
        except ImageError as error:
            stamp = seconds_text(pair.image.stamp)
            outputs.complain("image", f"{outputs.image_topic}, stamp {stamp}, dropped: {error}")
            return Reason.UNREADABLE
        converted = time.monotonic()
        persons = choose_persons(pair, rgb, settings, self._health.drops)
        poses = self._engine.estimate(rgb, persons.boxes)
        if poses is None:
            return Reason.ENGINE_NOT_READY
        estimated = time.monotonic()

        age = outputs.age(pair.image.stamp)
        if reason := self._worthless(pair, age):
            return reason
        times = Times(
            arrival=frame.arrival,
            pairing=frame.paired - pair.image.arrived,
            queue=taken - frame.paired,
            conversion=converted - taken,
            inference=estimated - converted,
            age=age,
        )

        def array(poses: Poses) -> Any:
            return answer(self._types, pair, rgb, persons, poses, times)

        header = pair.image.message.header
        outputs.publish_skeletons(array(poses))
        self._health.published(len(poses), times, empty_frame_id=not header.frame_id)
        try:
            self._publish_extras(pair, rgb, persons, poses, array)
        except Exception as error:  # the image has been answered: it must not count as dropped
            what = type(error).__name__
            outputs.complain("extras", f"smoothed, overlay or markers missing: {what}: {error}")
        return None

    def _publish_extras(
        self,
        pair: Pair,
        rgb: np.ndarray,
        persons: Persons,
        poses: Poses,
        array: Callable[[Poses], Any],
    ) -> None:
        """What is made only while somebody subscribes."""
        outputs, header = self._outputs, pair.image.message.header
        if outputs.settings.smoothing:
            step, ids = self._smoother.step, _labels(persons)
            outputs.publish_smoothed(
                lambda: array(step(pair.image.stamp, ids, poses, persons.boxes))
            )
        outputs.publish_overlay(lambda: self._overlay(header, rgb, persons, poses))
        outputs.publish_markers(lambda: self._marker_array(header, size_of(rgb), persons, poses))

    def _worthless(self, pair: Pair, age: float) -> Reason | None:
        if reason := self._outputs.obsolete(pair.epoch):
            return reason
        return Reason.TOO_OLD if age > self._outputs.settings.max_age_ms / 1e3 else None

    def _overlay(self, header: Any, rgb: np.ndarray, persons: Persons, poses: Poses) -> Image:
        drawn = rgb.copy()
        draw_poses(
            drawn, poses, persons.boxes, _labels(persons), self._outputs.settings.draw_min_score
        )
        height, width = drawn.shape[:2]
        return Image(
            header=header,
            height=height,
            width=width,
            encoding="rgb8",
            step=3 * width,
            data=array("B", drawn.tobytes()),
        )

    def _marker_array(
        self, header: Any, image_size: tuple[int, int], persons: Persons, poses: Poses
    ) -> Any | None:
        settings, info = self._outputs.settings, self._outputs.camera_info
        if info is None:
            self._outputs.complain("markers", "markers need camera_info, and none has come")
            return None
        try:
            camera = camera_of(info, image_size, rectified=settings.image_rectified)
        except ValueError as error:
            self._outputs.complain("markers", f"no markers with this camera_info: {error}")
            return None
        return self._markers.of(
            header,
            poses,
            persons.boxes,
            _labels(persons),
            camera,
            person_height=settings.person_height_m,
            min_score=settings.draw_min_score,
        )


def camera_of(info: Any, image_size: tuple[int, int], *, rectified: bool) -> Camera:
    """The camera of a CameraInfo message for images of a size; ValueError as `Camera` says."""
    roi = info.roi
    return Camera.from_calibration(
        k=info.k,
        p=info.p,
        d=info.d,
        distortion_model=info.distortion_model,
        size=(info.width, info.height),
        image_size=image_size,
        rectified=rectified,
        binning=(info.binning_x, info.binning_y),
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def _labels(persons: Persons) -> list[str]:
    return ["" if detection is None else detection.id for detection in persons.detections]
