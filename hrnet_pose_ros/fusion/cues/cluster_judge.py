# SPDX-License-Identifier: Apache-2.0
"""Which cluster of returns is the person: what speaks for each and against, and the choice.

A cluster is the person's the more probably, the better it fills what a body fills of the region,
the better its range fits what is known, and the nearer its returns are to the person's direction.
What it is a part of (`hrnet_pose_ros.fusion.cues.things`) tells the rest:

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
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from hrnet_pose_ros.fusion.cues.alignment import Alignment
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.priors import PRIOR_GROWTH, Priors, padded
from hrnet_pose_ros.fusion.cues.regions import Clusters, Lines
from hrnet_pose_ros.fusion.cues.returns import Returns
from hrnet_pose_ros.fusion.cues.segments import Segments
from hrnet_pose_ros.fusion.cues.things import Things, things_of
from hrnet_pose_ros.fusion.person_view import BOX_ERROR
from hrnet_pose_ros.fusion.refusals import Refusal

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
# The same where it is wider than a person alone, m: with a companion, or a wall of which a part is
# hidden.
WIDE, NONE_WIDE = 0.9, 0.02
# What is wider than this without a gap, m, is no person, nor a person with a companion or a bicycle
# at the side, whom nobody may have detected (KITTI has both, 1.4 to 1.6 m wide). Who lies is longer
# than this by no more than 0.9 m.
WIDEST, LYING_LONGER = 1.6, 0.9
# What reaches further than this beyond the box in the image, m, is more than such a companion; so
# many standard deviations of the sensor's alignment are added.
OVERHANG, OVERHANG_STDS = 1.05, 2.0
# Returns this far above the person's box are not the person's: standard deviations of the tilts of
# camera and sensor. Of a cluster, one for so many of its own returns may be an error.
ABOVE_STDS, ONE_ABOVE = 2.0, 8
# Something narrower than a person from the front, m, that has something else so close behind it, m,
# may be a post before a person.
POST, BEHIND = 0.3, 4.0
# What the sensor looks over at something else, below the shoulders, keeps this weight.
LOOKED_OVER = 0.05
# What is higher than its returns by more than this slope, as the sensor sees it: those of one beam
# differ by less.
OVER = 0.01
# A cluster with a smaller part of the weight that a person would have is something else.
LEAST_WEIGHT = 0.01
# A body's returns against the middle of the body, to the side, m.
ASIDE_STD = 0.15
# A cluster that fills so much of what a body fills, is so wide, m, and has no rival, tells the
# alignment. Errors of images in a row are alike, so each counts less.
CLEAR, CLEAR_WIDTH, ALIGNMENT_GROWTH = 0.6, 0.2, 6.0


@dataclass(frozen=True)
class Judged:
    """What speaks for and against C clusters; each array is ``[C]``.

    Attributes
    ----------
    value, variance
        The person's inverse range if the cluster is the person, as in `CueAnswers`.
    width
        Of the thing that it is a part of, m; infinite if that is not known.
    weight
        How well it fits the person, 0 to 1.
    score
        The weight by how much of a body it fills.
    rival
        The same of what is too thin to be chosen, but may be the person.
    hit
        How wide the thing is that was hit, m.
    background
        It is a part of something larger than a person.
    filled
        The part of what a body fills of the region, 0 to 1.
    off
        The mean azimuth against the person's, rad.
    """

    value: np.ndarray
    variance: np.ndarray
    width: np.ndarray
    weight: np.ndarray
    score: np.ndarray
    rival: np.ndarray
    hit: np.ndarray
    background: np.ndarray
    filled: np.ndarray
    off: np.ndarray


@dataclass(frozen=True)
class ClusterJudge:
    """Judges the clusters of the returns of one sensor at one image.

    Attributes
    ----------
    scene, returns, lines, alignment
        The persons, what the sensor sees, the line of each torso, and how far the returns are
        beside the camera's directions.
    gap, step, band, thinnest, thin_rivals
        Of the sensor: see `hrnet_pose_ros.fusion.cues.returns_cue.ReturnsCue`.
    lower
        How much lower than the camera the sensor sits, m.
    """

    scene: Scene
    returns: Returns
    lines: Lines
    alignment: Alignment
    gap: float
    step: float
    band: float
    thinnest: float
    thin_rivals: bool
    lower: float

    @property
    def azimuth(self) -> np.ndarray:
        """The bearings, float64 ``[N]``, rad."""
        return self.scene.bearings.azimuth

    @cached_property
    def azimuth_var(self) -> np.ndarray:
        """The variances of returns' azimuths against the bearings, float64 ``[N]``, rad²."""
        return np.asarray(self.scene.bearings.variance + self.alignment.variance)

    @cached_property
    def box_sides(self) -> np.ndarray:
        """The azimuths of the boxes' sides in order, float64 ``[N, 2]``, rad."""
        return np.sort(self.scene.views.box[:, :2], axis=1)

    @cached_property
    def tops(self) -> np.ndarray:
        """Return the slopes above which nothing of the persons is seen by this sensor, ``[N]``."""
        scene, views = self.scene, self.scene.views
        low, high = views.box[:, 2], views.box[:, 3]
        tilt = math.hypot(scene.settings.tilt_std, scene.sensor_tilt)
        tops = high + BOX_ERROR * (high - low) + ABOVE_STDS * tilt
        return np.where(views.cut_above, np.inf, tops)

    def judged(
        self, clusters: Clusters, value: np.ndarray, variance: np.ndarray, priors: Priors
    ) -> Judged:
        """Return what speaks for and against each cluster.

        ``value`` and ``variance`` ``[C]`` are the inverse ranges of the persons if the clusters are
        these.
        """
        person = clusters.person
        weight = np.full(len(clusters), UNKNOWN)
        known = padded(priors)[person]  # [C, P, 2]
        with np.errstate(invalid="ignore"):
            spread = PRIOR_GROWTH * known[..., 1] + variance[:, None]
            fits = np.exp(-((value[:, None] - known[..., 0]) ** 2) / 2 / spread)
        if known.shape[1]:
            some = np.isfinite(known[:, 0, 0])
            weight[some] = np.nan_to_num(fits[some]).max(axis=1)
        # How far returns are beside the person's direction.
        off = self.returns.azimuth[clusters.members] - self.azimuth[person][clusters.of.group]
        aside = clusters.of.mean((off - self.alignment.azimuth) ** 2)
        spread = self.azimuth_var[person] + (ASIDE_STD * value) ** 2
        weight = (FLOOR + weight) * np.exp(-aside / (2 * spread))
        things = self._things(clusters.members, clusters.of, person)
        lying = self.scene.stance.lying[person]
        likely = weight > LEAST_WEIGHT
        background = things.hit > WIDEST + LYING_LONGER * lying
        background |= things.above > clusters.of.sizes // ONE_ABOVE
        background |= self._reach_beyond(person, things, value)
        background &= likely
        width = np.where(things.hidden | lying, np.inf, things.width)
        weight[likely & self._looked_over(clusters)] *= LOOKED_OVER
        filled = np.minimum(clusters.of.sizes / clusters.body, 1.0)
        thin = likely & ~background & (width < self.thinnest)
        if self.thin_rivals:
            thin |= clusters.of.sizes == 1
        rival = np.where(thin & self.thin_rivals, filled * weight, 0.0)
        weight[background | thin] = 0.0
        return Judged(
            value=value,
            variance=variance,
            width=width,
            weight=weight,
            score=filled * weight,
            rival=rival,
            hit=things.hit,
            background=background,
            filled=filled,
            off=clusters.of.mean(off),
        )

    def chosen(
        self, clusters: Clusters, judged: Judged, answers: CueAnswers
    ) -> tuple[dict[int, int], list[tuple[float, float]]]:
        """Return the cluster that is the person's most probably, by person, best one first.

        Persons without one are refused. The answers get their doubts. Also returned is what those
        without rivals tell of the alignment: how far they are beside, and the variance, rad².
        """
        value, variance = judged.value.tolist(), judged.variance.tolist()
        score, width = judged.score.tolist(), judged.width.tolist()
        thin, hit = judged.rival.tolist(), judged.hit.tolist()
        plausible = (judged.weight > LEAST_WEIGHT).tolist()
        whose, sizes = clusters.person.tolist(), clusters.of.sizes.tolist()
        chosen: dict[int, int] = {}
        clear: dict[int, tuple[float, float]] = {}
        for person, group in groupby(range(len(whose)), key=whose.__getitem__):
            own = list(group)
            order = sorted((n for n in own if plausible[n]), key=score.__getitem__, reverse=True)
            if not order:
                behind = judged.background[own].any()
                reason = Refusal.BACKGROUND if behind else Refusal.AMBIGUOUS
                answers.refuse_one(person, reason)
                continue
            best = order[0]
            if width[best] < NARROW:
                doubt = NONE_NARROW
            else:
                doubt = NONE if math.isfinite(width[best]) else NONE_HIDDEN
            if hit[best] > WIDE:
                doubt = max(doubt, NONE_WIDE)
            rival = False
            for other in own:
                weight = score[other] + thin[other]
                apart = abs(value[other] - value[best])
                if weight == 0 or apart < 3 * math.sqrt(variance[best] + variance[other]):
                    continue  # no person, or both say the same
                if sizes[other] == 1 and value[other] < value[best]:
                    continue  # a beam past the person's edge; before the person, one may be a leg
                rival |= weight > RIVAL * score[best]
                doubt += weight
            if rival or (width[best] < POST and self._body_behind(person, clusters, best, value)):
                answers.refuse_one(person, Refusal.AMBIGUOUS)
                continue
            answers.doubt[person] = doubt / (doubt + score[best])
            chosen[person] = best
            if len(order) == 1 and judged.filled[best] > CLEAR and width[best] >= CLEAR_WIDTH:
                noise = self.scene.bearings.variance[person]
                noise = ALIGNMENT_GROWTH * noise + (ASIDE_STD * value[best]) ** 2
                clear[person] = float(judged.off[best]), float(noise)
        best_first = dict(sorted(chosen.items(), key=lambda one: -score[one[1]]))
        return best_first, [clear[person] for person in sorted(clear)]

    def in_front_of(
        self, chosen: dict[int, int], clusters: Clusters, judged: Judged, known: np.ndarray
    ) -> list[int]:
        """Return the persons whose cluster is rather that of somebody nearer.

        A body is opaque: in the silhouette of somebody nearer, nothing is seen but that person,
        unless it is beside the person in the same box; then the person has returns in front of it.
        Who is nearer tells the image, by the lower sides of the boxes, and what is ``known`` of the
        inverse ranges ``[N]``: errors of the camera's tilt move both persons alike.
        """
        persons, best = np.array(list(chosen), int), np.array(list(chosen.values()), int)
        views, sides = self.scene.views, self.box_sides
        if len(views) < 2 or not len(persons):
            return []
        lower = views.box[:, 2] + BOX_ERROR * (views.box[:, 3] - views.box[:, 2])
        with np.errstate(invalid="ignore"):
            nearer = (lower[None] < views.box[persons, 2][:, None]) & (known > known[persons, None])
        nearer[np.arange(len(persons)), persons] = False
        at = self.azimuth[persons] + judged.off[best] - self.alignment.azimuth
        margin = math.sqrt(self.alignment.variance)
        within = (sides[:, 0] - margin < at[:, None]) & (at[:, None] < sides[:, 1] + margin)
        # The nearest that may be each of them.
        nearest, plausible = np.full(len(views), np.inf), judged.weight > LEAST_WEIGHT
        np.minimum.at(nearest, clusters.person[plausible], 1 / judged.value[plausible])
        seen_past = nearest[None] < 1 / judged.value[best, None] - self.gap
        return persons[(nearer & within & ~seen_past).any(axis=1)].tolist()

    def _things(self, members: np.ndarray, of: Segments, person: np.ndarray) -> Things:
        """Return the things that some clusters in the regions of persons are a part of."""
        middle = self.azimuth[person] + self.alignment.azimuth
        top = self.tops[person]
        return things_of(self.returns, members, of, self.gap, self.step, self.band, middle, top)

    def _reach_beyond(self, person: np.ndarray, things: Things, value: np.ndarray) -> np.ndarray:
        """Return which things go on beside what the camera sees of the person, ``[C]``."""
        low, high = (self.box_sides[person] + self.alignment.azimuth).T
        beyond = np.maximum(things.left - high, low - things.right)
        allowed = OVERHANG * value + OVERHANG_STDS * math.sqrt(self.alignment.variance)
        return np.asarray(beyond > allowed)

    def _looked_over(self, clusters: Clusters) -> np.ndarray:
        """Return over which clusters the sensor looks at something further, below the shoulders.

        In the camera's view and in that of the sensor: what one beam of a sensor below the camera
        meets further away looks higher to the camera. So does the wall that a scanner near the
        ground sees between two legs.
        """
        returns, of, members = self.returns, clusters.of, clusters.members
        beams, places = Segments.between(clusters.first, clusters.last)
        whose, indices = beams.group, clusters.around[places]
        azimuth, slope = returns.azimuth[members], returns.slope
        from_sensor = slope + np.float32(self.lower) / returns.range
        highest = (of.max(slope[members]) + np.float32(1e-3))[whose]
        of_beams = (of.max(from_sensor[members]) + np.float32(OVER))[whose]
        below = self.lines.top[clusters.person, 1][whose]
        furthest = (of.max(returns.range[members]) + np.float32(self.gap))[whose]
        over = (slope[indices] > highest) & (slope[indices] < below)
        over &= (from_sensor[indices] > of_beams) & (returns.range[indices] > furthest)
        right, left = of.min(azimuth) - self.step / 2, of.max(azimuth) + self.step / 2
        over &= returns.azimuth[indices] > right[whose]
        over &= returns.azimuth[indices] < left[whose]
        return beams.any(over)

    def _body_behind(
        self, person: int, clusters: Clusters, cluster: int, value: list[float]
    ) -> bool:
        """Whether something like a body is behind a cluster, within the person's silhouette."""
        returns, lines = self.returns, self.lines
        indices = clusters.around[clusters.first[cluster] : clusters.last[cluster]]
        middle = float(lines.middle[person]) + self.alignment.azimuth
        away = returns.range[indices] - 1 / value[cluster]
        behind = (away > self.gap) & (away < BEHIND)
        wide = lines.half_width[person] + math.sqrt(self.azimuth_var[person])
        behind &= np.abs(returns.azimuth[indices] - middle) < wide
        found = indices[behind]
        if not len(found):
            return False
        found = found[np.argsort(returns.range[found])]
        things = self._things(found, Segments(np.array([len(found)])), np.array([person]))
        return bool(things.hit[0] < WIDEST and not things.above[0])
