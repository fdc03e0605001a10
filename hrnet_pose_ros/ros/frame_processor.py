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

from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.fusion.smoothing import SkeletonSmoother
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.ros.detections import Persons, persons_of, whole_image
from hrnet_pose_ros.ros.drops import Reason, Subject
from hrnet_pose_ros.ros.health import EngineState, Health
from hrnet_pose_ros.ros.images import ImageError, rgb_frame, rgb_frame_of_compressed
from hrnet_pose_ros.ros.markers import SkeletonMarkers
from hrnet_pose_ros.ros.message_types import rclpy_types
from hrnet_pose_ros.ros.pairing import Pair
from hrnet_pose_ros.ros.parameters import Settings
from hrnet_pose_ros.ros.skeleton_messages import Times, skeleton_array

# An engine that failed is made again after so many seconds, doubled up to the maximum.
FIRST_RETRY = 1.0
LAST_RETRY = 30.0


class Outputs(Protocol):
    """What the processor asks of its node."""

    settings: Settings
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

    def engine_changed(self, info: EngineInfo) -> None: ...

    def complain(self, kind: str, text: str) -> None:
        """A warning in the log, throttled by its kind."""


@dataclass(frozen=True)
class Frame:
    """A pair on its way through the mailbox, with the times of its stages so far, seconds."""

    pair: Pair
    arrival: float  # image stamp to arrival, node's clock
    paired: float  # steady clock


class FrameProcessor:
    """Owns the engine; every method but the constructor runs on the engine thread."""

    def __init__(self, outputs: Outputs, health: Health) -> None:
        self._outputs = outputs
        self._health = health
        self._types = rclpy_types()
        self._engine: PoseEngine | None = None
        self._markers = SkeletonMarkers()
        self._smoother = SkeletonSmoother()
        self._retry_at: float | None = None
        self._retry_after = FIRST_RETRY

    def prepare(self) -> None:
        """Make the engine that the settings ask for; what it raises is noted and passed on."""
        self.release()
        settings = self._outputs.settings
        self._health.engine(EngineState.PREPARING, f"model {settings.model}")
        try:
            self._engine = make_engine(
                settings.model,
                engine=settings.engine,
                precision=settings.precision,
                decoding="dark" if settings.decoding == "dark" else "quarter",
                max_batch=settings.max_batch,
                threads=settings.threads,
            )
        except Exception as error:
            self._health.engine(EngineState.FAILED, str(error))
            raise
        info = self._engine.info
        self._retry_after = FIRST_RETRY
        self._health.engine(
            EngineState.READY, f"{info.model}, {info.engine} {info.precision} on {info.device}"
        )
        self.announce()

    def announce(self) -> None:
        """Have the node publish what the engine is, where there is one."""
        if self._engine is not None:
            self._outputs.engine_changed(self._engine.info)

    def release(self) -> None:
        """Close the engine and free its memory."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._retry_at = None
        self._health.engine(EngineState.NONE)

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
        message = pair.image.message
        taken = time.monotonic()
        if reason := self._worthless(pair, outputs.age(pair.image.stamp)):
            return reason
        if self._engine is None and not self._retry():
            return Reason.ENGINE_NOT_READY
        try:
            compressed = settings.image_transport == "compressed"
            rgb = rgb_frame_of_compressed(message) if compressed else rgb_frame(message)
        except ImageError as error:
            stamp = _seconds(pair.image.stamp)
            outputs.complain("image", f"{outputs.image_topic}, stamp {stamp}, dropped: {error}")
            return Reason.UNREADABLE
        image_size = (rgb.shape[1], rgb.shape[0])
        converted = time.monotonic()

        if pair.detections is None:
            detections, persons = None, whole_image(image_size)
        else:
            detections = pair.detections.message
            persons = persons_of(detections, image_size, settings)
            for why, count in persons.drops.items():
                self._health.drops.add(Subject.PERSON, why, count)
        poses = self._estimate(rgb, persons)
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

        def answer(poses: Poses) -> Any:
            return skeleton_array(
                self._types,
                image=message,
                detections=detections,
                image_size=image_size,
                persons=persons,
                poses=poses,
                times=times,
            )

        outputs.publish_skeletons(answer(poses))
        self._health.published(len(poses), times, empty_frame_id=not message.header.frame_id)
        if settings.smoothing:
            step, ids = self._smoother.step, _labels(persons)
            outputs.publish_smoothed(
                lambda: answer(step(pair.image.stamp, ids, poses, persons.boxes))
            )
        outputs.publish_overlay(lambda: self._overlay(message.header, rgb, persons, poses))
        outputs.publish_markers(
            lambda: self._marker_array(message.header, image_size, persons, poses)
        )
        return None

    def _worthless(self, pair: Pair, age: float) -> Reason | None:
        if reason := self._outputs.obsolete(pair.epoch):
            return reason
        return Reason.TOO_OLD if age > self._outputs.settings.max_age_ms / 1e3 else None

    def _estimate(self, rgb: np.ndarray, persons: Persons) -> Poses | None:
        """The poses; None where the engine failed, which is then closed and made again later."""
        assert self._engine is not None
        try:
            return self._engine.estimate(rgb, persons.boxes)
        except Exception as error:
            again = f"made again in {self._retry_after:.0f} s"
            self._outputs.complain("engine", f"engine failed: {error}; {again}")
            engine, self._engine = self._engine, None
            self._health.engine(EngineState.FAILED, str(error))
            self._plan_retry()
            try:
                engine.close()
            except Exception as also:
                self._outputs.complain("closing", f"engine did not close: {also}")
            return None

    def _plan_retry(self) -> None:
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, LAST_RETRY)

    def _retry(self) -> bool:
        """Make a failed engine again when its time has come; True when there is one now."""
        if self._retry_at is None or time.monotonic() < self._retry_at:
            return False
        after = self._retry_after
        try:
            self.prepare()
        except Exception as error:
            self._retry_after = after
            self._plan_retry()
            self._outputs.complain("engine", f"engine failed again: {error}")
            return False
        return True

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


def _seconds(stamp: int) -> str:
    return f"{stamp // 10**9}.{stamp % 10**9:09d}"
