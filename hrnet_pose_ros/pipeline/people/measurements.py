# SPDX-License-Identifier: Apache-2.0
"""From a sensor's message to the measurement that the fusion takes, or why there is none."""

from __future__ import annotations

from typing import Any

from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    PointCloud,
    UltrasonicRange,
)
from hrnet_pose_ros.fusion.people_fusion import Measurement
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.transforms import looks_up
from hrnet_pose_ros.pipeline.people.depth_images import depth_image_of
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.message_fields import MessageRefused, explained, malformed
from hrnet_pose_ros.pipeline.people.motion_samples import imu_sample_of, odometry_sample_of, tilted
from hrnet_pose_ros.pipeline.people.point_clouds import point_cloud_of
from hrnet_pose_ros.pipeline.people.range_readings import laser_scan_of, range_of
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.people.transform_tree import Coverage, TransformTree, camera_upwards


class MeasurementReader:
    """Reads the messages of all sensors but the camera, with what is known of their places.

    Attributes
    ----------
    settings
        May be replaced at any time.
    depth_info
        The last CameraInfo of the depth image; None before the first.
    """

    def __init__(self, settings: PersonFusionSettings, tree: TransformTree) -> None:
        self.settings = settings
        self.depth_info: Any = None
        self._tree = tree
        self._range_topics: dict[str, str] = {}  # by the frame of their sensor

    def forget_topics(self) -> None:
        """Forget which topic each ultrasonic sensor had."""
        self._range_topics.clear()

    def read(self, what: Input, message: Any, topic: str) -> Measurement:
        """Return the measurement of a message; raises MessageRefused if there is none.

        What has no place on the vehicle is refused now: it would wait in vain.
        """
        measurement = self.read_alone(what, message)
        if isinstance(measurement, UltrasonicRange):
            self._check_topic(measurement.frame, topic)
        if isinstance(measurement, (DepthImage, PointCloud, LaserScan, UltrasonicRange)):
            self._check_place(measurement)
        return measurement

    def explained(self, reason: Refusal, measurement: Measurement, now: int) -> str:
        """Return why the fusion has refused a measurement, for the log."""
        base = self._tree.base_frame
        frame = getattr(measurement, "frame", base)
        if isinstance(measurement, ImuSample) and reason is Refusal.MALFORMED:
            return tilted(frame, base)
        return explained(reason, measurement.stamp, frame, now, base)

    def read_alone(self, what: Input, message: Any) -> Measurement:
        """Return the measurement of a message, wherever its sensor is; raises as `read`."""
        if what is Input.DEPTH:
            rectified = self.settings.depth_rectified
            return depth_image_of(message, self.depth_info, rectified=rectified)
        if what is Input.POINTS:
            return point_cloud_of(message)
        if what is Input.SCAN:
            return laser_scan_of(message)
        if what is Input.RANGE:
            return range_of(message)
        if what is Input.IMU:
            return imu_sample_of(message)
        return odometry_sample_of(message, self._tree.base_frame, self._tree)

    def _check_topic(self, frame: str, topic: str) -> None:
        first = self._range_topics.setdefault(frame, topic)
        if first != topic:  # one of the two sensors would be at the place of the other
            raise malformed(
                f"'{frame}' is the frame of {first} as well: each ultrasonic sensor needs a frame "
                "of its own"
            )

    def _check_place(
        self, measurement: DepthImage | PointCloud | LaserScan | UltrasonicRange
    ) -> None:
        frame, stamp, base = measurement.frame, measurement.stamp, self._tree.base_frame
        patience = self.settings.sensor_tolerance_ms / 1e3
        if self._tree.coverage(frame, stamp, patience) is Coverage.UNKNOWN:
            reason = Refusal.NO_EXTRINSICS
            raise MessageRefused(reason, explained(reason, stamp, frame, stamp, base))
        if isinstance(measurement, DepthImage):
            place = self._tree.sensor_to_base(frame, stamp)
            if place is not None and looks_up(place):
                raise malformed(camera_upwards(frame, base))
