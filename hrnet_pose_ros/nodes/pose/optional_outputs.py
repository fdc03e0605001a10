# SPDX-License-Identifier: Apache-2.0
"""What is made of poses besides skeletons, each only while there are subscribers."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from hrnet_pose_ros.fusion.smoothing import SkeletonSmoother
from hrnet_pose_ros.nodes.pose.markers import SkeletonMarkers
from hrnet_pose_ros.nodes.pose.publishers import PosePublishers
from hrnet_pose_ros.pipeline.camera_info import camera_of
from hrnet_pose_ros.pipeline.detections import Persons
from hrnet_pose_ros.pipeline.image_annotations import image_annotations
from hrnet_pose_ros.pipeline.images import contiguous, size_of
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.pairing import PendingMessage
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.ros.log import ThrottledWarnings


class OptionalOutputs:
    """Publishes what the node derives from poses besides `skeletons`; runs on the engine thread.

    Attributes
    ----------
    camera_info
        The newest CameraInfo message, which markers need; set from any thread.
    """

    def __init__(self, publishers: PosePublishers, warnings: ThrottledWarnings) -> None:
        self.camera_info: CameraInfo | None = None
        self._publishers = publishers
        self._warnings = warnings
        self._markers = SkeletonMarkers()
        self._types = RclpyClasses()
        self._smoother = SkeletonSmoother()

    def publish(
        self,
        image: PendingMessage,
        rgb: np.ndarray,
        persons: Persons,
        poses: Poses,
        settings: Settings,
        make_array: Callable[[Poses], Any],
    ) -> None:
        """Publish the outputs with subscribers; ``make_array`` makes a SkeletonArray of poses."""
        publishers, header = self._publishers, image.message.header
        if settings.smoothing and publishers.skeletons_smoothed.get_subscription_count():
            smoothed = self._smoother.step(image.stamp, persons.ids, poses, persons.boxes)
            publishers.skeletons_smoothed.publish(make_array(smoothed))
        if publishers.overlay.get_subscription_count():
            publishers.overlay.publish(_overlay(header, rgb, persons, poses, settings))
        if publishers.markers.get_subscription_count():
            markers = self._marker_array(header, size_of(rgb), persons, poses, settings)
            if markers is not None:
                publishers.markers.publish(markers)

        annotations = publishers.annotations
        if annotations is not None and annotations.get_subscription_count():
            made = image_annotations(
                self._types,
                header.stamp,
                poses,
                persons.boxes,
                persons.ids,
                settings.draw_min_score,
            )
            annotations.publish(made)

    def _marker_array(
        self,
        header: Any,
        image_size: tuple[int, int],
        persons: Persons,
        poses: Poses,
        settings: Settings,
    ) -> Any | None:
        if self.camera_info is None:
            self._warnings.warn("markers", "no markers: no camera_info has arrived")
            return None
        try:
            rectified = settings.image_rectified
            camera = camera_of(self.camera_info, image_size, rectified=rectified)
        except ValueError as error:
            self._warnings.warn("markers", f"no markers: camera_info cannot be used: {error}")
            return None
        return self._markers.of(
            header,
            poses,
            persons.boxes,
            persons.ids,
            camera,
            person_height=settings.person_height_m,
            min_score=settings.draw_min_score,
        )


def _overlay(
    header: Any, rgb: np.ndarray, persons: Persons, poses: Poses, settings: Settings
) -> Image:
    drawn = contiguous(rgb)
    if np.may_share_memory(drawn, rgb):  # the message's or the engine's
        drawn = drawn.copy()
    draw_poses(drawn, poses, persons.boxes, persons.ids, settings.draw_min_score)
    width, height = size_of(drawn)
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        step=3 * width,
        data=array("B", drawn.tobytes()),
    )
