# SPDX-License-Identifier: Apache-2.0
"""The scenario of a replay test of people: the conditions that a new bag must meet, from YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hrnet_pose_ros.replay.scenario import (
    Condition,
    ContinuityCondition,
    CountCondition,
    Scenario,
)
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

OF_PEOPLE = "people"


@dataclass(frozen=True)
class PositionCondition(Condition):
    """At least ``fraction`` of the matched persons are within ``at_most_m`` of the golden ones.

    ``at_most_part`` of the golden person's distance is added.
    """

    at_most_m: float
    fraction: float
    at_most_part: float = 0.0


@dataclass(frozen=True)
class FractionCondition(Condition):
    """At least ``fraction`` of the matched persons."""

    fraction: float


@dataclass(frozen=True)
class PeopleScenario:
    """The conditions of a replay test of people; a condition that is None is not checked.

    Attributes
    ----------
    of
        The word that tells such a scenario from one of skeletons.
    golden_topic, topic
        The PersonArray topics in the golden and in the new bag; if empty, found by their type.
    match_within_m, match_within_part
        Persons further apart than this, m plus a part of the distance, are not the same.
    position, two_sigma
        Of the matched persons: how far they are apart, and how many golden positions lie inside of
        the new 2 sigma ellipse (86 % of those with a consistent covariance).
    error_arrays
        PersonArrays of status ERROR in the new bag; the fraction is of the golden frames.
    """

    name: str
    of: Literal["people"]
    golden_topic: str = ""
    topic: str = ""
    match_within_m: float = 1.0
    match_within_part: float = 0.15
    position: PositionCondition | None = None
    two_sigma: FractionCondition | None = None
    missed_people: CountCondition | None = None
    extra_people: CountCondition | None = None
    missing_frames: CountCondition | None = None
    extra_frames: CountCondition | None = None
    error_arrays: CountCondition | None = None
    id_continuity: ContinuityCondition | None = None

    def __post_init__(self) -> None:
        if not 0 < self.match_within_m < 100:
            raise ValueError(f"match_within_m must be from 0 to 100, got {self.match_within_m:g}")
        if not 0 <= self.match_within_part <= 1:
            raise ValueError(
                f"match_within_part must be between 0 and 1, got {self.match_within_part:g}"
            )

    def conditions(self) -> dict[str, Condition]:
        """The conditions that are set, by their keys, in the order above."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Condition)}

    @classmethod
    def parse(cls, values: Any) -> PeopleScenario:
        """Create a scenario from the content of its file; ConfigError as for `Scenario.of`."""
        scenario = from_mapping(cls, values)
        if not scenario.conditions():
            kinds = {f.name: str(f.type) for f in dataclasses.fields(cls)}
            known = [name for name, kind in kinds.items() if "Condition" in kind]
            raise ConfigError(f"there is no condition; set at least one of {', '.join(known)}")
        return scenario


def read_any_scenario(path: Path) -> Scenario | PeopleScenario:
    """Read a scenario file of skeletons, or of people if it says ``of: people``.

    Raises ConfigError as `read_scenario` does.
    """
    content = read_yaml(path, "scenario")
    of_people = isinstance(content, Mapping) and content.get("of") == OF_PEOPLE
    try:
        return PeopleScenario.parse(content) if of_people else Scenario.of(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
