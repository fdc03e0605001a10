# SPDX-License-Identifier: Apache-2.0
"""YAML files into dataclasses: every key is known, every value has its field's type."""

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

_WORDS = {
    float: "a number",
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    tuple: "a list",
    Mapping: "a map of keys to values",
}


class ConfigError(ValueError):
    """A file's content cannot be used; the message names place, key or value, and the way out."""


def read_yaml(path: Path, kind: str) -> Any:
    """What a file in YAML 1.2 holds; ``kind`` is what the message calls the file.

    Raises
    ------
    ConfigError
        The file cannot be read or is not YAML; a key that stands twice is an error too.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{kind} '{path}' cannot be read: {error}") from None
    except YAMLError as error:
        raise ConfigError(f"{kind} '{path}' is not YAML: {error}") from None


def from_mapping(kind: type[Config], content: Any, place: str = "") -> Config:
    """Build a dataclass from what a YAML file holds.

    Fields may be numbers, texts, bools, Literals, tuples, Mappings and dataclasses of such; one
    that may be None takes ``null``, but not where it is a dataclass: a section that stands in the
    file without content is more likely a mistake. A ValueError of the dataclass is passed on as
    ConfigError.

    Parameters
    ----------
    kind
        The dataclass.
    content
        What `read_yaml` gave.
    place
        Where in the file it stood, for the message: ``stages[0]``; empty for the file itself.

    Raises
    ------
    ConfigError
        An unknown key (the nearest known one is named), a missing one, or a value of another
        type or out of range.

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
    hrnet_pose_ros.yaml_config.ConfigError: there is no 'topik'; the nearest key is 'topic'
    """
    where = f"{place}: " if place else ""
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}must be a map with keys of {', '.join(fields)}; got {content!r}")
    for key in content:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where}there is no {key!r}; the nearest key is '{near}'")
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
    """``value`` as ``hint`` wants it; a whole number will do where a float is wanted."""
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
    raise ConfigError(f"{place} must be {_WORDS[origin or hint]}, got {value!r}")
