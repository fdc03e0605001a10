# SPDX-License-Identifier: Apache-2.0
"""People and guards of the tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.guard import Guard
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport, VelocityCommand
from hrnet_pose_ros.guard.settings import GuardSettings

MS = 1_000_000  # ns


def person(
    x: float,
    y: float,
    vx: float = 0.0,
    vy: float = 0.0,
    *,
    deviation: float = 0.0,
    speed_deviation: float = 0.0,
    **fields: Any,
) -> PersonReport:
    """A person of the radius 0.3 m, without uncertainty unless it is given."""
    covariance = np.diag([deviation**2] * 2 + [speed_deviation**2] * 2)
    fields = {"id": "7", "radius": 0.3} | fields
    return PersonReport(
        position=np.array([x, y]), velocity=np.array([vx, vy]), covariance=covariance, **fields
    )


def unknown_velocity(x: float, y: float, **fields: Any) -> PersonReport:
    """A person whose velocity nobody knows."""
    return person(x, y, math.nan, math.nan, **fields)


def decide(
    people: tuple[PersonReport, ...],
    command: VelocityCommand,
    settings: GuardSettings | None = None,
    *,
    age_ms: int = 0,
) -> Decision:
    """The first decision of a guard about people of this age."""
    guard = Guard(settings or GuardSettings())
    guard.people(PeopleReport(0, people), age_ms * MS)
    return guard.command(command, age_ms * MS)
