# SPDX-License-Identifier: Apache-2.0
"""Processes one paired image on the engine thread: converts, estimates and publishes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor
from hrnet_pose_ros.nodes.pose.optional_outputs import OptionalOutputs
from hrnet_pose_ros.pipeline.detections import select_persons
from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.gate import FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.images import ImageError, size_of
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.person_ids import PersonIds
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import Times, skeleton_array
from hrnet_pose_ros.pipeline.stamps import seconds_text
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.ros.image_input import ImageInput
from hrnet_pose_ros.ros.log import ThrottledWarnings


class FrameProcessor:
    """Runs on the engine thread and uses the supervisor's engine.

    Parameters
    ----------
    settings
        Returns the current settings; called once per frame.
    images
        The topic and the transport of the images.
    gate
        Provides ages, and decides which frames are stale.
    skeletons
        The publisher of the raw skeletons.
    optional_outputs
        The additional outputs.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        images: ImageInput,
        gate: FrameGate,
        engine: EngineSupervisor,
        skeletons: Any,
        optional_outputs: OptionalOutputs,
        health: Health,
        warnings: ThrottledWarnings,
    ) -> None:
        self._settings = settings
        self._images = images
        self._gate = gate
        self._engine = engine
        self._skeletons = skeletons
        self._optional_outputs = optional_outputs
        self._health = health
        self._warnings = warnings
        self._types = rclpy_types()
        self._ids = PersonIds()

    def process(self, frame: PairedFrame) -> None:
        """Publish the skeletons of one pair, or count why there are none. Does not raise."""
        try:
            reason = self._process(frame)
        except Exception as error:
            what = type(error).__name__
            self._warnings.warn(what, f"image dropped because of an unexpected {what}: {error}")
            reason = Reason.UNREADABLE
        if reason is not None:
            self._health.drops.add(Subject.IMAGE, reason)

    def _process(self, frame: PairedFrame) -> Reason | None:
        settings, pair, gate = self._settings(), frame.pair, self._gate
        image = pair.image
        taken = time.monotonic()
        age = gate.age(image.stamp)
        if reason := gate.stale_reason(pair, age):
            return self._stale(reason, age, "while it waited for the engine")
        if not self._engine.ready():
            return Reason.ENGINE_NOT_READY
        try:
            rgb = self._images.transport.decode(image.message, self._engine.frame_buffer)
        except ImageError as error:
            place = f"{self._images.topic}, stamp {seconds_text(image.stamp)}"
            self._warnings.warn("image", f"{place}, dropped: {error}")
            self._health.refused(Reason.UNREADABLE, str(error))
            return Reason.UNREADABLE
        converted = time.monotonic()
        image_size, detections = size_of(rgb), pair.detections_message
        persons = select_persons(detections, image_size, settings, self._health.drops)
        self._health.left_out(persons.other_classes)
        poses = self._engine.estimate(rgb, persons.boxes)
        if poses is None:
            return Reason.ENGINE_NOT_READY
        estimated = time.monotonic()

        age = gate.age(image.stamp)
        if reason := gate.stale_reason(pair, age):
            return self._stale(reason, age, f"after {estimated - converted:.3f} s of inference")
        persons = self._ids.complete(persons, poses, pair, settings)
        times = Times(
            arrival=frame.arrival,
            pairing=frame.paired - image.arrived,
            queue=taken - frame.paired,
            conversion=converted - taken,
            inference=estimated - converted,
            age=age,
        )

        def make_array(poses: Poses) -> Any:
            return skeleton_array(
                self._types,
                image=image.message,
                detections=detections,
                image_size=image_size,
                persons=persons,
                poses=poses,
                times=times,
            )

        self._skeletons.publish(make_array(poses))
        empty_frame_id = not image.message.header.frame_id
        self._health.published(len(poses), times, empty_frame_id=empty_frame_id)
        try:
            self._optional_outputs.publish(image, rgb, persons, poses, settings, make_array)
        except Exception as error:  # the skeletons are out: the image must not count as dropped
            what = type(error).__name__
            text = f"an output besides the skeletons is missing: {what}: {error}"
            self._warnings.warn("optional outputs", text)
        return None

    def _stale(self, reason: Reason, age: float, when: str) -> Reason:
        """Explain an image that has become too old, and return the reason."""
        if reason is Reason.TOO_OLD:
            text = f"an image became too old {when}: {age:.3f} s"
            self._warnings.warn("too old", f"{text}; dropped")
            self._health.refused(reason, text)
        return reason
