# SPDX-License-Identifier: Apache-2.0
"""Runs of the report: a scene is simulated once, then fused with each set of sensors.

The random numbers of a simulated sensor do not depend on which others there are, so all sets see
the same people and the same errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People, Person, Posture
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics, Transform, wrap
from hrnet_pose_ros.fusion_report.metrics import gospa, nees, not_of, whitened
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.sensor import SensorEvent
from hrnet_pose_ros.simulation.sensor_configs import SENSORS
from hrnet_pose_ros.simulation.simulator import Simulator
from hrnet_pose_ros.simulation.truth import TruePerson, Truth

# Sets of sensors by name.
_ULTRASONIC = tuple(name for name in SENSORS if name.startswith("ultrasonic"))
SENSOR_SETS: dict[str, tuple[str, ...]] = {
    "camera": ("camera",),
    "imu": ("camera", "imu"),
    "depth": ("camera", "depth"),
    "lidar": ("camera", "lidar"),
    "scan": ("camera", "scan"),
    "ultrasonic": ("camera", *_ULTRASONIC),
    "all": SENSORS,
}
# The cues whose outcome is recorded.
CUES = ("ground", "body_length", "depth", "lidar", "scan")
# People with a smaller part in view need no estimate; the camera of the simulator sees nobody then.
LEAST_VISIBLE = 0.15
GOSPA_CUTOFF = 2.0  # m
# An estimate counts as a person from this probability on.
LEAST_EXISTENCE = 0.5

# What is recorded of each person with a skeleton in an image.
SIGHTING = np.dtype(
    [
        ("time", "f8"),  # s
        ("person", "i4"),
        ("distance", "f8"),  # true, horizontal, from the camera, m
        ("error", "f8"),  # of the position, m
        ("along", "f8"),  # the same along the line of sight
        ("aside", "f8"),
        ("nees", "f8"),
        ("whitened", "f8", (2,)),  # along and aside, of which the squares are the NEES
        ("velocity_nees", "f8"),  # NaN where velocities are not over ground
        ("height_px", "f8"),
        ("visible", "f8"),
        ("heading_error", "f8"),  # rad; NaN if either is unknown
        ("heading_variance", "f8"),
        ("posture_true", "u1"),
        ("posture", "u1"),
        ("child", "?"),
        ("switched", "?"),  # the id is another than in the person's last sighting
        ("range", "f8", (len(CUES),)),  # measured by each cue, m; NaN: none
        ("range_std", "f8", (len(CUES),)),
        ("outcome", "u1", (len(CUES),)),
    ]
)
# Outcomes: no answer, used, contradicted by others, refused because what was found cannot be this
# person's range.
NO_ANSWER, USED, DISAGREED, DOUBTED = range(4)
_DOUBTS = {
    Refusal.AMBIGUOUS,
    Refusal.BACKGROUND,
    Refusal.OTHER_PERSON,
    Refusal.ABOVE_HORIZON,
}


@dataclass(frozen=True)
class SimulatedRun:
    """Everything that happens in one run of a scene.

    ``truths`` are by the place of the image among the events.
    """

    events: Sequence[SensorEvent]
    truths: Mapping[int, Truth]
    extrinsics: Mapping[str, Transform]
    camera: np.ndarray
    moving: bool


@dataclass(frozen=True)
class FusedRun:
    """What one run with one set of sensors gave.

    Attributes
    ----------
    sightings
        `SIGHTING` ``[S]``.
    gospa
        float ``[images, 4]``: distance, located, missed, false.
    """

    sightings: np.ndarray
    gospa: np.ndarray


def simulate_run(scenario: SimulationScenario, *, moving: bool) -> SimulatedRun:
    """Simulate a scene with all its sensors."""
    simulator = Simulator(scenario)
    events: list[SensorEvent] = []
    truths: dict[int, Truth] = {}
    for event in simulator.events():
        if event.sensor == "camera":
            truths[len(events)] = simulator.truth(event)
        events.append(event)
    extrinsics = simulator.extrinsics()
    camera = simulator.camera.mount.nominal.translation[:2]
    return SimulatedRun(events, truths, extrinsics, camera, moving)


def fuse_run(run: SimulatedRun, sensors: Sequence[str], settings: FusionSettings) -> FusedRun:
    """Fuse the measurements of some sensors, and compare with the truth at each image."""
    fusion = PeopleFusion(settings, FixedExtrinsics(run.extrinsics))
    answers: list[tuple[People, Truth]] = []
    for place, event in enumerate(run.events):
        if event.sensor not in sensors:
            continue
        if not isinstance(event.value, Skeletons):
            fusion.receive(event.value, event.arrival)
            continue
        answer = fusion.fuse(event.value, event.arrival)
        if isinstance(answer, People):
            answers.append((answer, run.truths[place]))
    result = compare_with_truth(answers, run.camera)
    if run.moving and "odometry" not in sensors:  # velocities are relative to the vehicle
        result.sightings["velocity_nees"] = np.nan
    return result


def compare_with_truth(answers: Iterable[tuple[People, Truth]], camera: np.ndarray) -> FusedRun:
    """Compare people with the truth at the same images, in their order.

    ``camera``: where it is in the base frame, float ``[2]`` m; distances are from it.
    """
    ids: dict[str, str] = {}
    rows: list[np.ndarray] = []
    distances: list[tuple[float, ...]] = []
    for people, truth in answers:
        rows.append(_sightings(people, truth, camera, ids))
        distances.append(_gospa_of(people, truth))
    empty = np.zeros(0, SIGHTING)
    return FusedRun(np.concatenate(rows) if rows else empty, np.array(distances).reshape(-1, 4))


def _sightings(answer: People, truth: Truth, camera: np.ndarray, ids: dict[str, str]) -> np.ndarray:
    pairs = [(true, answer.people[i]) for true in truth.people if (i := true.skeleton_index) >= 0]
    rows = np.zeros(len(pairs), SIGHTING)
    if not pairs:
        return rows
    errors = np.array([p.position[:2] - t.position[:2] for t, p in pairs])
    sight = np.array([t.position[:2] - camera for t, _ in pairs])
    rows["distance"] = np.hypot(*sight.T)
    sight /= rows["distance"][:, None]
    rows["error"] = np.hypot(*errors.T)
    rows["along"] = (errors * sight).sum(axis=1)
    rows["aside"] = errors[:, 1] * sight[:, 0] - errors[:, 0] * sight[:, 1]
    covariances = np.array([p.covariance for _, p in pairs])
    axes = np.stack([sight, np.stack([-sight[:, 1], sight[:, 0]], axis=1)], axis=1)
    turned = axes @ covariances[:, :2, :2] @ axes.swapaxes(1, 2)
    rows["whitened"] = whitened((axes @ errors[..., None])[..., 0], turned)
    rows["nees"] = (rows["whitened"] ** 2).sum(axis=1)
    slips = np.array([p.velocity[:2] - t.velocity[:2] for t, p in pairs])
    rows["velocity_nees"] = nees(slips, covariances[:, 3:5, 3:5])
    rows["time"] = truth.stamp / 1e9
    for row, (true, person) in zip(rows, pairs, strict=True):
        row["person"] = int(true.name.rpartition("_")[2])
        row["height_px"], row["visible"], row["child"] = true.height_px, true.visible, true.child
        row["heading_error"] = wrap(person.heading - true.heading)
        row["heading_variance"] = person.heading_variance
        row["posture_true"], row["posture"] = Posture[true.posture], person.posture
        row["switched"] = ids.get(true.name, person.id) != person.id
        ids[true.name] = person.id
        row["range"], row["range_std"], row["outcome"] = _cues_of(person)
    return rows


def _cues_of(person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ranges, spreads = np.full((2, len(CUES)), np.nan)
    outcomes = np.full(len(CUES), NO_ANSWER)
    for column, name in enumerate(CUES):
        if name in person.ranges:
            value, std = person.ranges[name]
            if value > 0:
                ranges[column], spreads[column] = 1 / value, std / value**2
        if name not in person.outcomes:
            continue
        outcome = person.outcomes[name]
        if outcome is None:
            outcomes[column] = USED
        elif outcome is Refusal.DISAGREES:
            outcomes[column] = DISAGREED
        elif outcome in _DOUBTS:
            outcomes[column] = DOUBTED
    return ranges, spreads, outcomes


def _gospa_of(answer: People, truth: Truth) -> tuple[float, ...]:
    def to_be_seen(true: TruePerson) -> bool:
        return true.visible >= LEAST_VISIBLE or true.skeleton_index >= 0

    seen = np.array([t.position[:2] for t in truth.people if to_be_seen(t)]).reshape(-1, 2)
    hidden = np.array([t.position[:2] for t in truth.people if not to_be_seen(t)]).reshape(-1, 2)
    sure = [p.position[:2] for p in answer.people if p.existence >= LEAST_EXISTENCE]
    estimates = np.array(sure).reshape(-1, 2)
    estimates = estimates[not_of(hidden, seen, estimates, GOSPA_CUTOFF)]
    found = gospa(seen, estimates, GOSPA_CUTOFF)
    return found.distance, found.located, found.missed, found.false
