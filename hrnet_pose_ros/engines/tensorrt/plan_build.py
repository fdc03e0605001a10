# SPDX-License-Identifier: Apache-2.0
"""Build a plan: an ONNX end-to-end graph compiled by TensorRT for one image size and some GPUs."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from hrnet_pose_ros.engines.build_watch import (
    REPORT_PERIOD,
    BuildCancelled,
    BuildWatch,
    Progress,
    reporting,
)
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.library import TensorRt
from hrnet_pose_ros.engines.tensorrt.plan_cache import Built
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey
from hrnet_pose_ros.model_files.metadata import ModelError

IMAGE, CROP_TO_IMAGE, CHANNELS = "image", "crop_to_image", "channels"
INPUTS = (IMAGE, CROP_TO_IMAGE, CHANNELS)
OUTPUTS = ("keypoints", "scores", "covariances")

_log = logging.getLogger(__name__)


def build_plan(
    library: TensorRt,
    onnx: bytes,
    key: PlanKey,
    *,
    here: str | None,
    watch: BuildWatch,
    timings: bytes = b"",
    period: float = REPORT_PERIOD,
) -> Built:
    """Compile an end-to-end graph on this thread; other Python threads run meanwhile.

    Parameters
    ----------
    library
        The TensorRT library.
    onnx
        Content of an end-to-end graph's file (``hrnet_pose export --graph end2end``).
    key
        Image size, numbers of persons, target and builder's options; the rest is for messages.
    here
        Compute capability of this thread's device; None without one.
    watch
        Hears about the progress, and may end the build.
    timings
        The timing cache of earlier builds; ignored where it does not fit.
    period
        Seconds between two reports to the watch.

    Raises
    ------
    ModelError
        The file is not an end-to-end graph, or TensorRT cannot read it; the message
        names the nodes.
    EngineError
        The build failed; the message has TensorRT's words.
    BuildCancelled
        The watch ended it.
    """
    library.messages.take_errors()
    builder = library.builder()
    network = _parsed(library, builder, onnx, key)
    config = _configuration(library, builder, network, key, here)
    cache = _timing_cache(library, config, timings)
    progress = Progress(f"building the plan '{key.stem}'")
    monitor = _monitor(library.module, watch, progress)
    config.progress_monitor = monitor
    if watch.cancelled():
        raise BuildCancelled(f"cancelled before {progress.text}")
    began = time.monotonic()
    try:
        with reporting(watch, progress, period):
            serialized = library.given(
                f"build '{key.stem}'", lambda: builder.build_serialized_network(network, config)
            )
    except EngineError as error:
        if watch.cancelled():
            raise BuildCancelled(f"cancelled while {progress.text}") from error
        raise
    plan = bytes(memoryview(serialized))
    _log.info(
        "%s %s built '%s' in %.1f s, %.1f MB",
        library.name,
        library.version,
        key.stem,
        time.monotonic() - began,
        len(plan) / 1e6,
    )
    kept = None if cache is None else cache.serialize()
    return Built(plan, b"" if kept is None else bytes(memoryview(kept)))


def _parsed(library: TensorRt, builder: Any, onnx: bytes, key: PlanKey) -> Any:
    """The network of an ONNX file, with inputs and outputs as they must be."""
    trt = library.module
    # From 11 on every network is strongly typed, and the flag says nothing new.
    flag = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = library.given("make a network", lambda: builder.create_network(flag))
    parser = library.given("make its OnnxParser", lambda: trt.OnnxParser(network, library.logger))
    if not parser.parse(onnx):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        words = "; ".join(
            f"node '{error.node_name()}' ({error.node_operator()}): {error.desc()}"
            for error in errors
        )
        said = library.messages.take_errors()
        raise ModelError(
            f"{library.name} {library.version} cannot read the graph of '{key.model}': "
            f"{words or said}"
        )
    inputs = {network.get_input(i).name: network.get_input(i) for i in range(network.num_inputs)}
    outputs = {network.get_output(i).name for i in range(network.num_outputs)}
    if set(inputs) != set(INPUTS) or outputs != set(OUTPUTS):
        raise ModelError(
            f"'{key.model}' is not an end-to-end graph: it has inputs {', '.join(inputs)} and "
            f"outputs {', '.join(sorted(outputs))}; "
            "make one with 'hrnet_pose export --graph end2end'"
        )
    _fix_image_size(inputs[IMAGE], key)
    return network


def _fix_image_size(image: Any, key: PlanKey) -> None:
    width, height = key.image_size
    found, wanted = tuple(image.shape), (height, width, 3)
    if any(have not in (-1, want) for have, want in zip(found, wanted, strict=True)):
        raise ModelError(
            f"the graph of '{key.model}' is for images of {found[1]}x{found[0]}, expected "
            f"{width}x{height} (width x height): set image_size to that, or export the graph "
            "without a fixed image size"
        )
    image.shape = wanted


def _configuration(
    library: TensorRt, builder: Any, network: Any, key: PlanKey, here: str | None
) -> Any:
    config = library.given("make a builder's configuration", builder.create_builder_config)
    library.set_target(config, key.target, here)
    # TF32 has 10 bits: float32 shall be float32, in the network as in DARK's blur.
    config.clear_flag(library.module.BuilderFlag.TF32)
    if library.searches:
        config.builder_optimization_level = key.optimization_level
    if key.workspace_mib:
        pool = library.module.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(pool, key.workspace_mib << 20)
    profile = library.given("make an optimization profile", builder.create_optimization_profile)
    profile.set_shape(CROP_TO_IMAGE, *((count, 2, 3) for count in key.persons))
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"profile {key.persons}: {library.messages.take_errors()}")
    return config


def _timing_cache(library: TensorRt, config: Any, timings: bytes) -> Any | None:
    """The cache that the build reads and fills; None where the library uses none."""
    if not library.keeps_timings:
        return None
    for known in dict.fromkeys((timings, b"")):
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
        # Timings only shorten builds: without them this one takes longer.
        _log.info(
            "%s: %s",
            "timings of earlier builds do not fit" if known else "no timings are kept",
            library.messages.take_errors(),
        )
    return None


def _monitor(trt: Any, watch: BuildWatch, progress: Progress) -> Any:
    """A progress monitor that keeps the fraction of the work done, and asks whether to go on.

    An exception must not leave its methods: it would go through C++ code that knows none.
    """

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._lock = threading.Lock()  # the library may call from several threads
            self._phases: dict[str, tuple[str | None, int, int]] = {}  # parent, steps, done

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock:
                self._phases[phase_name] = (parent_phase, max(1, num_steps), 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._lock:
                if phase_name in self._phases:
                    parent, steps, _ = self._phases[phase_name]
                    self._phases[phase_name] = (parent, steps, min(step + 1, steps))
                progress.fraction = max(progress.fraction or 0.0, self._fraction(None))
            try:
                return not watch.cancelled()
            except Exception:
                _log.exception("the build's watch failed: the build goes on")
                return True

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                self._phases.pop(phase_name, None)

        def _fraction(self, parent: str | None) -> float:
            """Share done of the phases below a phase, the least of them where several run."""
            fractions = [
                min(1.0, (done + (self._fraction(name) if done < steps else 0)) / steps)
                for name, (above, steps, done) in self._phases.items()
                if above == parent
            ]
            return min(fractions, default=0.0)

    return Monitor()
