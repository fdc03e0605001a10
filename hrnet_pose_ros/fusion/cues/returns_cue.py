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
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.alignment import Alignment
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cue import M, Scene, SensorCue
from hrnet_pose_ros.fusion.cues.ownership import Owners
from hrnet_pose_ros.fusion.cues.priors import PRIOR_GROWTH, Priors, last_known, padded
from hrnet_pose_ros.fusion.cues.regions import Clusters, Regions, torso_lines
from hrnet_pose_ros.fusion.cues.returns import Returns
from hrnet_pose_ros.fusion.cues.segments import Segments
from hrnet_pose_ros.fusion.cues.things import Things, things_of
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


@dataclass(frozen=True)
class _Judged:
    """What speaks for and against C clusters; each array is ``[C]``.

    Attributes
    ----------
    value, variance, axis
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
    axis: np.ndarray
    width: np.ndarray
    weight: np.ndarray
    score: np.ndarray
    rival: np.ndarray
    hit: np.ndarray
    background: np.ndarray
    filled: np.ndarray
    off: np.ndarray


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
    # Whether what is too thin may be the person nevertheless: then it makes others doubtful.
    thin_rivals: bool = False
    # Returns of one beam of a LIDAR have slopes that differ by this much with the distance: the
    # camera sits lower or higher.
    band: float = 0.04
    # Kinds of regions: who has no cluster in the first one is looked for in the next one.
    kinds: int = 1

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        self.alignment = Alignment.of(settings)
        self.step = 0.0
        self.returns = Returns.none()

    def measure(self, scene: Scene, priors: Priors, speeds: np.ndarray | None = None) -> CueAnswers:
        """Return the answer for each person; returns belong to one person at most.

        ``speeds`` ``[N, 2]`` are those at which the persons go away from the camera, m/s, and
        variances; NaN where they are not known. They bring returns to the image's stamp.
        """
        count = len(scene.views)
        self._speeds = np.full((count, 2), np.nan) if speeds is None else speeds
        self.returns = Returns.none()
        return super().measure(scene, priors)

    def _measure(self, scene: Scene, priors: Priors, answers: CueAnswers) -> None:
        bearings = scene.bearings
        self._azimuth = bearings.azimuth
        self._azimuth_var = bearings.variance + self.alignment.variance
        self._lines = torso_lines(scene)
        self._tops = self._tops_of(scene)
        self._box_sides = np.sort(scene.views.box[:, :2], axis=1)
        answers.refuse(~self._in_view(scene), Refusal.OUT_OF_VIEW)
        clusters = self._clusters(scene, priors, answers)
        if clusters is None:
            return
        self._clear: dict[int, tuple[float, float]] = {}
        judged = self._judged(scene, clusters, priors)
        chosen = self._chosen(scene, clusters, judged, answers)
        self._take(clusters, judged, chosen, answers)
        self.alignment = self.alignment.updated([self._clear[n] for n in sorted(self._clear)])

    def _clusters(self, scene: Scene, priors: Priors, answers: CueAnswers) -> Clusters | None:
        """Return the clusters of the persons who have any; refuse the others."""
        owners = Owners(
            lines=self._lines,
            sides=self._box_sides,
            known=last_known(priors),
            variance=scene.bearings.variance,
            aside=self.alignment.azimuth,
        )
        pending = answers.open
        found: Clusters | None = None
        for kind in range(self.kinds):
            if not pending.any():
                break
            regions = self._regions(scene, kind, pending)
            own = owners.keep(regions, self.returns)
            clusters = Clusters.of_regions(own, self.returns.range, self.gap)
            pending = pending.copy()
            pending[clusters.person] = False
            taken = pending & (regions.of.sizes >= regions.least) & (own.of.sizes < regions.least)
            answers.refuse(taken, Refusal.OTHER_PERSON)
            pending &= ~taken
            if len(clusters):
                found = clusters if found is None else found.and_those(clusters)
        answers.refuse(pending, Refusal.NO_RETURN)
        return found

    def _judged(self, scene: Scene, clusters: Clusters, priors: Priors) -> _Judged:
        """Return what speaks for and against each cluster."""
        value, variance, axis = self._ranged(scene, clusters)
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
        off = self.returns.azimuth[clusters.members] - self._azimuth[person][clusters.of.group]
        aside = clusters.of.mean((off - self.alignment.azimuth) ** 2)
        spread = self._azimuth_var[person] + (ASIDE_STD * value) ** 2
        weight = (FLOOR + weight) * np.exp(-aside / (2 * spread))
        things = self._things(clusters.members, clusters.of, person)
        lying = scene.stance.lying[person]
        likely = weight > LEAST_WEIGHT
        background = things.hit > WIDEST + LYING_LONGER * lying
        background |= things.above > clusters.of.sizes // ONE_ABOVE
        background |= self._reach_beyond(person, things, value)
        background &= likely
        width = np.where(things.hidden | lying, np.inf, things.width)
        weight[likely & self._looked_over(clusters)] *= LOOKED_OVER
        filled = np.minimum(clusters.of.sizes / clusters.body, 1.0)
        thin = likely & ~background & (width < self.thinnest)
        rival = np.where(thin & self.thin_rivals, filled * weight, 0.0)
        weight[background | thin] = 0.0
        return _Judged(
            value=value,
            variance=variance,
            axis=axis,
            width=width,
            weight=weight,
            score=filled * weight,
            rival=rival,
            hit=things.hit,
            background=background,
            filled=filled,
            off=clusters.of.mean(off),
        )

    def _chosen(
        self, scene: Scene, clusters: Clusters, judged: _Judged, answers: CueAnswers
    ) -> dict[int, int]:
        """Return the cluster that is the person's most probably, by person, best one first.

        Persons without one are refused. The answers get their doubts.
        """
        value, variance = judged.value.tolist(), judged.variance.tolist()
        score, width = judged.score.tolist(), judged.width.tolist()
        thin, hit = judged.rival.tolist(), judged.hit.tolist()
        plausible = (judged.weight > LEAST_WEIGHT).tolist()
        whose = clusters.person.tolist()
        chosen: dict[int, int] = {}
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
                rival |= weight > RIVAL * score[best]
                doubt += weight
            if rival or (width[best] < POST and self._body_behind(person, clusters, best, value)):
                answers.refuse_one(person, Refusal.AMBIGUOUS)
                continue
            answers.doubt[person] = doubt / (doubt + score[best])
            chosen[person] = best
            if len(order) == 1 and judged.filled[best] > CLEAR and width[best] >= CLEAR_WIDTH:
                noise = scene.bearings.variance[person]
                noise = ALIGNMENT_GROWTH * noise + (ASIDE_STD * value[best]) ** 2
                self._clear[person] = float(judged.off[best]), float(noise)
        return dict(sorted(chosen.items(), key=lambda one: -score[one[1]]))

    def _things(self, members: np.ndarray, of: Segments, person: np.ndarray) -> Things:
        """Return the things that some clusters in the regions of persons are a part of."""
        middle = self._azimuth[person] + self.alignment.azimuth
        top = self._tops[person]
        return things_of(self.returns, members, of, self.gap, self.step, self.band, middle, top)

    def _reach_beyond(self, person: np.ndarray, things: Things, value: np.ndarray) -> np.ndarray:
        """Return which things go on beside what the camera sees of the person, ``[C]``."""
        low, high = (self._box_sides[person] + self.alignment.azimuth).T
        beyond = np.maximum(things.left - high, low - things.right)
        allowed = OVERHANG * value + OVERHANG_STDS * math.sqrt(self.alignment.variance)
        return np.asarray(beyond > allowed)

    @staticmethod
    def _tops_of(scene: Scene) -> np.ndarray:
        """Return the slopes above which nothing of the persons is seen by this sensor, ``[N]``."""
        views = scene.views
        low, high = views.box[:, 2], views.box[:, 3]
        tilt = math.hypot(scene.settings.tilt_std, scene.sensor_tilt)
        tops = high + BOX_ERROR * (high - low) + ABOVE_STDS * tilt
        return np.where(views.cut_above, np.inf, tops)

    def _looked_over(self, clusters: Clusters) -> np.ndarray:
        """Return over which clusters the sensor looks at something further, below the shoulders."""
        returns, of = self.returns, clusters.of
        beams, places = Segments.between(clusters.first, clusters.last)
        whose, indices = beams.group, clusters.around[places]
        azimuth, slope = returns.azimuth[clusters.members], returns.slope[clusters.members]
        highest = (of.max(slope) + np.float32(1e-3))[whose]
        below = self._lines.top[clusters.person, 1][whose]
        furthest = (of.max(returns.range[clusters.members]) + np.float32(self.gap))[whose]
        over = (returns.slope[indices] > highest) & (returns.slope[indices] < below)
        over &= returns.range[indices] > furthest
        right, left = of.min(azimuth) - self.step / 2, of.max(azimuth) + self.step / 2
        over &= returns.azimuth[indices] > right[whose]
        over &= returns.azimuth[indices] < left[whose]
        return beams.any(over)

    def _body_behind(
        self, person: int, clusters: Clusters, cluster: int, value: list[float]
    ) -> bool:
        """Whether something like a body is behind a cluster, within the person's silhouette."""
        returns, lines = self.returns, self._lines
        indices = clusters.around[clusters.first[cluster] : clusters.last[cluster]]
        middle = float(lines.middle[person]) + self.alignment.azimuth
        away = returns.range[indices] - 1 / value[cluster]
        behind = (away > self.gap) & (away < BEHIND)
        wide = lines.half_width[person] + math.sqrt(self._azimuth_var[person])
        behind &= np.abs(returns.azimuth[indices] - middle) < wide
        found = indices[behind]
        if not len(found):
            return False
        found = found[np.argsort(returns.range[found])]
        things = self._things(found, Segments(np.array([len(found)])), np.array([person]))
        return bool(things.hit[0] < WIDEST and not things.above[0])

    def _ranged(
        self, scene: Scene, clusters: Clusters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the inverse ranges of clusters, variances, and derivatives by the axis, ``[C]``.

        They are those of the body's axis, at the stamp of the image.
        """
        assert self.measured is not None
        stance, views, person = scene.stance, scene.views, clusters.person
        middle, own = self._axes(scene, clusters)
        height = (views.box[:, 3] - views.box[:, 2])[person] * middle
        height[(views.cut_below | views.cut_above)[person]] = np.inf
        lying = stance.lying[person] | (height < LYING_HEIGHT)
        bent = ~lying & (stance.bent[person] | (height < BENT_HEIGHT))
        middle = middle + LYING_AXIS * lying + BENT_AXIS * bent
        axis = np.where(lying, LYING_AXIS_STD, np.where(bent, BENT_AXIS_STD, SURFACE_TO_AXIS_STD))
        # From the time of these returns to that of the image.
        dt: float | np.ndarray = (scene.stamp - self.measured.stamp) / NS
        if self.returns.times is not None:
            dt = dt - clusters.of.mean(self.returns.times[clusters.members])
        speed, speed_var = self._speeds[person].T
        moves = np.isfinite(speed)
        speed = np.where(moves, speed, 0.0)
        speed_var = np.where(moves, speed_var, scene.settings.pedestrian_speed**2)
        middle = middle + speed * dt
        waiting = speed_var * dt * dt + (CLOCK_STD * np.maximum(np.abs(speed), 1.0)) ** 2
        value = 1 / np.maximum(middle, 0.1)
        variance = own**2 + clusters.noise**2 + waiting
        return value, variance * value**4, -(value**2) * axis / SURFACE_TO_AXIS_STD

    def _take(
        self,
        clusters: Clusters,
        judged: _Judged,
        chosen: dict[int, int],
        answers: CueAnswers,
    ) -> None:
        """Give the clusters to the persons, best one first; nobody gets one that is another's."""
        owner = np.full(len(self.returns), -1)
        for person, cluster in chosen.items():
            members = clusters[cluster]
            taken = owner[members]
            if 2 * np.count_nonzero(taken >= 0) > len(members):
                answers.refuse_one(person, Refusal.OTHER_PERSON)
                # The first one has it as probably as the scores say.
                first = int(np.bincount(taken[taken >= 0]).argmax())
                own, other = judged.score[chosen[first]], judged.score[cluster]
                answers.doubt[first] = max(answers.doubt[first], other / (own + other))
            else:
                owner[members] = person
        persons, best = list(chosen), list(chosen.values())
        answers.value[persons] = judged.value[best]
        answers.variance[persons] = judged.variance[best]
        answers.axis[persons] = judged.axis[best]

    def _in_view(self, scene: Scene) -> np.ndarray:
        """Return which persons are in the sensor's field of view, bool ``[N]``."""
        return np.ones(len(scene.views), bool)

    @abstractmethod
    def _regions(self, scene: Scene, kind: int, asked: np.ndarray) -> Regions:
        """Return the regions of the persons that are ``asked``, bool ``[N]``."""

    @abstractmethod
    def _axes(self, scene: Scene, clusters: Clusters) -> tuple[np.ndarray, np.ndarray]:
        """Return the ranges of the body's axis, and their noise, m, of each cluster, ``[C]``."""
