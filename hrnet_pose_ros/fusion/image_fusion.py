# SPDX-License-Identifier: Apache-2.0
"""The fusion of one image: measure, associate, fuse, track, report.

1. The camera's own cues (bearing, ground contact, body length) are measured and fused.
2. Tracks are predicted to the image's stamp and associated.
3. The sensors' cues are measured; what the camera and the track say helps to find the person among
   the returns.
4. All ranges are fused jointly; those that contradict are refused.
5. Tracks are updated with what was used, begun, or placed anew. The others coast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hrnet_pose_ros.fusion.attributes.posture import not_upright
from hrnet_pose_ros.fusion.attributes.stature import measured_statures
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cue import Cue, Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.cues.priors import Priors
from hrnet_pose_ros.fusion.cues.returns_cue import ReturnsCue
from hrnet_pose_ros.fusion.cues.ultrasonic_cone import UltrasonicCone
from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.person import Person
from hrnet_pose_ros.fusion.person_report import PersonReporter, Seen
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.pitch_jump import GROUND, pitch_jumped
from hrnet_pose_ros.fusion.range_fusion import (
    FusedRanges,
    distance_from_tracks,
    estimate,
    fuse,
)
from hrnet_pose_ros.fusion.range_table import ErrorModel, RangeTable
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.tracking.associator import Spotted
from hrnet_pose_ros.fusion.tracking.track import CAMERA_CUES, States, Track
from hrnet_pose_ros.fusion.tracking.tracker import Tracker
from hrnet_pose_ros.fusion.tracking.updater import Sightings
from hrnet_pose_ros.fusion.transforms import Transform, wrap
from hrnet_pose_ros.pose.camera import Camera

# A person without any usable range is at least this near, m, and at most so far that the box is
# this high, m.
NEAREST, TALLEST = 0.5, 2.1
# A fused inverse range below this is as far away as this, 1/m.
FURTHEST = 1e-3
# The bits of the sources by the names of the cues: sums of them are unions.
SOURCES = {source.name.lower(): int(source) for source in Source if source.name}
# Camera and track agree within so many standard deviations.
AGREE = 2.0


@dataclass
class ImageFusion:
    """Fuses the persons of one image; made anew for each image.

    Attributes
    ----------
    skeletons, scene, model
        The image, its geometry, and the errors that cues share in it.
    camera_to_level
        From the camera's optical frame to the levelled base frame.
    camera_cues, sensor_cues, ultrasonic
        Those that are asked, in this order.
    depth
        The depth cue among them, for the key points in space.
    tracker
        The tracks.
    sources
        IMU, ODOMETRY: what is known about tilt and motion of the base.
    over_ground
        Whether velocities are over ground.
    """

    skeletons: Skeletons
    scene: Scene
    model: ErrorModel
    camera_to_level: Transform
    camera_cues: Sequence[Cue]
    sensor_cues: Sequence[ReturnsCue]
    ultrasonic: Sequence[UltrasonicCone]
    depth: DepthImageCue
    tracker: Tracker
    sources: Source
    over_ground: bool

    def people(self) -> list[Person]:
        """Return a person for each skeleton, in order, then those who coast."""
        scene, camera, count = self.scene, self.scene.views.camera_position, len(self.skeletons)
        settings, model = scene.settings, self.model
        bearings = scene.bearings
        azimuth = bearings.azimuth + scene.views.heading
        nothing: Priors = [()] * count
        answers = {cue.name: cue.measure(scene, nothing) for cue in self.camera_cues}
        table = self._table(answers, None)
        least = least_inverse_ranges(scene.views)
        by_camera = fuse(table, settings.outlier, settings.gate, least=least)
        shared = self.tracker.predict(scene.stamp, scene.ego, model, camera)
        ids = self.skeletons.ids
        spotted = Spotted(azimuth, bearings.variance, by_camera.value, by_camera.variance, ids)
        association = self.tracker.associate(spotted)
        tracks, expected = association.tracks, association.expected_ranges()
        tilts = shared.of_persons(azimuth, association)
        jumped: list[dict[str, tuple[float, float]]] = []
        if self.tracker.jump_goes_on(
            scene.stamp, jumps=pitch_jumped(table, association, expected, model)
        ):
            jumped = _ranges(table, (GROUND,))
            answers[GROUND].refuse(True, Refusal.DISAGREES)
        if tilts is not None or jumped:
            table = self._table(answers, tilts)
        if self.sensor_cues:
            if tilts is not None or jumped:
                by_camera = fuse(table, settings.outlier, settings.gate, least=least)
            priors = _priors(by_camera, expected)
            speeds, bent = association.speeds(), np.zeros(count, bool)
            bent[list(tracks)] = not_upright(list(tracks.values()))
            for sensor in self.sensor_cues:
                answers[sensor.name] = sensor.measure(scene, priors, speeds, bent)
            table = self._table(answers, tilts)
        votes = _votes(tracks, table, expected)
        fused = fuse(table, settings.outlier, settings.gate, votes, least)
        fused = fused.against(expected, settings.gate)
        if self.ultrasonic:
            table, fused = self._bound(table, fused, expected, answers, tilts)
        since = self._since(tracks, fused)
        found, states = self.tracker.update(
            scene.stamp,
            association,
            Sightings(
                azimuth=azimuth,
                azimuth_var=bearings.variance,
                ranges=table,
                fused=fused,
                growth=model.growth(since),
                spread_growth=model.spread_growth(since),
            ),
            self._range_priors(fused),
            fused.track_refused,
            model,
            self.skeletons.detection_scores,
            over_ground=self.over_ground,
        )
        ranges = _ranges(table, table.names)
        for own, ground in zip(ranges, jumped, strict=False):
            own.update(ground)
        return self._report(found, states, azimuth, answers, ranges, table, fused)

    def _since(self, tracks: dict[int, Track], fused: FusedRanges) -> np.ndarray:
        """Return the seconds since the last skeletons, ``[N]``; infinite for who is placed anew."""
        since = np.full(len(fused.value), np.inf)
        for person, track in tracks.items():
            if not fused.track_refused[person]:
                since[person] = (self.scene.stamp - track.seen) / NS
        return since

    def _report(
        self,
        tracks: list[Track],
        states: States,
        azimuth: np.ndarray,
        answers: dict[str, CueAnswers],
        ranges: list[dict[str, tuple[float, float]]],
        table: RangeTable,
        fused: FusedRanges,
    ) -> list[Person]:
        scene, tracker = self.scene, self.tracker
        all_outcomes = _outcomes(answers, table, fused)
        skeletons = self.skeletons
        since = tracker.confirm(tracks, scene.stamp, skeletons.detection_scores, skeletons.ids)
        anew = fused.track_refused.tolist()
        for n, (track, outcomes) in enumerate(zip(tracks, all_outcomes, strict=True)):
            if anew[n]:
                track.distrust()
            used, refused, bits = [], [], int(self.sources)
            for name, outcome in outcomes.items():
                if outcome is None:
                    used.append(name)
                    bits |= SOURCES[name]
                # A jump of the pitch says nothing about the person.
                elif outcome is Refusal.DISAGREES and answers[name].open[n]:
                    refused.append(name)
            track.ranged(used, refused, scene.stamp)
            track.sources = Source(bits)
        seen = Seen(
            tracks=tracks,
            states=states,
            azimuth=azimuth,
            statures=measured_statures(table, fused.used),
            outcomes=all_outcomes,
            ranges=ranges,
            since=since,
        )
        coasting, unseen = tracker.coast(scene.stamp, states, self._in_view)
        reporter = PersonReporter(scene, self.model, self.depth, over_ground=self.over_ground)
        return reporter.people(seen, coasting, unseen)

    def _table(self, answers: dict[str, CueAnswers], tilts: np.ndarray | None) -> RangeTable:
        names = [cue.name for cue in (*self.camera_cues, *self.sensor_cues, *self.ultrasonic[:1])]
        return RangeTable.of(tuple(names), answers, self.scene.views.slope_var, self.model, tilts)

    def _bound(
        self,
        table: RangeTable,
        fused: FusedRanges,
        expected: np.ndarray,
        answers: dict[str, CueAnswers],
        tilts: np.ndarray | None,
    ) -> tuple[RangeTable, FusedRanges]:
        """Add the bounds of ultrasonic sensors: of each person, the first that tells something."""
        ranged = np.isfinite(fused.value)
        value = np.where(ranged, fused.value, expected[:, 0])
        variance = np.where(ranged, fused.variance, expected[:, 1])
        known = [
            [(v, s)] if math.isfinite(v) else []
            for v, s in zip(value.tolist(), variance.tolist(), strict=True)
        ]
        name = UltrasonicCone.name
        bounds, *others = [sensor.measure(self.scene, known) for sensor in self.ultrasonic]
        for other in others:
            bounds.take_over(_silent(bounds) & ~_silent(other), other)
        answers[name] = bounds
        table = self._table(answers, tilts)
        used = fused.used.copy()
        column = table.names.index(name)
        used[:, column] = bounds.open
        counts = used & table.given  # a confirmation has an infinite variance, and no weight
        after = estimate(table.values, table.covariance, counts)
        changed = table.given[:, column]
        return table, FusedRanges(
            np.where(changed, after.mean, fused.value),
            np.where(changed, np.minimum(after.variance, fused.variance), fused.variance),
            used,
            fused.track_refused,
            fused.spread,
        )

    def _range_priors(self, fused: FusedRanges) -> np.ndarray:
        """Return range and standard deviation, ``[N, 2]`` m, at which tracks begin."""
        furthest = self.scene.settings.max_range
        # A range that is hardly one, from feet near the horizon, does not replace the box's bound.
        middle = np.minimum(1 / np.maximum(fused.value, FURTHEST), furthest)
        by_range = np.stack([middle, 2 * middle], axis=1)
        return np.where(fused.sure[:, None], by_range, range_priors(self.scene.views, furthest))

    def _in_view(self, azimuth: np.ndarray) -> np.ndarray:
        """Return at which azimuths ``[M]`` hips would be in the image, bool ``[M]``."""
        heading = self.scene.views.heading
        sides = _side_rays(self.skeletons.camera, self.skeletons.image_size)
        left, right = np.pi / 2, -np.pi / 2
        if np.isfinite(sides).all():
            d = sides @ self.camera_to_level.rotation.T
            left, right = wrap(np.arctan2(d[:, 1], d[:, 0]) - heading)
        away = wrap(azimuth - heading)
        return np.asarray((right < away) & (away < left))


@lru_cache(maxsize=16)
def _side_rays(camera: Camera, image_size: tuple[int, int]) -> np.ndarray:
    """Return the rays through the middle of an image's left and right side, ``[2, 3]``."""
    width, height = image_size
    rays = camera.rays([[0.0, height / 2], [width - 1.0, height / 2]])
    rays.flags.writeable = False
    return rays


def _ranges(table: RangeTable, names: Sequence[str]) -> list[dict[str, tuple[float, float]]]:
    """Return what some cues measured of each person: value and standard deviation by name."""
    columns = [(table.names.index(name), name) for name in names]
    rows = zip(
        table.values.tolist(), np.sqrt(table.variance).tolist(), table.given.tolist(), strict=True
    )
    return [
        {name: (values[k], stds[k]) for k, name in columns if given[k]}
        for values, stds, given in rows
    ]


def _votes(tracks: dict[int, Track], table: RangeTable, expected: np.ndarray) -> np.ndarray:
    """Return what the tracks expect, NaN for those that only repeat what a cue says."""
    votes, own = expected.copy(), table.variance
    given = table.given.tolist()
    for person, track in tracks.items():
        names = [name for name, some in zip(table.names, given[person], strict=True) if some]
        # A single range of the camera that is less certain than the track places nobody anew.
        worse = False
        if len(names) == 1 and names[0] in CAMERA_CUES:
            worse = bool(own[person, table.names.index(names[0])] > expected[person, 1])
        if not worse and not track.is_witness(names):
            votes[person] = np.nan
    return votes


def _silent(answers: CueAnswers) -> np.ndarray:
    """Return for whom an ultrasonic sensor tells nothing, bool ``[N]``."""
    nothing = (Refusal.OUT_OF_VIEW, Refusal.NO_MEASUREMENT)
    return np.array([reason in nothing for reason in answers.reasons], bool)


def _priors(camera: FusedRanges, expected: np.ndarray) -> Priors:
    """Return what is known of each person's inverse range before sensors are asked.

    The camera and the track give one range together where they agree, else two.
    """
    priors = np.full((len(expected), 2, 2), np.nan)
    value, variance, (track, track_var) = camera.value, camera.variance, expected.T
    with np.errstate(invalid="ignore"):
        agree = distance_from_tracks(value, variance, track, track_var) < AGREE**2
        # Of the same errors, so together no more certain than the better one.
        information = 1 / variance + 1 / track_var
        both = (value / variance + track / track_var) / information
    alone = ~np.isfinite(value)  # the track's is the first one then
    priors[:, 0, 0] = np.where(agree, both, np.where(alone, track, value))
    priors[:, 0, 1] = np.where(
        agree, np.minimum(variance, track_var), np.where(alone, track_var, variance)
    )
    two = ~agree & ~alone & np.isfinite(track)
    priors[two, 1] = expected[two]
    return priors


def _outcomes(
    answers: dict[str, CueAnswers], table: RangeTable, fused: FusedRanges
) -> list[dict[str, Refusal | None]]:
    """Return what happened to each cue of each person: None if it was used."""
    used = dict(zip(table.names, fused.used.T.tolist(), strict=True))
    columns = [
        [reason or (None if use else Refusal.DISAGREES) for reason, use in pairs]
        for pairs in (zip(one.reasons, used[name], strict=True) for name, one in answers.items())
    ]
    return [dict(zip(answers, row, strict=True)) for row in zip(*columns, strict=True)]


def least_inverse_ranges(views: PersonViews) -> np.ndarray:
    """Return the inverse ranges, 1/m ``[N]``, at which the boxes are as high as the tallest person.

    What is visible of a person is no higher than that, so nobody is further away.
    """
    return np.maximum(views.box[:, 3] - views.box[:, 2], 1e-6) / TALLEST


def range_priors(views: PersonViews, max_range: float) -> np.ndarray:
    """Return mean and standard deviation, ``[N, 2]`` m, of ranges known only by the box.

    What is visible of a person is at most 2.1 m high, so the box bounds the range from above. Two
    standard deviations cover a uniform distribution up to there.
    """
    furthest = np.minimum(1 / least_inverse_ranges(views), max_range)
    furthest = np.maximum(furthest, NEAREST + 0.5)
    return np.stack([(furthest + NEAREST) / 2, 0.6 * (furthest - NEAREST)], axis=1)
