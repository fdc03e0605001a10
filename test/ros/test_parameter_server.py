# SPDX-License-Identifier: Apache-2.0
"""Any set of parameters on a node without DDS traffic: another node's, not the pose node's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from hrnet_pose_ros.pipeline.parameter import Change, ParameterError, ParameterSet, parameter
from hrnet_pose_ros.ros.parameter_server import ParameterServer


@dataclass(frozen=True)
class GuardSettings(ParameterSet):
    cameras: list[str] = parameter(["front"], "Names.", Change.START)
    slow_m: float = parameter(3.0, "Distance.", Change.UNCONFIGURED, minimum=0.0, maximum=50.0)
    stop_m: float = parameter(1.0, "Distance.", minimum=0.0, maximum=50.0)

    def __post_init__(self) -> None:
        if self.stop_m > self.slow_m:
            raise ParameterError(f"stop_m is {self.stop_m}; allowed: up to slow_m")


class Guard(Node):
    """A node with such parameters; ``values`` are given at its start."""

    def __init__(self, context: Context, **values: Any) -> None:
        overrides = [RosParameter(name, value=value) for name, value in values.items()]
        super().__init__("guard", context=context, parameter_overrides=overrides)
        self.unconfigured = True
        self.changes: list[tuple[GuardSettings, GuardSettings]] = []
        self.parameters = ParameterServer(
            self, GuardSettings, unconfigured=lambda: self.unconfigured
        )
        self.parameters.on_change(lambda before, after: self.changes.append((before, after)))

    def set(self, **values: Any) -> SetParametersResult:
        return self.set_parameters_atomically(
            [RosParameter(name, value=value) for name, value in values.items()]
        )


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture
def guard(context: Context) -> Iterator[Guard]:
    node = Guard(context, slow_m=5, cameras=["front", "rear"])
    yield node
    node.destroy_node()


def test_values_of_the_start_and_defaults(guard: Guard) -> None:
    assert guard.parameters.current() == GuardSettings(["front", "rear"], 5.0, 1.0)
    descriptor = guard.describe_parameter("slow_m")
    assert descriptor.description == "Distance. (while unconfigured)"
    [allowed] = descriptor.floating_point_range
    assert (allowed.from_value, allowed.to_value) == (0.0, 50.0)


def test_changes_are_applied_together(guard: Guard) -> None:
    before = guard.parameters.current()
    assert guard.set(stop_m=7.5, slow_m=9).successful
    after = GuardSettings(["front", "rear"], 9.0, 7.5)
    assert guard.parameters.current() == after
    assert guard.changes == [(before, after)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stop_m": 6.0}, "stop_m is 6.0; allowed: up to slow_m"),
        ({"stop_m": "near"}, "parameter stop_m is 'near'; allowed: double"),
        ({"cameras": ["left"]}, "parameter cameras can be set at start only"),
        ({"slow_m": 4.0}, "slow_m can be changed only while the node is unconfigured: ros2"),
    ],
)
def test_refused_changes_say_why_and_change_nothing(
    guard: Guard, values: dict[str, Any], words: str
) -> None:
    guard.unconfigured = False
    before = guard.parameters.current()
    result = guard.set(**values)
    assert not result.successful and words in result.reason
    assert guard.parameters.current() == before and guard.changes == []


def test_a_parameter_set_to_what_it_is_may_be_set_at_any_time(guard: Guard) -> None:
    guard.unconfigured = False
    assert guard.set(slow_m=5.0, cameras=["front", "rear"]).successful


def test_a_value_that_is_not_allowed_at_the_start(context: Context) -> None:
    with pytest.raises(ParameterError, match=r"stop_m is 9\.0"):
        Guard(context, stop_m=9.0)
