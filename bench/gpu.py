# SPDX-License-Identifier: Apache-2.0
"""GPU benchmark of the TensorRT engine: W32 and W48, both sizes, float16, 1 to 40 persons in 720p.

The weights are random, which does not affect the timing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.rows import IMAGE_SIZE, EngineRow, scene, timed
from hrnet_pose_ros.cli.compile import printed_progress
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import CudaError, call, runtime
from hrnet_pose_ros.engines.tensorrt.engine import TensorRtEngine
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRunner
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.boxes import crop_to_image

MODELS = ("hrnet_w32", "hrnet_w48")
INPUT_SIZES = ((192, 256), (288, 384))
PERSONS = (1, 5, 10, 20, 40)


def gpu_rows(folder: Path, repetitions: int) -> Iterator[EngineRow]:
    """Measure all rows; exported graphs and plans are cached in ``folder``."""
    for model in MODELS:
        for input_size in INPUT_SIZES:
            graph = _graph(folder, model, input_size)
            options = TensorRtOptions(
                image_size=IMAGE_SIZE,
                typical_persons=10,
                max_persons=max(PERSONS),
                plan_cache=str(folder / "plans"),
            )
            engine = TensorRtEngine(
                ModelFile.read(graph), options=options, watch=printed_progress()
            )
            engine.warm_up()
            for persons in PERSONS:
                yield _row(engine, persons, repetitions)
            engine.close()


def _graph(folder: Path, model: str, input_size: tuple[int, int]) -> Path:
    import torch

    from hrnet_pose_ros.network.export_end2end import export_end2end_graph
    from hrnet_pose_ros.network.pose_networks import pose_network

    width, height = input_size
    graph = folder / f"{model}_{height}x{width}_end2end_float16.onnx"
    if not graph.is_file():
        print(f"exporting {graph.name}", file=sys.stderr)
        torch.manual_seed(0)
        checkpoint = folder / f"{model}.pth"
        torch.save(pose_network(model).state_dict(), checkpoint)
        crops = load_check_crops()[:1]
        export_end2end_graph(checkpoint, graph, crops=crops, input_size=input_size)
    return graph


def _row(engine: TensorRtEngine, persons: int, repetitions: int) -> EngineRow:
    frame, boxes = scene(persons, IMAGE_SIZE)
    latency = timed(lambda: engine.estimate(frame, boxes), repetitions)
    runner = engine.runner
    transforms = crop_to_image(boxes, engine.metadata.input_size, engine.metadata.crop)
    parts = np.array([_device_ms(runner, frame, transforms) for _ in range(repetitions)])
    copies, kernels = parts[:, 0] + parts[:, 2], parts[:, 1]
    info, up = engine.info, runner.bytes_up
    return EngineRow(
        device=info.device,
        engine=info.engine,
        model=engine.metadata.configuration,
        precision=info.precision,
        input_size=engine.metadata.input_size,
        persons=persons,
        p50_ms=float(np.percentile(latency, 50)),
        p99_ms=float(np.percentile(latency, 99)),
        bytes_moved=up[0] + persons * up[1] + runner.bytes_down,
        copy_fraction=float((copies / (copies + kernels)).mean()),
        device_p50_ms=float(np.percentile(copies + kernels, 50)),
        graph_p50_ms=_as_cuda_graph(runner, frame, transforms, repetitions),
    )


def _device_ms(runner: PlanRunner, frame: np.ndarray, transforms: np.ndarray) -> list[float]:
    """Milliseconds of the host-to-device copies, the kernels and the device-to-host copy."""
    stream = runner.stream
    events = [stream.record()]
    runner.upload(frame)
    runner.upload_transforms(transforms)
    events.append(stream.record())
    runner.execute(len(transforms))
    events.append(stream.record())
    runner.download()
    events.append(stream.record())
    runner.finish(len(transforms))
    parts = [events[i + 1].ms_since(events[i]) for i in range(3)]
    for event in events:
        event.close()
    return parts


def _as_cuda_graph(
    runner: PlanRunner, frame: np.ndarray, transforms: np.ndarray, repetitions: int
) -> float | None:
    """Median milliseconds of the same work replayed as a CUDA graph; None if capturing fails.

    The engine does not use CUDA graphs; this measures whether they would pay off.
    """
    stream, count = runner.stream, len(transforms)
    mode = runtime().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    call("cudaStreamBeginCapture", stream.handle, mode)
    try:
        try:
            runner.upload(frame)
            runner.start(transforms)
        finally:
            captured = call("cudaStreamEndCapture", stream.handle)
        graph = call("cudaGraphInstantiate", captured, 0)
    except CudaError as error:
        print(f"the CUDA graph was not measured: {error}", file=sys.stderr)
        return None
    taken = []
    for _ in range(repetitions):
        events = [stream.record()]
        call("cudaGraphLaunch", graph, stream.handle)
        events.append(stream.record())
        runner.finish(count)
        taken.append(events[1].ms_since(events[0]))
        for event in events:
            event.close()
    call("cudaGraphExecDestroy", graph)
    call("cudaGraphDestroy", captured)
    return float(np.median(taken))
