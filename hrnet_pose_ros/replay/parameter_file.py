# SPDX-License-Identifier: Apache-2.0
"""The node's parameters from a ROS parameter file, without ROS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hrnet_pose_ros.pipeline.parameter import ParameterError, SettingsT
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.yaml_config import read_yaml

NODE = "hrnet_pose"
KEY = "ros__parameters"
# Parameters that rclpy itself declares.
FOREIGN = ("use_sim_time", "qos_overrides", "start_type_description_service")


def settings_of(file: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Return the settings of the node `hrnet_pose`; see `node_settings`."""
    return node_settings(file, overrides, Settings, NODE)


def node_settings(
    file: Path | None, overrides: Mapping[str, Any], settings_class: type[SettingsT], node: str
) -> SettingsT:
    """Apply the defaults, then the parameter file, then the overrides.

    Sections with the node's name in any namespace and wildcards (``/**``) apply to the node.

    Raises
    ------
    ParameterError
        A parameter does not exist or its value is invalid.
    ValueError
        The file is not a parameter file.
    """
    values: dict[str, Any] = {}
    known = settings_class.parameters()
    if file is not None:
        for wildcard, section in _sections(file, node):
            for name, value in section.items():
                if name in known:
                    values[name] = value
                elif not wildcard and name not in FOREIGN:
                    raise ParameterError(f"{file}: {node} has no parameter {name!r}")
    values.update(overrides)
    try:
        return settings_class.of(values)
    except ParameterError as error:
        raise ParameterError(f"{file}: {error}" if file is not None else str(error)) from None


def _sections(file: Path, node: str) -> list[tuple[bool, Mapping[str, Any]]]:
    """``(wildcard, {name: value})`` of the sections that apply to the node; wildcards first."""
    content = read_yaml(file, "parameter file")
    if not isinstance(content, dict):
        raise ValueError(f"parameter file '{file}' is not a mapping from node names to {KEY}")
    found = list(_walk(content, "", node))
    if not found:
        raise ValueError(f"parameter file '{file}' does not contain {KEY} for {node}")
    return sorted(found, key=lambda one: not one[0])


def _walk(
    content: Mapping[Any, Any], name: str, node: str
) -> Iterator[tuple[bool, Mapping[str, Any]]]:
    for key, value in content.items():
        if not isinstance(value, dict):
            continue
        last = name.rpartition("/")[2]
        if key != KEY:
            yield from _walk(value, f"{name}/{key}", node)
        elif last == node or last.startswith("*"):
            yield last != node, value
