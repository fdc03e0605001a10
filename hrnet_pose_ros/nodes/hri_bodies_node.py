# SPDX-License-Identifier: Apache-2.0
"""The node `hri_bodies`: people as bodies of ROS4HRI (REP 155), where `hri_msgs` is installed.

It joins `people` with the `skeletons` of the same stamp. Bodies only: who a body belongs to is
decided by other nodes of ROS4HRI.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from hrnet_pose_ros.msg import PersonArray, SkeletonArray, SkeletonInfo
from hrnet_pose_ros.pipeline.image_transport import TRANSPORTS
from hrnet_pose_ros.pipeline.images import ImageError, size_of
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.parameter import Change, ParameterSet, parameter
from hrnet_pose_ros.pipeline.people.hri_bodies import (
    body_gesture,
    body_id,
    body_posture,
    body_transform,
    cropped,
    ids_list,
    region,
    skeleton2d,
)
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_of
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.ros.guarded_callbacks import guarded
from hrnet_pose_ros.ros.image_input import image_input
from hrnet_pose_ros.ros.log import ThrottledWarnings
from hrnet_pose_ros.ros.optional_messages import missing
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.topics import create_publisher, create_subscription
from hrnet_pose_ros.skeleton import SkeletonDefinition, SkeletonError

BODIES = "/humans/bodies"
TRACKED = "hri_msgs/msg/IdsList"
# The topics of one body, and their types.
TOPICS = {
    "roi": "hri_msgs/msg/NormalizedRegionOfInterest2D",
    "skeleton2d": "hri_msgs/msg/Skeleton2D",
    "posture": "hri_msgs/msg/BodyPosture",
    "gesture": "hri_msgs/msg/Gesture",
    "cropped": "sensor_msgs/msg/Image",
}
# Skeletons and images wait for the people of their stamp; at most so many.
WAITING = 16
# Without people for this time, s, no bodies are tracked. Checked with this period, s.
TIMEOUT, CHECK_PERIOD = 1.0, 0.2
_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class HriBodiesSettings(ParameterSet):
    """The values of all parameters of the node `hri_bodies`."""

    image_transport: str = parameter(
        "raw",
        "`raw` takes sensor_msgs/Image on `image`; `compressed` takes CompressedImage on "
        "`image/compressed`. Only `cropped` needs images: they are received while somebody "
        "subscribes to it.",
        Change.START,
        choices=tuple(TRANSPORTS),
    )


class HriBodiesNode(Node):
    """Publishes bodies; raises RuntimeError if `hri_msgs` is not installed."""

    def __init__(self) -> None:
        types = RclpyClasses()
        for name in (TRACKED, *TOPICS.values()):
            try:
                types[name]
            except (ImportError, AttributeError) as error:
                raise RuntimeError(missing(name, error)) from None
        super().__init__("hri_bodies")
        settings = ParameterServer(self, HriBodiesSettings).current()
        self._types = types
        self._warnings = ThrottledWarnings(self.get_logger())
        self._stopping = threading.Event()
        self._input = image_input(self, TRANSPORTS[settings.image_transport])
        self._definition: SkeletonDefinition | None = None
        self._skeletons: dict[int, SkeletonArray] = {}
        self._images: dict[int, Any] = {}
        self._image_subscription: Any = None
        self._pending: PersonArray | None = None  # waits for the skeletons of its stamp
        self._bodies: dict[str, dict[str, Any]] = {}  # publishers by id and topic
        self._heard = time.monotonic()
        self._tracked = create_publisher(self, types[TRACKED], f"{BODIES}/tracked", _RELIABLE)
        self._tf = create_publisher(self, TFMessage, "/tf", QoSProfile(depth=100))
        for kind, topic, take, qos in (
            (SkeletonInfo, "skeleton_info", self._take_info, _LATCHED),
            (SkeletonArray, "skeletons", self._take_skeletons, _RELIABLE),
            (PersonArray, "people", self._take_people, _RELIABLE),
        ):
            create_subscription(self, kind, topic, self._guarded(take), qos)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(CHECK_PERIOD, self._guarded(self._check), clock=steady)
        self.get_logger().info(f"bodies on {BODIES}")

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        return guarded(callback, self._warnings, self._stopping)

    # --- messages --------------------------------------------------------------------------------

    def _take_info(self, message: SkeletonInfo) -> None:
        try:
            self._definition = skeleton_of(message)
        except SkeletonError as error:
            self._warnings.warn("skeleton_info", f"skeleton_info cannot be used: {error}")

    def _take_skeletons(self, message: SkeletonArray) -> None:
        _keep(self._skeletons, message)
        pending = self._pending
        if pending is not None and stamp_of(pending) == stamp_of(message):
            self._show(pending)

    def _take_image(self, message: Any) -> None:
        _keep(self._images, message)

    def _take_people(self, message: PersonArray) -> None:
        self._heard = time.monotonic()
        if self._pending is not None:
            self._show(self._pending)  # its skeletons have not come
        if message.status == PersonArray.ERROR or stamp_of(message) in self._skeletons:
            self._show(message)
        else:
            self._pending = message

    def _check(self) -> None:
        """Forget bodies of whom nothing more is heard; receive images only while they are used."""
        if time.monotonic() - self._heard > TIMEOUT:
            self._pending = None
            if self._bodies:
                self._warnings.warn("people", f"no bodies: nothing on people for {TIMEOUT:.0f} s")
                self._track(Header(stamp=self.get_clock().now().to_msg()), [])
        wanted = any(one["cropped"].get_subscription_count() for one in self._bodies.values())
        if wanted and self._image_subscription is None:
            self._image_subscription = self.create_subscription(
                self._input.message_class,
                self._input.topic,
                self._guarded(self._take_image),
                qos_profile_sensor_data,
            )
        elif not wanted and self._image_subscription is not None:
            self.destroy_subscription(self._image_subscription)
            self._image_subscription = None
            self._images.clear()

    # --- bodies ----------------------------------------------------------------------------------

    def _show(self, people: PersonArray) -> None:
        """Publish the bodies of a PersonArray: none, if it is an ERROR."""
        self._pending = None
        persons = {} if people.status == PersonArray.ERROR else _by_body(people)
        self._track(people.header, list(persons))
        skeletons = self._skeletons.get(stamp_of(people))
        for name, person in persons.items():
            try:
                self._show_body(self._bodies[name], person, people.header, skeletons)
            except Exception as error:
                text = f"a body is not complete: {type(error).__name__}: {error}"
                self._warnings.warn("body", text)
        if self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=self._transforms(people.header, persons)))

    def _track(self, header: Header, names: list[str]) -> None:
        """Make the publishers of new bodies, remove those of bodies that are gone."""
        for name in [name for name in self._bodies if name not in names]:
            for publisher in self._bodies.pop(name).values():
                self.destroy_publisher(publisher)
        for name in names:
            if name not in self._bodies:
                # Without parameters for their QoS: those would pile up.
                self._bodies[name] = {
                    topic: self.create_publisher(
                        self._types[kind], f"{BODIES}/{name}/{topic}", QoSProfile(depth=1)
                    )
                    for topic, kind in TOPICS.items()
                }
        if self._tracked.get_subscription_count():
            self._tracked.publish(ids_list(self._types, header, names))

    def _show_body(
        self,
        publishers: dict[str, Any],
        person: Any,
        header: Header,
        skeletons: SkeletonArray | None,
    ) -> None:
        wanted = {topic for topic, one in publishers.items() if one.get_subscription_count()}
        types, messages = self._types, {}
        if "posture" in wanted:
            messages["posture"] = body_posture(types, header, person)
        if "gesture" in wanted:
            messages["gesture"] = body_gesture(types, header, person)
        index = person.skeleton_index
        if skeletons is not None and 0 <= index < len(skeletons.skeletons):
            if "roi" in wanted:
                messages["roi"] = region(types, skeletons, index)
            if "skeleton2d" in wanted and self._definition is not None:
                messages["skeleton2d"] = skeleton2d(types, skeletons, index, self._definition)
            if "cropped" in wanted:
                messages["cropped"] = self._cropped(skeletons, index)
        for topic, message in messages.items():
            if message is not None:
                publishers[topic].publish(message)

    def _cropped(self, skeletons: SkeletonArray, index: int) -> Image | None:
        message = self._images.get(stamp_of(skeletons))
        if message is None:
            return None
        try:
            part = cropped(self._input.transport.read(message), skeletons, index)
        except ImageError as error:
            self._warnings.warn("image", f"{self._input.topic}: no cropped images: {error}")
            return None
        if part is None:
            return None
        width, height = size_of(part)
        return Image(
            header=skeletons.header,
            height=height,
            width=width,
            encoding="rgb8",
            step=3 * width,
            data=array("B", part.tobytes()),
        )

    def _transforms(self, header: Header, persons: dict[str, Any]) -> list[TransformStamped]:
        made = [
            body_transform(self._types, header, person, self._definition)
            for person in persons.values()
        ]
        return [transform for transform in made if transform is not None]

    def stop(self) -> bool:
        """Nothing runs beside the executor, so there is nothing to wait for."""
        self._stopping.set()
        return True


def _keep(waiting: dict[int, Any], message: Any) -> None:
    """Keep a message by its stamp, and no more than `WAITING` of its kind."""
    waiting.pop(stamp_of(message), None)  # of a bag in a loop: this one is the newest
    waiting[stamp_of(message)] = message
    while len(waiting) > WAITING:
        del waiting[next(iter(waiting))]


def _by_body(people: PersonArray) -> dict[str, Any]:
    return {body_id(person.id): person for person in people.people}


def make_node() -> HriBodiesNode:
    """Make the node for `hrnet_pose_ros.ros.process.run`."""
    return HriBodiesNode()
