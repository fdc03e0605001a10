# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose compile``: TensorRT plans built before they are needed."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import Verbs, height_x_width
from hrnet_pose_ros.cli.engine_options import add_parameter_option

if TYPE_CHECKING:
    from hrnet_pose_ros.engines.build_watch import BuildWatch
    from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt

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
    from hrnet_pose_ros.engines.tensorrt.library import find_library
    from hrnet_pose_ros.engines.tensorrt.plan_cache import PlanCache, plan_folder
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
    library = find_library()
    target, here = _target(options.compute_capability, plan_options.device, library)
    if here is not None:
        use_device(plan_options.device)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # the cache's reasons
    began = time.monotonic()
    graph = End2EndGraphFile(file, library)
    plans = PlanCache(plan_folder(plan_options.plan_cache), must_keep=True)
    plan = graph.obtain(plans, graph.key(target, plan_options), here, printed_progress())
    what = f"built in {time.monotonic() - began:.0f} s" if plan.built else "there already"
    print(f"{plan.path}: {what}, {len(plan.data) / 1e6:.1f} MB, {library.name} {library.version}")


def _target(
    capabilities: tuple[str, ...], device: int, library: TensorRt
) -> tuple[GpuTarget, str | None]:
    """The GPUs to build for, and the compute capability of the one at hand, if there is one."""
    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import device_count, find_device
    from hrnet_pose_ros.engines.tensorrt.library import GpuTarget

    count, reason = device_count()
    if not count and not capabilities:
        known = ", ".join(library.buildable())
        way_out = (
            f"name the vehicle's GPU with --compute-capability (of {known})"
            if library.builds_without_gpu
            else f"{library.name} builds only on the machine with the GPU"
        )
        raise EngineError(f"{reason}; {way_out}")
    here = find_device(device) if count else None
    if capabilities:
        return GpuTarget(capabilities), None if here is None else here.compute_capability
    assert here is not None
    return GpuTarget((here.compute_capability,), here.name), here.compute_capability


def printed_progress() -> BuildWatch:
    """A watch that prints progress, for somebody who waits at a terminal."""
    from hrnet_pose_ros.engines.build_watch import BuildWatch

    class PrintedProgress(BuildWatch):
        def report(self, text: str, share: float | None) -> None:
            print(text if share is None else f"{text}, {share:.0%}", file=sys.stderr)

    return PrintedProgress()


def _capabilities(text: str) -> tuple[str, ...]:
    parts = text.split(",")
    if not all(re.fullmatch(r"\d+\.\d", part) for part in parts):
        raise argparse.ArgumentTypeError(f"must be like 8.9 or 8.6,8.9; got {text!r}")
    return tuple(sorted(set(parts), key=float))
