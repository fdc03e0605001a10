# SPDX-License-Identifier: Apache-2.0
"""What one parameter is: its type, what it may be, when it may change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

SettingsT = TypeVar("SettingsT")


class Change(Enum):
    """When a parameter may be changed."""

    ANY_TIME = "any time"
    UNCONFIGURED = "while unconfigured"
    START = "at start only"


class ParameterError(ValueError):
    """A value that a parameter does not take; the message names both and what is allowed."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: its default decides its type (bool, int, float, str or a list of int or str).

    ``minimum`` and ``maximum`` bound a number, or each number of a list; ``choices`` lists the
    values that a string may take; ``length`` is a list's length (None: any).
    """

    name: str
    default: Any
    description: str
    change: Change = Change.ANY_TIME
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None

    @property
    def type_name(self) -> str:
        """The type in ROS's words."""
        if isinstance(self.default, list):
            return f"{_TYPE_NAMES[type(self.default[0])]}[]"
        return _TYPE_NAMES[type(self.default)]

    @property
    def range_text(self) -> str:
        """What values are allowed, for people; empty where all of the type are."""
        if self.choices:
            return ", ".join(f"`{choice}`" for choice in self.choices)
        if self.minimum is None or self.maximum is None:
            return ""
        return f"{self.minimum:g} to {self.maximum:g}"

    def checked(self, value: Any) -> Any:
        """Return the value in the parameter's type or raise ParameterError."""
        if isinstance(self.default, list):
            if not isinstance(value, (list, tuple)) and not hasattr(value, "tolist"):
                raise self._error(value, f"a list of {_TYPE_NAMES[type(self.default[0])]}")
            values = list(value)
            if self.length is not None and len(values) != self.length:
                raise self._error(value, f"{self.length} values")
            return [self._checked_one(one, type(self.default[0])) for one in values]
        return self._checked_one(value, type(self.default))

    def _checked_one(self, value: Any, kind: type[Any]) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)  # `max_age_ms: 500` in a YAML file is an integer
        if type(value) is not kind:  # a bool is no integer here
            raise self._error(value, _TYPE_NAMES[kind])
        if self.choices and value not in self.choices:
            raise self._error(value, "one of " + ", ".join(self.choices))
        if kind is float and not math.isfinite(value):
            raise self._error(value, "a finite number")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not low <= value <= high:
            raise self._error(value, f"{low:g} to {high:g}")
        return value

    def _error(self, value: Any, allowed: str) -> ParameterError:
        return ParameterError(f"parameter {self.name} is {value!r}; allowed: {allowed}")


def checked_settings(
    settings_class: Callable[..., SettingsT],
    parameters: Iterable[Parameter],
    values: Mapping[str, Any],
) -> SettingsT:
    """The settings of these values: an instance of a dataclass with a field for each parameter.

    Raises
    ------
    ParameterError
        A value is not allowed, by itself or (where the class checks that) with the others.
    """
    return settings_class(**{p.name: p.checked(values[p.name]) for p in parameters})


_TYPE_NAMES = {bool: "bool", int: "integer", float: "double", str: "string"}
