# SPDX-License-Identifier: Apache-2.0
"""What one parameter is: its type, what it may be, when it may change; and a node's set of them."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

Value = TypeVar("Value")
SettingsT = TypeVar("SettingsT", bound="ParameterSet")

_KEY = "parameter"  # in a field's metadata


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


_TYPE_NAMES = {bool: "bool", int: "integer", float: "double", str: "string"}


def parameter(
    default: Value,
    description: str,
    change: Change = Change.ANY_TIME,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    length: int | None = None,
) -> Value:
    """A field of a `ParameterSet`; the arguments are those of `Parameter`."""
    facts = dict(
        default=default,
        description=description,
        change=change,
        minimum=minimum,
        maximum=maximum,
        choices=choices,
        length=length,
    )

    def fresh() -> Value:
        return list(default) if isinstance(default, list) else default  # type: ignore[return-value]

    field: Value = dataclasses.field(default_factory=fresh, metadata={_KEY: facts})
    return field


@dataclass(frozen=True)
class ParameterSet:
    """The values of all parameters of a node at one time: each field is a `parameter`.

    Example
    -------
    >>> @dataclass(frozen=True)
    ... class PlayerSettings(ParameterSet):
    ...     rate: float = parameter(10.0, "Images a second.", minimum=0.1, maximum=100.0)
    >>> PlayerSettings.of({"rate": 5})
    PlayerSettings(rate=5.0)
    >>> PlayerSettings.of({"rate": 0})
    Traceback (most recent call last):
    hrnet_pose_ros.pipeline.parameter.ParameterError: parameter rate is 0.0; allowed: 0.1 to 100
    """

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """What the fields are, by name, in their order."""
        return {
            field.name: Parameter(name=field.name, **field.metadata[_KEY])
            for field in dataclasses.fields(cls)
        }

    @classmethod
    def of(cls: type[SettingsT], values: Mapping[str, Any]) -> SettingsT:
        """Check ``{name: value}`` and return them; a parameter that is left out has its default.

        Raises
        ------
        ParameterError
            There is no such parameter (the nearest name is named), or it does not take the value.
        """
        parameters = cls.parameters()
        for name in values:
            if name not in parameters:
                near = difflib.get_close_matches(name, parameters, n=1, cutoff=0.0)[0]
                raise ParameterError(f"there is no parameter {name}; the nearest is {near}")
        return cls(**{name: parameters[name].checked(value) for name, value in values.items()})
