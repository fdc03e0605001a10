# SPDX-License-Identifier: Apache-2.0
"""Loads YAML files into dataclasses, with checked keys and value types."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Config = TypeVar("Config")

_TYPE_NAMES = {
    float: "a number",
    int: "an integer",
    str: "a string",
    bool: "true or false",
    tuple: "a list",
    Mapping: "a mapping",
}


class ConfigError(ValueError):
    """The content of a file is invalid; the message names the place, key or value, and a fix."""


def read_yaml(path: Path, kind: str) -> Any:
    """Read a file in YAML 1.2; ``kind`` names the kind of file in error messages.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, or contains a duplicate key.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{kind} '{path}' cannot be read: {error}") from None
    except YAMLError as error:
        raise ConfigError(f"{kind} '{path}' is not YAML: {error}") from None


def from_mapping(kind: type[Config], content: Any, place: str = "") -> Config:
    """Build a dataclass from the content of a YAML file.

    Fields may be numbers, strings, bools, Literals, tuples, Mappings and dataclasses of these.
    Optional fields accept ``null``, unless they are dataclasses: an empty section in the file is
    more likely a mistake. A ValueError raised by the dataclass becomes a ConfigError.

    Parameters
    ----------
    kind
        The dataclass.
    content
        The result of `read_yaml`.
    place
        Position in the file for error messages, like ``stages[0]``; empty for the whole file.

    Raises
    ------
    ConfigError
        A key is unknown (the message names the nearest known key) or missing, or a value has the
        wrong type or is out of range.

    Example
    -------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Camera:
    ...     topic: str
    ...     rate: float = 10.0
    >>> from_mapping(Camera, {"topic": "/front", "rate": 5})
    Camera(topic='/front', rate=5.0)
    >>> from_mapping(Camera, {"topik": "/front"})
    Traceback (most recent call last):
    hrnet_pose_ros.yaml_config.ConfigError: unknown key 'topik'; the nearest key is 'topic'
    """
    where = f"{place}: " if place else ""
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{where}must be a mapping with the keys {', '.join(fields)}; got {content!r}"
        )
    for key in content:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.0)[0]
            similar = difflib.get_close_matches(str(key), fields, n=1)
            known = "" if similar else f" (known keys: {', '.join(fields)})"
            raise ConfigError(f"{where}unknown key {key!r}; the nearest key is '{near}'{known}")
    missing = [
        name
        for name, field in fields.items()
        if name not in content
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}{', '.join(map(repr, missing))} must be given")
    hints = typing.get_type_hints(kind)
    values = {
        key: _value(hints[key], value, f"{place}.{key}" if place else key)
        for key, value in content.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(f"{where}{error}") from None


def _value(hint: Any, value: Any, place: str) -> Any:
    """``value`` converted to the type ``hint``; an integer is accepted as a float."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:  # only ever "something or None"
        inner = next(one for one in arguments if one is not type(None))
        if value is None and not dataclasses.is_dataclass(inner):
            return None
        return _value(inner, value, place)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        return from_mapping(typing.cast(type, hint), value, place)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(arguments[0], one, f"{place}[{i}]") for i, one in enumerate(value))
    if origin is Mapping and isinstance(value, Mapping):
        return {str(k): _value(arguments[1], one, f"{place}.{k}") for k, one in value.items()}
    if origin is Literal:
        if str(value) in arguments:
            return str(value)
        raise ConfigError(f"{place} must be one of {', '.join(arguments)}; got {value!r}")
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise ConfigError(f"{place} must be {_TYPE_NAMES[origin or hint]}, got {value!r}")
