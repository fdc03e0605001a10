# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs of a graph: what a model file has against what an engine feeds and reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes
    ----------
    name
        As in the graph.
    type
        NumPy's name of the element type.
    shape
        Sides; None for one that is free, a letter where a message explains the contract. The
        whole is None where even the number of sides is free.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        sides = "any shape"
        if self.shape is not None:
            sides = f"[{', '.join('N' if side is None else str(side) for side in self.shape)}]"
        return f"{self.name} {self.type} {sides}"


@dataclass(frozen=True)
class Ports:
    """All inputs and outputs of a graph, each in the graph's order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        return f"{_listed(self.inputs)} -> {_listed(self.outputs)}"


def _listed(ports: Sequence[Port]) -> str:
    return ", ".join(map(str, ports)) or "nothing"


def heatmap_ports(metadata: ModelMetadata | None = None) -> Ports:
    """Those of a heatmap graph; without metadata its sides are letters."""
    sides: tuple[int | str, ...] = ("H", "W")
    cells: tuple[int | str, ...] = ("H/4", "W/4")
    joints: int | str = "J"
    if metadata is not None:
        sides, cells = metadata.input_size[::-1], metadata.heatmap_size[::-1]
        joints = metadata.skeleton.joints
    return Ports(
        (Port("crops", "uint8", (None, *sides, 3)),),
        (Port("heatmaps", "float32", (None, joints, *cells)),),
    )


def check_heatmap_ports(found: Ports, metadata: ModelMetadata) -> None:
    """Raise ModelError unless a graph takes and gives what its metadata says."""
    expected = heatmap_ports(metadata)
    if found != expected:
        raise ModelError(
            f"the graph does not fit its own metadata: it has {found}, expected {expected}; "
            "export it again"
        )


def foreign_graph(found: Ports) -> ModelError:
    """The error for a graph without this package's metadata."""
    return ModelError(
        "it was not exported by this package, and neither its colour order nor its sizes are "
        f"known: it has {found}, expected {heatmap_ports()}; make one from its checkpoint with "
        "'hrnet_pose export'"
    )
