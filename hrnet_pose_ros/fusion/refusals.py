# SPDX-License-Identifier: Apache-2.0
"""Why a measurement was not used, where an estimate came from, and the counters of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntFlag


class Refusal(str, Enum):
    """The complete list of reasons. The values are keys in diagnostics and must not change."""

    # a message of a sensor
    MALFORMED = "malformed"  # values that no sensor can mean
    EMPTY = "empty"  # nothing in it is a measurement: no points, only NaN, only holes
    NO_CAMERA_INFO = "no_camera_info"  # no CameraInfo that fits has come
    NO_SKELETON_INFO = "no_skeleton_info"  # no SkeletonInfo that fits has come
    NOT_ACTIVE = "not_active"  # the node is not active
    OVERLOAD = "overload"  # newer messages came before this one could be read
    LATE = "late"  # the stamp repeats or goes back by less than 1 s
    TIME_JUMP = "time_jump"  # was waiting when the stamps or the clock went back
    TOO_OLD = "too_old"  # older than the limit on arrival
    IN_FUTURE = "in_future"  # stamp ahead of the clock
    NOT_NEEDED = "not_needed"  # no image came near its stamp, or a nearer message was used
    NO_EXTRINSICS = "no_extrinsics"  # the sensor's place at that stamp is not known
    # a cue of a person
    NO_MEASUREMENT = "no_measurement"  # the sensor sent nothing near the image's stamp
    JOINTS_MISSING = "joints_missing"  # the joints that the cue needs were not found
    TOO_SMALL = "too_small"  # the person is below the cue's smallest size in pixels
    TRUNCATED = "truncated"  # the joints that the cue needs lie at the border of the image
    NOT_UPRIGHT = "not_upright"  # the posture does not allow the cue
    ABOVE_HORIZON = "above_horizon"  # the ray does not meet the ground
    OUT_OF_VIEW = "out_of_view"  # the person is outside of the sensor's field of view
    NO_RETURN = "no_return"  # too few returns at the person
    OUT_OF_RANGE = "out_of_range"  # outside of what the sensor can measure
    BACKGROUND = "background"  # what was found is wider or higher than a person: a wall
    AMBIGUOUS = "ambiguous"  # the data allow two answers
    OTHER_PERSON = "other_person"  # the returns belong to a person who fits them better
    DISAGREES = "disagrees"  # beyond the gate: contradicted by other cues


class Source(IntFlag):
    """What contributed to an estimate; the bits of ``Person.sources``."""

    NONE = 0
    GROUND = 1
    BODY_LENGTH = 2
    DEPTH = 4
    LIDAR = 8
    SCAN = 16
    ULTRASONIC = 32
    IMU = 64
    ODOMETRY = 128


@dataclass
class Tally:
    """Counts of what one sensor sent or one cue was asked for.

    ``received == used + refused + waiting`` at any time.
    """

    received: int = 0
    used: int = 0
    waiting: int = 0
    reasons: Counter[Refusal] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """How many were refused, for any reason."""
        return sum(self.reasons.values())

    def count(self, outcome: Refusal | None) -> None:
        """Count one that was received, and used if ``outcome`` is None."""
        self.count_all([outcome])

    def count_all(self, outcomes: Sequence[Refusal | None]) -> None:
        """Count several likewise."""
        used = outcomes.count(None)
        self.received += len(outcomes)
        self.used += used
        if used < len(outcomes):
            self.reasons.update(reason for reason in outcomes if reason is not None)
