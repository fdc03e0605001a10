# SPDX-License-Identifier: Apache-2.0
"""Scenarios: what is accepted, and that every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_pose_ros.replay.scenario import (
    CountCondition,
    OksCondition,
    Scenario,
    read_scenario,
)
from hrnet_pose_ros.yaml_config import ConfigError

OKS = {"at_least": 0.9, "fraction": 0.99}


def test_values_and_defaults() -> None:
    scenario = Scenario.of({"name": "x", "oks": OKS, "missed_skeletons": {"fraction": 0}})
    assert scenario.oks == OksCondition(at_least=0.9, fraction=0.99)
    assert scenario.missed_skeletons == CountCondition(count=None, fraction=0.0)
    assert scenario.topic == ""
    assert list(scenario.conditions()) == ["oks", "missed_skeletons"]


def test_the_bundled_one(root: Path) -> None:
    scenario = read_scenario(root / "demo" / "street_scenario.yaml")
    assert {"oks", "missed_skeletons", "extra_skeletons", "missing_frames"} <= set(
        scenario.conditions()
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "must be a mapping with the keys name, topic, oks"),  # an empty file
        ([1], "must be a map"),
        ({"oks": OKS}, "'name' must be given"),
        ({"name": "x"}, "no condition; set one of oks, missed_skeletons"),
        ({"name": 3, "oks": OKS}, "name must be a string, got 3"),
        ({"name": "x", "osk": OKS}, "unknown key 'osk'; the nearest key is 'oks'"),
        ({"name": "x", "oks": {**OKS, "above": 1}}, "oks: unknown key 'above'; the nearest key is"),
        (
            {"name": "x", "oks": {"at_least": 1, "share": 1}},
            "oks: unknown key 'share'; the nearest key is 'at_least' "
            "(known keys: at_least, fraction)",
        ),
        (
            {"name": "x", "drop_share": {}},
            "unknown key 'drop_share'; the nearest key is 'drop_fraction'",
        ),
        ({"name": "x", "oks": {"fraction": 1}}, "oks: 'at_least' must be given"),
        (
            {"name": "x", "oks": None},
            "oks: must be a mapping with the keys at_least, fraction; got None",
        ),
        (
            {"name": "x", "oks": {**OKS, "fraction": 1.5}},
            "oks: fraction must be between 0 and 1, got 1.5",
        ),
        (
            {"name": "x", "oks": {**OKS, "fraction": "all"}},
            "oks.fraction must be a number, got 'all'",
        ),
        (
            {"name": "x", "oks": {**OKS, "fraction": True}},
            "oks.fraction must be a number, got True",
        ),
        ({"name": "x", "oks": {**OKS, "fraction": float("nan")}}, "got nan"),
        ({"name": "x", "extra_frames": {}}, "extra_frames: count, fraction or both must be given"),
        ({"name": "x", "extra_frames": {"count": -1}}, "extra_frames: count must be at least 0"),
        ({"name": "x", "extra_frames": {"count": 0.5}}, "must be an integer, got 0.5"),
        ({"name": "x", "age_p95": {"at_most_s": -1}}, "age_p95: at_most_s must be at least 0"),
        (
            {"name": "x", "age_p95": {"at_most_s": 1, "required": 1}},
            "age_p95.required must be true or false, got 1",
        ),
        (
            {"name": "x", "diagnostics": {"at_most": "warning"}},
            "diagnostics.at_most must be one of ok, warn, error, stale; got 'warning'",
        ),
    ],
)
def test_mistakes_are_named(values: object, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Scenario.of(values)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "name: x\noks: {at_least: 0.9, fraction: 0.9",  # not closed
        "name: x\nname: y\noks: {at_least: 0.9, fraction: 0.9}",  # a key twice
        "name: x\noks: !!python/object:os.system {}",  # a tag that must not be obeyed
        "name: x\nosk: {}",
    ],
)
def test_a_bad_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_scenario(path)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scenario '.*mine\.yaml' cannot be read"):
        read_scenario(tmp_path / "mine.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\x89\xff\x00")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_scenario(path)
