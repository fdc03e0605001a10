# SPDX-License-Identifier: Apache-2.0
"""The parameters of `parameters.py` on a node: declared, checked together, applied together."""

from __future__ import annotations

from collections.abc import Callable

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from hrnet_pose_ros.pipeline.parameter import Change, Parameter, ParameterError
from hrnet_pose_ros.pipeline.settings import BY_NAME, Settings


def declare_parameters(
    node: Node, unconfigured: Callable[[], bool], apply: Callable[[Settings], None]
) -> Settings:
    """Declare all parameters and return their values.

    Parameters
    ----------
    unconfigured
        Whether the node is in that lifecycle state now.
    apply
        Called with the new values after a change.

    Raises
    ------
    ParameterError
        A value given at the start is not allowed.
    """
    values = {}
    for parameter in BY_NAME.values():
        node.declare_parameter(parameter.name, parameter.default, _descriptor(parameter))
        values[parameter.name] = node.get_parameter(parameter.name).value
    settings = Settings.of(values)

    def now() -> Settings:
        return Settings.of({name: node.get_parameter(name).value for name in BY_NAME})

    def check(parameters: list[RosParameter]) -> SetParametersResult:
        ours = {p.name: p.value for p in parameters if p.name in BY_NAME}
        reason = _refusal(now(), ours, unconfigured(), node.get_fully_qualified_name())
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(lambda parameters: apply(now()))
    return settings


def _refusal(settings: Settings, changes: dict, unconfigured: bool, node_name: str) -> str:
    """Why the changes are refused, empty when they are not."""
    values = {name: getattr(settings, name) for name in BY_NAME}
    try:
        changed = Settings.of(values | changes)
    except ParameterError as error:
        return str(error)
    for name in changes:
        if getattr(changed, name) == values[name]:
            continue
        if BY_NAME[name].change is Change.START:
            return f"parameter {name} can be set at start only"
        if BY_NAME[name].change is Change.UNCONFIGURED and not unconfigured:
            return (
                f"parameter {name} can be changed only while the node is unconfigured: "
                f"ros2 lifecycle set {node_name} deactivate, then cleanup"
            )
    return ""


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    """For `ros2 param describe`. The type stays dynamic so that `500` is accepted for 500.0."""
    descriptor = ParameterDescriptor(
        name=parameter.name,
        description=f"{parameter.description} ({parameter.change.value})",
        additional_constraints=parameter.range_text,
        dynamic_typing=True,
    )
    if parameter.minimum is not None and parameter.maximum is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=parameter.minimum, to_value=parameter.maximum)
            ]
        elif isinstance(parameter.default, int):
            descriptor.integer_range = [
                IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum))
            ]
    return descriptor
