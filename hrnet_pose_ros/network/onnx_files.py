# SPDX-License-Identifier: Apache-2.0
"""ONNX files: written from a module, complete and with metadata."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what only writes or rewrites files needs no torch
    from torch import Tensor, nn

OPSET = 18


class ExportError(RuntimeError):
    """The exported file does not compute what the network computes; it was not kept."""


def traced_model(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]],
    folder: Path,
) -> Any:
    """The module as an ``onnx.ModelProto``, every weight inside; ``folder`` is for its own use.

    ``examples`` are inputs to trace it with; ``dynamic_axes`` names the axes of inputs and outputs
    that may have another size.
    """
    import onnx
    import torch

    path = folder / "traced.onnx"
    with warnings.catch_warnings(), torch.inference_mode():
        # The tracing exporter suits a network without control flow, and unlike its successor
        # needs no further package; its announced end is the reason for the warning.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            examples,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in dynamic_axes.items()},
        )
    model = onnx.load(str(path))
    path.unlink()
    return model


def save_model(model: Any, properties: Mapping[str, str], path: Path) -> None:
    """Write an ``onnx.ModelProto`` with these metadata properties, after checking its form."""
    import onnx

    onnx.helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
