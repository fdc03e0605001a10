# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose compile``: TensorRT plans built before they are needed."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from hrnet_pose_ros.cli.arguments import Verbs, height_x_width
from hrnet_pose_ros.cli.engine_options import add_parameter_option

if TYPE_CHECKING:
    from hrnet_pose_ros.engines.build_watch import BuildWatch
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import CudaDevice
    from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
    from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt
    from hrnet_pose_ros.engines.tensorrt.plan_cache import PlanCache
    from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRunner

# The node's parameters that decide what its plan is and where it lies.
PLAN_PARAMETERS = (
    *("model", "precision", "decoding", "flip_test", "image_size", "max_persons"),
    *("typical_persons", "workspace_mib", "optimization_level", "device_index", "plan_cache"),
)


def add_compile(verbs: Verbs) -> None:
    """``hrnet_pose compile MODEL``"""
    from hrnet_pose_ros.engines.choose_engine import PRECISIONS_OF

    parser = verbs.add_parser(
        "compile",
        help="build a model's TensorRT plan before the node needs it",
        description="Build the TensorRT plan of a model's end-to-end graph into the plan cache. "
        "The node finds it there when its parameters are the same: precision, image_size, "
        "max_persons, typical_persons, decoding, flip_test, workspace_mib and optimization_level.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a bundled name, or an end-to-end graph's path"
    )
    add_parameter_option(parser, "precision", choices=("auto", *PRECISIONS_OF["tensorrt"]))
    add_parameter_option(parser, "decoding")
    add_parameter_option(parser, "flip_test")
    add_parameter_option(
        parser, "image_size", type=height_x_width, metavar="HxW", default="720x1280"
    )
    for name in ("max_persons", "typical_persons", "workspace_mib", "optimization_level"):
        add_parameter_option(parser, name)
    add_parameter_option(parser, "device_index", option="device")
    parser.add_argument(
        "--compute-capability",
        type=_capabilities,
        default=(),
        metavar="X.Y[,X.Y]",
        help="build for any GPU with one of these instead of the GPU at hand (8.9 for an RTX 4090)",
    )
    parser.add_argument(
        "-o",
        "--output",
        dest="plan_cache",
        metavar="FOLDER",
        help="the plan cache (default: the node's, ~/.cache/hrnet_pose/plans)",
    )
    parser.set_defaults(run=_compile)


def _compile(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import use_device
    from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
    from hrnet_pose_ros.engines.tensorrt.plan_cache import PlanCache, plan_folder, target_of
    from hrnet_pose_ros.engines.tensorrt.plan_loading import load_plan
    from hrnet_pose_ros.model_files.end2end_graphs import find_end2end_graph
    from hrnet_pose_ros.model_files.quantized import check_judged
    from hrnet_pose_ros.pipeline.engine_arguments import engine_arguments
    from hrnet_pose_ros.pipeline.settings import Settings

    given = {name: getattr(options, name) for name in PLAN_PARAMETERS}
    settings = Settings.of({name: value for name, value in given.items() if value is not None})
    arguments = engine_arguments(settings)  # as the node has them: so it finds the plan
    file = find_end2end_graph(
        *(arguments[name] for name in ("model", "precision", "decoding", "flip_test"))
    )
    if file.in_8_bits:
        check_judged(file)
    plan_options = arguments["tensorrt"]
    library, target, device = _target(options.compute_capability, plan_options.device)
    if device is not None:
        use_device(plan_options.device)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # the cache's reasons
    began = time.monotonic()
    graph = End2EndGraphFile(file, library)
    plans = PlanCache(plan_folder(plan_options.plan_cache), must_keep=True)
    if device is not None and target == target_of(device):
        # Loaded and compared with the processor now, so that the node need not.
        loaded = load_plan(graph, plans, device, plan_options, printed_progress())
        plan = loaded.plan
        try:
            if file.in_8_bits:
                _check_gain(arguments, graph, loaded.runner, plans, device)
        finally:
            loaded.runner.close()
    else:
        here = None if device is None else device.compute_capability
        plan = graph.obtain(plans, graph.key(target, plan_options), here, printed_progress())
    what = f"built in {time.monotonic() - began:.0f} s" if plan.built else "there already"
    print(f"{plan.path}: {what}, {len(plan.data) / 1e6:.1f} MB, {library.name} {library.version}")


def _check_gain(
    arguments: dict[str, Any],
    int8: End2EndGraphFile,
    runner: PlanRunner,
    plans: PlanCache,
    device: CudaDevice,
) -> None:
    """Raise EngineError where the model's plan in float16 is as fast here as the one in int8."""
    import numpy as np

    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.speed import alternating_ms
    from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
    from hrnet_pose_ros.engines.tensorrt.plan_loading import load_plan
    from hrnet_pose_ros.model_files.end2end_graphs import find_end2end_graph
    from hrnet_pose_ros.model_files.metadata import ModelError

    try:
        other = find_end2end_graph(
            arguments["model"], "float16", arguments["decoding"], arguments["flip_test"]
        )
    except ModelError as error:
        print(f"int8 was not compared with float16: {error}", file=sys.stderr)
        return
    options = arguments["tensorrt"]
    graph = End2EndGraphFile(other, int8.library)
    loaded = load_plan(graph, plans, device, options, printed_progress())
    width, height = options.image_size
    frame = np.zeros((height, width, 3), np.uint8)
    transforms = np.tile(np.eye(2, 3, dtype=np.float32), (options.typical_persons, 1, 1))
    try:
        ms = alternating_ms(
            lambda: runner.run(frame, transforms), lambda: loaded.runner.run(frame, transforms)
        )
    finally:
        loaded.runner.close()
    text = f"{options.typical_persons} persons take {ms[0]:.2f} ms in int8, {ms[1]:.2f} in float16"
    if ms[0] >= ms[1]:
        raise EngineError(f"int8 gains nothing on {device.name}: {text}; use precision float16")
    print(text, file=sys.stderr)


def _target(
    capabilities: tuple[str, ...], index: int
) -> tuple[TensorRt, GpuTarget, CudaDevice | None]:
    """The library, the GPUs to build for, and the device at hand, if there is one."""
    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import find_device, why_no_device
    from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, find_library
    from hrnet_pose_ros.engines.tensorrt.plan_cache import target_of

    missing = why_no_device(index)
    device = None if missing else find_device(index)
    if capabilities:
        library = find_library(capabilities[0], without_gpu=device is None)
        return library, GpuTarget(capabilities), device
    if device is not None:
        return find_library(device.compute_capability), target_of(device), device
    try:
        known = ", ".join(find_library(without_gpu=True).buildable())
    except EngineError as error:
        raise EngineError(f"{missing}; and no plan can be built ahead of time: {error}") from error
    raise EngineError(f"{missing}; name the vehicle's GPU with --compute-capability (of {known})")


def printed_progress() -> BuildWatch:
    """A watch that prints progress, for somebody who waits at a terminal."""
    from hrnet_pose_ros.engines.build_watch import BuildWatch

    class PrintedProgress(BuildWatch):
        def report(self, text: str, fraction: float | None) -> None:
            print(text if fraction is None else f"{text}, {fraction:.0%}", file=sys.stderr)

    return PrintedProgress()


def _capabilities(text: str) -> tuple[str, ...]:
    parts = text.split(",")
    if not all(re.fullmatch(r"\d+\.\d", part) for part in parts):
        raise argparse.ArgumentTypeError(f"must be like 8.9 or 8.6,8.9; got {text!r}")
    return tuple(sorted(set(parts), key=float))
