# SPDX-License-Identifier: Apache-2.0
"""Which returns of a ranging sensor are the person: the base of depth image, cloud and scan.

Camera and sensor are both mounted with an error, so that a person's returns are a little beside
the person: at 15 m, an error of 0.7° is as wide as half a torso. They are therefore searched in a
wider region, in which there are also other things: walls behind, tables and poles in front, other
people. `hrnet_pose_ros.fusion.cues.cluster_judge` chooses among the clusters of returns there. A
return in the silhouette of somebody else, at that person's range, is that person's.

What remains uncertain is told as the answer's ``doubt``.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.alignment import Alignment
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cluster_judge import ClusterJudge, Judged
from hrnet_pose_ros.fusion.cues.cue import M, Scene, SensorCue
from hrnet_pose_ros.fusion.cues.ownership import Owners
from hrnet_pose_ros.fusion.cues.priors import Priors, last_known
from hrnet_pose_ros.fusion.cues.regions import Clusters, Regions, torso_lines
from hrnet_pose_ros.fusion.cues.returns import Returns
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings

# Returns whose ranges differ by more than this, m, are of different things.
GAP = 0.35
# The distance from surface to axis of those who do not stand: knees and arms are in front. Addition
# to that of a torso, and standard deviation, m; lying, either end may be the nearer one.
BENT_AXIS, BENT_AXIS_STD = 0.08, 0.22
LYING_AXIS, LYING_AXIS_STD = 0.05, 0.30
# Who is visible up to these heights only, m, lies, or does not stand: also towards the camera,
# where the lean of the torso cannot be seen.
LYING_HEIGHT, BENT_HEIGHT = 0.65, 1.15
# Clocks of sensors are off by about this much against the camera's, s, and people walk.
CLOCK_STD = 0.012


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
    # Whether what is too thin may be the person nevertheless: then it makes others doubtful, and so
    # does a single return before them.
    thin_rivals: bool = False
    # Whether nothing is seen through a person's silhouette; between two legs, much is.
    opaque: bool = True
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

    def measure(
        self,
        scene: Scene,
        priors: Priors,
        speeds: np.ndarray | None = None,
        bent: np.ndarray | None = None,
    ) -> CueAnswers:
        """Return the answer for each person; returns belong to one person at most.

        ``speeds`` ``[N, 2]`` are those at which the persons go away from the camera, m/s, and
        variances; NaN where they are not known. They bring returns to the image's stamp. ``bent``
        ``[N]`` are those who do not stand by the images before: this one alone may not tell.
        """
        count = len(scene.views)
        self._bent = np.zeros(count, bool) if bent is None else bent
        self._speeds = np.full((count, 2), np.nan) if speeds is None else speeds
        self.returns = Returns.none()
        return super().measure(scene, priors)

    def _measure(self, scene: Scene, priors: Priors, answers: CueAnswers) -> None:
        bearings = scene.bearings
        self._azimuth = bearings.azimuth
        self._lines = torso_lines(scene)
        judge = ClusterJudge(
            scene=scene,
            returns=self.returns,
            lines=self._lines,
            alignment=self.alignment,
            gap=self.gap,
            step=self.step,
            band=self.band,
            thinnest=self.thinnest,
            thin_rivals=self.thin_rivals,
            lower=float(scene.views.camera_position[2] - self.place.translation[2]),
        )
        answers.refuse(~self._in_view(scene), Refusal.OUT_OF_VIEW)
        clusters = self._clusters(scene, priors, answers, judge.box_sides)
        if clusters is None:
            return
        value, variance, axis = self._ranged(scene, clusters)
        judged = judge.judged(clusters, value, variance, priors)
        chosen, clear = judge.chosen(clusters, judged, answers)
        if self.opaque:
            known = last_known(priors)[:, 0]
            for person in judge.in_front_of(chosen, clusters, judged, known):
                answers.refuse_one(person, Refusal.OTHER_PERSON)
                del chosen[person]
        self._take(clusters, judged, chosen, answers)
        persons, best = list(chosen), list(chosen.values())
        answers.value[persons], answers.variance[persons] = value[best], variance[best]
        answers.axis[persons] = axis[best]
        self.alignment = self.alignment.updated(clear)

    def _clusters(
        self, scene: Scene, priors: Priors, answers: CueAnswers, box_sides: np.ndarray
    ) -> Clusters | None:
        """Return the clusters of the persons who have any; refuse the others."""
        owners = Owners(
            lines=self._lines,
            sides=box_sides,
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
            clusters = Clusters.of_regions(
                own, self.returns.range, self.gap, small=self.thin_rivals
            )
            pending = pending.copy()
            pending[clusters.person] = False
            taken = pending & (regions.of.sizes >= regions.least) & (own.of.sizes < regions.least)
            answers.refuse(taken, Refusal.OTHER_PERSON)
            pending &= ~taken
            if len(clusters):
                found = clusters if found is None else found.and_those(clusters)
        answers.refuse(pending, Refusal.NO_RETURN)
        return found

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
        bent = stance.bent[person] | self._bent[person] | (height < BENT_HEIGHT)
        bent &= ~lying
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
        judged: Judged,
        chosen: dict[int, int],
        answers: CueAnswers,
    ) -> None:
        """Give the clusters to the persons, best one first; refuse whose is another's already."""
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

    def _in_view(self, scene: Scene) -> np.ndarray:
        """Return which persons are in the sensor's field of view, bool ``[N]``."""
        return np.ones(len(scene.views), bool)

    @abstractmethod
    def _regions(self, scene: Scene, kind: int, asked: np.ndarray) -> Regions:
        """Return the regions of the persons that are ``asked``, bool ``[N]``."""

    @abstractmethod
    def _axes(self, scene: Scene, clusters: Clusters) -> tuple[np.ndarray, np.ndarray]:
        """Return the ranges of the body's axis, and their noise, m, of each cluster, ``[C]``."""
