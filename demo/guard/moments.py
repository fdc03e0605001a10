# SPDX-License-Identifier: Apache-2.0
"""What one picture of the guard's demo shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hrnet_pose_ros.fusion.person import People


@dataclass(frozen=True)
class GuardMoment:
    """The ride at the time of one command. Places are in the world, m, unless it is said.

    Attributes
    ----------
    time
        Since the beginning, s.
    place
        x, y (m) and yaw (rad) of the vehicle.
    speed
        Of the vehicle, m/s.
    commanded, answered
        Speeds forward, m/s: of the command, and of the node's answer.
    waited
        From the command to the answer, ms on the wall clock; NaN without an answer.
    people, people_from
        What the guard has got last, and where the vehicle was then (as ``place``); None: nothing.
    truth
        x, y of everybody, float ``[N, 2]``.
    zones
        Outlines ``[K, 2]`` in the base frame, by the name of the node's marker.
    label
        What the node says that it does, and why: the text of its marker.
    values
        Of its last diagnostics.
    distance
        True: from the vehicle to the nearest person, m.
    """

    time: float
    place: np.ndarray
    speed: float
    commanded: float
    answered: float
    waited: float
    people: People | None
    people_from: np.ndarray
    truth: np.ndarray
    zones: dict[str, np.ndarray] = field(default_factory=dict)
    label: str = ""
    values: dict[str, str] = field(default_factory=dict)
    distance: float = np.inf


@dataclass(frozen=True)
class GuardRide:
    """All moments of a ride, and what does not change.

    Attributes
    ----------
    moments
        One for each command.
    radii
        Of the people's cylinders, m, in the order of their truth.
    walls
        float ``[K, 2, 2]`` m: the sides of obstacles.
    footprint
        float ``[K, 2]`` m: the vehicle's outline in the base frame.
    contact
        Speed of the vehicle at the first contact, m/s; None without one.
    statuses
        The node's last diagnostics: message and values, by the short name.
    """

    moments: tuple[GuardMoment, ...]
    radii: np.ndarray
    walls: np.ndarray
    footprint: np.ndarray
    contact: float | None
    statuses: dict[str, tuple[str, dict[str, str]]]
