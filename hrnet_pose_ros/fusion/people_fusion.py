# SPDX-License-Identifier: Apache-2.0
"""From skeletons to people in metres: what comes in, at which stamps, and what goes out.

`PeopleFusion` is the whole of it, without ROS and without a clock of its own: it takes plain
values (`hrnet_pose_ros.fusion.inputs`) with the time at which they arrived, and returns people with
the outcome of every cue. See docs/fusion.md for the method.
"""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.buffers import JUMP_NS, NS
from hrnet_pose_ros.fusion.cues.body_length import BodyLength
from hrnet_pose_ros.fusion.cues.cue import Cue, Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.cues.ground_contact import GroundContact
from hrnet_pose_ros.fusion.cues.laser_scan import LaserScanCue
from hrnet_pose_ros.fusion.cues.lidar_cloud import LidarCloud
from hrnet_pose_ros.fusion.cues.returns_cue import ReturnsCue
from hrnet_pose_ros.fusion.cues.ultrasonic_cone import UltrasonicCone
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.gravity import GravityAlignment
from hrnet_pose_ros.fusion.image_fusion import ImageFusion
from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    OdometrySample,
    PointCloud,
    Skeletons,
    UltrasonicRange,
)
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.person import People, StatusReason
from hrnet_pose_ros.fusion.person_view import views_of
from hrnet_pose_ros.fusion.range_table import ErrorModel
from hrnet_pose_ros.fusion.refusals import Refusal, Source, Tally
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.stance import stance_of
from hrnet_pose_ros.fusion.tracking.tracker import Tracker
from hrnet_pose_ros.fusion.transforms import Extrinsics, Transform, looks_up
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

Measurement = DepthImage | PointCloud | LaserScan | UltrasonicRange | ImuSample | OdometrySample


class PeopleFusion:
    """Fuses the skeletons of images with whatever sensors send. Not thread-safe.

    Attributes
    ----------
    skeletons
        The tally of images.
    depth, lidar, scan, ultrasonic
        The cues that have sensors (``ultrasonic`` by frame); their buffers have the tallies of
        messages.
    gravity, ego
        The IMU and the odometry, each with the tally of its messages.
    outcomes
        By name of a cue, the tally of persons for whom it was asked.

    Examples
    --------
    >>> from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
    >>> from hrnet_pose_ros.fusion.settings import FusionSettings
    >>> from hrnet_pose_ros.fusion.transforms import FixedExtrinsics, Transform
    >>> places = FixedExtrinsics({"laser": Transform.identity()})
    >>> fusion = PeopleFusion(FusionSettings(), places)
    >>> sorted(fusion.outcomes)
    ['body_length', 'depth', 'ground', 'lidar', 'scan', 'ultrasonic']
    """

    def __init__(
        self,
        settings: FusionSettings,
        extrinsics: Extrinsics,
        skeleton: SkeletonDefinition = COCO17,
    ) -> None:
        self.settings = settings
        self.extrinsics = extrinsics
        self.roles = JointRoles.of(skeleton)
        self.skeletons = Tally()
        self.gravity = GravityAlignment(settings.stamp_limits)
        self.ego = EgoMotion(settings.stamp_limits, self.gravity)
        self.depth = DepthImageCue(settings)
        self.lidar = LidarCloud(settings)
        self.scan = LaserScanCue(settings)
        self._camera_cues: tuple[Cue, ...] = (GroundContact(), BodyLength())
        self._sensor_cues: tuple[ReturnsCue, ...] = (self.depth, self.lidar, self.scan)
        self.ultrasonic: dict[str, UltrasonicCone] = {}
        asked = (*self._camera_cues, *self._sensor_cues, UltrasonicCone)
        self.outcomes = {one.name: Tally() for one in asked}
        self.tracker = Tracker(settings)
        self._last: int | None = None

    def apply(self, settings: FusionSettings) -> None:
        """Use these settings from now on; tracks, buffers and tallies are kept."""
        self.settings = settings
        self.tracker.apply(settings)
        limits = settings.stamp_limits
        self.gravity.limits = self.ego.limits = limits
        for sensor in (*self._sensor_cues, *self.ultrasonic.values()):
            sensor.buffer.limits = limits

    def use_skeleton(self, skeleton: SkeletonDefinition) -> None:
        """Expect skeletons of this definition from now on; the tracks are kept."""
        self.roles = JointRoles.of(skeleton)

    def receive(self, measurement: Measurement, now: int) -> Refusal | None:
        """Take a measurement of any sensor but the camera, at a time of the clock in ns.

        Returns why it was refused, or None; both are counted.
        """
        if isinstance(measurement, ImuSample):
            return self.gravity.add(measurement, self.extrinsics, now)
        if isinstance(measurement, OdometrySample):
            return self.ego.add(measurement, now)
        if isinstance(measurement, DepthImage):
            return self.depth.receive(measurement, now)
        if isinstance(measurement, PointCloud):
            return self.lidar.receive(measurement, now)
        if isinstance(measurement, LaserScan):
            return self.scan.receive(measurement, now)
        if measurement.frame not in self.ultrasonic:
            self.ultrasonic[measurement.frame] = UltrasonicCone(self.settings)
        return self.ultrasonic[measurement.frame].receive(measurement, now)

    def fuse(self, skeletons: Skeletons, now: int) -> People | Refusal:
        """Return the people at the stamp of an image, or why it cannot be used.

        Every skeleton gives a person, in the same order; tracks that coast follow. ``now`` is the
        time of the clock, ns.
        """
        outcome = self._fuse(skeletons, now)
        self.skeletons.count(outcome if isinstance(outcome, Refusal) else None)
        return outcome

    def _fuse(self, skeletons: Skeletons, now: int) -> People | Refusal:
        reason = self._check_stamp(skeletons.stamp, now)
        if reason is not None:
            return reason
        place = self.extrinsics.sensor_to_base(skeletons.frame, skeletons.stamp)
        if place is None:
            return Refusal.NO_EXTRINSICS
        if looks_up(place):
            return Refusal.MALFORMED
        self._last = skeletons.stamp
        tilt = self.gravity.tilt(skeletons.stamp)
        level = place if tilt is None else Transform(tilt, np.zeros(3)) @ place
        settings = self.settings
        views = views_of(skeletons, level, -settings.base_height, settings.min_score)
        scene = Scene(
            stamp=skeletons.stamp,
            views=views,
            stance=stance_of(views, self.roles, settings.joint_correlation),
            roles=self.roles,
            settings=settings,
            extrinsics=self.extrinsics,
            gravity=self.gravity,
            ego=self.ego,
        )
        sources = self._motion_known(scene) | (Source.NONE if tilt is None else Source.IMU)
        step = ImageFusion(
            skeletons=skeletons,
            scene=scene,
            model=ErrorModel.of(settings, imu=tilt is not None, roles=self.roles),
            camera_to_level=level,
            camera_cues=self._camera_cues,
            sensor_cues=[one for one in self._sensor_cues if one.buffer.tally.received],
            ultrasonic=list(self.ultrasonic.values()),
            depth=self.depth,
            tracker=self.tracker,
            sources=sources,
            over_ground=settings.fixed_base or bool(sources & Source.ODOMETRY),
        )
        people = step.people()
        for name, tally in self.outcomes.items():
            asked = [one.outcomes[name] for one in people if name in one.outcomes]
            tally.count_all(asked)
        return People(skeletons.stamp, tuple(people), sources, self._silent(skeletons.stamp))

    def _silent(self, stamp: int) -> tuple[StatusReason, ...]:
        """Return the sensors that have sent something usable before, but nothing recently."""
        newest = {
            StatusReason.DEPTH_SILENT: self.depth.buffer.last_stamp,
            StatusReason.LIDAR_SILENT: self.lidar.buffer.last_stamp,
            StatusReason.SCAN_SILENT: self.scan.buffer.last_stamp,
            StatusReason.IMU_SILENT: self.gravity.last_stamp,
            StatusReason.ODOMETRY_SILENT: self.ego.last_stamp,
        }
        last = [one.buffer.last_stamp for one in self.ultrasonic.values()]
        newest[StatusReason.ULTRASONIC_SILENT] = min(
            (one for one in last if one is not None), default=None
        )
        limit = stamp - self.settings.silent_after * NS
        return tuple(why for why, one in newest.items() if one is not None and one < limit)

    def _motion_known(self, scene: Scene) -> Source:
        """Return what tells how the base moved since the tracks' stamp."""
        since = min((track.stamp for track in self.tracker.tracks), default=scene.stamp)
        return self.ego.between(since, scene.stamp).sources

    def _check_stamp(self, stamp: int, now: int) -> Refusal | None:
        """Return why an image is refused; a jump back in time forgets everything."""
        reason = self.settings.stamp_limits.check(stamp, now)
        if reason is None and self._last is not None and stamp <= self._last:
            if self._last - stamp < JUMP_NS:
                return Refusal.LATE
            self.forget()
        return reason

    def begin_anew(self, reason: Refusal) -> None:
        """Refuse what waits, and forget tracks, motion and all stamps; ids are not used again."""
        for sensor in (*self._sensor_cues, *self.ultrasonic.values()):
            sensor.buffer.clear(reason)
        for part in (self.tracker, self.gravity, self.ego):
            part.clear()
        self._last = None

    def forget(self) -> None:
        """Forget the tracks, and refuse what waits from before: the time jumped back.

        Ids are never used again. Measurements that have jumped already are kept.
        """
        self.tracker.clear()
        for sensor in (*self._sensor_cues, *self.ultrasonic.values()):
            newest = sensor.buffer.last_stamp
            if newest is not None and self._last is not None and newest > self._last - JUMP_NS // 2:
                sensor.buffer.clear(Refusal.TIME_JUMP)
        self._last = None
