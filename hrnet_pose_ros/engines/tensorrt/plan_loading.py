# SPDX-License-Identifier: Apache-2.0
"""From a graph to a plan that runs: found or built, loaded, warmed up, and checked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_pose_ros.engines.build_watch import BuildWatch, Progress, reporting
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import CudaDevice, machine_id
from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
from hrnet_pose_ros.engines.tensorrt.kernel_cache import KernelCache
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_cache import Plan, PlanCache, target_of
from hrnet_pose_ros.engines.tensorrt.plan_check import (
    PlanWrong,
    ProcessorReference,
    Run,
    check_plan,
    keep_verdict,
    known_verdict,
)
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey
from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRejected, PlanRunner

_log = logging.getLogger(__name__)

MakeReference = Callable[[Path], Run]


@dataclass(frozen=True)
class LoadedPlan:
    """A plan at work on this thread's device, and where it came from."""

    runner: PlanRunner
    plan: Plan


def load_plan(
    graph: End2EndGraphFile,
    plans: PlanCache,
    device: CudaDevice,
    options: TensorRtOptions,
    watch: BuildWatch,
    *,
    before_loading: Callable[[], None] = lambda: None,
    reference: MakeReference = ProcessorReference,
) -> LoadedPlan:
    """Find or build the plan for a device, load it, run every bucket once, and check it.

    A kept plan that does not load stays until the one that is built instead has proved itself.

    Parameters
    ----------
    graph, plans, options, watch
        As `TensorRtEngine` has them.
    device
        This thread's device.
    before_loading
        Called when the plan is there, before it takes memory on the device.
    reference
        Makes what the plan is compared with, from the graph's path.

    Raises
    ------
    PlanWrong
        The plan gives other key points than the processor.
    ModelError, EngineError, BuildCancelled
        As `TensorRtEngine` says.
    """
    key = graph.key(target_of(device), options)
    here = device.compute_capability
    plan = graph.obtain(plans, key, here, watch)
    before_loading()
    try:
        return _at_work(graph, key, plan, plans, device, options, watch, reference)
    except PlanRejected as error:
        if plan.built:
            raise
        _log.warning("plan '%s' is built anew: %s", plan.path, error)
    plan = graph.obtain(plans, key, here, watch, rejected=plan.sha256)
    return _at_work(graph, key, plan, plans, device, options, watch, reference)


def _at_work(
    graph: End2EndGraphFile,
    key: PlanKey,
    plan: Plan,
    plans: PlanCache,
    device: CudaDevice,
    options: TensorRtOptions,
    watch: BuildWatch,
    reference: MakeReference,
) -> LoadedPlan:
    kernels = KernelCache(graph.library, plan.path, device)
    runner = PlanRunner(graph.library, plan.data, options, kernels.read())
    try:
        began = time.monotonic()
        # tensorrt_rtx compiles its kernels now, unless they are in the cache.
        with reporting(watch, Progress(f"loading and warming up the plan '{key.stem}'")):
            runner.warm_up()
        _log.info(
            "plan '%s' ready in %.1f s: %s", key.stem, time.monotonic() - began, runner.memory_text
        )
        _check(graph, key, plan, device, options, watch, reference, runner)
        plan = plans.keep(key, plan)
        KernelCache(graph.library, plan.path, device).write(runner.kernels())
    except BaseException:
        runner.close()
        raise
    return LoadedPlan(runner, plan)


def _check(
    graph: End2EndGraphFile,
    key: PlanKey,
    plan: Plan,
    device: CudaDevice,
    options: TensorRtOptions,
    watch: BuildWatch,
    reference: MakeReference,
    runner: PlanRunner,
) -> None:
    machine = machine_id(device)
    if known_verdict(plan.path, plan.sha256, machine):
        return

    def on_the_device(frame: np.ndarray, transforms: np.ndarray) -> dict[str, np.ndarray]:
        parts = runner.run(frame, transforms)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    text = f"comparing the plan '{key.stem}' with the processor"
    with reporting(watch, Progress(text)):
        verdict = check_plan(
            on_the_device, reference(graph.file.path), graph.metadata, options.image_size
        )
    if not verdict.good:
        library = graph.library
        raise PlanWrong(
            f"the plan '{key.stem}' of {library.name} {library.version} on {device.name} gives "
            f"other key points than the processor: {verdict}; it is not used. Use another version "
            "of TensorRT, or precision float32 (docs/tensorrt.md)"
        )
    _log.info("plan '%s': %s", key.stem, verdict)
    keep_verdict(plan.path, plan.sha256, machine, verdict)
