# SPDX-License-Identifier: Apache-2.0
"""People as the fusion gives them, and what conversions make of them, over the wire."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

from hrnet_pose_ros.fusion.person import PeopleStatus, Person
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, person_array

TYPES = RclpyClasses()
STAMP = 1_700_000_000_123_456_789


def person(
    identity: str = "7", place: tuple[float, float, float] = (4.0, -1.0, 0.0), **fields: Any
) -> Person:
    """A person at a place, m; ``std`` of x and y, m, or a whole ``covariance``."""
    std = fields.pop("std", (0.1, 0.2))
    covariance = np.zeros((6, 6))
    covariance[[0, 1, 2], [0, 1, 2]] = [std[0] ** 2, std[1] ** 2, 0.01]
    values: dict[str, Any] = {
        "detection_id": "",
        "skeleton_index": 0,
        "velocity": np.zeros(3),
        "covariance": covariance,
        "existence": 0.9,
        "height": 1.8,
        "height_variance": 0.01,
        "radius": 0.3,
        "radius_variance": 0.0025,
    }
    return Person(id=identity, position=np.array(place), **(values | fields))


def output(*people: Person, status: PeopleStatus = PeopleStatus.OK) -> PeopleOutput:
    """What is published about these people."""
    return PeopleOutput(STAMP, "base_link", status, (), people)


def person_message(one: Person) -> Any:
    """The Person message of a person."""
    return person_array(TYPES, output(one)).people[0]


def over_the_wire(message: Any) -> Any:
    """Serialise and read back: fails where a field is missing or has a wrong type."""
    return deserialize_message(serialize_message(message), type(message))
