# SPDX-License-Identifier: Apache-2.0
"""Make the engine that parameters ask for, ready for its first frame."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast, get_args

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.engine import EngineError, PoseEngine
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, Precision, cpu_has_bfloat16
from hrnet_pose_ros.engines.precision_check import LEAST_OKS, load_check_crops, mean_oks
from hrnet_pose_ros.engines.tensorrt.engine import TensorRtEngine, why_no_tensorrt
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.find import CHECKPOINT, ONNX, find_end2end_graph, find_model
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.quantized import check_judged, find_quantized, is_quantized
from hrnet_pose_ros.model_files.zoo import find_checkpoint
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
DEFAULT_TENSORRT = TensorRtOptions()

_log = logging.getLogger(__name__)


def make_engine(
    model: str | Path,
    engine: str = "auto",
    precision: str = "auto",
    decoding: Method = "quarter",
    max_batch: int = DEFAULT_MAX_BATCH,
    threads: int = 0,
    flip_test: bool = False,
    tensorrt: TensorRtOptions = DEFAULT_TENSORRT,
    watch: BuildWatch | None = None,
) -> PoseEngine:
    """Make an engine and warm it up: no later frame pays for a first time.

    Parameters
    ----------
    model
        Name of a model in the models folders, or the path of its file: ``.onnx``, for the torch
        engine ``.pth``. Nothing else runs a path that ends in ``.pth``, so ``auto`` takes it.
    engine
        One of `ENGINES`; ``auto`` takes TensorRT where a CUDA device, a TensorRT library and the
        model's end-to-end graph are found, and OpenVINO elsewhere.
    precision
        One of `PRECISIONS`, of which each engine takes some. ``auto``: float16 with TensorRT, or
        float32 where there is no other end-to-end graph; with OpenVINO bfloat16 where the CPU
        has it and the model keeps a mean OKS of 0.995 against float32 on bundled crops. ``int8``
        takes the model's quantised file; with OpenVINO ``NAME_int8.onnx`` (`find_quantized`).
        A file in 8 bits must have been judged on 200 persons when it was made (`check_judged`).
    decoding
        One of `DECODINGS`.
    max_batch
        Most crops the network sees at a time, at least 1; not with TensorRT.
    threads
        CPU threads; 0 takes all cores.
    flip_test
        Run every crop mirrored as well and take the mean: twice the work.
    tensorrt
        Device, sizes and builder's options of the TensorRT engine.
    watch
        Hears about the build of a TensorRT plan, which can take minutes, and may end it; None
        logs.

    Raises
    ------
    ValueError
        An argument is out of its range; as ModelError or CheckpointError: the model's file is
        missing or is not what it should be.
    EngineError
        The engine is not installed or cannot run here; as BuildCancelled: the watch ended it.
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
    if engine == "auto" and str(model).endswith(CHECKPOINT):
        engine = "torch"
    if engine != "auto" and precision not in ("auto", *PRECISIONS_OF[engine]):
        raise ValueError(
            f"the {engine} engine takes precision auto, {', '.join(PRECISIONS_OF[engine])}; "
            f"got {precision!r}"
        )

    graph = _end2end_graph(model, engine, precision, decoding, flip_test, tensorrt.device)
    made: TensorRtEngine | OpenVinoEngine | TorchEngine
    if graph is not None:
        if precision == "int8":
            check_judged(graph)
        made = TensorRtEngine(graph, options=tensorrt, watch=watch or BuildWatch())
    elif engine == "torch":
        made = TorchEngine(
            find_checkpoint(model)[0],
            decoding=decoding,
            max_batch=max_batch,
            threads=threads,
            flip_test=flip_test,
        )
    else:
        path = find_quantized(model) if precision == "int8" else find_model(model, ONNX)
        made = _openvino_engine(path, precision, decoding, max_batch, threads, flip_test)
    try:
        made.warm_up()
    except Exception:
        made.close()
        raise
    return made


def _end2end_graph(
    model: str | Path,
    engine: str,
    precision: str,
    decoding: Method,
    flip_test: bool,
    device: int,
) -> Path | None:
    """The file for the TensorRT engine where that is the one to take."""
    if engine not in ("auto", "tensorrt") or precision == "bfloat16":
        return None
    nothing_else = engine == "tensorrt" or precision == "float16"
    missing = why_no_tensorrt(device)
    if missing and nothing_else:
        raise EngineError(f"the TensorRT engine cannot run here: {missing}")
    if missing:
        return None
    try:
        return find_end2end_graph(model, precision, decoding, flip_test)
    except ModelError as error:
        if nothing_else or precision == "int8":  # a file was asked for, and there is a GPU for it
            raise
        _log.warning("engine auto takes OpenVINO, though there is a GPU: %s", error)
        return None


def _openvino_engine(
    path: Path, precision: str, decoding: Method, max_batch: int, threads: int, flip_test: bool
) -> OpenVinoEngine:
    def compiled(precision: Precision) -> OpenVinoEngine:
        return OpenVinoEngine(
            path,
            precision=precision,
            decoding=decoding,
            max_batch=max_batch,
            threads=threads,
            flip_test=flip_test,
        )

    if precision in ("auto", "int8") and is_quantized(path):
        check_judged(path)
        return compiled("int8")
    if precision in ("float32", "bfloat16", "int8"):
        return compiled(cast(Precision, precision))
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
