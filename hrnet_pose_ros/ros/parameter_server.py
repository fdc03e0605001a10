# SPDX-License-Identifier: Apache-2.0
"""Declares a node's parameters from a `ParameterSet`, and checks and applies changes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from hrnet_pose_ros.pipeline.parameter import Change, Parameter, ParameterError, SettingsT


class ParameterServer(Generic[SettingsT]):
    """Declares parameters on a node and keeps their values as one settings object.

    A node that owns one::

        self._parameters = ParameterServer(
            self, Settings, unconfigured=lambda: self.state_id() == UNCONFIGURED
        )
        settings = self._parameters.current()
        self._parameters.on_change(self._apply)  # def _apply(self, before, after)
    """

    def __init__(
        self,
        node: Node,
        settings_class: type[SettingsT],
        *,
        unconfigured: Callable[[], bool] = lambda: False,
    ) -> None:
        """See the class.

        Parameters
        ----------
        settings_class
            The node's `ParameterSet`; it may raise ParameterError itself if values are
            inconsistent.
        unconfigured
            Returns whether the node is unconfigured now; always False without a lifecycle.

        Raises
        ------
        ParameterError
            A value given at the start is not allowed.
        """
        self._node = node
        self._parameters = settings_class.parameters()
        self._settings_class = settings_class
        self._unconfigured = unconfigured
        self._listeners: list[Callable[[SettingsT, SettingsT], None]] = []
        for parameter in self._parameters.values():
            node.declare_parameter(parameter.name, parameter.default, _descriptor(parameter))
        self._current = self._settings(self._values())
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def current(self) -> SettingsT:
        """Return the current settings."""
        return self._current

    def on_change(self, listener: Callable[[SettingsT, SettingsT], None]) -> None:
        """Register ``listener(before, after)``, which is called after each change."""
        self._listeners.append(listener)

    def _values(self) -> dict[str, Any]:
        return {name: self._node.get_parameter(name).value for name in self._parameters}

    def _settings(self, values: dict[str, Any]) -> SettingsT:
        return self._settings_class.of(values)

    def _check(self, parameters: list[RosParameter]) -> SetParametersResult:
        changes = {p.name: p.value for p in parameters if p.name in self._parameters}
        reason = self._refusal(changes)
        return SetParametersResult(successful=not reason, reason=reason)

    def _refusal(self, changes: dict[str, Any]) -> str:
        """Return why the changes are refused; empty if they are accepted."""
        before = self._settings(self._values())
        try:
            after = self._settings(self._values() | changes)
        except ParameterError as error:
            return str(error)
        for name in changes:
            if getattr(after, name) == getattr(before, name):
                continue
            change = self._parameters[name].change
            if change is Change.START:
                return f"parameter {name} can be set at start only"
            if change is Change.UNCONFIGURED and not self._unconfigured():
                return (
                    f"parameter {name} can be changed only while the node is unconfigured: "
                    f"ros2 lifecycle set {self._node.get_fully_qualified_name()} deactivate, "
                    "then cleanup"
                )
        return ""

    def _apply(self, parameters: list[RosParameter]) -> None:
        before, self._current = self._current, self._settings(self._values())
        for listener in self._listeners:
            listener(before, self._current)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return the descriptor. Dynamic typing lets a double parameter accept `500` for 500.0."""
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
