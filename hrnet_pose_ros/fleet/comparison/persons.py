# SPDX-License-Identifier: Apache-2.0
"""Who is lost, gained or elsewhere in the frames of two runs, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from hrnet_pose_ros.fleet.comparison.rows import Cause, FindingRow, Kind, PersonRow
from hrnet_pose_ros.replay.answers import SkeletonFrame
from hrnet_pose_ros.replay.comparison import Comparison, FrameComparison

# Rows of one person further apart than this are two findings, ns.
GAP_NS = 1_000_000_000
# A pair with a lower OKS is a moved person, unless `--moved-below` says otherwise.
MOVED_BELOW = 0.5


@dataclass(frozen=True)
class Event:
    """One person in one frame.

    ``frame`` is None where one run has no such frame; ``oks`` is that of a moved person.
    """

    row: PersonRow
    frame: FrameComparison | None
    oks: float | None = None


@dataclass(frozen=True)
class PersonFinding:
    """The rows of one person that belong together, and the one to be looked at."""

    row: FindingRow
    worst: Event


def events_of(bag: str, comparison: Comparison, moved_below: float) -> list[Event]:
    """All lost, gained and moved persons of a bag, in order of time.

    A person is there if a joint scores above 0.2 (`Poses.person_scores`): a skeleton without one
    is in the message because a detection was, and says that nothing was found.

    Parameters
    ----------
    moved_below
        OKS below which a pair is moved.
    """
    stamps = [*comparison.golden.frames, *comparison.new.frames]
    start = min(stamps, default=0)
    events: list[Event] = []

    def add(
        kind: Kind,
        cause: Cause,
        run: SkeletonFrame,
        person: int,
        frame: FrameComparison | None = None,
        oks: float | None = None,
    ) -> None:
        x, y, width, height = run.boxes[person].tolist()
        row = PersonRow(
            bag=bag,
            kind=kind,
            cause=cause,
            stamp_ns=run.stamp,
            time_s=(run.stamp - start) / 1e9,
            id=run.ids[person],
            x=x,
            y=y,
            width=width,
            height=height,
            score=float(run.person_scores[person]),
        )
        events.append(Event(row, frame, oks))

    for stamp in comparison.missing_frames:
        run = comparison.golden.frames[stamp]
        for person in np.flatnonzero(_there(run)):
            add("lost", "frame", run, int(person))
    for stamp in comparison.extra_frames:
        run = comparison.new.frames[stamp]
        for person in np.flatnonzero(_there(run)):
            add("gained", "frame", run, int(person))
    for frame in comparison.frames:
        golden, new = frame.golden, frame.new
        in_golden, in_new = _there(golden), _there(new)
        a, b = frame.pairs[:, 0], frame.pairs[:, 1]
        for person in _without(in_golden, a):
            add("lost", "box", golden, person, frame)
        for person in _without(in_new, b):
            add("gained", "box", new, person, frame)
        for m in np.flatnonzero(in_golden[a] & ~in_new[b]):
            add("lost", "key points", golden, int(a[m]), frame)
        for m in np.flatnonzero(~in_golden[a] & in_new[b]):
            add("gained", "key points", new, int(b[m]), frame)
        for m in np.flatnonzero(in_golden[a] & in_new[b] & (frame.oks < moved_below)):
            add("moved", "", golden, int(a[m]), frame, float(frame.oks[m]))
    events.sort(key=lambda event: (event.row.stamp_ns, event.row.kind, event.row.id))
    return events


def _there(run: SkeletonFrame) -> np.ndarray:
    return run.poses.person_scores() > 0


def _without(there: np.ndarray, paired: np.ndarray) -> Iterator[int]:
    alone = there.copy()
    alone[paired] = False
    yield from np.flatnonzero(alone).tolist()


def findings_of(events: Sequence[Event]) -> list[PersonFinding]:
    """Join the rows of each person, worst finding first."""
    groups: dict[tuple[str, str], list[list[Event]]] = {}
    for event in events:
        parts = groups.setdefault((event.row.kind, event.row.id), [])
        if parts and event.row.stamp_ns - parts[-1][-1].row.stamp_ns <= GAP_NS:
            parts[-1].append(event)
        else:
            parts.append([event])
    found = [_finding(part) for parts in groups.values() for part in parts]
    return sorted(found, key=lambda one: (-one.row.severity, one.row.start_ns, one.row.id))


def _finding(events: list[Event]) -> PersonFinding:
    first, last = events[0].row, events[-1].row
    similarities = [event.oks for event in events if event.oks is not None]
    if similarities:
        worst = min(events, key=lambda event: 1.0 if event.oks is None else event.oks)
    else:
        drawable = [event for event in events if event.frame is not None] or events
        worst = drawable[len(drawable) // 2]
    start = first.stamp_ns - round(first.time_s * 1e9)
    row = FindingRow(
        bag=first.bag,
        kind=first.kind,
        cause=worst.row.cause,
        id=first.id,
        start_ns=first.stamp_ns,
        end_ns=last.stamp_ns,
        start_utc=utc_text(first.stamp_ns),
        end_utc=utc_text(last.stamp_ns),
        start_s=first.time_s,
        end_s=(last.stamp_ns - start) / 1e9,
        frames=len(events),
        severity=float(sum(1 - (event.oks or 0.0) for event in events)),
        worst_ns=worst.row.stamp_ns,
        oks_lowest=min(similarities, default=None),
    )
    return PersonFinding(row, worst)


def utc_text(stamp_ns: int) -> str:
    """A stamp in RFC 3339 with nanoseconds.

    Examples
    --------
    >>> utc_text(1_750_000_000_100_000_000)
    '2025-06-15T15:06:40.100000000Z'
    """
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    try:
        whole = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):  # no date of our calendar
        return ""
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
