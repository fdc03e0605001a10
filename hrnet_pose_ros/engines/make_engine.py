# SPDX-License-Identifier: Apache-2.0
"""Make the engine that parameters ask for, ready for its first frame."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.choose_engine import EngineSelection, choose_engine
from hrnet_pose_ros.engines.engine import EngineError, PoseEngine
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, Precision
from hrnet_pose_ros.engines.openvino_network import cpu_has_bfloat16, read_network
from hrnet_pose_ros.engines.precision_check import in_shorter_precision
from hrnet_pose_ros.engines.tensorrt.engine import TensorRtEngine
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.decoding import Method

DEFAULT_TENSORRT = TensorRtOptions()

_log = logging.getLogger(__name__)


def make_engine(
    model: str | Path,
    engine: str = "auto",
    precision: str = "auto",
    decoding: Method = "quarter",
    max_batch: int = DEFAULT_MAX_BATCH,
    threads: int = 0,
    streams: int = 0,
    flip_test: bool = False,
    tensorrt: TensorRtOptions = DEFAULT_TENSORRT,
    watch: BuildWatch | None = None,
    selection: EngineSelection | None = None,
) -> PoseEngine:
    """Make an engine and warm it up: no later frame pays for a first time.

    Parameters
    ----------
    model
        Name of a model in the models folders, or the path of its file: ``.onnx``, for the torch
        engine ``.pth`` or as checkpoints are called otherwise (`CHECKPOINT_SUFFIXES`). Nothing
        else runs these, so ``auto`` takes it.
    engine
        One of `choose_engine.ENGINES`; ``auto`` takes TensorRT where a CUDA device, a TensorRT
        library and the model's end-to-end graph are found, and OpenVINO elsewhere; `choose_engine`
        has the whole rule, and says what it would take.
    precision
        One of `choose_engine.PRECISIONS`, of which each engine takes some. ``auto``: float16 with
        TensorRT, or float32 where there is no other end-to-end graph; with OpenVINO bfloat16 where
        the CPU has it and the model keeps a mean OKS of 0.995 against float32 on bundled crops.
        ``int8`` takes the model's quantised file; with OpenVINO ``NAME_int8.onnx``
        (`find_quantized`). A file in 8 bits must have been judged on 200 persons when it was made
        (`check_judged`).
    decoding
        One of `choose_engine.DECODINGS`.
    max_batch
        Most crops the network sees at a time, at least 1; not with TensorRT.
    threads
        CPU threads; 0 takes all cores.
    streams
        With OpenVINO: batches that run beside one another, each with its part of the threads; 0
        measures at the start which number is fastest for which number of persons.
    flip_test
        Run every crop mirrored as well and take the mean: twice the work.
    tensorrt
        Device, sizes and builder's options of the TensorRT engine.
    watch
        Hears about the build of a TensorRT plan, which can take minutes, and may end it; None
        logs.
    selection
        What `choose_engine` gave for these arguments, from a caller who asked already: the model's
        file is not read again.

    Raises
    ------
    ValueError
        An argument is out of its range; as ModelError or CheckpointError: the model's file is
        missing or is not what it should be.
    EngineError
        The engine is not installed or cannot run here; as BuildCancelled: the watch ended it.

    Examples
    --------
    The bundled model on the processor, and the person of a bundled picture:

    >>> import numpy as np
    >>> from hrnet_pose_ros.engines.make_engine import make_engine
    >>> from hrnet_pose_ros.engines.precision_check import load_check_crops
    >>> engine = make_engine("hrnetv2_w24_small", engine="openvino", precision="float32")
    >>> frame = load_check_crops()[0]  # uint8 RGB, 256 rows and 192 columns
    >>> poses = engine.estimate(frame, np.array([[20.0, 26.0, 153.0, 204.0]]))
    >>> len(poses)
    1
    >>> engine.close()
    """
    if max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, got {max_batch}")
    if threads < 0:
        raise ValueError(f"threads must be at least 0 (0: all cores), got {threads}")
    if streams < 0:
        raise ValueError(f"streams must be at least 0 (0: measured), got {streams}")
    if selection is None:
        selection = choose_engine(model, engine, precision, decoding, flip_test, tensorrt.device)
    _log.info("engine %s: %s", selection.engine, selection.why)
    if selection.file is None:
        raise EngineError(f"the TensorRT engine cannot run here: {selection.unusable}")
    made: TensorRtEngine | OpenVinoEngine | TorchEngine
    if selection.engine == "tensorrt":
        made = TensorRtEngine(selection.file, options=tensorrt, watch=watch or BuildWatch())
    elif selection.engine == "torch":
        made = TorchEngine(
            selection.file,
            decoding=selection.decoding,
            max_batch=max_batch,
            threads=threads,
            flip_test=selection.flip_test,
        )
    else:
        made = _openvino_engine(selection, selection.file, max_batch, threads, streams)
    try:
        made.warm_up()
    except Exception:
        made.close()
        raise
    return made


def _openvino_engine(
    selection: EngineSelection, file: ModelFile, max_batch: int, threads: int, streams: int
) -> OpenVinoEngine:
    network = read_network(file)  # compiled once or twice

    def compiled(precision: Precision) -> OpenVinoEngine:
        return OpenVinoEngine(
            file,
            precision=precision,
            decoding=selection.decoding,
            max_batch=max_batch,
            threads=threads,
            streams=streams,
            flip_test=selection.flip_test,
            network=network,
        )

    if selection.precision != "auto":
        return compiled(cast(Precision, selection.precision))
    if file.heatmaps().quantized:
        return compiled("int8")
    return in_shorter_precision(compiled, cpu_has_bfloat16())
