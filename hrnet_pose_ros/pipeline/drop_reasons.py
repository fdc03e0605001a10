# SPDX-License-Identifier: Apache-2.0
"""Why an input was dropped: the complete lists of subjects and reasons, and their counters."""

from __future__ import annotations

import threading
from collections import Counter
from enum import Enum


class Subject(str, Enum):
    """What was dropped."""

    IMAGE = "images"
    DETECTIONS = "detections"  # a Detection2DArray message
    PERSON = "persons"  # one Detection2D of an array


class Reason(str, Enum):
    """Why it was dropped. The values are keys in diagnostics and must not change."""

    # images and detection messages
    UNMATCHED = "unmatched"  # no partner with a matching stamp
    NO_DETECTIONS_YET = "no_detections_yet"  # image newer than the detector's latest output
    LATE = "late"  # the stamp repeats or goes back by less than 1 s
    TIME_JUMP = "time_jump"  # was waiting when the stamps went back by 1 s or more
    CLOCK_DIFFERS = "clock_differs"  # stamp over 10 s from the node's clock, or in the future
    TOO_OLD = "too_old"  # older than max_age_ms when paired or before publication
    OVERWRITTEN = "overwritten"  # a newer image replaced it in the mailbox
    ENGINE_NOT_READY = "engine_not_ready"  # node inactive, or engine being made or failed
    UNREADABLE = "unreadable"  # malformed message, unknown encoding, truncated data
    # persons
    CLASS_NOT_WANTED = "class_not_wanted"
    SCORE_TOO_LOW = "score_too_low"
    DEGENERATE_BOX = "degenerate_box"  # not finite, no area, or entirely outside the image
    OVER_MAX_PERSONS = "over_max_persons"


class Drops:
    """Counters of dropped inputs since the start; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[Subject, Reason]] = Counter()

    def add(self, subject: Subject, reason: Reason, count: int = 1) -> None:
        """Add ``count`` dropped subjects; a count of 0 adds no entry."""
        if count:
            with self._lock:
                self._counts[subject, reason] += count

    def counts(self) -> dict[str, int]:
        """Return ``{"images.unmatched": 3, ...}``: the counters above 0, sorted by name."""
        with self._lock:
            items = list(self._counts.items())
        return {f"{s.value}.{r.value}": n for (s, r), n in sorted(items)}
