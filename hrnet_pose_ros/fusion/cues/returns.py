# SPDX-License-Identifier: Apache-2.0
"""Returns of any ranging sensor as seen from the camera, and the cluster that is the person.

A depth image, a cloud and a scan are all points; they are looked at in the camera's directions, so
that neither registration nor distortion matters.

Camera and sensor are both mounted with an error, so that a person's returns are a little beside
the person: at 15 m, an error of 0.7° is as wide as half a torso. They are therefore searched in a
wider region, in which there are also other things. A cluster of returns is the person's the more
probably, the better it fills what a body fills of the region, the better its range fits what is
known, the nearer its returns are to the person's direction, and if it is not as wide as a wall.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.bearing import bearings_of
from hrnet_pose_ros.fusion.cues.cue import Answer, InverseRange, M, Scene, SensorCue
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings

# Returns whose ranges differ by more than this, m, are of different things.
GAP = 0.35
# Heights above the ground between which returns can be those of a person, m. The lower limit rises
# with the range by this many standard deviations of the sensor's tilt: the ground looks higher.
LOWEST, HIGHEST = 0.05, 2.4
GROUND_STDS = 2.5
# A cluster that no earlier estimate makes plausible keeps this weight: the estimates may be wrong.
FLOOR = 0.02
# Two clusters are two answers if the second has at least this fraction of the first one's weight.
RIVAL = 0.25
# The camera's errors last and have heavy tails: where they choose among clusters, their variances
# are as many times as large.
PRIOR_GROWTH = 2.0
# What is wider than this without a gap, m, is no person who stands, and keeps this weight: it is
# used only where its range is what camera and track expect, as of a person at a wall. It is
# looked for up to so far to either side.
WIDEST, WIDE_WEIGHT = 1.3, 0.02
# Something thin that has something else so close behind it, m, may be a pole before a person.
BEHIND = 4.0
BESIDE, BESIDE_GAP = 1.1, 0.3
# A cluster with a smaller part of the weight that a person would have is something else.
LEAST_WEIGHT = 0.01
# A body's returns against the middle of the body, to the side, m.
ASIDE_STD = 0.15
# The distance from surface to axis of those who do not stand: knees and arms are in front. Addition
# to that of a torso, and standard deviation, m; lying, either end may be the nearer one.
BENT_AXIS, BENT_AXIS_STD = 0.08, 0.15
LYING_AXIS, LYING_AXIS_STD = 0.05, 0.30
# Clocks of sensors are off by about this much against the camera's, s, and people walk.
CLOCK_STD = 0.012
# A cluster that fills so much of what a body fills, and has no rival, tells the alignment. Errors
# of images in a row are alike, so each counts less; and a part of the prior's variance remains.
CLEAR, ALIGNMENT_GROWTH, LEAST_ALIGNMENT = 0.6, 6.0, 0.02


@dataclass(frozen=True)
class Returns:
    """M returns in directions from the camera, by azimuth; see `PersonViews` for the directions.

    Attributes
    ----------
    azimuth, slope, range
        float32 ``[M]``: rad from the camera's heading, increasing; slope; horizontal distance in m.
    times
        None, or float32 ``[M]``: seconds from the measurement's stamp.
    """

    azimuth: np.ndarray
    slope: np.ndarray
    range: np.ndarray
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.range)

    def between(self, low: float, high: float) -> slice:
        """Return where the azimuths lie between two of them."""
        first, last = np.searchsorted(self.azimuth, (low, high))
        return slice(int(first), int(last))


def towards_people(points: np.ndarray, scene: Scene, margin: float = 0.0) -> np.ndarray:
    """Return the indices of the points ``[M, 3]`` of the levelled base frame that may be people's.

    They lie between the directions of the leftmost and the rightmost person, with a ``margin``,
    rad, and are not higher than a person. Points that are not finite are left out.
    """
    camera, box = scene.views.camera_position, scene.views.box
    c, s = np.float32(np.cos(scene.views.heading)), np.float32(np.sin(scene.views.heading))
    x, y = points[:, 0] - np.float32(camera[0]), points[:, 1] - np.float32(camera[1])
    ahead, aside = c * x + s * y, c * y - s * x
    # As wide as the widest region about a person who is 1 m away.
    wide = 0.5 + scene.mount_margin + margin
    low = float(box[:, :2].min()) - wide if len(box) else 0.0
    high = float(box[:, :2].max()) + wide if len(box) else 0.0
    with np.errstate(invalid="ignore"):
        inside = points[:, 2] < np.float32(scene.ground + HIGHEST)
        if min(low, -high) <= -np.pi / 2 + 0.05:  # a fisheye camera
            return np.flatnonzero(inside & np.isfinite(ahead + aside))
        inside &= ahead > 0
        inside &= aside > np.float32(np.tan(low)) * ahead
        inside &= aside < np.float32(np.tan(high)) * ahead
    return np.flatnonzero(inside)


def returns_of(
    points: np.ndarray,
    scene: Scene,
    max_range: float,
    times: np.ndarray | None = None,
    *,
    ground_stds: float = GROUND_STDS,
) -> Returns:
    """Return the directions of points ``[M, 3]`` of the levelled base frame, without the ground.

    Points lower than a person, beyond ``max_range``, or in no person's direction are left out.
    """
    kept = towards_people(points, scene)
    points = points[kept]
    camera = scene.views.camera_position
    c, s = np.float32(np.cos(scene.views.heading)), np.float32(np.sin(scene.views.heading))
    x, y, z = (points - camera.astype(np.float32)).T
    ahead, aside = c * x + s * y, c * y - s * x
    across = np.hypot(ahead, aside)
    lowest = scene.ground - float(camera[2]) + LOWEST + ground_stds * scene.sensor_tilt * across
    inside = (z > lowest) & (across > 0.1) & (across < max_range)
    ahead, aside, z, across = ahead[inside], aside[inside], z[inside], across[inside]
    azimuth = np.arctan2(aside, ahead)
    order = np.argsort(azimuth)
    own = None if times is None else times[kept][inside][order].astype(np.float32)
    return Returns(azimuth[order], (z / across)[order], across[order], own)


@dataclass(frozen=True)
class Region:
    """Where a person's returns are looked for, and what one has to know about them.

    Attributes
    ----------
    indices
        Of the returns in it.
    least
        A cluster has so many returns at least.
    share
        The part of the region that a body fills: returns beyond that part tell nothing, and a wall
        around the person has more of them than the person.
    noise
        Standard deviation of the middle of the returns against the person, m, which is another in
        each image: of swinging legs.
    """

    indices: np.ndarray
    least: int
    share: float
    noise: float = 0.0


@dataclass(frozen=True)
class Alignment:
    """How far a sensor's returns are beside the camera's directions, for all persons alike.

    It is the difference of two mounts, and learned from persons with returns that cannot be
    another's.

    Attributes
    ----------
    azimuth, variance
        rad, rad².
    least
        It does not become more certain than this, rad²: mounts move.
    """

    azimuth: float
    variance: float
    least: float

    @classmethod
    def of(cls, settings: FusionSettings) -> Alignment:
        """Return what is known before anything is measured: nothing but the mounts' errors."""
        variance = settings.yaw_std**2 + settings.sensor_mount_std**2
        return cls(0.0, variance, LEAST_ALIGNMENT * variance)

    def updated(self, measured: list[tuple[float, float]]) -> Alignment:
        """Return it after measurements, each with its variance; those beyond 3 sigma are left out.

        >>> start = Alignment(0.0, 1.0, 0.01)
        >>> start.updated([(1.0, 1.0)])
        Alignment(azimuth=0.5, variance=0.5, least=0.01)
        """
        azimuth, variance = self.azimuth, self.variance
        for value, noise in measured:
            if (value - azimuth) ** 2 > 9 * (variance + noise):
                continue
            gain = variance / (variance + noise)
            azimuth += gain * (value - azimuth)
            variance *= 1 - gain
        return Alignment(azimuth, max(variance, self.least), self.least)


class ReturnsCue(SensorCue[M]):
    """The base of the cues that find a person among returns.

    A child prepares ``self.returns`` and gives the regions to look in, its noise, and how a
    cluster's ranges become the range of the body's axis.
    """

    gap: float = GAP
    # What is narrower than this, m, may be a pole: a person is 0.2 m deep from the side.
    thinnest: float = 0.16

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        self.alignment = Alignment.of(settings)

    def measure(
        self,
        scene: Scene,
        priors: list[list[tuple[float, float]]],
        speeds: np.ndarray | None = None,
    ) -> list[Answer]:
        """Return the answer for each person; returns belong to one person at most.

        ``speeds`` ``[N, 2]`` are those at which the persons go away from the camera, m/s, and
        variances; NaN where they are not known. They bring returns to the image's stamp.
        """
        self.returns = Returns(*(np.zeros(0, np.float32) for _ in range(3)))
        self._found: dict[int, tuple[float, np.ndarray]] = {}
        self._speeds = np.full((len(priors), 2), np.nan) if speeds is None else speeds
        bearings = bearings_of(scene)
        self._azimuth = bearings.azimuth
        self._azimuth_var = bearings.variance + self.alignment.variance
        self._clear: list[tuple[float, float]] = []
        answers = super().measure(scene, priors)
        owned = np.zeros(len(self.returns), bool)
        for person, (_, members) in sorted(self._found.items(), key=lambda one: -one[1][0]):
            if owned[members].mean() > 0.5:
                answers[person] = Refusal.OTHER_PERSON
            else:
                owned[members] = True
        self.alignment = self.alignment.updated(self._clear)
        return answers

    def members(self, person: int) -> np.ndarray:
        """Return the indices of the returns that are this person's in the last scene."""
        found = self._found.get(person)
        return np.zeros(0, np.int64) if found is None else found[1]

    def _measure(self, scene: Scene, person: int, priors: list[tuple[float, float]]) -> Answer:
        if not self._in_view(scene, person):
            return Refusal.OUT_OF_VIEW
        for region in self._regions(scene, person):
            clusters = clusters_of(self.returns.range[region.indices], self.gap, region.least)
            if clusters:
                members = [region.indices[one] for one in clusters]
                return self._chosen(scene, person, members, region, priors)
        return Refusal.NO_RETURN

    def _chosen(
        self,
        scene: Scene,
        person: int,
        clusters: list[np.ndarray],
        region: Region,
        priors: list[tuple[float, float]],
    ) -> Answer:
        """Return the answer of the cluster that is the person's most probably."""
        answers = [self._answer(scene, person, one, region.noise) for one in clusters]
        body = max(region.share * len(region.indices), 1.0)
        weights, thin = [], []
        for members, answer in zip(clusters, answers, strict=True):
            fits = [
                math.exp(-((answer.value - value) ** 2) / 2 / (PRIOR_GROWTH * s + answer.variance))
                for value, s in priors
            ]
            weight = FLOOR + max(fits, default=1.0)
            middle = 1 / answer.value
            off = self.returns.azimuth[members] - self._azimuth[person] - self.alignment.azimuth
            spread = self._azimuth_var[person] + (ASIDE_STD / middle) ** 2
            weight *= np.exp(-float(off @ off) / len(off) / (2 * spread))
            least, width = 0.0, np.inf
            if weight > LEAST_WEIGHT and not scene.stance.lying[person]:
                least, width = self._width(members)
            thin.append(width < self.thinnest)
            weight *= WIDE_WEIGHT if least > WIDEST else 1.0
            weights.append(weight)
        plausible = [w > LEAST_WEIGHT for w in weights]
        if not any(plausible):
            return Refusal.AMBIGUOUS
        filled = [min(len(members) / body, 1.0) for members in clusters]
        scores = [part * w for part, w in zip(filled, weights, strict=True)]
        order = [int(n) for n in np.argsort(scores)[::-1] if plausible[n]]
        best = answers[order[0]]
        for other in order[1:]:
            apart = abs(answers[other].value - best.value)
            alike = apart < 3 * np.sqrt(best.variance + answers[other].variance)
            if scores[other] > RIVAL * scores[order[0]] and not alike:
                return Refusal.AMBIGUOUS
        behind = [1 / other.value - 1 / best.value for other in answers]
        if thin[order[0]] and any(0 < away < BEHIND for away in behind):
            return Refusal.AMBIGUOUS
        self._found[person] = (float(scores[order[0]]), clusters[order[0]])
        if len(order) == 1 and filled[order[0]] > CLEAR:
            off = float(self.returns.azimuth[clusters[order[0]]].mean()) - self._azimuth[person]
            noise = self._azimuth_var[person] - self.alignment.variance
            self._clear.append((off, ALIGNMENT_GROWTH * noise + (ASIDE_STD * best.value) ** 2))
        return best

    def _torso(self, scene: Scene, person: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the torso's line (`torso_line`) where this sensor sees it."""
        top, bottom, half_width = torso_line(scene, person)
        aside = np.array([self.alignment.azimuth, 0.0])
        return top + aside, bottom + aside, half_width

    def _width(self, members: np.ndarray) -> tuple[float, float]:
        """Return how wide a thing is of which these returns are a part, m: up to the next gap.

        The first number is the width that was hit; in the second one, half of what lies between the
        last beams on the thing and the next ones counts too.
        """
        returns, around = self.returns, self.returns.azimuth
        middle = float(returns.range[members[len(members) // 2]])  # they are in order
        # The indices are those of azimuths in order.
        first, last = int(members.min()), int(members.max())
        near = returns.between(
            float(around[first]) - BESIDE / middle, float(around[last]) + BESIDE / middle
        )
        same = near.start + np.flatnonzero(np.abs(returns.range[near] - middle) < self.gap)
        azimuth = around[same]
        cuts = np.flatnonzero(azimuth[1:] - azimuth[:-1] > BESIDE_GAP / middle) + 1
        # The piece that has the most of the thing: the one about the middle member.
        centre = int(np.searchsorted(same, members[len(members) // 2]))
        piece = int(np.searchsorted(cuts, centre, side="right"))
        low = int(same[cuts[piece - 1]]) if piece else int(same[0])
        high = int(same[cuts[piece] - 1]) if piece < len(cuts) else int(same[-1])
        free = BESIDE / middle
        left = min(float(around[low] - around[low - 1]), free) if low else free
        right = free
        if high + 1 < len(around):
            right = min(float(around[high + 1] - around[high]), free)
        hit = float(around[high] - around[low])
        return hit * middle, (hit + (left + right) / 2) * middle

    def _answer(self, scene: Scene, person: int, members: np.ndarray, noise: float) -> InverseRange:
        """Return the answer of one cluster."""
        assert self.measured is not None
        middle, own, axis = self._axis(scene, self.returns.range[members])
        if scene.stance.lying[person]:
            middle, axis = middle + LYING_AXIS, LYING_AXIS_STD / SURFACE_TO_AXIS_STD
        elif scene.stance.bent[person]:
            middle, axis = middle + BENT_AXIS, BENT_AXIS_STD / SURFACE_TO_AXIS_STD
        # From the time of these returns to that of the image.
        dt = (scene.stamp - self.measured.stamp) / NS
        if self.returns.times is not None:
            dt -= float(self.returns.times[members].mean())
        speed, speed_var = self._speeds[person]
        if np.isfinite(speed):
            middle += speed * dt
        else:
            speed_var = scene.settings.pedestrian_speed**2
        waiting = speed_var * dt * dt + (CLOCK_STD * max(abs(np.nan_to_num(speed)), 1.0)) ** 2
        value = 1 / max(middle, 0.1)
        variance = own**2 + noise**2 + waiting
        return InverseRange(value, variance * value**4, axis=-(value**2) * axis)

    def _in_view(self, scene: Scene, person: int) -> bool:
        return True

    @abstractmethod
    def _regions(self, scene: Scene, person: int) -> Iterator[Region]:
        """Yield the regions to look in, the best one first."""

    @abstractmethod
    def _axis(self, scene: Scene, ranges: np.ndarray) -> tuple[float, float, float]:
        """Return the range of the body's axis, its noise, and the share of the axis's error.

        ``ranges`` are those of one cluster, ``[K]`` in increasing order, m.
        """


def clusters_of(ranges: np.ndarray, gap: float, least: int) -> list[np.ndarray]:
    """Return the indices of groups of ranges without gaps and not too small, nearest first.

    The indices of a group are in the order of its ranges.

    >>> [one.tolist() for one in clusters_of(np.array([5.0, 2.0, 5.1, 2.1]), 0.35, 2)]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(ranges)
    ordered = ranges[order]
    cuts = [0, *(np.flatnonzero(ordered[1:] - ordered[:-1] > gap) + 1).tolist(), len(order)]
    return [order[i:j] for i, j in pairwise(cuts) if j - i >= max(least, 1)]


def median(ordered: np.ndarray) -> float:
    """Return the median of ordered values."""
    n = len(ordered)
    return (float(ordered[(n - 1) // 2]) + float(ordered[n // 2])) / 2


def strip(
    returns: Returns, top: np.ndarray, bottom: np.ndarray, half_width: float, margin: float = 0.0
) -> np.ndarray:
    """Return the indices of returns in a strip between two directions (azimuth, slope).

    ``margin`` is added on all sides, rad.
    """
    wide = half_width + margin
    near = returns.between(min(top[0], bottom[0]) - wide, max(top[0], bottom[0]) + wide)
    azimuth, slope = returns.azimuth[near] - top[0], returns.slope[near] - top[1]
    along = bottom - top
    length = float(np.hypot(*along))
    if length == 0:
        return np.zeros(0, np.int64)
    dx, dy = along / length
    inside = np.abs(azimuth * dy - slope * dx) <= wide
    done = azimuth * dx + slope * dy
    inside &= (done >= -margin) & (done <= length + margin)
    return near.start + np.flatnonzero(inside)


def share_of(top: np.ndarray, bottom: np.ndarray, half_width: float, margin: float) -> float:
    """Return the part of a strip with a margin that the strip without has."""
    length = float(np.hypot(*(bottom - top)))
    whole = (half_width + margin) * (length + 2 * margin)
    return half_width * length / whole if whole > 0 else 1.0


def torso_line(scene: Scene, person: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the upper and lower end of the torso (azimuth, slope), and half its width."""
    views, stance = scene.views, scene.stance
    top = np.array([stance.shoulders.azimuth[person], stance.shoulders.slope[person]])
    bottom = np.array([stance.hips.azimuth[person], stance.hips.slope[person]])
    left, right, low, high = views.box[person]
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        middle = (left + right) / 2
        top = np.array([middle, high - 0.25 * (high - low)])
        bottom = np.array([middle, high - 0.55 * (high - low)])
        return top, bottom, 0.2 * abs(left - right)
    wide = [
        abs(views.azimuth[person, one[0]] - views.azimuth[person, one[1]]) / 2
        for one in (scene.roles.shoulders, scene.roles.hips)
        if views.seen[person, list(one)].all()
    ]
    # Seen from the side, half a torso's depth: 0.11 m of 0.49 m.
    return top, bottom, 0.9 * max(*wide, 0.0, 0.22 * float(np.hypot(*(top - bottom))))
