# SPDX-License-Identifier: Apache-2.0
"""What the fusion node has published, as values: people, and the counts of its diagnostics."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray

from demo.play import NodeOutputs, Recording
from hrnet_pose_ros.fusion.person import (
    Facing,
    Gesture,
    MotionState,
    People,
    PeopleStatus,
    Person,
    Posture,
    StatusReason,
)
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.msg import PersonArray
from hrnet_pose_ros.pipeline.stamps import stamp_of

PEOPLE = "/people"


def has_people(message: Any) -> bool:
    """Whether a PersonArray answers an image; if not, it says why there are no people."""
    return bool(message.status != PersonArray.ERROR)


PEOPLE_OUTPUTS = NodeOutputs(
    {PEOPLE: PersonArray, "/diagnostics": DiagnosticArray},
    ready="/diagnostics",
    answers=PEOPLE,
    is_answer=has_people,
    lifecycle_node="/person_fusion",
)


@dataclass
class Account:
    """What became of the messages of an input, or of a cue of the persons."""

    received: int = 0
    used: int = 0
    waiting: int = 0
    lost: int = 0  # by the middleware, so not received
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def balanced(self) -> bool:
        """Whether received = used + refused + waiting."""
        return self.received == self.used + self.refused.total() + self.waiting


@dataclass(frozen=True)
class NodeReport:
    """The node's diagnostics at one time: ``stamp`` in the time of the drive, ns."""

    stamp: int
    inputs: dict[str, Account]
    cues: dict[str, Account]
    latency: dict[str, float]  # ms, from the skeletons' arrival in the node to people


@dataclass(frozen=True)
class FusionAnswers:
    """All answers of the node. Stamps are in the time of the drive, ns.

    Attributes
    ----------
    people
        By the stamp of the image.
    arrivals
        When they arrived, by the same stamps, ns on the wall clock.
    errors
        How many messages said that there are no people, and why.
    reports
        In their order.
    """

    people: dict[int, People]
    arrivals: dict[int, int]
    errors: int
    reports: list[NodeReport]

    def refused_before(self, stamp: int) -> Counter[tuple[str, str]]:
        """How often each cue was refused, by cue and reason, between the last two reports."""
        last = bisect_right([report.stamp for report in self.reports], stamp) - 1
        if last < 1:
            return Counter()
        before, after = (_refusals(self.reports[place]) for place in (last - 1, last))
        return after - before


def answers_of(recording: Recording) -> FusionAnswers:
    """The answers in a recording."""
    people, arrivals, errors = {}, {}, 0
    times = [arrival for topic, arrival, _ in recording.messages if topic == PEOPLE]
    for message, arrival in zip(recording.of(PEOPLE), times, strict=True):
        if not has_people(message):
            errors += 1
            continue
        stamp = stamp_of(message) - recording.offset
        people[stamp], arrivals[stamp] = people_of(message, stamp), arrival
    reports = [
        _report(message, stamp_of(message) - recording.offset)
        for message in recording.of("/diagnostics")
    ]
    return FusionAnswers(people, arrivals, errors, [report for report in reports if report.inputs])


def people_of(message: Any, stamp: int) -> People:
    """The people of a PersonArray whose status is not ERROR."""
    reasons = tuple(StatusReason(word) for word in message.reasons)
    people = People(stamp, tuple(map(_person, message.people)), Source.NONE, reasons)
    assert people.status is PeopleStatus(message.status)
    return people


def _person(message: Any) -> Person:
    place, velocity = message.position, message.velocity
    return Person(
        id=message.id,
        detection_id=message.detection_id,
        skeleton_index=message.skeleton_index,
        position=np.array([place.x, place.y, place.z]),
        velocity=np.array([velocity.x, velocity.y, velocity.z]),
        covariance=np.array(message.covariance).reshape(6, 6),
        existence=message.existence,
        height=message.height,
        height_variance=message.height_variance,
        radius=message.radius,
        radius_variance=message.radius_variance,
        heading=message.heading,
        heading_variance=message.heading_variance,
        posture=Posture(message.posture),
        posture_probability=message.posture_probability,
        motion=MotionState(message.motion),
        motion_probability=message.motion_probability,
        facing=Facing(message.facing),
        facing_probability=message.facing_probability,
        gesture=Gesture(message.gesture),
        gesture_probability=message.gesture_probability,
        child_probability=message.child_probability,
        sources=Source(message.sources),
        measurement_age=message.measurement_age,
    )


def _report(message: Any, stamp: int) -> NodeReport:
    report = NodeReport(stamp, {}, {}, {})
    accounts = {"input": report.inputs, "cues": report.cues}
    for status in message.status:
        node, _, part = status.name.partition(": ")
        if not node.endswith("person_fusion"):
            continue
        values = {value.key: value.value for value in status.values}
        if part in accounts:
            accounts[part].update(_accounts(values))
        report.latency.update(
            {
                key.removeprefix("latency_ms."): float(value)
                for key, value in values.items()
                if key.startswith("latency_ms.")
            }
        )
    return report


def _accounts(values: dict[str, str]) -> dict[str, Account]:
    """The accounts in values like ``received.NAME``, ``refused.NAME.REASON``."""
    accounts: dict[str, Account] = {}
    for key, value in values.items():
        what, _, name = key.partition(".")
        if what == "refused":
            name, _, reason = name.partition(".")
            if reason:
                accounts.setdefault(name, Account()).refused[reason] = int(value)
        elif what in ("received", "used", "waiting", "lost"):
            setattr(accounts.setdefault(name, Account()), what, int(value))
    return accounts


def _refusals(report: NodeReport) -> Counter[tuple[str, str]]:
    return Counter(
        {
            (cue, reason): count
            for cue, account in report.cues.items()
            for reason, count in account.refused.items()
        }
    )
