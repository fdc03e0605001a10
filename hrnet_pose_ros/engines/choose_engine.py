# SPDX-License-Identifier: Apache-2.0
"""Which engine runs a model here, and why: one rule for Python users, the node and the doctor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from hrnet_pose_ros.engines.tensorrt.engine import why_no_tensorrt
from hrnet_pose_ros.model_files.end2end_graphs import find_end2end_graph
from hrnet_pose_ros.model_files.find import find_checkpoint, find_model
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ONNX, ModelFile, is_checkpoint_path
from hrnet_pose_ros.model_files.quantized import check_judged, find_quantized
from hrnet_pose_ros.pose.decoding import Method

ENGINES = ("auto", "tensorrt", "openvino", "torch")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")
DECODINGS = get_args(Method)
# Beside auto.
PRECISIONS_OF = {
    "tensorrt": ("float16", "float32", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
    "torch": ("float32",),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineSelection:
    """What `choose_engine` decided.

    Attributes
    ----------
    engine
        ``tensorrt``, ``openvino`` or ``torch``.
    why
        Why this one, in one line.
    file
        The model's file that it will run; None where the engine cannot run here.
    precision, decoding, flip_test
        As they were asked for; a precision of ``auto`` is decided when the engine is made.
    passed_over
        Engines that ``auto`` looked at and did not take, each with the reason.
    unusable
        Why the engine cannot run on this machine, though nothing else can do what was asked for;
        empty where it can. `make_engine` raises it as an EngineError.
    """

    engine: str
    why: str
    file: ModelFile | None
    precision: str
    decoding: Method
    flip_test: bool
    passed_over: Mapping[str, str] = field(default_factory=dict, hash=False)
    unusable: str = ""


def choose_engine(
    model: str | Path,
    engine: str = "auto",
    precision: str = "auto",
    decoding: Method = "quarter",
    flip_test: bool = False,
    device: int = 0,
    *,
    why_no_tensorrt: Callable[[int], str] = why_no_tensorrt,
) -> EngineSelection:
    """Choose the engine for a model on this machine, without making it.

    ``auto`` takes

    1. PyTorch for the path of a checkpoint (``.pth``, ``.pt`` …): nothing else runs one,
    2. OpenVINO for ``bfloat16`` and TensorRT for ``float16``: nothing else computes in them,
    3. TensorRT where a CUDA device, a TensorRT library and the model's end-to-end graph are found,
    4. OpenVINO elsewhere. With a GPU and ``int8`` the graph in int8 must be there: the choice
       does not depend on which of two files somebody forgot to make.

    Parameters
    ----------
    model, engine, precision, decoding, flip_test
        As for `make_engine`.
    device
        Index of the CUDA device, from 0.
    why_no_tensorrt
        Says why TensorRT cannot run on a device, or nothing where it can.

    Raises
    ------
    ValueError
        An argument is out of its range, or the engine does not compute in the precision; as
        ModelError: the model's file is missing or is not what it should be, or it is in 8 bits and
        was judged on too few persons (`check_judged`).

    Examples
    --------
    >>> from hrnet_pose_ros.engines.choose_engine import choose_engine
    >>> selection = choose_engine("hrnetv2_w24_small", precision="bfloat16")
    >>> selection.engine
    'openvino'
    >>> selection.why
    'OpenVINO alone computes in bfloat16'
    >>> selection.file.path.name
    'hrnetv2_w24_small.onnx'

    What ``auto`` takes depends on the machine; on one without a GPU:

    >>> no_gpu = lambda device: "no CUDA device"
    >>> selection = choose_engine("hrnetv2_w24_small", why_no_tensorrt=no_gpu)
    >>> selection.engine, selection.passed_over
    ('openvino', {'tensorrt': 'no CUDA device'})
    """
    _check_choices(engine, precision, decoding)
    passed_over: dict[str, str] = {}
    why, unusable = f"the engine {engine} was asked for", ""
    file: ModelFile | None = None
    if engine == "auto" and is_checkpoint_path(model):
        engine, why = "torch", f"'{model}' is a checkpoint, which PyTorch alone runs"
    if engine != "auto" and precision not in ("auto", *PRECISIONS_OF[engine]):
        raise ValueError(
            f"the {engine} engine takes precision auto, {', '.join(PRECISIONS_OF[engine])}; "
            f"got {precision!r}"
        )
    if engine == "auto" and precision == "bfloat16":
        engine, why = "openvino", "OpenVINO alone computes in bfloat16"
        passed_over["tensorrt"] = "it does not compute in bfloat16"
    elif engine == "auto" and precision == "float16":
        engine, why = "tensorrt", "TensorRT alone computes in float16"
        passed_over["openvino"] = "it does not compute in float16"

    if engine == "tensorrt":
        unusable = why_no_tensorrt(device)
        if not unusable:
            file = find_end2end_graph(model, precision, decoding, flip_test)
        elif passed_over:
            unusable += "; a processor computes in float32, bfloat16 or int8 (parameter precision)"
    elif engine == "auto":
        if missing := why_no_tensorrt(device):
            passed_over["tensorrt"] = missing
        else:
            try:
                file = find_end2end_graph(model, precision, decoding, flip_test)
            except ModelError as error:
                if precision == "int8":  # a file was asked for, and there is a GPU for it
                    raise
                passed_over["tensorrt"] = str(error)
                _log.warning("engine auto takes OpenVINO, though there is a GPU: %s", error)
        engine = "openvino" if file is None else "tensorrt"
        why = passed_over["tensorrt"] if file is None else f"a GPU, TensorRT and '{file.path}'"
    if engine == "openvino":
        file = find_quantized(model) if precision == "int8" else find_model(model, ONNX)
        if file.kind != "foreign":  # what such a file takes and gives, OpenVINO's reader says
            file.heatmaps()
    elif engine == "torch":
        file = find_checkpoint(model)[0]
    if file is not None and file.in_8_bits and precision in ("auto", "int8"):
        check_judged(file)
    return EngineSelection(engine, why, file, precision, decoding, flip_test, passed_over, unusable)


def _check_choices(engine: str, precision: str, decoding: str) -> None:
    for name, value, choices in (
        ("engine", engine, ENGINES),
        ("precision", precision, PRECISIONS),
        ("decoding", decoding, DECODINGS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
