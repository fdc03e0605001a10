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

from hrnet_pose_ros.fusion.cues.bearing import bearings_of
from hrnet_pose_ros.fusion.cues.cue import Answer, Cue, InverseRange, Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.cues.ultrasonic_cone import UltrasonicCone
from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.person import Person
from hrnet_pose_ros.fusion.person_report import PersonReporter, Sighted
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.range_fusion import ErrorModel, FusedRange, RangeStack, fuse, stack_of
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.tracking.associator import Spotted
from hrnet_pose_ros.fusion.tracking.track import Track
from hrnet_pose_ros.fusion.tracking.tracker import Tracker
from hrnet_pose_ros.fusion.tracking.updater import Sighting

# A person without any usable range is at least this near, m, and at most so far that the box is
# this high, m.
NEAREST, TALLEST = 0.5, 2.1
# A fused inverse range below this is as far away as this, 1/m.
FURTHEST = 1e-3


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
    sensor_cues: Sequence[Cue]
    ultrasonic: Sequence[UltrasonicCone]
    depth: DepthImageCue
    tracker: Tracker
    sources: Source
    over_ground: bool

    def people(self) -> list[Person]:
        """Return a person for each skeleton, in order, then those who coast."""
        scene, camera, count = self.scene, self.scene.views.camera_position, len(self.skeletons)
        bearings = bearings_of(scene)
        azimuth = bearings.azimuth + scene.views.heading
        answers: list[dict[str, Answer]] = [{} for _ in range(count)]
        for cue in self.camera_cues:
            self._ask(cue, answers, [[] for _ in range(count)])
        by_camera = [self._fused(n, answers[n], None) for n in range(count)]
        self.tracker.predict(scene.stamp, scene.ego, self.model.lasting)
        spotted = Spotted(
            azimuth,
            bearings.variance,
            np.array([np.nan if one is None else one.value for one in by_camera]),
            np.array([np.nan if one is None else one.variance for one in by_camera]),
            self.skeletons.ids,
        )
        tracks = self.tracker.associate(spotted, camera)
        expected = {n: self.tracker.expected_range(t, camera) for n, t in tracks.items()}
        priors = [self._priors(n, answers[n], expected.get(n)) for n in range(count)]
        for cue in self.sensor_cues:
            self._ask(cue, answers, priors)
        fused = [self._fused(n, answers[n], expected.get(n)) for n in range(count)]
        self._bound(fused, expected, answers)
        reporter = PersonReporter(
            scene, self.model, azimuth, self.depth, over_ground=self.over_ground
        )
        people = []
        for n in range(count):
            stack = self._stack(n, answers[n], fused[n])
            sighting = Sighting(float(azimuth[n]), float(bearings.variance[n]), stack)
            track, since = self._track(n, tracks.get(n), sighting, fused[n])
            outcomes = _outcomes(answers[n], fused[n])
            track.sources = self.sources
            for name in (name for name, outcome in outcomes.items() if outcome is None):
                track.sources |= Source[name.upper()]
            ranges = {k: a for k, a in answers[n].items() if isinstance(a, InverseRange)}
            sighted = Sighted(n, self.skeletons.ids[n], ranges, outcomes)
            people.append(reporter.seen(track, sighted, since))
        in_view = self._in_view()
        coasting = self.tracker.coast(scene.stamp, camera, in_view)
        return people + [reporter.coasting(track) for track in coasting]

    def _ask(
        self, cue: Cue, answers: list[dict[str, Answer]], priors: list[list[tuple[float, float]]]
    ) -> None:
        for own, answer in zip(answers, cue.measure(self.scene, priors), strict=True):
            own[cue.name] = answer

    def _stack(
        self, person: int, answers: dict[str, Answer], fused: FusedRange | None = None
    ) -> RangeStack:
        """Return the ranges of a person; given ``fused``, those used, for the filter over time."""
        ranges = {
            name: answer
            for name, answer in answers.items()
            if isinstance(answer, InverseRange)
            and answer.variance < np.inf
            and (fused is None or name in fused.used)
        }
        slope_var = self.scene.views.slope_var[person]
        return stack_of(ranges, slope_var, self.model, over_time=fused is not None)

    def _fused(
        self, person: int, answers: dict[str, Answer], expected: tuple[float, float] | None
    ) -> FusedRange | None:
        settings = self.scene.settings
        stack = self._stack(person, answers)
        return fuse(stack, self.model, settings.outlier, settings.gate, expected)

    def _priors(
        self, person: int, answers: dict[str, Answer], expected: tuple[float, float] | None
    ) -> list[tuple[float, float]]:
        """Return each inverse range that is known of a person, with its whole variance."""
        stack = self._stack(person, answers)
        variances = np.diagonal(stack.covariance(self.model))
        known = [(float(v), float(s)) for v, s in zip(stack.values, variances, strict=True)]
        return known if expected is None else [*known, expected]

    def _bound(
        self,
        fused: list[FusedRange | None],
        expected: dict[int, tuple[float, float]],
        answers: list[dict[str, Answer]],
    ) -> None:
        """Add the bounds of ultrasonic sensors: of each person, the first that tells something."""
        tells_nothing = (Refusal.OUT_OF_VIEW, Refusal.NO_MEASUREMENT)
        for sensor in self.ultrasonic:
            known = [
                [(one.value, one.variance)] if one is not None else [expected[n]]
                for n, one in enumerate(fused)
                if one is not None or n in expected
            ]
            having = [n for n, one in enumerate(fused) if one is not None or n in expected]
            priors: list[list[tuple[float, float]]] = [[] for _ in fused]
            for n, own in zip(having, known, strict=True):
                priors[n] = own
            for n, answer in enumerate(sensor.measure(self.scene, priors)):
                before = answers[n].get(sensor.name, Refusal.NO_MEASUREMENT)
                if before not in tells_nothing or (
                    sensor.name in answers[n] and answer is Refusal.NO_MEASUREMENT
                ):
                    continue
                answers[n][sensor.name] = answer
                if isinstance(answer, InverseRange):
                    base = fused[n] or FusedRange(*expected[n], (), ())
                    fused[n] = base.with_bound(sensor.name, answer)

    def _track(
        self, person: int, track: Track | None, sighting: Sighting, fused: FusedRange | None
    ) -> tuple[Track, float]:
        """Update, place anew or begin a person's track; return it and the seconds since seen."""
        scene, tracker = self.scene, self.tracker
        camera = scene.views.camera_position
        prior = range_prior(scene.views, person, scene.settings.max_range)
        if fused is not None:
            prior = (min(1 / max(fused.value, FURTHEST), scene.settings.max_range), 0.0)
        score = float(self.skeletons.detection_scores[person])
        start = (sighting, prior, camera, self.model.lasting)
        if track is None:
            track = tracker.initiate(scene.stamp, *start, score=score, over_ground=self.over_ground)
        elif fused is not None and "track" in fused.refused:
            tracker.restart(track, *start, over_ground=self.over_ground)
        else:
            tracker.update(track, sighting, camera)
        since = tracker.confirm(track, scene.stamp, score, self.skeletons.ids[person])
        return track, since

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
        result = {}
        for track in self.tracker.tracks:
            seen, _ = track.bearing_range(scene.views.camera_position)
            away = (seen[0] - scene.views.heading + np.pi) % (2 * np.pi) - np.pi
            result[track.id] = bool(right < away < left)
        return result


def _outcomes(answers: dict[str, Answer], fused: FusedRange | None) -> dict[str, Refusal | None]:
    """Return what happened to each cue of a person: None if it was used."""
    outcomes: dict[str, Refusal | None] = {}
    for name, answer in answers.items():
        if isinstance(answer, Refusal):
            outcomes[name] = answer
        else:
            used = fused is not None and name in fused.used
            outcomes[name] = None if used else Refusal.DISAGREES
    return outcomes


def range_prior(views: PersonViews, person: int, max_range: float) -> tuple[float, float]:
    """Return mean and standard deviation (m) of the range of a person known only by the box.

    What is visible of a person is at most 2.1 m high, so the box bounds the range from above. Two
    standard deviations cover a uniform distribution up to there.
    """
    low, high = views.box[person, 2:]
    furthest = min(TALLEST / max(float(high - low), 1e-6), max_range)
    furthest = max(furthest, NEAREST + 0.5)
    return (furthest + NEAREST) / 2, 0.6 * (furthest - NEAREST)
