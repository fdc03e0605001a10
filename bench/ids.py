# SPDX-License-Identifier: Apache-2.0
"""Identity switches and fragments of assigned ids on the bundled clip, and the time they take.

    python -m bench.ids

The boxes and key points are those of the golden answers (demo/golden); who is who was judged by
eye (test/data/street_identities.json). docs/ids.md has the results beside those of ByteTrack.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from bench.rows import markdown
from hrnet_pose_ros.fusion.image_tracker import ImageTracker
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.replay.answers import read_answers

ROOT = Path(__file__).resolve().parent.parent
IDENTITIES = ROOT / "test" / "data" / "street_identities.json"
SEEDS = range(10)
PERIOD_NS = 100_000_000


@dataclass(frozen=True)
class Identified:
    """The N persons of one image; ``names`` are the true identities, "" where not counted."""

    stamp: int
    boxes: np.ndarray
    poses: Poses
    names: tuple[str, ...]

    def select(self, places: np.ndarray) -> Identified:
        """Return some of the persons."""
        names = tuple(self.names[place] for place in places)
        return Identified(self.stamp, self.boxes[places], self.poses.select(places), names)


# Returns the ids of the persons of consecutive images; None for a person without one.
Assign = Callable[[Identified], Sequence[int | None]]


def street() -> list[Identified]:
    """The images of the bundled clip with their golden answers."""
    answers = read_answers(ROOT / "demo" / "golden")
    persons = json.loads(IDENTITIES.read_text())["persons"]
    identity = {
        (detector_id, image): name
        for name, rows in persons.items()
        for detector_id, first, last in rows
        for image in range(first, last + 1)
    }
    return [
        Identified(
            stamp,
            frame.boxes,
            frame.poses,
            tuple(identity.get((one, number), "") for one in frame.ids),
        )
        for number, (stamp, frame) in enumerate(sorted(answers.frames.items()))
    ]


def with_misses(frames: list[Identified], fraction: float, seed: int) -> list[Identified]:
    """The frames without a random fraction of their boxes."""
    random = np.random.default_rng(seed)
    return [one.select(np.flatnonzero(random.random(len(one.names)) >= fraction)) for one in frames]


def scenarios(clip: list[Identified]) -> dict[str, list[list[Identified]]]:
    """The clip as it is, thinned, and with random losses; some have several sequences."""

    def missed(every: int, fraction: float, seed: int) -> list[Identified]:
        return with_misses(clip[seed % every :: every], fraction, seed)

    def dropped(seed: int) -> list[Identified]:
        kept = np.random.default_rng(seed).random(len(clip)) >= 0.3
        return [one for one, keep in zip(clip, kept, strict=True) if keep]

    return {
        "10 Hz": [clip],
        "5 Hz": [clip[phase::2] for phase in range(2)],
        "3.3 Hz": [clip[phase::3] for phase in range(3)],
        "10 Hz, 10 % of the boxes missed": [missed(1, 0.1, seed) for seed in SEEDS],
        "10 Hz, 30 % of the boxes missed": [missed(1, 0.3, seed) for seed in SEEDS],
        "5 Hz, 20 % of the boxes missed": [missed(2, 0.2, seed) for seed in SEEDS],
        "10 Hz, 30 % of the images dropped": [dropped(seed) for seed in SEEDS],
    }


@dataclass(frozen=True)
class IdScore:
    """How well ids follow the true identities of one sequence.

    Attributes
    ----------
    switches
        How often a person's id differs from the one before.
    fragments
        Ids per person beyond the first, summed.
    shared
        Ids that two or more persons had.
    without
        Boxes that got no id.
    idf1
        F1 of the boxes whose id is that of the best one-to-one matching of ids and persons
        (Ristani et al., 2016), in percent.
    """

    switches: float
    fragments: float
    shared: float
    without: float
    idf1: float


def score(frames: Sequence[Identified], ids: Sequence[Sequence[int | None]]) -> IdScore:
    """Judge the ids of a sequence of images."""
    history: dict[str, list[int]] = defaultdict(list)
    without = 0
    for frame, assigned in zip(frames, ids, strict=True):
        for name, one in zip(frame.names, assigned, strict=True):
            if name and one is None:
                without += 1
            elif name and one is not None:
                history[name].append(one)
    owners: dict[int, Counter[str]] = defaultdict(Counter)
    for name, held in history.items():
        for one in held:
            owners[one][name] += 1
    common = np.array([[owner[name] for owner in owners.values()] for name in history])
    common = common.reshape(len(history), len(owners))
    pairs = linear_sum_assignment(common, maximize=True)
    boxes = sum(len(held) for held in history.values())
    return IdScore(
        switches=sum(
            before != after for held in history.values() for before, after in pairwise(held)
        ),
        fragments=sum(len(set(held)) - 1 for held in history.values()),
        shared=sum(len(owner) > 1 for owner in owners.values()),
        without=without,
        idf1=200 * float(common[pairs].sum()) / (2 * boxes + without),
    )


def mean_score(sequences: Sequence[Sequence[Identified]], make: Callable[[], Assign]) -> IdScore:
    """The mean over sequences, each with an assigner of its own."""
    scores = []
    for frames in sequences:
        assign = make()
        scores.append(score(frames, [assign(frame) for frame in frames]))
    return IdScore(*np.mean([list(vars(one).values()) for one in scores], axis=0).tolist())


def ours(*, poses: bool = True) -> Assign:
    """The tracker of this package."""
    tracker = ImageTracker()

    def assign(frame: Identified) -> list[int]:
        return tracker.step(frame.stamp, frame.boxes, frame.poses if poses else None).tolist()

    return assign


def walkers(persons: int, images: int, seed: int = 0) -> list[Identified]:
    """Persons who cross a Full HD image at random, with boxes and key points that jitter."""
    random = np.random.default_rng(seed)
    height = random.uniform(100, 300, persons)
    start = np.stack([random.uniform(0, 1800, persons), random.uniform(300, 700, persons)], axis=1)
    speed = random.normal(0, [100, 20], (persons, 2))
    shape = random.uniform(-0.5, 0.5, (persons, 17, 2))
    frames = []
    for n in range(images):
        centre = start + speed * n * PERIOD_NS / 1e9
        size = np.stack([0.4 * height, height], axis=1)
        noise = random.normal(0, 0.02, (persons, 4)) * height[:, None]
        boxes = np.concatenate([centre - size / 2, size], axis=1) + noise
        jitter = random.normal(0, 0.02, (persons, 17, 2)) * height[:, None, None]
        poses = Poses(
            (centre[:, None] + shape * size[:, None] + jitter).astype(np.float32),
            np.full((persons, 17), 0.8, np.float32),
            np.tile(np.eye(2, dtype=np.float32), (persons, 17, 1, 1)),
            np.ones((persons, 17), bool),
        )
        names = tuple(str(person) for person in range(persons))
        frames.append(Identified(n * PERIOD_NS, boxes, poses, names))
    return frames


def simulations() -> dict[str, list[list[Identified]]]:
    """Ten persons for 6 s, ten times; the tracker's figures were not chosen on these."""
    crowds = [walkers(10, 60, seed) for seed in SEEDS]
    lossy = [with_misses(crowd, 0.3, seed) for crowd, seed in zip(crowds, SEEDS, strict=True)]
    return {
        "simulated, 10 Hz": crowds,
        "simulated, 5 Hz": [crowd[::2] for crowd in crowds],
        "simulated, 10 Hz, 30 % of the boxes missed": lossy,
    }


def milliseconds(persons: int) -> tuple[float, float]:
    """Least and median CPU time for one image with so many persons, ms."""
    assign, times = ours(), []
    for frame in walkers(persons, 300):
        begun = time.thread_time()
        assign(frame)
        times.append(time.thread_time() - begun)
    return float(np.min(times) * 1e3), float(np.median(times) * 1e3)


def main() -> None:
    """Print both tables."""
    lines = []
    for name, sequences in (scenarios(street()) | simulations()).items():
        for what, poses in (("boxes and key points", True), ("boxes", False)):
            mean = mean_score(sequences, partial(ours, poses=poses))
            lines.append([name, what, *(f"{value:.1f}" for value in vars(mean).values())])
    head = ["detections", "compared", *(field.name for field in fields(IdScore))]
    print(markdown(head, lines))
    times = {persons: milliseconds(persons) for persons in (1, 6, 20, 50)}
    lines = [[f"{n}", f"{least:.2f}", f"{median:.2f}"] for n, (least, median) in times.items()]
    print()
    print(markdown(["persons", "least, ms", "median, ms"], lines))


if __name__ == "__main__":
    main()
