# SPDX-License-Identifier: Apache-2.0
"""Conditions of a node that runs but says nothing: no answers to images, or never a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.ros.diagnostic_status import DiagnosticCondition, DiagnosticLevel

# Seconds without an answer, while images are dropped, after which the node reports an error.
NO_ANSWERS = 3.0
# The node warns when the first so many detections, or all degenerate boxes of a window, count as
# nobody. A street without persons has other detections too.
FEW_DETECTIONS = 10
# At most so many class names are listed.
MAX_CLASSES = 5

# What to do about images that are not used.
_WAYS_OUT = {
    Reason.UNMATCHED: (
        "no detections have the stamps of the images: compare the stamps of both, and set "
        "sync_tolerance_ms"
    ),
    Reason.NO_DETECTIONS_YET: (
        "the detector has not answered in time: check that it runs, or raise max_wait_ms and "
        "max_age_ms"
    ),
    Reason.LATE: (
        "the stamps repeat or go back: the driver repeats images, its clock stands still, or two "
        "publishers share the topic"
    ),
    Reason.TIME_JUMP: "the clock or the stamps keep going back",
    Reason.CLOCK_DIFFERS: "see the status input",
    Reason.TOO_OLD: (
        "the camera, the detector or this computer is too slow for max_age_ms: compare the stages "
        "in the log, make them faster, or raise max_age_ms"
    ),
    Reason.OVERWRITTEN: "the engine is too slow for the images",
    Reason.ENGINE_NOT_READY: "see the status engine",
    Reason.UNREADABLE: "the camera driver has to send another encoding or format",
}


@dataclass(frozen=True)
class NodeCounts:
    """Counters since the start of the node: answers, persons in them, and drops by their keys."""

    answers: int = 0
    persons: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)

    def dropped_since(self, before: NodeCounts, subject: Subject) -> dict[Reason, int]:
        """Return how many of a subject were dropped since then, for each reason with any."""
        counts = {}
        for reason in Reason:
            key = f"{subject.value}.{reason.value}"
            if count := self.drops.get(key, 0) - before.drops.get(key, 0):
                counts[reason] = count
        return counts


class NoAnswers:
    """Watches the counters from report to report; the caller serialises."""

    def __init__(self) -> None:
        self._last_answer = 0.0  # time of the report in which the last answer was counted
        self._at_last_answer: NodeCounts | None = None
        self._first = NodeCounts()  # when the choice of persons began to be judged

    def judge_persons_anew(self, counts: NodeCounts) -> None:
        """Forget that persons were accepted: the parameters have changed, or the detector."""
        self._first = counts

    def conditions(
        self,
        now: float,
        active: bool,
        counts: NodeCounts,
        window: NodeCounts,
        details: Mapping[Reason, str],
        classes: Iterable[str],
    ) -> list[DiagnosticCondition]:
        """Return what is wrong at ``now``, seconds on the steady clock.

        Parameters
        ----------
        counts, window
            The counters now, and those of several seconds ago.
        details
            The last explanation of each reason that has one.
        classes
            The classes of the detections that were left out because of their class.
        """
        before = self._at_last_answer
        if not active or before is None or counts.answers > before.answers:
            self._last_answer, self._at_last_answer = now, counts
            before = counts
        found = []
        dropped = counts.dropped_since(before, Subject.IMAGE)
        if dropped and now - self._last_answer >= NO_ANSWERS:
            text = _no_answers(now - self._last_answer, dropped, details)
            found.append(DiagnosticCondition("no_answers", DiagnosticLevel.ERROR, text))
        if active and (text := self._nobody(counts, window, classes)):
            found.append(DiagnosticCondition("no_persons", DiagnosticLevel.WARN, text))
        return found

    def _nobody(self, counts: NodeCounts, window: NodeCounts, classes: Iterable[str]) -> str:
        """Return why no detection counts as a person; empty if that is no fault."""
        left_out = counts.dropped_since(self._first, Subject.PERSON)
        if counts.persons == self._first.persons and sum(left_out.values()) >= FEW_DETECTIONS:
            reason = max(left_out, key=lambda one: left_out[one])
        elif counts.persons == window.persons:
            left_out = counts.dropped_since(window, Subject.PERSON)
            reason = Reason.DEGENERATE_BOX
            if left_out.get(reason, 0) < FEW_DETECTIONS:
                return ""
        else:
            return ""
        text = f"none of {sum(left_out.values())} detections is used as a person"
        if reason is Reason.CLASS_NOT_WANTED:
            names = sorted(classes)
            shown = ", ".join(repr(name[:40]) for name in names[:MAX_CLASSES])
            more = ", …" if len(names) > MAX_CLASSES else ""
            return f"{text}: their classes are {shown}{more}; add that of a person to class_ids"
        if reason is Reason.SCORE_TOO_LOW:
            return f"{text}: their scores are below min_detection_score"
        return (
            f"{text}: their boxes are degenerate (in normalised coordinates, or outside of the "
            "image); the detector has to report pixels, or set detector_size"
        )


def _no_answers(seconds: float, dropped: dict[Reason, int], details: Mapping[Reason, str]) -> str:
    total = sum(dropped.values())
    reason = max(dropped, key=lambda one: dropped[one])
    counted = f"{dropped[reason]} of {total} images were dropped as {reason.value}"
    detail = f" ({details[reason]})" if reason in details else ""
    return f"no answers for {seconds:.0f} s: {counted}{detail}; {_WAYS_OUT[reason]}"
