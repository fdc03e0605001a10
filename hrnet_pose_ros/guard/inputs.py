# SPDX-License-Identifier: Apache-2.0
"""What the guard takes: commands and people as plain values, and how messages become them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import People, PeopleStatus
from hrnet_pose_ros.fusion.refusals import Source

_FLAT = np.ix_([0, 1, 3, 4], [0, 1, 3, 4])
# A command beyond this is garbage, m/s and rad/s: with its square nothing can be computed.
LARGEST = 1e6


@dataclass(frozen=True)
class VelocityCommand:
    """The numbers of a ``geometry_msgs/Twist`` in the base frame, m/s and rad/s.

    Examples
    --------
    >>> VelocityCommand(linear=(1.0, 0.0, 0.0), angular=(0.0, 0.0, 0.5)).scaled(0.5)
    VelocityCommand(linear=(0.5, 0.0, 0.0), angular=(0.0, 0.0, 0.25))
    """

    linear: tuple[float, float, float] = (0.0, 0.0, 0.0)
    angular: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def planar(cls, forward: float, yaw_rate: float = 0.0, left: float = 0.0) -> VelocityCommand:
        """A motion on the ground."""
        return cls((forward, left, 0.0), (0.0, 0.0, yaw_rate))

    @classmethod
    def of_message(cls, twist: Any) -> VelocityCommand:
        """From a ``geometry_msgs/Twist`` of any library."""
        linear, angular = twist.linear, twist.angular
        return cls((linear.x, linear.y, linear.z), (angular.x, angular.y, angular.z))

    @property
    def usable(self) -> bool:
        """Whether all six numbers are finite, and no larger than `LARGEST`."""
        return all(abs(one) <= LARGEST for one in (*self.linear, *self.angular))  # not NaN

    @property
    def on_ground(self) -> np.ndarray:
        """float64 ``[3]``: vx, vy, yaw rate."""
        return np.array([self.linear[0], self.linear[1], self.angular[2]])

    def scaled(self, factor: float) -> VelocityCommand:
        """Linear and angular speed by one factor: the path stays the same."""
        x, y, z = self.linear
        roll, pitch, yaw = self.angular
        return VelocityCommand(
            (factor * x, factor * y, factor * z), (factor * roll, factor * pitch, factor * yaw)
        )


@dataclass(frozen=True)
class PersonReport:
    """One person of a ``PersonArray``: the fields that the guard uses.

    Attributes
    ----------
    id
        Of the track.
    position
        float64 ``[2]``, m in the base frame.
    velocity
        float64 ``[2]``, m/s over ground; NaN where it is unknown.
    covariance
        float64 ``[4, 4]`` of x y vx vy; NaN in the velocity's part where it is unknown.
    radius
        m; NaN where it is unknown.
    existence, child_probability
        0 to 1; NaN where they are unknown.
    coasting
        Without a skeleton in this image: a prediction.
    possible_only
        Nothing says that they are still there: they slow the vehicle down, and never stop it.
    """

    id: str
    position: np.ndarray
    velocity: np.ndarray
    covariance: np.ndarray
    radius: float = math.nan
    existence: float = 1.0
    child_probability: float = math.nan
    coasting: bool = False
    possible_only: bool = False

    @property
    def placed(self) -> bool:
        """Whether position and its covariance are finite, and the covariance is one."""
        return _finite(self.position) and _is_covariance(self.covariance[:2, :2])

    @property
    def velocity_known(self) -> bool:
        """Whether velocity and its covariance are finite, and the covariance is one."""
        return _finite(self.velocity) and _is_covariance(self.covariance[2:, 2:])

    def moved(self, turn: float, place: np.ndarray) -> PersonReport:
        """The person in the base frame after that has turned (rad) and is at a place ``[2]`` (m).

        >>> one = PersonReport("7", np.array([2.0, 0.0]), np.zeros(2), np.zeros((4, 4)))
        >>> one.moved(math.pi / 2, np.array([1.0, 0.0])).position.round(6).tolist()
        [0.0, -1.0]
        """
        cos, sin = math.cos(turn), math.sin(turn)
        back = np.array([[cos, sin], [-sin, cos]])
        both = np.zeros((4, 4))
        both[:2, :2] = both[2:, 2:] = back
        # A velocity that is not known is NaN, and so is its part of the covariance.
        covariance = np.full((4, 4), np.nan)
        covariance[:2, :2] = back @ self.covariance[:2, :2] @ back.T
        if self.velocity_known:
            covariance = both @ self.covariance @ both.T
        return replace(
            self,
            position=back @ (self.position - place),
            velocity=back @ self.velocity,
            covariance=covariance,
        )


@dataclass(frozen=True)
class PeopleReport:
    """A ``PersonArray``: ``stamp`` in ns, ``status`` as its number says, and the people."""

    stamp: int
    people: tuple[PersonReport, ...] = ()
    status: int = PeopleStatus.OK

    @classmethod
    def of_message(cls, message: Any) -> PeopleReport:
        """From a ``PersonArray`` of any library."""
        stamp = message.header.stamp
        nanoseconds = getattr(stamp, "nanosec", None)
        people = [
            _report(
                one,
                position=(one.position.x, one.position.y),
                velocity=(one.velocity.x, one.velocity.y),
                covariance=np.asarray(one.covariance, np.float64).reshape(6, 6),
            )
            for one in message.people
        ]
        return cls(stamp.sec * 10**9 + int(nanoseconds or 0), tuple(people), int(message.status))

    @classmethod
    def of_people(cls, people: People) -> PeopleReport:
        """From what the fusion returns."""
        found = [
            _report(
                one,
                position=(one.position[0], one.position[1]),
                velocity=(one.velocity[0], one.velocity[1]),
                covariance=one.covariance,
            )
            for one in people.people
        ]
        return cls(people.stamp, tuple(found), int(people.status))


def _finite(values: np.ndarray) -> bool:
    return all(map(math.isfinite, values.tolist()))


def _is_covariance(values: np.ndarray) -> bool:
    """Whether ``[2, 2]`` numbers are finite and not negative in any direction."""
    (a, b), (c, d) = values.tolist()
    if not all(map(math.isfinite, (a, b, c, d))):
        return False
    return min(a, d) >= 0 and a * d - b * c >= -1e-9 * (a + d) * (a + d)  # ** would raise


def _report(one: Any, *, position: Any, velocity: Any, covariance: np.ndarray) -> PersonReport:
    flat = np.array(covariance)[_FLAT]
    radius = float(one.radius)
    speed = np.array(velocity, np.float64)
    if not int(one.sources) & Source.ODOMETRY:
        # Without odometry the velocity is relative to the vehicle: nothing that counts as known.
        speed = np.full(2, math.nan)
    return PersonReport(
        id=one.id,
        position=np.array(position, np.float64),
        velocity=speed,
        covariance=flat,
        radius=radius if radius >= 0 else math.nan,  # nobody is smaller than nothing
        existence=float(one.existence),
        child_probability=float(one.child_probability),
        coasting=one.skeleton_index < 0,
    )
