# SPDX-License-Identifier: Apache-2.0
"""The verb ``compile`` of ``hrnet_pose``: TensorRT plans built before they are needed."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from typing import TYPE_CHECKING

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions

if TYPE_CHECKING:
    from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt

Verbs = argparse._SubParsersAction  # argparse has no public name for what add_parser belongs to

_DEFAULT = TensorRtOptions()


def add_compile(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose compile MODEL``"""
    from hrnet_pose_ros.engines.choose_engine import DECODINGS, PRECISIONS_OF

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
    parser.add_argument("--precision", choices=("auto", *PRECISIONS_OF["tensorrt"]), default="auto")
    parser.add_argument("--decoding", choices=DECODINGS, default="quarter")
    parser.add_argument("--flip-test", action="store_true", help="run crops mirrored as well")
    parser.add_argument(
        "--image-size",
        type=_size,
        default=_DEFAULT.image_size,
        metavar="HxW",
        help="height and width of the camera's images in pixels (default 720x1280)",
    )
    for name, text in (
        ("max-persons", "most persons in one run"),
        ("typical-persons", "number of persons to choose the kernels for"),
        ("workspace-mib", "most device memory for intermediate results; 0: TensorRT's default"),
        ("optimization-level", "how long to search, from 0 to 5"),
        ("device", "index of the CUDA device"),
    ):
        default = getattr(_DEFAULT, name.replace("-", "_"))
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default {default})"
        )
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
        default="",
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

    settings = TensorRtOptions(
        device=options.device,
        image_size=options.image_size,
        typical_persons=min(options.typical_persons, options.max_persons),
        max_persons=options.max_persons,
        workspace_mib=options.workspace_mib,
        optimization_level=options.optimization_level,
        plan_cache=options.output,
    )
    file = find_end2end_graph(options.model, options.precision, options.decoding, options.flip_test)
    library = find_library()
    target, here = _target(options.compute_capability, options.device, library)
    if here is not None:
        use_device(options.device)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # the cache's reasons
    began = time.monotonic()
    graph = End2EndGraphFile(file, library)
    plans = PlanCache(plan_folder(settings.plan_cache), must_keep=True)
    plan = graph.obtain(plans, graph.key(target, settings), here, _Printed())
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


class _Printed(BuildWatch):
    """Progress for somebody who waits at a terminal."""

    def report(self, text: str, share: float | None) -> None:
        print(text if share is None else f"{text}, {share:.0%}", file=sys.stderr)


def _size(text: str) -> tuple[int, int]:
    """``720x1280`` (height x width) to (width, height)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, like 720x1280; got {text!r}")
    return int(match[2]), int(match[1])


def _capabilities(text: str) -> tuple[str, ...]:
    parts = text.split(",")
    if not all(re.fullmatch(r"\d+\.\d", part) for part in parts):
        raise argparse.ArgumentTypeError(f"must be like 8.9 or 8.6,8.9; got {text!r}")
    return tuple(sorted(set(parts), key=float))
