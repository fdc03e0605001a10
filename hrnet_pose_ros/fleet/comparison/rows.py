# SPDX-License-Identifier: Apache-2.0
"""The rows of a fleet comparison: bags, persons, findings and slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What became of a bag in the two fleets; only of `compared` there are figures.
BagState = Literal[
    "compared",
    "candidate failed",
    "candidate pending",
    "candidate absent",
    "baseline failed",
    "baseline pending",
    "baseline absent",
    "both failed",
    "not comparable",
]
# Without these, the candidate lacks what the baseline has, or the comparison is not complete.
LACKING: tuple[BagState, ...] = (
    *("candidate failed", "candidate pending", "candidate absent"),
    *("baseline pending", "not comparable"),
)

# A person who only the baseline has, who only the candidate has, or whose key points are elsewhere.
Kind = Literal["lost", "gained", "moved"]
# Why a person is lost or gained: the other run has no frame of this stamp, no skeleton for the box,
# or one without a key point above 0.2.
Cause = Literal["frame", "box", "key points", ""]


@dataclass(frozen=True)
class BagRow:
    """One bag.

    Attributes
    ----------
    bag, state, reason
        Its name, what became of it, and why where it was not compared.
    verdict, failed_conditions
        ``pass``, ``fail`` or empty without a scenario; the scenario's conditions that it fails.
    same_bag
        Whether both fleets read the same files (sizes and times, or contents).
    start_ns, seconds
        First stamp, ns, and time to the last.
    baseline_frames, candidate_frames, compared_frames, missing_frames, extra_frames
        SkeletonArrays of each, of both, and of one alone.
    baseline_persons, candidate_persons, matched_persons
        Skeletons of each, and pairs of the same person.
    lost, gained, moved
        Persons of the kinds in `Kind`, counted in each frame.
    oks_mean, oks_lowest
        Of the pairs; None without one.
    baseline_model, candidate_model, baseline_loss, candidate_loss
        As the bags of skeletons and the replay say.
    """

    bag: str
    state: BagState
    reason: str = ""
    verdict: str = ""
    failed_conditions: str = ""
    same_bag: bool = True
    start_ns: int = 0
    seconds: float = 0.0
    baseline_frames: int = 0
    candidate_frames: int = 0
    compared_frames: int = 0
    missing_frames: int = 0
    extra_frames: int = 0
    baseline_persons: int = 0
    candidate_persons: int = 0
    matched_persons: int = 0
    lost: int = 0
    gained: int = 0
    moved: int = 0
    oks_mean: float | None = None
    oks_lowest: float | None = None
    baseline_model: str = ""
    candidate_model: str = ""
    baseline_loss: str = ""
    candidate_loss: str = ""


@dataclass(frozen=True)
class PersonRow:
    """One lost or gained person in one frame.

    ``x``, ``y``, ``width``, ``height`` is the box in image pixels, in the run that has the person;
    ``score`` is the person's there. ``time_s`` counts from the bag's first stamp.
    """

    bag: str
    kind: Kind
    cause: Cause
    stamp_ns: int
    time_s: float
    id: str
    x: float
    y: float
    width: float
    height: float
    score: float


@dataclass(frozen=True)
class FindingRow:
    """A person lost, gained or moved for some time, without a gap of more than 1 s.

    Attributes
    ----------
    start_ns, end_ns, start_utc, end_utc
        First and last stamp.
    start_s, end_s
        The same from the bag's first stamp.
    frames
        Number of frames.
    severity
        Frames, of a moved person weighted with 1 minus OKS.
    worst_ns
        The stamp of the lowest OKS; of a lost or gained person the middle one.
    oks_lowest
        Of a moved person, None of the others.
    link
        Opens the bag in Foxglove at the time before ``start_ns``; empty where the bag has no URL.
    """

    bag: str
    kind: Kind
    cause: Cause
    id: str
    start_ns: int
    end_ns: int
    start_utc: str
    end_utc: str
    start_s: float
    end_s: float
    frames: int
    severity: float
    worst_ns: int
    oks_lowest: float | None
    link: str = ""


@dataclass(frozen=True)
class SliceRow:
    """All bags with one value of one tag; ``tag`` and ``value`` are empty for all bags together.

    ``verdict`` and ``failed_conditions`` are those of the scenario on all of them together;
    ``failing_bags`` counts those that fail it by themselves, ``lacking_bags`` those that the
    candidate lacks. The other columns are sums of `BagRow`.
    """

    tag: str
    value: str
    verdict: str
    failed_conditions: str
    bags: int
    compared_bags: int
    lacking_bags: int
    failing_bags: int
    hours: float
    baseline_frames: int
    baseline_persons: int
    candidate_persons: int
    matched_persons: int
    lost: int
    gained: int
    moved: int
    oks_mean: float | None
