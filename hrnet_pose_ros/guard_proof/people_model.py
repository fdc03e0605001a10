# SPDX-License-Identifier: Apache-2.0
"""People with errors of the kind that the fusion makes, without its sensors.

A Kalman filter like the fusion's (constant velocity, the same density of the acceleration, the same
first velocity, the same existence) takes places that are wrong as the fusion's are: along the
bearing in parts of the distance, and in the bearing, each with a part that stays over a ride and
one that changes from image to image. Most people are placed well, and some hardly (no feet in view,
half hidden), which the fusion knows of each of them; they seem further away rather than nearer
(children are smaller than assumed). As the fusion does, the filter takes an image for less news
than it seems, because errors of consecutive images are correlated, and never averages away what
stays. The camera's view, occlusion, rate, latency and lost messages are those of the simulator. The
proof's report has a table of the errors and of what is claimed for them, of the rides with this
model beside those with the fusion itself; the sizes are chosen by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking.existence import DETECTION, Existence
from hrnet_pose_ros.fusion.tracking.tracker import FIRST_SPEED
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport
from hrnet_pose_ros.guard_proof.world import RideWorld
from hrnet_pose_ros.simulation.sensor import nanoseconds
from hrnet_pose_ros.simulation.sensor_configs import CameraConfig
from hrnet_pose_ros.simulation.skeleton_sensor import BLIND, SURE

# From the arrival of the skeletons to that of the people, s.
COMPUTING = 0.02


@dataclass(frozen=True)
class PeopleErrors:
    """Errors of the places that one image gives: the standard deviations that are claimed.

    Attributes
    ----------
    range_constant, range_changing
        In parts of the distance, of somebody who is placed well.
    bearing_constant, bearing_changing
        rad.
    hardly_placed
        Share of the people whose range errors, and what is claimed for them, are larger.
    larger
        So many times.
    further
        Mean error of the range, in standard deviations: more than 0 is too far.
    understated
        Range errors are so many times what is claimed for them.
    correlation
        Of what changes, from one image to the next.
    """

    range_constant: float
    range_changing: float
    bearing_constant: float
    bearing_changing: float
    hardly_placed: float
    larger: float
    further: float
    understated: float
    correlation: float = 0.7

    @property
    def range_deviation(self) -> float:
        """Of both parts together, in parts of the distance."""
        return math.hypot(self.range_constant, self.range_changing)

    @property
    def growth(self) -> float:
        """By what the variance of each further image is multiplied, because errors are correlated.

        The ratio that a best linear estimate of a constant gives.
        """
        return (1 + self.correlation) / (1 - self.correlation)


# Of a camera with IMU and odometry; and with a LIDAR as well. Shares, means and what is understated
# are those of 3059 and 1240 places of 69 people in fused rides (every 23rd of the first 2000 with
# seed 1); the sizes are chosen so that median, 95th percentile and claim of the ranges in the
# proof's table of errors come near those of the fusion at that time.
CAMERA_ERRORS = PeopleErrors(0.023, 0.025, 0.012, 0.012, 0.2, 3.0, 0.45, 1.1)
LIDAR_ERRORS = PeopleErrors(0.0055, 0.006, 0.012, 0.012, 0.13, 8.5, 0.5, 1.2)


@dataclass
class _ModelledTrack:
    id: str
    mean: np.ndarray  # x y vx vy in the world
    covariance: np.ndarray
    existence: float
    seen: float


class ModelledPeople:
    """The reports of one ride, in the order of their arrival."""

    def __init__(self, world: RideWorld, errors: PeopleErrors, random: np.random.Generator) -> None:
        self._world, self._errors, self._random = world, errors, random
        self._settings = FusionSettings()
        self._existence = Existence(self._settings)
        self._timing = CameraConfig().timing
        self._next = float(random.uniform(0, 1)) / self._timing.rate
        count = len(world.names)
        self._constant = random.standard_normal((count, 2))
        self._changing = random.standard_normal((count, 2))
        # What multiplies the range errors of each person.
        self._larger = np.where(random.random(count) < errors.hardly_placed, errors.larger, 1.0)
        self._tracks: dict[int, _ModelledTrack] = {}
        # When the last image was taken in which each person was found, s; -inf: never.
        self.detected = np.full(count, -math.inf)
        self._ids = 0
        self._last = -math.inf

    def advance(self, time: float) -> list[tuple[float, PeopleReport]]:
        """Arrival in s and report of the images taken up to now."""
        found = []
        while self._next <= time:
            taken = self._next
            self._next += 1 / self._timing.rate
            report = self._report(taken)
            delay = self._timing.latency + self._random.exponential() * self._timing.jitter
            lost = self._random.random() < self._timing.dropout
            self._last = max(self._last, taken + delay + COMPUTING)
            if not lost:
                found.append((self._last, report))
        return found

    def _report(self, time: float) -> PeopleReport:
        errors, random = self._errors, self._random
        self._changing *= errors.correlation
        fresh = math.sqrt(1 - errors.correlation**2)
        self._changing += fresh * random.standard_normal(self._changing.shape)
        visible = self._world.visible(time)
        in_view = self._world.in_view(time)
        places, _ = self._world.in_base(time)
        x, y, yaw, *_ = self._world.vehicle.state(time)
        turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
        self._predict()
        for who, part in enumerate(visible.tolist()):
            if random.random() < (part - BLIND) / (SURE - BLIND):
                self.detected[who] = time
                self._update(who, places[who], turn, np.array([x, y]), time)
            elif who in self._tracks:
                self._miss(who, time, in_view=bool(in_view[who]))
        return PeopleReport(
            nanoseconds(time),
            tuple(
                self._person(who, one, turn, np.array([x, y]), time)
                for who, one in self._tracks.items()
            ),
        )

    def _predict(self) -> None:
        dt, q, one = 1 / self._timing.rate, self._settings.acceleration_density, np.eye(2)
        step = np.block([[one, dt * one], [0 * one, one]])
        noise = q * np.block([[dt**3 / 3 * one, dt**2 / 2 * one], [dt**2 / 2 * one, dt * one]])
        for track in self._tracks.values():
            track.mean = step @ track.mean
            track.covariance = step @ track.covariance @ step.T + noise
            track.existence = self._existence.predicted(track.existence, dt)

    def _update(
        self, who: int, place: np.ndarray, turn: np.ndarray, base: np.ndarray, time: float
    ) -> None:
        errors = self._errors
        distance, bearing = float(np.hypot(*place)), math.atan2(place[1], place[0])
        off = np.array([errors.range_constant, errors.bearing_constant]) * self._constant[who]
        off += np.array([errors.range_changing, errors.bearing_changing]) * self._changing[who]
        off[0] = errors.understated * off[0] + errors.further * errors.range_deviation
        off[0] *= self._larger[who]
        measured, angle = distance * math.exp(off[0]), bearing + off[1]
        at = base + turn @ [measured * math.cos(angle), measured * math.sin(angle)]
        along = errors.range_changing * float(self._larger[who])
        deviation = measured * np.array([along, errors.bearing_changing])
        axes = turn @ np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        noise = axes @ np.diag(deviation**2) @ axes.T
        track = self._tracks.get(who)
        if track is None:
            self._ids += 1
            covariance = np.zeros((4, 4))
            covariance[:2, :2] = noise
            covariance[2:, 2:] = FIRST_SPEED**2 * np.eye(2)
            self._tracks[who] = _ModelledTrack(
                str(self._ids), np.array([*at, 0.0, 0.0]), covariance, 0.9, time
            )
            return
        noise *= errors.growth
        gain = track.covariance[:, :2] @ np.linalg.inv(track.covariance[:2, :2] + noise)
        track.mean = track.mean + gain @ (at - track.mean[:2])
        track.covariance = track.covariance - gain @ track.covariance[:2]
        track.existence = float(self._existence.seen(track.existence, 0.9))
        track.seen = time

    def _miss(self, who: int, time: float, *, in_view: bool) -> None:
        track = self._tracks[who]
        track.existence = self._existence.missed(track.existence, DETECTION if in_view else 0.0)
        coasted = time - track.seen
        if track.existence < self._settings.min_existence or coasted > self._settings.max_coast:
            del self._tracks[who]

    def _person(
        self, who: int, track: _ModelledTrack, turn: np.ndarray, base: np.ndarray, time: float
    ) -> PersonReport:
        """What is reported: to what the filter claims, the errors that stay are added."""
        speed, _ = self._world.vehicle.speeds(time)
        off = track.mean - np.concatenate([base, speed * turn[:, 0]])
        # An error of the range stretches place and velocity as seen from here, one of the bearing
        # turns both.
        turned = np.array([-off[1], off[0], -off[3], off[2]])
        stays = self._errors.range_constant * float(self._larger[who])
        covariance = track.covariance + stays**2 * np.outer(off, off)
        covariance += self._errors.bearing_constant**2 * np.outer(turned, turned)
        both = np.zeros((4, 4))
        both[:2, :2] = both[2:, 2:] = turn.T
        return PersonReport(
            id=track.id,
            position=turn.T @ (track.mean[:2] - base),
            velocity=turn.T @ track.mean[2:],
            covariance=both @ covariance @ both.T,
            existence=track.existence,
            coasting=track.seen < time,
        )
