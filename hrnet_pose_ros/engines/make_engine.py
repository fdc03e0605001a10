# SPDX-License-Identifier: Apache-2.0
"""Make the engine that parameters ask for, ready for its first frame."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH
from hrnet_pose_ros.engines.model_files import CHECKPOINT, ONNX, find_model
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, cpu_has_bfloat16
from hrnet_pose_ros.engines.precision_check import LEAST_OKS, load_check_crops, mean_oks
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.pose.decoding import Method

ENGINES = ("auto", "openvino", "torch")
PRECISIONS = ("auto", "float32", "bfloat16")
DECODINGS = get_args(Method)

_log = logging.getLogger(__name__)


def make_engine(
    model: str | Path,
    engine: str = "auto",
    precision: str = "auto",
    decoding: Method = "quarter",
    max_batch: int = DEFAULT_MAX_BATCH,
    threads: int = 0,
) -> PoseEngine:
    """Make an engine and warm it up: no later frame pays for a first time.

    Parameters
    ----------
    model
        Name of a model in the models folders, or the path of its file: ``.onnx``, for the torch
        engine ``.pth``.
    engine
        One of `ENGINES`; ``auto`` takes the fastest one this machine can run.
    precision
        One of `PRECISIONS`; ``auto`` takes bfloat16 where the CPU has it and the model keeps a
        mean OKS of 0.995 against float32 on the bundled crops.
    decoding
        One of `DECODINGS`.
    max_batch
        Most crops the network sees at a time, at least 1.
    threads
        CPU threads; 0 takes all cores.

    Raises
    ------
    ValueError
        An argument is out of its range; as ModelError or CheckpointError: the model's file is
        missing or is not what it should be.
    EngineError
        The engine is not installed or cannot run here.
    """
    for name, value, choices in (
        ("engine", engine, ENGINES),
        ("precision", precision, PRECISIONS),
        ("decoding", decoding, DECODINGS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    if max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, got {max_batch}")
    if threads < 0:
        raise ValueError(f"threads must be at least 0 (0: all cores), got {threads}")

    if engine == "auto":
        engine = "openvino"
    made: OpenVinoEngine | TorchEngine
    if engine == "torch":
        if precision == "bfloat16":
            raise ValueError("the torch engine is the reference and computes in float32 only")
        made = TorchEngine(
            find_model(model, CHECKPOINT), decoding=decoding, max_batch=max_batch, threads=threads
        )
    else:
        made = _openvino_engine(find_model(model, ONNX), precision, decoding, max_batch, threads)
    made.warm_up()
    return made


def _openvino_engine(
    path: Path, precision: str, decoding: Method, max_batch: int, threads: int
) -> OpenVinoEngine:
    def compiled(precision: str) -> OpenVinoEngine:
        return OpenVinoEngine(
            path,
            precision="bfloat16" if precision == "bfloat16" else "float32",
            decoding=decoding,
            max_batch=max_batch,
            threads=threads,
        )

    if precision != "auto":
        return compiled(precision)
    reference = compiled("float32")
    if not cpu_has_bfloat16():
        _log.info("precision float32: this CPU has no bfloat16")
        return reference
    shorter = compiled("bfloat16")
    kept = mean_oks(shorter, reference, load_check_crops())
    if kept >= LEAST_OKS:
        _log.info("precision bfloat16: mean OKS against float32 is %.4f", kept)
        reference.close()
        return shorter
    # NaN: the model sees nobody on the bundled crops, so nothing speaks for bfloat16.
    _log.info(
        "precision float32: in bfloat16 the mean OKS of '%s' on the bundled crops is %.4f, "
        "needed is %.3f",
        shorter.info.model,
        kept,
        LEAST_OKS,
    )
    shorter.close()
    return reference
