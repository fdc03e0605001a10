# SPDX-License-Identifier: Apache-2.0
"""Which returns of a ranging sensor are the person: the base of depth image, cloud and scan.

Camera and sensor are both mounted with an error, so that a person's returns are a little beside
the person: at 15 m, an error of 0.7° is as wide as half a torso. They are therefore searched in a
wider region, in which there are also other things: walls behind, tables and poles in front, other
people. A cluster of returns is the person's the more probably, the better it fills what a body
fills of the region, the better its range fits what is known, and the nearer its returns are to the
person's direction. What it is a part of (`hrnet_pose_ros.fusion.cues.things`) tells the rest:

- A person and somebody beside are no wider than 1.6 m, and end at the head. What goes on is a wall:
  `BACKGROUND`.
- A torso is no thinner than 0.16 m. What is thinner is a pole.
- A person stands on the ground. What ends below the shoulders, so that the sensor looks over it at
  something further away, is a table.
- A body is opaque. Something narrow with something like a body behind it, inside of the silhouette
  that the camera sees, is an occluder.
- A return in the silhouette of somebody else, at that person's range, is that person's.

What remains uncertain is told as the answer's ``doubt``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.alignment import Alignment
from hrnet_pose_ros.fusion.cues.cue import Answer, InverseRange, M, Scene, SensorCue
from hrnet_pose_ros.fusion.cues.ownership import PRIOR_GROWTH, Owners
from hrnet_pose_ros.fusion.cues.returns import Region, Returns, clusters_of, torso_lines
from hrnet_pose_ros.fusion.cues.things import Thing, thing_of
from hrnet_pose_ros.fusion.person_view import BOX_ERROR
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings

# Returns whose ranges differ by more than this, m, are of different things.
GAP = 0.35
# A cluster that no earlier estimate makes plausible keeps this weight: the estimates may be wrong.
FLOOR = 0.02
# Where nothing is known about the range, every cluster fits this much.
UNKNOWN = 0.2
# Two clusters are two answers if the second has at least this fraction of the first one's weight.
RIVAL = 0.25
# None of the clusters is the person, but something that looks like one, with this weight; where the
# chosen one is partly hidden by something nearer; and where it is narrower than this, m, which a
# pole is, and a slim person from the side.
NONE, NONE_HIDDEN, NONE_NARROW, NARROW = 3e-5, 3e-4, 0.005, 0.22
# What is wider than this without a gap, m, is no person, nor a person with a companion or a bicycle
# at the side, whom nobody may have detected (KITTI has both, 1.4 to 1.6 m wide). Who lies is longer
# than this by no more than 0.9 m.
WIDEST, LYING_LONGER = 1.6, 0.9
# What reaches further than this beyond the box in the image, m, is more than such a companion; so
# many standard deviations of the sensor's alignment are added.
OVERHANG, OVERHANG_STDS = 1.05, 2.0
# Returns this far above the person's box are not the person's: standard deviations of the tilts of
# camera and sensor.
ABOVE_STDS = 2.0
# Something narrower than a person from the front, m, that has something else so close behind it, m,
# may be a post before a person.
POST, BEHIND = 0.3, 4.0
# What the sensor looks over at something else, below the shoulders, keeps this weight.
LOOKED_OVER = 0.05
# A cluster with a smaller part of the weight that a person would have is something else.
LEAST_WEIGHT = 0.01
# A body's returns against the middle of the body, to the side, m.
ASIDE_STD = 0.15
# The distance from surface to axis of those who do not stand: knees and arms are in front. Addition
# to that of a torso, and standard deviation, m; lying, either end may be the nearer one.
BENT_AXIS, BENT_AXIS_STD = 0.08, 0.22
LYING_AXIS, LYING_AXIS_STD = 0.05, 0.30
# Who is visible up to these heights only, m, lies, or does not stand: also towards the camera,
# where the lean of the torso cannot be seen.
LYING_HEIGHT, BENT_HEIGHT = 0.65, 1.15
# Clocks of sensors are off by about this much against the camera's, s, and people walk.
CLOCK_STD = 0.012
# A cluster that fills so much of what a body fills, is so wide, m, and has no rival, tells the
# alignment. Errors of images in a row are alike, so each counts less.
CLEAR, CLEAR_WIDTH, ALIGNMENT_GROWTH = 0.6, 0.2, 6.0


class ReturnsCue(SensorCue[M]):
    """The base of the cues that find a person among returns.

    A child prepares ``self.returns`` and ``self.step`` and gives the regions to look in, its noise,
    and how a cluster's ranges become the range of the body's axis.

    Attributes
    ----------
    returns
        Those of the last scene.
    step
        The angle between neighbouring beams, rad.
    alignment
        How far the returns are beside the camera's directions.
    """

    gap: float = GAP
    # What is narrower than this, m, is no torso: a person is 0.2 m deep from the side.
    thinnest: float = 0.16

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        self.alignment = Alignment.of(settings)
        self.step = 0.0

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
        speeds = np.full((len(priors), 2), np.nan) if speeds is None else speeds
        self._speeds = speeds.tolist()
        self._tops = self._tops_of(scene).tolist()
        bearings = scene.bearings
        self._azimuth = bearings.azimuth
        self._azimuth_var = bearings.variance + self.alignment.variance
        self._lines = torso_lines(scene)
        self._owners = Owners(
            lines=self._lines,
            sides=np.sort(scene.views.box[:, :2], axis=1),
            priors=priors,
            variance=bearings.variance,
            aside=self.alignment.azimuth,
        )
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
            whole = len(region.indices)
            if not whole:
                continue
            indices = region.indices[~self._owners.of_others(person, self.returns, region.indices)]
            clusters = clusters_of(self.returns.range[indices], self.gap, region.least)
            if clusters:
                members = [indices[one] for one in clusters]
                own = replace(region, indices=indices)
                return self._chosen(scene, person, members, own, priors)
            if whole >= region.least and len(indices) < region.least:
                return Refusal.OTHER_PERSON
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
        widths: list[float] = []
        weights, background = [], False
        for members, answer in zip(clusters, answers, strict=True):
            fits = [
                math.exp(-((answer.value - value) ** 2) / 2 / (PRIOR_GROWTH * s + answer.variance))
                for value, s in priors
            ]
            weight = FLOOR + max(fits, default=UNKNOWN)
            weight *= self._beside(person, members, answer)
            width = math.inf
            if weight > LEAST_WEIGHT:
                thing = self._thing(scene, person, members)
                lying = bool(scene.stance.lying[person])
                width = math.inf if thing.hidden or lying else thing.width
                widest = WIDEST + LYING_LONGER * lying
                too_high = thing.above > len(members) // 8
                if thing.hit > widest or too_high or self._reaches_beyond(person, thing, answer):
                    weight, background = 0.0, True
                elif width < self.thinnest:
                    weight = 0.0
                elif self._looked_over(person, members, region.indices):
                    weight *= LOOKED_OVER
            widths.append(width)
            weights.append(weight)
        plausible = [w > LEAST_WEIGHT for w in weights]
        if not any(plausible):
            return Refusal.BACKGROUND if background else Refusal.AMBIGUOUS
        filled = [min(len(members) / body, 1.0) for members in clusters]
        scores = [part * w for part, w in zip(filled, weights, strict=True)]
        order = [int(n) for n in np.argsort(scores)[::-1] if plausible[n]]
        best = answers[order[0]]
        if widths[order[0]] < NARROW:
            doubt = NONE_NARROW
        else:
            doubt = NONE if math.isfinite(widths[order[0]]) else NONE_HIDDEN
        for other in order[1:]:
            apart = abs(answers[other].value - best.value)
            if apart < 3 * np.sqrt(best.variance + answers[other].variance):
                continue  # both say the same
            if scores[other] > RIVAL * scores[order[0]]:
                return Refusal.AMBIGUOUS
            doubt += scores[other]
        if widths[order[0]] < POST and self._body_behind(scene, person, best, region.indices):
            return Refusal.AMBIGUOUS
        best = replace(best, doubt=doubt / (doubt + scores[order[0]]))
        self._found[person] = (float(scores[order[0]]), clusters[order[0]])
        clear = len(order) == 1 and filled[order[0]] > CLEAR and widths[order[0]] >= CLEAR_WIDTH
        if clear:
            off = float(self.returns.azimuth[clusters[order[0]]].mean()) - self._azimuth[person]
            noise = self._azimuth_var[person] - self.alignment.variance
            self._clear.append((off, ALIGNMENT_GROWTH * noise + (ASIDE_STD * best.value) ** 2))
        return best

    def _beside(self, person: int, members: np.ndarray, answer: InverseRange) -> float:
        """Return the weight, 0 to 1, by how far returns are beside the person's direction."""
        off = self.returns.azimuth[members] - self._azimuth[person] - self.alignment.azimuth
        spread = self._azimuth_var[person] + (ASIDE_STD * answer.value) ** 2
        return math.exp(-float(off @ off) / len(off) / (2 * spread))

    def _thing(self, scene: Scene, person: int, members: np.ndarray) -> Thing:
        """Return the thing that some returns in a person's region are a part of."""
        middle = self._azimuth[person] + self.alignment.azimuth
        top = self._tops[person]
        return thing_of(self.returns, members, self.gap, self.step, middle, top)

    def _reaches_beyond(self, person: int, thing: Thing, answer: InverseRange) -> bool:
        """Whether a thing goes on beside what the camera sees of the person."""
        low, high = (self._owners.sides[person] + self.alignment.azimuth).tolist()
        beyond = max(thing.sides[1] - high, low - thing.sides[0])
        allowed = OVERHANG * answer.value + OVERHANG_STDS * math.sqrt(self.alignment.variance)
        return bool(beyond > allowed)

    @staticmethod
    def _tops_of(scene: Scene) -> np.ndarray:
        """Return the slopes above which nothing of the persons is seen by this sensor, ``[N]``."""
        views = scene.views
        low, high = views.box[:, 2], views.box[:, 3]
        tilt = math.hypot(scene.settings.tilt_std, scene.sensor_tilt)
        tops = high + BOX_ERROR * (high - low) + ABOVE_STDS * tilt
        return np.where(views.cut_above, np.inf, tops)

    def _looked_over(self, person: int, members: np.ndarray, indices: np.ndarray) -> bool:
        """Whether the sensor looks over a cluster at something further, below the shoulders."""
        returns, (top, _, _) = self.returns, self._lines[person]
        azimuth, slope = returns.azimuth[members], returns.slope[members]
        over = (returns.slope[indices] > slope.max() + 1e-3) & (returns.slope[indices] < top[1])
        over &= returns.range[indices] > returns.range[members].max() + self.gap
        beams = returns.azimuth[indices]
        over &= (beams > azimuth.min() - self.step / 2) & (beams < azimuth.max() + self.step / 2)
        return bool(over.any())

    def _body_behind(
        self, scene: Scene, person: int, answer: InverseRange, indices: np.ndarray
    ) -> bool:
        """Whether something like a body is behind an answer, within the person's silhouette."""
        returns, (top, bottom, half) = self.returns, self._lines[person]
        middle = (top[0] + bottom[0]) / 2 + self.alignment.azimuth
        away = returns.range[indices] - 1 / answer.value
        behind = (away > self.gap) & (away < BEHIND)
        behind &= np.abs(returns.azimuth[indices] - middle) < half + math.sqrt(
            self._azimuth_var[person]
        )
        found = indices[behind]
        if not len(found):
            return False
        found = found[np.argsort(returns.range[found])]
        thing = self._thing(scene, person, found)
        return thing.hit < WIDEST and not thing.above

    def _answer(self, scene: Scene, person: int, members: np.ndarray, noise: float) -> InverseRange:
        """Return the answer of one cluster."""
        assert self.measured is not None
        middle, own, axis = self._axis(scene, self.returns.range[members])
        low, high = scene.views.box[person, 2:].tolist()
        cut = scene.views.cut_below[person] or scene.views.cut_above[person]
        height = math.inf if cut else (high - low) * middle
        if scene.stance.lying[person] or height < LYING_HEIGHT:
            middle, axis = middle + LYING_AXIS, LYING_AXIS_STD / SURFACE_TO_AXIS_STD
        elif scene.stance.bent[person] or height < BENT_HEIGHT:
            middle, axis = middle + BENT_AXIS, BENT_AXIS_STD / SURFACE_TO_AXIS_STD
        # From the time of these returns to that of the image.
        dt = (scene.stamp - self.measured.stamp) / NS
        if self.returns.times is not None:
            dt -= float(self.returns.times[members].mean())
        speed, speed_var = self._speeds[person]
        if math.isfinite(speed):
            middle += speed * dt
        else:
            speed, speed_var = 0.0, scene.settings.pedestrian_speed**2
        waiting = speed_var * dt * dt + (CLOCK_STD * max(abs(speed), 1.0)) ** 2
        value = 1 / max(middle, 0.1)
        variance = own**2 + noise**2 + waiting
        return InverseRange(value, variance * value**4, axis=-(value**2) * axis)

    def _torso(self, person: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the torso's line (`torso_lines`) where this sensor sees it."""
        top, bottom, half_width = self._lines[person]
        aside = np.array([self.alignment.azimuth, 0.0])
        return top + aside, bottom + aside, half_width

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
