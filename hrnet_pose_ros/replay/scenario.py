# SPDX-License-Identifier: Apache-2.0
"""The scenario of a replay test: which conditions a new bag has to meet, read from YAML."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

LEVELS = ("ok", "warn", "error", "stale")  # DiagnosticStatus.level 0 to 3


class ScenarioError(ValueError):
    """A scenario that cannot be used; the message names the file, the key and the value."""


# What a number may be at most, by its key; none may be below 0.
UPPER_LIMITS = {
    "at_least": 1.0,
    "at_most": 1.0,
    "share": 1.0,
    "count": math.inf,
    "at_most_s": math.inf,
}


class Condition:
    """One condition; its attributes are the keys in the file."""

    def check(self, place: str) -> None:
        """Raise ScenarioError where a value does not fit; ``place`` is the condition's key."""
        for name, high in UPPER_LIMITS.items():
            value = getattr(self, name, None)
            if value is not None and not 0 <= value <= high:
                limits = "at least 0" if high == math.inf else f"between 0 and {high:g}"
                raise ScenarioError(f"{place}.{name} must be {limits}, got {value:g}")


@dataclass(frozen=True)
class OksCondition(Condition):
    """At least ``share`` of the matched skeletons have an OKS of at least ``at_least``."""

    at_least: float
    share: float


@dataclass(frozen=True)
class CountCondition(Condition):
    """At most ``count``, and at most the share ``share`` of those in the golden bag."""

    count: int | None = None
    share: float | None = None

    def check(self, place: str) -> None:
        super().check(place)
        if self.count is None and self.share is None:
            raise ScenarioError(f"{place} needs count, share or both")


@dataclass(frozen=True)
class ContinuityCondition(Condition):
    """At least ``share`` of the persons seen again keep their id."""

    share: float


@dataclass(frozen=True)
class ChangeCondition(Condition):
    """At least ``share`` of the scores change by no more than ``at_most``, up or down."""

    at_most: float
    share: float


@dataclass(frozen=True)
class AgeCondition(Condition):
    """The 95th percentile of the skeletons' age is at most ``at_most_s`` seconds."""

    at_most_s: float
    required: bool = False


@dataclass(frozen=True)
class DropCondition(Condition):
    """At most ``share`` of the received images were dropped."""

    share: float
    required: bool = False


@dataclass(frozen=True)
class DiagnosticsCondition(Condition):
    """No status whose name contains ``node`` was ever above the level ``at_most``."""

    at_most: str
    node: str = "hrnet_pose"
    required: bool = False

    def check(self, place: str) -> None:
        if self.at_most not in LEVELS:
            raise ScenarioError(
                f"{place}.at_most must be one of {', '.join(LEVELS)}; got '{self.at_most}'"
            )


@dataclass(frozen=True)
class Scenario:
    """The conditions of a replay test; one that is None is not checked.

    ``topic`` names the SkeletonArray topic in both bags; empty: found by its type.
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
    drop_share: DropCondition | None = None
    diagnostics: DiagnosticsCondition | None = None

    def conditions(self) -> dict[str, Condition]:
        """The conditions that are set, by their keys, in the order above."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Condition)}

    @classmethod
    def of(cls, values: Any) -> Scenario:
        """Make a scenario of the mapping in the file.

        Raises
        ------
        ScenarioError
            A key is unknown or missing, a value has the wrong type or lies outside its range, or
            there is no condition at all.
        """
        scenario = _filled(cls, values, "")
        conditions = scenario.conditions()
        if not conditions:
            known = [name for name, kind in _kinds(cls).items() if kind is not str]
            raise ScenarioError(f"no condition; set one of {', '.join(known)}")
        for name, condition in conditions.items():
            condition.check(name)
        return scenario


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file (YAML 1.2; a key twice is an error).

    Raises
    ------
    ScenarioError
        The file is no YAML, or no scenario.
    OSError
        The file cannot be read.
    """
    try:
        return Scenario.of(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} is not readable YAML: {error}") from error


def _kinds(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _filled(cls: Any, values: Any, place: str) -> Any:
    """An instance of the dataclass from a mapping; every key is known and every value fits."""
    where = f"{place}." if place else ""
    kinds = _kinds(cls)
    if not isinstance(values, dict):
        name = place or "the scenario"
        raise ScenarioError(f"{name} must be a mapping with keys of {', '.join(kinds)}")
    for key in values:
        if key not in kinds:
            raise ScenarioError(f"unknown key '{where}{key}'; known are {', '.join(kinds)}")
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.name not in values:
            raise ScenarioError(f"the key '{where}{field.name}' is missing")
    return cls(**{key: _value(kinds[key], value, where + key) for key, value in values.items()})


def _value(kind: Any, value: Any, place: str) -> Any:
    if isinstance(kind, types.UnionType):  # "X | None": what is in the file is an X
        kind = next(one for one in typing.get_args(kind) if one is not type(None))
    if dataclasses.is_dataclass(kind):
        return _filled(kind, value, place)
    if kind is float and type(value) in (int, float):
        value = float(value)
    if type(value) is not kind:
        words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
        raise ScenarioError(f"{place} must be {words[kind]}, got {value!r}")
    return value
