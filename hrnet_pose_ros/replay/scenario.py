# SPDX-License-Identifier: Apache-2.0
"""The scenario of a replay test: the conditions that a new bag must meet, read from YAML."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

Severity = Literal["ok", "warn", "error", "stale"]  # DiagnosticStatus.level 0 to 3
SEVERITIES = get_args(Severity)


# The upper limit of each number, by key; the lower limit is always 0.
UPPER_LIMITS = {
    "at_least": 1.0,
    "at_most": 1.0,
    "fraction": 1.0,
    "count": math.inf,
    "at_most_s": math.inf,
    "at_most_m": math.inf,
    "at_most_part": 1.0,
}


class Condition:
    """One condition; its attributes are the keys in the file."""

    def __post_init__(self) -> None:
        """Raise ValueError if a value is out of range."""
        for name, high in UPPER_LIMITS.items():
            value = getattr(self, name, None)
            if value is not None and not 0 <= value <= high:
                limits = "at least 0" if high == math.inf else f"between 0 and {high:g}"
                raise ValueError(f"{name} must be {limits}, got {value:g}")


@dataclass(frozen=True)
class OksCondition(Condition):
    """At least ``fraction`` of the matched skeletons have an OKS of at least ``at_least``."""

    at_least: float
    fraction: float


@dataclass(frozen=True)
class CountCondition(Condition):
    """At most ``count``, and at most the given ``fraction`` of those in the golden bag."""

    count: int | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count is None and self.fraction is None:
            raise ValueError("count, fraction or both must be given")


@dataclass(frozen=True)
class ContinuityCondition(Condition):
    """At least ``fraction`` of the persons seen again keep their id."""

    fraction: float


@dataclass(frozen=True)
class ChangeCondition(Condition):
    """At least ``fraction`` of the scores change by no more than ``at_most``, up or down."""

    at_most: float
    fraction: float


@dataclass(frozen=True)
class AgeCondition(Condition):
    """The 95th percentile of the skeletons' age is at most ``at_most_s`` seconds."""

    at_most_s: float
    required: bool = False


@dataclass(frozen=True)
class DropCondition(Condition):
    """At most ``fraction`` of the received images were dropped."""

    fraction: float
    required: bool = False


@dataclass(frozen=True)
class DiagnosticsCondition(Condition):
    """No status whose name contains ``node`` ever exceeded the level ``at_most``."""

    at_most: Severity
    node: str = "hrnet_pose"
    required: bool = False

    def __post_init__(self) -> None:
        """Nothing to check: the type of ``at_most`` already restricts its values."""


@dataclass(frozen=True)
class Scenario:
    """The conditions of a replay test; a condition that is None is not checked.

    ``topic`` is the SkeletonArray topic in both bags; if empty, it is found by its type.
    """

    name: str
    topic: str = ""
    oks: OksCondition | None = None
    missed_skeletons: CountCondition | None = None
    extra_skeletons: CountCondition | None = None
    missing_frames: CountCondition | None = None
    extra_frames: CountCondition | None = None
    id_continuity: ContinuityCondition | None = None
    person_score_change: ChangeCondition | None = None
    keypoint_score_change: ChangeCondition | None = None
    age_p95: AgeCondition | None = None
    drop_fraction: DropCondition | None = None
    diagnostics: DiagnosticsCondition | None = None

    def conditions(self) -> dict[str, Condition]:
        """The conditions that are set, by their keys, in the order above."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Condition)}

    @classmethod
    def of(cls, values: Any) -> Scenario:
        """Create a scenario from the content of its file.

        Raises
        ------
        ConfigError
            A key is unknown or missing, a value has the wrong type or is out of range, or there is
            no condition at all.
        """
        scenario = from_mapping(cls, values)
        if not scenario.conditions():
            known = [f.name for f in dataclasses.fields(cls) if f.name not in ("name", "topic")]
            raise ConfigError(f"there is no condition; set at least one of {', '.join(known)}")
        return scenario


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file (YAML 1.2; a duplicate key is an error).

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, or is not a scenario.
    """
    content = read_yaml(path, "scenario")
    try:
        return Scenario.of(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
