# SPDX-License-Identifier: Apache-2.0
"""Node parameters: type, allowed values and changeability of each, and a node's set of them."""

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
    """A value that a parameter does not allow; the message says which values are allowed."""


@dataclass(frozen=True)
class Parameter:
    """One parameter. The type of its default is its type: bool, int, float, str, or a list.

    Lists contain int or str. ``minimum`` and ``maximum`` bound a number, or each number of a list.
    ``choices`` lists the allowed values of a string. ``length`` is a list's length (None: any but
    0, because an empty list has no type in ROS 2).
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
        """The type as ROS 2 names it."""
        if isinstance(self.default, list):
            return f"{_TYPE_NAMES[type(self.default[0])]}[]"
        return _TYPE_NAMES[type(self.default)]

    @property
    def range_text(self) -> str:
        """A readable description of the allowed values; empty if every value of the type is."""
        if self.choices:
            return ", ".join(f"`{choice}`" for choice in self.choices)
        if self.minimum is None or self.maximum is None:
            return ""
        return f"{self.minimum:g} to {self.maximum:g}"

    def checked(self, value: Any) -> Any:
        """Return the value, converted to the parameter's type, or raise ParameterError."""
        if isinstance(self.default, list):
            kind = _TYPE_NAMES[type(self.default[0])]
            if value is None:  # what rcl makes of [] in a parameter file
                raise ParameterError(
                    f"parameter {self.name} is empty or has no value; allowed: a list of {kind}, "
                    "with at least one"
                )
            if not isinstance(value, (list, tuple)) and not hasattr(value, "tolist"):
                raise self._error(value, f"a list of {kind}")
            values = list(value)
            if self.length is None and not values:
                raise self._error(value, f"a list of {kind}, with at least one")
            if self.length is not None and len(values) != self.length:
                raise self._error(value, f"{self.length} values")
            return [self._checked_one(one, type(self.default[0])) for one in values]
        return self._checked_one(value, type(self.default))

    def _checked_one(self, value: Any, kind: type[Any]) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)  # `max_age_ms: 500` in a YAML file is an integer
        if type(value) is not kind:  # a bool is not accepted as an integer
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
    """Define a field of a `ParameterSet`; the arguments are those of `Parameter`."""
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
    """The values of all parameters of a node at one time; each field is a `parameter`.

    Example
    -------
    >>> @dataclass(frozen=True)
    ... class PlayerSettings(ParameterSet):
    ...     rate: float = parameter(10.0, "Images per second.", minimum=0.1, maximum=100.0)
    >>> PlayerSettings.of({"rate": 5})
    PlayerSettings(rate=5.0)
    >>> PlayerSettings.of({"rate": 0})
    Traceback (most recent call last):
    hrnet_pose_ros.pipeline.parameter.ParameterError: parameter rate is 0.0; allowed: 0.1 to 100
    """

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """Return the parameters by name, in the order of the fields."""
        return {
            field.name: Parameter(name=field.name, **field.metadata[_KEY])
            for field in dataclasses.fields(cls)
        }

    @classmethod
    def of(cls: type[SettingsT], values: Mapping[str, Any]) -> SettingsT:
        """Return settings with the values ``{name: value}``; other parameters have their defaults.

        Raises
        ------
        ParameterError
            There is no such parameter (the message suggests the nearest name), or the value is not
            allowed.
        """
        parameters = cls.parameters()
        for name in values:
            if name not in parameters:
                near = difflib.get_close_matches(name, parameters, n=1, cutoff=0.0)[0]
                raise ParameterError(f"there is no parameter {name}; the nearest is {near}")
        return cls(**{name: parameters[name].checked(value) for name, value in values.items()})
