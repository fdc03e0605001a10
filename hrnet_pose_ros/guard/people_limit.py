# SPDX-License-Identifier: Apache-2.0
"""The largest factor on a command at which the separation distance to everybody holds.

Each person is a convex set: the places where they may be until the vehicle stands. It contains the
place that was reported and the one that the velocity leads to, grown by the terms of the separation
distance, of which Z depends on the direction. The vehicle is the footprint along the commanded arc
until it stands. The two must not meet. When they are meant to be somewhere does not matter: the
vehicle stands before it could touch anybody who does not move faster than assumed.

Everything that makes either set larger (uncertainty, speed, delay) gives a smaller factor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.guard.commanded_path import NORMALS, CommandedPath
from hrnet_pose_ros.guard.inputs import PersonReport
from hrnet_pose_ros.guard.separation import (
    Separation,
    braking_distance,
    child_distance,
    human_distance,
    intrusion_distance,
    reaction_distance,
    stopping_speeds,
    stopping_time,
)
from hrnet_pose_ros.guard.settings import GuardSettings

# A way leads away from a person if the distance grows by so much for each metre of it.
AWAY = 0.2


@dataclass(frozen=True)
class PersonLimit:
    """The person who decides, and how fast the vehicle may be.

    Attributes
    ----------
    factor
        On the command, 0 to 1.
    id
        Of the person who decides; of the most critical one if nobody limits the speed.
    terms
        The separation distance to that person at this factor.
    distance
        Between the vehicle as it stands and the cylinder of that person, m.
    place
        Of that person, x and y in the base frame of now, m.
    inside
        Whether that person is within C + Z (and the margin for a child) of the vehicle already.
    stopping
        All for whom the vehicle has to stand.
    slowdown_id
        Who is in the slowdown zone; empty if nobody is.
    """

    factor: float
    id: str
    terms: Separation
    distance: float
    place: tuple[float, float]
    inside: bool
    stopping: frozenset[str]
    slowdown_id: str


class PeopleLimit:
    """People and a path; see the module. Directions are D, people N, places on the path M.

    Parameters
    ----------
    settings
        The parameters.
    people
        At least one, each `PersonReport.placed`, in the base frame of now.
    age
        Seconds since the image that the people come from.
    path
        At least as long as the way to stand from the commanded speed.
    holding
        Ids of those for whom the vehicle stands.
    """

    def __init__(
        self,
        settings: GuardSettings,
        people: Sequence[PersonReport],
        age: float,
        path: CommandedPath,
        holding: Collection[str] = (),
    ) -> None:
        sigmas = settings.uncertainty_sigmas
        uncertainty = sigmas * _deviation(np.array([one.covariance[:2, :2] for one in people]))
        coasting = np.array([one.coasting for one in people])
        only = np.array([one.possible_only for one in people])
        # Who is coasting, or is seen but hardly placed (only a part of the body tells no range),
        # comes twice: wherever they may be, and where they probably are. Wherever they may be slows
        # the vehicle down to the speed at which it drives where nobody is seen; only what is
        # probable makes it stand. Who is only possible comes once.
        doubtful = coasting | only | (uncertainty.max(axis=1) > settings.stop_uncertainty)
        rows = np.concatenate([np.arange(len(people)), np.flatnonzero(doubtful & ~only)])
        again = np.arange(len(rows)) >= len(people)
        self._floor = np.where(doubtful[rows] & ~again, settings.blind_speed, 0.0)
        people, coasting = [people[row] for row in rows.tolist()], coasting[rows]
        self._settings, self._people, self._path, self._age = settings, people, path, age
        self._known = np.array([one.velocity_known for one in people])
        position = np.array([one.position for one in people])
        velocity = np.array([one.velocity for one in people])
        velocity[~self._known] = 0.0
        covariance = np.array([one.covariance for one in people])
        self._at = position @ NORMALS.T  # [N, D]
        most = np.where(coasting, settings.coasting_uncertainty, settings.stop_uncertainty)
        most = np.where(again, most, np.inf)
        self._uncertainty = np.minimum(uncertainty[rows], most[:, None])
        self._intrusion = np.array(
            [intrusion_distance(settings, holding=one.id in holding) for one in people]
        )
        self._child = np.array([child_distance(one.child_probability, settings) for one in people])
        radius = np.array([one.radius for one in people])
        radius[~np.isfinite(radius)] = settings.person_radius
        self._bodies = self._at - radius[:, None]
        self._velocity = velocity @ NORMALS.T
        spread = np.where(self._known[:, None, None], covariance[:, 2:, 2:], 0.0)
        growing = np.clip(
            sigmas * _deviation(spread),
            settings.least_human_speed,
            max(settings.human_speed, settings.least_human_speed),
        )
        growing[~self._known] = settings.human_speed
        # Where a prediction probably leads is known by its velocity; what it may do beside is among
        # what is possible.
        predicted = again & coasting
        least = np.where(self._known[predicted], 0.0, settings.least_human_speed)
        growing[predicted] = np.minimum(growing[predicted], least[:, None])
        fixed = (self._intrusion + self._child)[:, None] + self._uncertainty
        self._near = self._bodies - fixed
        # How fast the people's sets grow towards the vehicle, in each direction, m/s.
        self._approach = np.maximum(growing + np.maximum(-self._velocity, 0.0), 1e-9)
        # The whole way at once: who does not reach its convex hull does not limit the speed.
        self._hull = path.supports.max(axis=0)

    def limit(self) -> PersonLimit:
        """The result."""
        settings, path = self._settings, self._path
        speed = path.speed
        sets = self._near - self._duration(speed) * self._approach
        reaching = (sets - self._hull).max(axis=1)
        zone = self._bodies - settings.slowdown_margin - self._uncertainty
        zoned = (zone - self._hull).max(axis=1)
        critical, reached, allowed = int(reaching.argmin()), -1, speed
        slow, stopping = -1, frozenset[str]()
        rows = np.flatnonzero((reaching < path.steps[-1]) | (zoned < path.steps[-1]))
        if rows.size:
            away = self._leads_away(rows)
            speeds = np.maximum(self._speeds(rows), self._floor[rows][:, None])
            speeds = np.where(away, np.inf, speeds)
            who, at = np.unravel_index(int(speeds.argmin()), speeds.shape)
            if speeds[who, at] < speed:
                critical, reached, allowed = int(rows[who]), int(at), float(speeds[who, at])
            slowest = speeds.min(axis=1)
            stops = rows[(slowest < settings.stop_speed) | (slowest <= 0)].tolist()
            stopping = frozenset(self._people[row].id for row in stops)
            counted = ~away & (path.places <= settings.horizon * speed)
            deepest = np.where(counted, self._distances(zone[rows]), np.inf).min(axis=1)
            if deepest.min() < 0:
                slow = int(rows[deepest.argmin()])
        return PersonLimit(
            factor=allowed / speed,
            id=self._people[critical].id,
            terms=self._terms(critical, reached, allowed),
            distance=float((self._bodies[critical] - path.supports[0]).max()),
            place=_pair(self._people[critical].position),
            inside=bool((self._near[critical] - path.supports[0]).max() < 0),
            stopping=stopping,
            slowdown_id=self._people[slow].id if slow >= 0 else "",
        )

    def _duration(self, speed: float) -> float:
        """From the image until the vehicle stands, s."""
        return self._age + stopping_time(speed, self._settings)

    def _distances(self, sets: np.ndarray) -> np.ndarray:
        """From convex sets ``[N, D]`` (their least extent) to the footprint, ``[N, M]`` m.

        Half a step smaller, for the places in between.
        """
        return (sets[:, None] - self._path.supports[None]).max(axis=2) - self._path.steps / 2

    def _leads_away(self, rows: np.ndarray) -> np.ndarray:
        """Which places are reached on a way that leads away from a person from here on, ``[N, M]``.

        From where the person is, wherever they go: a vehicle that stands still does not help
        somebody who comes after it, and one that drives on in front of somebody who comes from the
        side does not lead away. Nor does any way lead away from somebody inside the footprint.
        """
        distances = self._distances(self._at[rows])
        further = distances >= distances[:, :1] + AWAY * self._path.places
        further &= distances[:, :1] + self._path.steps[0] / 2 >= 0
        return np.logical_and.accumulate(further, axis=1)

    def _speeds(self, rows: np.ndarray) -> np.ndarray:
        """The speed from which each place and each person would meet, ``[N, M]`` m/s.

        Two things must come together: the vehicle comes as far, and by the time it stands the
        person may have come as near. Both need a speed, and the larger one is the answer. The sets
        shrink linearly with time in each direction, so that the time is the largest of the times
        of the directions.
        """
        settings, path = self._settings, self._path
        margins = self._near[rows][:, None] - path.supports[None] - path.steps[:, None] / 2
        times = (margins / self._approach[rows][:, None]).max(axis=2)
        near = (times - self._duration(0.0)) * settings.braking_deceleration
        there = stopping_speeds(path.places - path.steps, settings)
        return np.maximum(np.maximum(near, 0.0), there)

    def _terms(self, who: int, place: int, speed: float) -> Separation:
        """The terms in the direction in which the two sets are nearest.

        At a place of the way, or (-1) for the whole way.
        """
        settings = self._settings
        sets = self._near[who] - self._duration(speed) * self._approach[who]
        reach = self._hull if place < 0 else self._path.supports[place]
        towards = int((sets - reach).argmax())
        approach = float(self._approach[who, towards])
        return Separation(
            human=human_distance(approach, speed, self._age, settings),
            reaction=reaction_distance(speed, settings),
            braking=braking_distance(speed, settings),
            intrusion=float(self._intrusion[who]),
            uncertainty=float(self._uncertainty[who, towards]),
            child=float(self._child[who]),
        )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _deviation(covariances: np.ndarray) -> np.ndarray:
    """Standard deviations in each direction, ``[N, D]``, of covariances ``[N, 2, 2]``."""
    variances = np.einsum("di,nij,dj->nd", NORMALS, covariances, NORMALS)
    return np.sqrt(np.maximum(variances, 0.0))
