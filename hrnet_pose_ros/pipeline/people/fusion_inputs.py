# SPDX-License-Identifier: Apache-2.0
"""What the fusion receives, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum

from hrnet_pose_ros.fusion.person import StatusReason
from hrnet_pose_ros.fusion.refusals import Refusal, Tally


class Input(str, Enum):
    """What a message is for; the values are the node's topics and keys in diagnostics."""

    SKELETONS = "skeletons"
    SKELETON_INFO = "skeleton_info"
    CAMERA_INFO = "camera_info"
    DEPTH = "depth"
    DEPTH_INFO = "depth/camera_info"
    POINTS = "points"
    SCAN = "scan"
    RANGE = "range"
    IMU = "imu"
    ODOMETRY = "odom"
    TF = "tf"
    TF_STATIC = "tf_static"


# What the inputs become known by: they are kept, not used up, and taken also while inactive.
KEPT = (Input.SKELETON_INFO, Input.CAMERA_INFO, Input.DEPTH_INFO, Input.TF, Input.TF_STATIC)
SENSORS = {
    Input.DEPTH: StatusReason.DEPTH_SILENT,
    Input.POINTS: StatusReason.LIDAR_SILENT,
    Input.SCAN: StatusReason.SCAN_SILENT,
    Input.RANGE: StatusReason.ULTRASONIC_SILENT,
    Input.IMU: StatusReason.IMU_SILENT,
    Input.ODOMETRY: StatusReason.ODOMETRY_SILENT,
}


class InputAccount:
    """Counts the messages of each input, and keeps what was wrong with the last one refused.

    Attributes
    ----------
    problems
        The last explanation of a refusal, by input; `current_problems` has those that still hold.
    """

    def __init__(self) -> None:
        self.problems: dict[Input, str] = {}
        self._sound: set[Input] = set()  # whose problem is over: a later message was used
        self._tallies = {one: Tally() for one in Input}

    def count(self, what: Input, outcome: Refusal | None) -> None:
        """Count a message that goes no further: refused, or used if ``outcome`` is None."""
        self._tallies[what].count(outcome)

    def refuse(self, what: Input, reason: Refusal, text: str) -> None:
        """Count a message that is refused, and keep why."""
        self.count(what, reason)
        self.explain(what, text)

    def explain(self, what: Input, text: str) -> None:
        """Keep what is wrong with a message that is counted elsewhere."""
        self.problems[what] = text
        self._sound.discard(what)

    def sound(self, what: Input) -> None:
        """Note that a message was used: what was wrong before is over."""
        self._sound.add(what)

    def current_problems(self) -> dict[Input, str]:
        """Return the explanations of `problems`, without inputs that were used since then.

        A sensor that falls silent has not done so for what was wrong an hour before.
        """
        return {what: text for what, text in self.problems.items() if what not in self._sound}

    def totals(self, parts: Mapping[Input, Iterable[Tally]]) -> dict[Input, Tally]:
        """Return what became of all messages, with what went on and is counted in ``parts``."""
        return {what: _sum([own, *parts.get(what, ())]) for what, own in self._tallies.items()}


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally(reasons=Counter())
    for one in tallies:
        total.received += one.received
        total.used += one.used
        total.waiting += one.waiting
        total.reasons.update(one.reasons)
    return total
