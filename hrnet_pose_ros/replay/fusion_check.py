# SPDX-License-Identifier: Apache-2.0
"""What the sensors in a bag send, checked before the fusion is trusted: units, registration, places
on the vehicle, stamps, signs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.buffers import StampLimits
from hrnet_pose_ros.fusion.gravity import LEAST_UP, GravityAlignment
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.transforms import Transform, looks_up
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.measurements import MeasurementReader
from hrnet_pose_ros.pipeline.people.message_fields import MessageRefused, frame_name
from hrnet_pose_ros.pipeline.people.point_clouds import TIME_FIELDS
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.people.transform_tree import TransformTree, camera_upwards
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.replay.bags import BagMessage, BagReader
from hrnet_pose_ros.replay.definitions import BagError
from hrnet_pose_ros.replay.fusion_topics import FusionTopics
from hrnet_pose_ros.replay.odometry_check import OdometryWay

# At most so many messages of a sensor are read as a whole.
MOST_READ = 50
# A median depth outside of these limits, m, is in another unit.
NEAREST, FURTHEST = 0.15, 60.0
# The length of the acceleration at rest, m/s², within these limits; 1 is in units of gravity.
GRAVITY, NEAR_GRAVITY = 9.81, 1.5
# A sensor that fits fewer of the images than this is hardly ever used.
MOSTLY = 0.5
_SENSORS = (Input.DEPTH, Input.POINTS, Input.SCAN, Input.RANGE, Input.IMU)
_WITH_HEADER = (*_SENSORS, Input.SKELETONS, Input.ODOMETRY)


@dataclass
class SensorReport:
    """What was found out about one topic.

    Attributes
    ----------
    frames
        How many of the read messages have each frame.
    facts
        Short texts: units, what a message holds.
    problems
        Each with its way out.
    """

    topic: str
    what: str
    frames: dict[str, int] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def fusion_check(
    readers: Sequence[BagReader], settings: PersonFusionSettings
) -> list[SensorReport]:
    """Check what the fusion's inputs in some bags send.

    Raises BagError as `FusionTopics` does, also if there are no skeletons.
    """
    return _Check(readers, settings).run()


def nearest_distances(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of each image stamp to the nearest of others, ns; empty without any."""
    if not len(images) or not len(others):
        return np.empty(0)
    others = np.sort(others)
    after = np.searchsorted(others, images).clip(0, len(others) - 1)
    before = (after - 1).clip(0)
    nearest: np.ndarray = np.minimum(abs(others[after] - images), abs(others[before] - images))
    return nearest


class _Check:
    def __init__(self, readers: Sequence[BagReader], settings: PersonFusionSettings) -> None:
        self._readers, self._settings = readers, settings
        self._topics = FusionTopics(readers)
        self._tree = TransformTree(settings.base_frame, settings.fixed_transforms())
        self._reports = {
            topic: SensorReport(topic, what.value) for topic, what in self._topics.inputs.items()
        }
        self._stamps: dict[str, list[int]] = defaultdict(list)
        self._delays: dict[str, list[float]] = defaultdict(list)
        self._samples: dict[str, list[Any]] = defaultdict(list)
        self._refusals: dict[str, Counter[str]] = defaultdict(Counter)
        self._reader = MeasurementReader(settings, self._tree)
        self._ways: dict[str, OdometryWay] = defaultdict(OdometryWay)
        # Places of topics' frames that were known at a stamp; of the others, the newest stamp.
        self._placed: dict[tuple[str, str], Transform] = {}
        self._unplaced: dict[tuple[str, str], int] = {}

    def run(self) -> list[SensorReport]:
        for number, reader in enumerate(self._readers):
            names = [n for n in self._topics.inputs if self._topics.bag_of[n] == number]
            for message in reader.messages(names) if names else ():
                self._take(message)
        for topic, what in self._topics.inputs.items():
            self._conclude(topic, what)
        if not self._topics.topics_of(Input.CAMERA_INFO):
            self._about_skeletons("there is no CameraInfo of the camera: record camera_info")
        if not self._topics.topics_of(Input.SKELETON_INFO):
            self._about_skeletons("there is no SkeletonInfo: record skeleton_info (it is latched)")
        self._about_shared_frames()
        return list(self._reports.values())

    def _about_shared_frames(self) -> None:
        first: dict[str, str] = {}
        for topic in self._topics.topics_of(Input.RANGE):
            for frame in self._reports[topic].frames:
                if first.setdefault(frame, topic) != topic:
                    self._reports[topic].problems.append(
                        f"'{frame}' is the frame of {first[frame]} as well, so that this topic is "
                        "refused: each ultrasonic sensor needs a frame of its own"
                    )

    def _about_skeletons(self, problem: str) -> None:
        [skeletons] = self._topics.topics_of(Input.SKELETONS)
        self._reports[skeletons].problems.append(problem)

    def _take(self, bag_message: BagMessage) -> None:
        topic, what = bag_message.topic, self._topics.inputs[bag_message.topic]
        try:
            message = bag_message.message
        except BagError as error:
            self._refusals[topic][str(error)] += 1
            return
        if what in (Input.TF, Input.TF_STATIC):
            static = what is Input.TF_STATIC
            for problem in self._tree.add(message, static=static, now=bag_message.time):
                self._refusals[topic][problem] += 1
        if what is Input.DEPTH_INFO:
            self._reader.depth_info = message
        if what not in _WITH_HEADER:
            return
        stamp = stamp_of(message)
        self._stamps[topic].append(stamp)
        self._delays[topic].append((bag_message.time - stamp) / 1e9)
        frame = message.child_frame_id if what is Input.ODOMETRY else message.header.frame_id
        frames = self._reports[topic].frames
        frames[frame_name(frame)] = frames.get(frame_name(frame), 0) + 1
        # With the next message, transforms about the stamp of this one have come, and are not yet
        # forgotten, as they are at the end of a long recording.
        self._look_up(topic, frame_name(frame))
        self._unplaced[topic, frame_name(frame)] = stamp
        if what is Input.ODOMETRY:
            self._ways[topic].take(stamp, message)
        if len(self._samples[topic]) < MOST_READ and what in _SENSORS:
            try:
                self._samples[topic].append((message, self._reader.read_alone(what, message)))
            except MessageRefused as error:
                self._refusals[topic][str(error)] += 1

    def _look_up(self, topic: str, frame: str) -> Transform | None:
        """Return the place of a frame at the stamp of any message so far; None: never known."""
        one = topic, frame
        if one not in self._placed and one in self._unplaced:
            place = self._tree.sensor_to_base(frame, self._unplaced[one])
            if place is not None:
                self._placed[one] = place
        return self._placed.get(one)

    def _conclude(self, topic: str, what: Input) -> None:
        report = self._reports[topic]
        for text, count in self._refusals[topic].most_common(3):
            report.problems.append(f"{count} messages are refused: {text}")
        if what not in _WITH_HEADER:
            return
        self._check_frames(topic, what, report)
        self._check_stamps(topic, what, report)
        if topic in self._ways:
            report.problems += self._ways[topic].problems()
        samples = self._samples[topic]
        if not samples:
            return
        if what is Input.DEPTH:
            self._check_depth(report, samples)
        elif what is Input.POINTS:
            _check_points(report, samples)
        elif what is Input.IMU:
            self._check_imu(report, samples)

    def _check_frames(self, topic: str, what: Input, report: SensorReport) -> None:
        base = self._settings.base_frame
        if len(report.frames) > 1:
            names = ", ".join(f"'{name}'" for name in report.frames)
            report.problems.append(f"the frames differ ({names}): two sensors share the topic")
        for name in report.frames:
            place = self._look_up(topic, name)
            if not name:
                report.problems.append("the frame is empty: set it in the sensor's driver")
            elif place is None:
                report.problems.append(
                    f"the place of '{name}' in '{base}' is not known: record /tf and /tf_static, "
                    "set base_frame, or set extrinsics"
                )
            elif what in (Input.SKELETONS, Input.DEPTH) and looks_up(place):
                report.problems.append(camera_upwards(name, base))

    def _check_stamps(self, topic: str, what: Input, report: SensorReport) -> None:
        stamps, settings = np.array(self._stamps[topic], np.int64), self._settings
        if not len(stamps):
            return
        delay = float(np.median(self._delays[topic]))
        report.facts.append(f"arrives {delay * 1e3:.0f} ms after its stamp")
        if delay > settings.max_age_ms / 1e3 or delay < -settings.clock_tolerance_ms / 1e3:
            report.problems.append(
                f"the stamps are {abs(delay):.3f} s {'ahead of' if delay < 0 else 'behind'} the "
                "clock of the recording: synchronise the clocks, or raise max_age_ms"
            )
        backwards = int((np.diff(stamps) <= 0).sum())
        if backwards:
            report.problems.append(f"{backwards} stamps repeat or go back")
        if what not in (Input.DEPTH, Input.POINTS, Input.SCAN):
            return
        [skeletons] = self._topics.topics_of(Input.SKELETONS)
        images = np.array(self._stamps[skeletons], np.int64)
        apart = nearest_distances(images, stamps) / 1e6
        if len(apart) and np.mean(apart <= settings.sensor_tolerance_ms) < MOSTLY:
            report.problems.append(
                f"only {np.mean(apart <= settings.sensor_tolerance_ms):.0%} of the images have a "
                f"message within sensor_tolerance_ms ({settings.sensor_tolerance_ms:g}); the "
                f"median distance is {np.median(apart):.0f} ms"
            )

    def _check_depth(self, report: SensorReport, samples: list[Any]) -> None:
        depths = np.concatenate([one.depth[(one.depth > 0)].ravel() for _, one in samples])
        middle = float(np.median(depths[np.isfinite(depths)]))
        encoding = samples[0][0].encoding
        report.facts.append(f"{encoding}, median depth {middle:.2f} m")
        if not NEAREST < middle < FURTHEST:
            unit = "mm" if encoding == "16UC1" else "m"
            report.problems.append(
                f"the median depth is {middle:g} m: {encoding} has to be in {unit} (REP 118)"
            )
        [skeletons] = self._topics.topics_of(Input.SKELETONS)
        own, camera = samples[0][1].frame, next(iter(self._reports[skeletons].frames), "")
        registered = "registered to the camera" if own == camera else f"not registered, in '{own}'"
        report.facts.append(registered)

    def _check_imu(self, report: SensorReport, samples: list[Any]) -> None:
        forces = [one.linear_acceleration for _, one in samples]
        without = sum(one.orientation is None for _, one in samples)
        report.facts.append("without orientation" if without else "with orientation")
        newest = samples[-1][1]
        if newest.orientation is not None:
            answer = GravityAlignment(StampLimits()).add(newest, self._tree, newest.stamp)
            if answer is Refusal.MALFORMED:
                report.problems.append(
                    f"the orientation says that '{self._settings.base_frame}' is tilted by more "
                    "than 45 degrees: z of the IMU's world has to point up (ENU, not NED), or the "
                    "IMU's transform is wrong"
                )
        known = np.array([one for one in forces if one is not None])
        if not len(known):
            return
        length = float(np.median(np.linalg.norm(known, axis=1)))
        report.facts.append(f"acceleration {length:.2f} m/s²")
        if abs(length - GRAVITY) > NEAR_GRAVITY:
            report.problems.append(
                f"the acceleration is {length:.2f}, where gravity is {GRAVITY}: it has to be in "
                "m/s² and to contain gravity (REP 145)"
            )
            return
        place = self._tree.sensor_to_base(samples[0][1].frame, samples[0][1].stamp)
        if place is None:
            return
        up = place.rotation @ np.median(known, axis=0) / length
        if up[2] < LEAST_UP:
            report.problems.append(
                f"the acceleration at rest points to {np.round(up, 2).tolist()} in "
                f"'{self._settings.base_frame}', not up (0, 0, 1): its sign is wrong, or the IMU's "
                "transform is"
            )


def _check_points(report: SensorReport, samples: list[Any]) -> None:
    message, cloud = samples[len(samples) // 2]
    report.facts.append(f"{len(cloud.points)} finite points")
    timed = [str(f.name) for f in message.fields if str(f.name) in TIME_FIELDS]
    if not timed:
        report.facts.append("points have no times")
    elif cloud.times is None:
        report.problems.append(
            f"the field {timed[0]} is in a unit that is not known, and is not used: a moving "
            "vehicle then places the points as if all were of the stamp"
        )
    else:
        first, last = float(cloud.times.min()), float(cloud.times.max())
        report.facts.append(f"points are of {first * 1e3:.0f} to {last * 1e3:.0f} ms ({timed[0]})")
    far = float(np.median(np.linalg.norm(cloud.points, axis=1)))
    if not NEAREST < far < 5 * FURTHEST:
        report.problems.append(f"the median distance of the points is {far:g}: it has to be in m")
