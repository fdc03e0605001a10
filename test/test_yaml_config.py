# SPDX-License-Identifier: Apache-2.0
"""YAML into dataclasses; scenarios, training configurations and the zoo test the messages."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from hrnet_pose_ros import yaml_config
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml


@dataclass(frozen=True)
class Part:
    size: float
    name: str = "part"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size must be 0 or more, got {self.size:g}")


@dataclass(frozen=True)
class Whole:
    first: Part
    parts: tuple[Part, ...] = ()
    named: Mapping[str, Part] | None = None
    spare: Part | None = None
    count: int | None = 3
    kind: Literal["a", "b"] = "a"


def test_everything_at_once() -> None:
    content = {
        "first": {"size": 1},
        "parts": [{"size": 2.5, "name": "x"}],
        "named": {"y": {"size": 0}},
        "spare": Part(7.0),
        "count": None,
        "kind": "b",
    }
    assert from_mapping(Whole, content) == Whole(
        first=Part(1.0),
        parts=(Part(2.5, "x"),),
        named={"y": Part(0.0)},
        spare=Part(7.0),
        count=None,
        kind="b",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "must be a mapping with the keys first, parts, named, spare, count, kind; got None"),
        ({}, "'first' must be given"),
        ({"first": {"size": -1}}, "first: size must be 0 or more, got -1"),
        ({"first": {"size": 1, "nam": "x"}}, "first: unknown key 'nam'; the nearest key is 'name'"),
        ({"first": {"size": "1"}}, "first.size must be a number, got '1'"),
        ({"first": {"size": True}}, "first.size must be a number, got True"),
        ({"first": {"size": 1, "name": None}}, "first.name must be a string, got None"),
        ({"first": {"size": 1}, "parts": [{"size": 1}, {}]}, "parts[1]: 'size' must be given"),
        ({"first": {"size": 1}, "parts": 3}, "parts must be a list, got 3"),
        ({"first": {"size": 1}, "named": [1]}, "named must be a mapping, got [1]"),
        (
            {"first": {"size": 1}, "named": {"y": 1}},
            "named.y: must be a mapping with the keys size",
        ),
        (
            {"first": {"size": 1}, "spare": None},
            "spare: must be a mapping with the keys size, name",
        ),
        ({"first": {"size": 1}, "count": 1.0}, "count must be an integer, got 1.0"),
        ({"first": {"size": 1}, "kind": "c"}, "kind must be one of a, b; got 'c'"),
    ],
)
def test_mistakes_are_named(content: Any, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_mapping(Whole, content)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "is not YAML"), ("a: 1\na: 2", "is not YAML"), (None, "cannot be read")],
)
def test_a_file_that_cannot_be_read(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"recipe '.*mine\.yaml' {words}: "):
        read_yaml(path, "recipe")


def test_the_example_in_the_docstring() -> None:
    done = doctest.testmod(yaml_config)
    assert (done.attempted, done.failed) == (3, 0)
