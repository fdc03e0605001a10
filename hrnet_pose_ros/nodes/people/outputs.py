# SPDX-License-Identifier: Apache-2.0
"""What other software takes of the people: each made only while somebody subscribes to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.people.people_cloud import people_cloud
from hrnet_pose_ros.pipeline.people.people_detections import people_detections
from hrnet_pose_ros.pipeline.people.people_poses import people_poses
from hrnet_pose_ros.pipeline.people.person_markers import person_markers
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput
from hrnet_pose_ros.ros.log import ThrottledWarnings
from hrnet_pose_ros.ros.optional_messages import find_message
from hrnet_pose_ros.ros.topics import create_publisher


@dataclass(frozen=True)
class Output:
    """A topic beside `people`.

    Attributes
    ----------
    message
        The full name of its type. Its package need not be installed.
    make
        Returns the message of what is published on `people`; None: this time there is none.
    visualization
        Whether it is only looked at: consumers with another QoS are not reported.
    """

    topic: str
    message: str
    make: Callable[[MessageClasses, PeopleOutput], Any | None]
    visualization: bool = False


OUTPUTS = (
    Output("people/cloud", "sensor_msgs/msg/PointCloud2", people_cloud),
    Output("people/detections3d", "vision_msgs/msg/Detection3DArray", people_detections),
    Output("people/poses", "geometry_msgs/msg/PoseArray", people_poses),
    Output("people/markers", "visualization_msgs/msg/MarkerArray", person_markers, True),
)


class PeopleOutputs:
    """The publishers of those `OUTPUTS` whose messages are installed."""

    def __init__(self, node: Node, types: MessageClasses, warnings: ThrottledWarnings) -> None:
        self._types, self._warnings = types, warnings
        self._publishers: dict[str, Any] = {}
        for one in OUTPUTS:
            kind = find_message(node, types, one.message, one.topic)
            if kind is not None:
                # The newest is all that counts.
                publisher = create_publisher(
                    node,
                    kind,
                    one.topic,
                    QoSProfile(depth=1),
                    peers_reported=not one.visualization,
                )
                self._publishers[one.topic] = publisher

    @property
    def for_consumers(self) -> list[Any]:
        """The publishers whose QoS consumers have to match."""
        found = [(one, self._publishers.get(one.topic)) for one in OUTPUTS]
        return [publisher for one, publisher in found if publisher and not one.visualization]

    def publish(self, output: PeopleOutput) -> None:
        """Publish to those who subscribe. An output that fails takes nothing from the others."""
        for one in OUTPUTS:
            publisher = self._publishers.get(one.topic)
            if publisher is None or not publisher.get_subscription_count():
                continue
            try:
                message = one.make(self._types, output)
                if message is not None:
                    publisher.publish(message)
            except Exception as error:
                what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                self._warnings.warn(one.topic, f"no {one.topic}: {what}{error}")
