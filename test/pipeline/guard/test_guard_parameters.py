# SPDX-License-Identifier: Apache-2.0
"""The parameters of the node `pedestrian_guard` are those of the guard, in other units."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.guard.settings import RANGES, GuardSettings
from hrnet_pose_ros.pipeline.guard.settings import PedestrianGuardSettings
from hrnet_pose_ros.pipeline.parameter import ParameterError

CORE = GuardSettings()


def test_the_defaults_are_the_guard_s() -> None:
    made = PedestrianGuardSettings().core()
    for field in fields(GuardSettings):
        value, wanted = getattr(made, field.name), getattr(CORE, field.name)
        if field.name == "footprint":
            assert set(value.corners) == set(wanted.corners)
        elif not field.name.startswith("_"):
            assert value == pytest.approx(wanted, rel=1e-9), field.name


def test_every_number_of_the_guard_is_a_parameter() -> None:
    names = set(PedestrianGuardSettings.parameters())
    for name in RANGES:
        assert {name, f"{name}_ms", f"{name}_deg"} & names, name


def test_units() -> None:
    settings = PedestrianGuardSettings.of({"view_deg": 360.0, "people_timeout_ms": 500})
    assert settings.core().view == 2 * math.pi, "all around is exact"
    assert settings.core().people_timeout == 0.5
    assert PedestrianGuardSettings.of({"view_direction_deg": -180.0}).core().view_direction == (
        -math.pi
    )


@pytest.mark.parametrize(
    ("values", "footprint"),
    [
        ({"footprint": "[[1, 2], [1, -2], [-1, 0]]"}, Footprint(((1, 2), (1, -2), (-1, 0)))),
        ({"footprint": "", "robot_radius": 0.4}, Footprint.circle(0.4)),
        ({"footprint": "[]", "robot_radius": 0.4}, Footprint.circle(0.4)),
    ],
)
def test_footprints(values: dict[str, object], footprint: Footprint) -> None:
    assert PedestrianGuardSettings.of(values).core().footprint == footprint


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"human_speed": 99.0}, "parameter human_speed is 99.0; allowed: 0.1 to 10"),
        ({"reaction_time_ms": -1.0}, "parameter reaction_time_ms is -1.0; allowed: 0 to 5000"),
        ({"footprint": "round"}, "parameter footprint is 'round'; allowed: corners like"),
        ({"footprint": "[[1, 2, 3]]"}, "allowed: corners like"),
        ({"footprint": "7"}, "allowed: corners like"),
        ({"footprint": "[[0, 0], [1, 1], [2, 2]]"}, "3 corners that are not on a line"),
        ({"footprint": "[[NaN, 0], [1, 1], [2, 0]]"}, "within 50 m"),
        ({"footprint": ""}, "robot_radius is 0; allowed: footprint must have 3 corners"),
        ({"clock_jump_ms": 200.0}, "clock_jump_ms is 200; allowed: above overload_after_ms"),
        ({"overload_after_ms": 50.0}, "overload_after_ms is 50.0; allowed: 100 to 10000"),
        ({"crawl_speed": 0.5}, "crawl_speed is 0.5; allowed: up to blind_speed, which is 0.3"),
        ({"base_frame": ""}, "the name of a frame"),
        ({"base_frame": "/base_link"}, "no slash before it"),
        ({"view_degrees": 90.0}, "the nearest is view_deg"),
    ],
)
def test_wrong_values_say_name_value_and_way_out(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as found:
        PedestrianGuardSettings.of(values)
    assert words in str(found.value)
