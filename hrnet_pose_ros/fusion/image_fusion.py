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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.attributes.stature import measured_statures
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.cue import Answer, Cue, InverseRange, Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.cues.returns_cue import ReturnsCue
from hrnet_pose_ros.fusion.cues.ultrasonic_cone import UltrasonicCone
from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.person import Person
from hrnet_pose_ros.fusion.person_report import PersonReporter, Sighted
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.pitch_jump import GROUND, pitch_jumped
from hrnet_pose_ros.fusion.range_fusion import FusedRanges, estimate, fuse
from hrnet_pose_ros.fusion.range_table import ErrorModel, RangeTable
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.tracking.associator import Spotted
from hrnet_pose_ros.fusion.tracking.track import CAMERA_CUES, Track, bearing_ranges, states_of
from hrnet_pose_ros.fusion.tracking.tracker import Tracker
from hrnet_pose_ros.fusion.tracking.updater import Sightings

# A person without any usable range is at least this near, m, and at most so far that the box is
# this high, m.
NEAREST, TALLEST = 0.5, 2.1
# A fused inverse range below this is as far away as this, 1/m.
FURTHEST = 1e-3
# A range is known if its inverse is this many standard deviations from 0.
SURE = 4.0
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
        answers: list[dict[str, Answer]] = [{} for _ in range(count)]
        for cue in self.camera_cues:
            self._ask(cue, answers, [[] for _ in range(count)])
        table = self._table(answers)
        least = least_inverse_ranges(scene.views)
        by_camera = fuse(table, model, settings.outlier, settings.gate, least=least)
        self.tracker.predict(scene.stamp, scene.ego, model.lasting)
        ids = self.skeletons.ids
        spotted = Spotted(azimuth, bearings.variance, by_camera.value, by_camera.variance, ids)
        tracks = self.tracker.associate(spotted, camera)
        expected = self.tracker.expected_ranges(tracks, count, camera)
        jumped: list[dict[str, tuple[float, float]]] = [{} for _ in range(count)]
        if self.tracker.jump_goes_on(
            scene.stamp, jumps=pitch_jumped(table, tracks, expected, model)
        ):
            jumped = self._ranges(table, (GROUND,))
            for own in answers:
                if isinstance(own[GROUND], InverseRange):
                    own[GROUND] = Refusal.DISAGREES
            table = self._table(answers)
            by_camera = fuse(table, model, settings.outlier, settings.gate, least=least)
        if self.sensor_cues:
            priors = _priors(by_camera, expected)
            speeds = self.tracker.speeds(tracks, count, camera)
            for cue in self.sensor_cues:
                for own, answer in zip(answers, cue.measure(scene, priors, speeds), strict=True):
                    own[cue.name] = answer
            table = self._table(answers)
        votes = self._votes(tracks, table, expected)
        fused = fuse(table, model, settings.outlier, settings.gate, votes, least)
        fused = fused.against(expected, settings.gate)
        if self.ultrasonic:
            table, fused = self._bound(table, fused, expected, answers)
        since = self._since(tracks, fused)
        found = self.tracker.update(
            scene.stamp,
            tracks,
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
            camera,
            model.lasting,
            self.skeletons.detection_scores,
            over_ground=self.over_ground,
        )
        ranges = [a | b for a, b in zip(jumped, self._ranges(table, table.names), strict=True)]
        return self._report(found, azimuth, answers, ranges, table, fused)

    def _ranges(
        self, table: RangeTable, names: Sequence[str]
    ) -> list[dict[str, tuple[float, float]]]:
        """Return what some cues measured of each person: value and standard deviation by name."""
        spreads = np.sqrt(np.diagonal(table.covariance(self.model), axis1=1, axis2=2)).tolist()
        columns = [table.names.index(name) for name in names]
        return [
            {table.names[k]: (values[k], stds[k]) for k in columns if given[k]}
            for values, stds, given in zip(
                table.values.tolist(), spreads, table.given.tolist(), strict=True
            )
        ]

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
        azimuth: np.ndarray,
        answers: list[dict[str, Answer]],
        ranges: list[dict[str, tuple[float, float]]],
        table: RangeTable,
        fused: FusedRanges,
    ) -> list[Person]:
        scene, tracker = self.scene, self.tracker
        reporter = PersonReporter(
            scene, self.model, azimuth, self.depth, over_ground=self.over_ground
        )
        statures = measured_statures(table, fused.used, self.model)
        people = []
        for n, track in enumerate(tracks):
            detection_id, score = self.skeletons.ids[n], float(self.skeletons.detection_scores[n])
            since = tracker.confirm(track, scene.stamp, score, detection_id)
            used = {name for name, use in zip(table.names, fused.used[n], strict=True) if use}
            if fused.track_refused[n]:
                track.distrust()
            outcomes = _outcomes(answers[n], used)
            # A jump of the pitch says nothing about the person.
            refused = {
                name
                for name, outcome in outcomes.items()
                if outcome is Refusal.DISAGREES and isinstance(answers[n][name], InverseRange)
            }
            track.ranged(used, refused, scene.stamp)
            bits = sum(SOURCES[name] for name, outcome in outcomes.items() if outcome is None)
            track.sources = Source(int(self.sources) | bits)
            sighted = Sighted(n, detection_id, statures[n], outcomes, ranges[n], since)
            people.append(reporter.seen(track, sighted))
        coasting = tracker.coast(scene.stamp, scene.views.camera_position, self._in_view())
        return people + [reporter.coasting(track) for track in coasting]

    def _ask(
        self, cue: Cue, answers: list[dict[str, Answer]], priors: list[list[tuple[float, float]]]
    ) -> None:
        for own, answer in zip(answers, cue.measure(self.scene, priors), strict=True):
            own[cue.name] = answer

    def _table(self, answers: list[dict[str, Answer]]) -> RangeTable:
        names = [cue.name for cue in (*self.camera_cues, *self.sensor_cues, *self.ultrasonic[:1])]
        return RangeTable.of(tuple(names), answers, self.scene.views.slope_var, self.model)

    def _votes(
        self, tracks: dict[int, Track], table: RangeTable, expected: np.ndarray
    ) -> np.ndarray:
        """Return what the tracks expect, NaN for those that only repeat what a cue says."""
        votes = expected.copy()
        own = np.diagonal(table.covariance(self.model), axis1=1, axis2=2)
        for person, track in tracks.items():
            given = np.flatnonzero(table.given[person])
            names = [table.names[k] for k in given]
            # A single range of the camera that is less certain than the track places nobody anew.
            single = len(given) == 1 and names[0] in CAMERA_CUES
            worse = single and own[person, given[0]] > expected[person, 1]
            if not worse and not track.is_witness(names):
                votes[person] = np.nan
        return votes

    def _bound(
        self,
        table: RangeTable,
        fused: FusedRanges,
        expected: np.ndarray,
        answers: list[dict[str, Answer]],
    ) -> tuple[RangeTable, FusedRanges]:
        """Add the bounds of ultrasonic sensors: of each person, the first that tells something."""
        tells_nothing = (Refusal.OUT_OF_VIEW, Refusal.NO_MEASUREMENT)
        ranged = np.isfinite(fused.value)
        value = np.where(ranged, fused.value, expected[:, 0])
        variance = np.where(ranged, fused.variance, expected[:, 1])
        known = [
            [(v, s)] if np.isfinite(v) else []
            for v, s in zip(value.tolist(), variance.tolist(), strict=True)
        ]
        name = UltrasonicCone.name
        for sensor in self.ultrasonic:
            for own, answer in zip(answers, sensor.measure(self.scene, known), strict=True):
                before = own.get(name)
                if before is None or (before in tells_nothing and answer not in tells_nothing):
                    own[name] = answer
        table = self._table(answers)
        used = fused.used.copy()
        column = table.names.index(name)
        used[:, column] = [isinstance(own.get(name), InverseRange) for own in answers]
        counts = used & table.given  # a confirmation has an infinite variance, and no weight
        after = estimate(table.values, table.covariance(self.model), counts)
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
        views, furthest = self.scene.views, self.scene.settings.max_range
        result = np.array([range_prior(views, n, furthest) for n in range(len(views))])
        result = result.reshape(-1, 2)
        # A range that is hardly one, from feet near the horizon, does not replace the box's bound.
        sure = np.isfinite(fused.value) & (fused.value > SURE * np.sqrt(fused.variance))
        middle = np.minimum(1 / np.maximum(fused.value[sure], FURTHEST), furthest)
        result[sure] = np.stack([middle, 2 * middle], axis=1)
        return result

    def _in_view(self) -> dict[str, bool]:
        """Return for each track, by id, whether its hips would be in the image."""
        scene, (width, height) = self.scene, self.skeletons.image_size
        sides = self.skeletons.camera.rays([[0.0, height / 2], [width - 1.0, height / 2]])
        level = scene.to_level(self.skeletons.frame, scene.stamp)
        left, right = np.pi / 2, -np.pi / 2
        if level is not None and np.isfinite(sides).all():
            d = sides @ level.rotation.T
            edges = np.arctan2(d[:, 1], d[:, 0]) - scene.views.heading
            left, right = (edges + np.pi) % (2 * np.pi) - np.pi
        seen, _ = bearing_ranges(states_of(self.tracker.tracks)[0], scene.views.camera_position)
        away = (seen[:, 0] - scene.views.heading + np.pi) % (2 * np.pi) - np.pi
        inside = (right < away) & (away < left)
        return {t.id: bool(i) for t, i in zip(self.tracker.tracks, inside, strict=True)}


def _priors(camera: FusedRanges, expected: np.ndarray) -> list[list[tuple[float, float]]]:
    """Return what is known of each person's inverse range before sensors are asked.

    The camera and the track give one range together where they agree, else two.
    """
    priors: list[list[tuple[float, float]]] = []
    pairs = zip(camera.value.tolist(), camera.variance.tolist(), *expected.T.tolist(), strict=True)
    for value, variance, track, track_var in pairs:
        known = [(v, s) for v, s in ((value, variance), (track, track_var)) if np.isfinite(v)]
        if len(known) == 2 and (value - track) ** 2 < AGREE**2 * (variance + track_var):
            # Of the same errors, so together no more certain than the better one.
            information = 1 / variance + 1 / track_var
            both = (value / variance + track / track_var) / information
            known = [(both, min(variance, track_var))]
        priors.append(known)
    return priors


def _outcomes(answers: dict[str, Answer], used: set[str]) -> dict[str, Refusal | None]:
    """Return what happened to each cue of a person: None if it was used."""
    outcomes: dict[str, Refusal | None] = {}
    for name, answer in answers.items():
        if isinstance(answer, Refusal):
            outcomes[name] = answer
        else:
            outcomes[name] = None if name in used else Refusal.DISAGREES
    return outcomes


def least_inverse_ranges(views: PersonViews) -> np.ndarray:
    """Return the inverse ranges, 1/m ``[N]``, at which the boxes are as high as the tallest person.

    What is visible of a person is no higher than that, so nobody is further away.
    """
    return np.maximum(views.box[:, 3] - views.box[:, 2], 1e-6) / TALLEST


def range_prior(views: PersonViews, person: int, max_range: float) -> tuple[float, float]:
    """Return mean and standard deviation (m) of the range of a person known only by the box.

    What is visible of a person is at most 2.1 m high, so the box bounds the range from above. Two
    standard deviations cover a uniform distribution up to there.
    """
    low, high = views.box[person, 2:]
    furthest = min(TALLEST / max(float(high - low), 1e-6), max_range)
    furthest = max(furthest, NEAREST + 0.5)
    return (furthest + NEAREST) / 2, 0.6 * (furthest - NEAREST)
