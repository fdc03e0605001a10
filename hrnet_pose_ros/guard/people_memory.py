# SPDX-License-Identifier: Apache-2.0
"""People who have vanished from the people messages where nobody could see them go.

Who leaves the camera's view is predicted by the fusion for a while, then forgotten: the place is
not empty for that. The guard keeps such people for some seconds, at the place where they were last
told to be, moved by the vehicle's own motion. They are forgotten as soon as their place has been in
view without them, when somebody is seen there, or when they are far away.

Where they may be is narrower than what the fusion's growing variance says: after seconds it would
be everywhere. The memory is for those who stay about where they were while the vehicle turns
towards them; who comes from elsewhere is not known to anybody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.guard.believed_motion import BelievedMotion
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport
from hrnet_pose_ros.guard.separation import braking_distance, reaction_distance, stopping_time
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard.watchdog import NS

# A place that has been in view without the person for so long is empty, s.
SEEN_EMPTY = 0.5
# Somebody walks whose squared velocity, in parts of its covariance as it was last seen, is more
# than its mean if they stand. Nobody knows for how long: the velocity fades with this time, s.
WALKING, WALKING_ON = 2.0, 3.0
# People are forgotten if they are further from the stopping distance than this, m.
FAR = 3.0
# No more people are remembered than this: the furthest are forgotten first.
MOST = 32
# Whoever is reported further from where they were than a person walks, and this, m, is somebody
# else: the fusion was started again, and its ids begin anew.
ELSEWHERE = 1.0
# Between two reports the memory is moved at least so often, s: the motion itself is kept for 3 s.
OFTEN = 1.0


@dataclass(frozen=True)
class _Step:
    """Some time, and how the base frame turns (rad) and moves ``[2]`` (m) in it."""

    seconds: float
    turn: float
    place: np.ndarray


@dataclass
class _Known:
    """Somebody who is or was reported, in the base frame of the memory's time.

    ``places`` has two reports: after the most and after the least that the vehicle may have moved.
    ``walking``: whether they did when they were last seen. ``empty``: for how long the place has
    been in view without them, s; None: it is not in view.
    """

    places: tuple[PersonReport, PersonReport]
    named: int  # stamp of the last report with them, ns
    walking: bool = False
    empty: float | None = None
    present: bool = True  # in the last report


class PeopleMemory:
    """Whom the guard remembers.

    Parameters
    ----------
    settings
        Of the guard.
    most, least
        What the vehicle is believed to have moved at most and at least.
    """

    def __init__(
        self, settings: GuardSettings, most: BelievedMotion, least: BelievedMotion
    ) -> None:
        self._settings = settings
        self._motions = (most, least)
        self._known: dict[str, _Known] = {}
        self._at: int | None = None

    def apply(self, settings: GuardSettings) -> None:
        """Use other settings from now on; who is remembered stays so for the new time."""
        self._settings = settings

    def clear(self) -> None:
        """The clock jumped: nobody knows how far the vehicle has moved."""
        self._known.clear()
        self._at = None

    def observe(self, report: PeopleReport, speed: float) -> None:
        """Take a report that the guard uses; ``speed`` (m/s) is the commanded one.

        A report with the status ERROR says nothing about anybody.
        """
        if report.status not in (PeopleStatus.OK, PeopleStatus.DEGRADED):
            return
        since = 0.0 if self._at is None else (report.stamp - self._at) / NS
        self._advance(report.stamp)
        here = [one for one in report.people if one.placed]
        named = {one.id for one in report.people}
        counted = [one for one in here if not one.existence < self._settings.min_existence]
        fresh = 0 < since <= self._settings.people_timeout
        for one in self._known.values():
            if one.places[0].id not in named:
                self._look(one, counted, since if fresh else 0.0)
        for person in counted:
            known = _Known((person, person), report.stamp, _walks(person))
            before = self._known.get(person.id)
            if before is not None and self._is_elsewhere(before, person):
                self._rename(before)
                before = None
            if person.coasting:
                known.walking = before.walking if before else False
                known.empty = before.empty if before else None
                self._look(known, counted, since if fresh else 0.0)
            self._known[person.id] = known
        left = {one.id for one in here} - {one.id for one in counted}
        seen = [one for one in counted if not one.coasting]
        for name in list(self._known):
            one = self._known[name]
            if name in named and name not in left:
                continue
            if name in left or self._forgotten(one, seen, speed):
                del self._known[name]
            elif one.present:
                one.present = False
                one.places = (self._absent(one, 0), self._absent(one, 1))
        self._bound()

    def people(self, now: int) -> list[PersonReport]:
        """Those who are remembered, coasting, in the base frame of now (ns).

        Somebody may come twice, at both places where they may be by the vehicle's motion.
        """
        if self._at is None:
            return []
        self._advance(now - round(OFTEN * NS))
        settings = self._settings
        steps = self._steps(now)
        found = []
        for one in self._known.values():
            age = (now - one.named) / NS
            if one.present or age > settings.memory:
                continue
            # Where somebody who walked is after seconds, nothing makes probable.
            stops = age <= settings.memory_stop and not one.walking
            both = [
                replace(_later(person, step), possible_only=not stops)
                for person, step in zip(one.places, steps, strict=True)
            ]
            apart = float(np.hypot(*(both[0].position - both[1].position)))
            found += both[: 1 + (apart > 0.02)]
        return found

    def count(self, now: int) -> int:
        """How many people are remembered at a time in ns."""
        return sum(
            not one.present and (now - one.named) / NS <= self._settings.memory
            for one in self._known.values()
        )

    def _advance(self, to: int) -> None:
        """Move everybody into the base frame of a later time (ns)."""
        if self._at is None:
            self._at = to
        if to <= self._at:
            return
        most, least = self._steps(to)
        for one in self._known.values():
            one.places = (_later(one.places[0], most), _later(one.places[1], least))
        self._at = to

    def _steps(self, to: int) -> tuple[_Step, _Step]:
        """The most and the least that the vehicle moves up to a later time (ns), for everybody."""
        assert self._at is not None
        most, least = (motion.since(self._at, to) for motion in self._motions)
        seconds = (to - self._at) / NS
        return _Step(seconds, *most), _Step(seconds, *least)

    def _look(self, one: _Known, others: Sequence[PersonReport], since: float) -> None:
        """Count for how long the place has been seen empty, up to the report of now."""
        inside = all(
            in_clear_view(place, self._settings) and not _hidden(place, others, self._settings)
            for place in one.places
        )
        if not inside:
            one.empty = None
        else:
            one.empty = 0.0 if one.empty is None else one.empty + since

    def _forgotten(self, one: _Known, seen: Sequence[PersonReport], speed: float) -> bool:
        """Whether somebody who is not in the report is not to be remembered either."""
        settings = self._settings
        assert self._at is not None
        if (self._at - one.named) / NS > settings.memory or not settings.memory:
            return True
        if one.empty is not None and one.empty >= SEEN_EMPTY:
            return True
        # Who was seen a moment ago, in view, did not vanish where nobody could see it.
        if one.present and not one.places[0].coasting and in_view(one.places[0], settings):
            return True
        radii = _radius(one.places[0], settings) + settings.coasting_uncertainty
        for other in seen:
            gate = radii + _radius(other, settings)
            if any(np.hypot(*(other.position - place.position)) < gate for place in one.places):
                return True
        return all(_distance(place, settings) > _zone(speed, settings) for place in one.places)

    def _is_elsewhere(self, known: _Known, person: PersonReport) -> bool:
        """Whether a person with the id of somebody who is known cannot be that person."""
        assert self._at is not None
        settings, seconds = self._settings, (self._at - known.named) / NS
        reach = max(settings.human_speed, float(np.hypot(*person.velocity))) * seconds + ELSEWHERE
        reach += _spread(person, settings)
        return all(
            np.hypot(*(person.position - place.position)) > reach + _spread(place, settings)
            for place in known.places
        )

    def _rename(self, known: _Known) -> None:
        """Keep somebody whose id another person has now."""
        before = known.places[0].id
        name = f"{before} (before)"
        known.places = (replace(known.places[0], id=name), replace(known.places[1], id=name))
        del self._known[before]
        self._known[name] = known

    def _absent(self, known: _Known, which: int) -> PersonReport:
        """Somebody as they are remembered: coasting, and not more widely possible than Z is.

        A velocity that is only noise would carry somebody who stands into the way.
        """
        settings, person = self._settings, known.places[which]
        covariance = np.array(person.covariance)
        values, axes = np.linalg.eigh(covariance[:2, :2])
        if settings.uncertainty_sigmas:
            most = (settings.stop_uncertainty / settings.uncertainty_sigmas) ** 2
            covariance[:2, :2] = axes @ np.diag(np.clip(values, 0.0, most)) @ axes.T
        if person.velocity_known:
            covariance[:2, 2:] = covariance[2:, :] = 0.0
            person = replace(person, velocity=person.velocity * known.walking)
        return replace(person, covariance=covariance, coasting=True)

    def _bound(self) -> None:
        absent = [name for name, one in self._known.items() if not one.present]
        absent.sort(key=lambda name: _distance(self._known[name].places[0], self._settings))
        for name in absent[MOST:]:
            del self._known[name]


def in_view(person: PersonReport, settings: GuardSettings, margin: float = 0.0) -> bool:
    """Whether a place is in the angle of the view, wherever on the vehicle the camera is.

    It is at least ``margin`` (m) from the border of the view, as seen from the base frame's origin
    and from the front of the footprint.

    >>> from hrnet_pose_ros.guard.inputs import PersonReport
    >>> def at(x, y):
    ...     return PersonReport("7", np.array([x, y]), np.zeros(2), np.zeros((4, 4)), radius=0.3)
    >>> [in_view(at(*place), GuardSettings()) for place in ((3, 0), (3, 1.8), (-2, 0))]
    [True, False, False]
    """
    if settings.view >= 2 * math.pi:
        return True
    direction, half = settings.view_direction, settings.view / 2
    cos, sin = math.cos(direction), math.sin(direction)
    x, y = person.position.tolist()
    along, across = cos * x + sin * y, abs(cos * y - sin * x)
    front = float(settings.footprint.support(direction))
    return all(
        (along - camera) * math.sin(half) - across * math.cos(half) >= margin
        for camera in (0.0, front)
    )


def in_clear_view(person: PersonReport, settings: GuardSettings) -> bool:
    """Whether somebody would be seen: the whole body and its probable place are in the view."""
    margin = min(_spread(person, settings), settings.coasting_uncertainty)
    return in_view(person, settings, margin + _radius(person, settings))


def _hidden(person: PersonReport, others: Sequence[PersonReport], settings: GuardSettings) -> bool:
    """Whether somebody else may stand before a place, as seen from the vehicle."""
    far = float(np.hypot(*person.position))
    if far < 1e-6:
        return False
    towards = person.position / far
    for other in others:
        if other.id == person.id:
            continue
        along = float(towards @ other.position)
        beside = abs(float(towards[0] * other.position[1] - towards[1] * other.position[0]))
        if 0 < along < far and beside < _radius(person, settings) + _radius(other, settings):
            return True
    return False


def _later(person: PersonReport, step: _Step) -> PersonReport:
    """A person after a step, in the base frame of then; who walks does so less and less."""
    here = person.moved(step.turn, step.place)
    if not person.velocity_known:
        return here
    fading = math.exp(-step.seconds / WALKING_ON)
    return replace(
        here,
        position=here.position + WALKING_ON * (1 - fading) * here.velocity,
        velocity=fading * here.velocity,
    )


def _walks(person: PersonReport) -> bool:
    """Whether a velocity is more than its own noise."""
    if not person.velocity_known:
        return False
    velocity, covariance = person.velocity, np.array(person.covariance[2:, 2:])
    # So that it can be inverted, also if one direction is known exactly.
    covariance[[0, 1], [0, 1]] += 1e-9 * (1 + covariance.trace())
    return float(velocity @ np.linalg.solve(covariance, velocity)) > WALKING


def _radius(person: PersonReport, settings: GuardSettings) -> float:
    return person.radius if math.isfinite(person.radius) else settings.person_radius


def _spread(person: PersonReport, settings: GuardSettings) -> float:
    """Z in the widest direction, m."""
    largest = float(np.linalg.eigvalsh(person.covariance[:2, :2])[-1])
    return settings.uncertainty_sigmas * math.sqrt(max(largest, 0.0))


def _distance(person: PersonReport, settings: GuardSettings) -> float:
    """From a circle about the vehicle to a person's place, m."""
    return float(np.hypot(*person.position)) - settings.footprint.reach


def _zone(speed: float, settings: GuardSettings) -> float:
    """The distance beyond which somebody is far outside of the stopping zone, m."""
    human = settings.human_speed * stopping_time(speed, settings)
    vehicle = reaction_distance(speed, settings) + braking_distance(speed, settings)
    fixed = settings.intrusion + settings.child_margin + settings.stop_uncertainty
    return human + vehicle + fixed + FAR
