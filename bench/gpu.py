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
            yield _changing_row(engine, repetitions)
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
    rule = engine.metadata.crop
    transforms = crop_to_image(boxes, engine.metadata.input_size, rule).astype(np.float32)
    # Alternately, so that clock and temperature affect both alike.
    parts, graphs = [], []
    for _ in range(repetitions):
        parts.append(_device_ms(runner, frame, transforms))
        graphs.append(_graph_ms(runner, frame, transforms))
    columns = np.array(parts)
    copies, kernels = columns[:, 0] + columns[:, 2], columns[:, 1]
    captured = [taken for taken in graphs if taken is not None]
    info, up = engine.info, runner.bytes_up
    return EngineRow(
        device=info.device,
        engine=info.engine,
        model=engine.metadata.configuration,
        precision=info.precision,
        input_size=engine.metadata.input_size,
        persons=str(persons),
        p50_ms=float(np.percentile(latency, 50)),
        p99_ms=float(np.percentile(latency, 99)),
        bytes_moved=up[0] + up[1] + runner.bytes_down,
        copy_fraction=float((copies / (copies + kernels)).mean()),
        device_p50_ms=float(np.percentile(copies + kernels, 50)),
        graph_p50_ms=float(np.median(captured)) if captured else None,
        mean_persons=float(persons),
    )


def _changing_row(engine: TensorRtEngine, repetitions: int) -> EngineRow:
    """As a street has it: the number of persons, from 1 to 20, changes with every frame."""
    random = np.random.default_rng(0)
    counts, before = (random.integers(1, 21, n) for n in (repetitions, 20))
    scenes = {count: scene(count, IMAGE_SIZE) for count in range(1, 21)}
    order = iter([*before, *counts])  # `timed` warms up with 20 calls
    latency = timed(lambda: engine.estimate(*scenes[int(next(order))]), repetitions)
    info = engine.info
    return EngineRow(
        device=info.device,
        engine=info.engine,
        model=engine.metadata.configuration,
        precision=info.precision,
        input_size=engine.metadata.input_size,
        persons="1 to 20, changing",
        p50_ms=float(np.percentile(latency, 50)),
        p99_ms=float(np.percentile(latency, 99)),
        mean_persons=float(counts.mean()),
        changing=True,
    )


def _device_ms(runner: PlanRunner, frame: np.ndarray, transforms: np.ndarray) -> list[float]:
    """Milliseconds of the host-to-device copies, the kernels and the device-to-host copy.

    On the device alone: everything is in pinned memory before the first event.
    """
    stream = runner.stream
    runner.stage_frame(frame)
    bucket = runner.stage_transforms(transforms)
    events = [stream.record()]
    runner.upload_frame()
    runner.upload_transforms()
    events.append(stream.record())
    runner.execute(bucket)
    events.append(stream.record())
    runner.download()
    events.append(stream.record())
    runner.finish(len(transforms))
    parts = [events[i + 1].ms_since(events[i]) for i in range(3)]
    for event in events:
        event.close()
    return parts


def _graph_ms(runner: PlanRunner, frame: np.ndarray, transforms: np.ndarray) -> float | None:
    """Milliseconds of the same copies and kernels as the engine runs them, by the bucket's CUDA
    graph; None where it was not captured."""
    stream = runner.stream
    runner.stage_frame(frame)
    bucket = runner.stage_transforms(transforms)
    if bucket.graph is None:
        return None
    events = [stream.record()]
    runner.upload_frame()
    runner.start(bucket)
    events.append(stream.record())
    runner.finish(len(transforms))
    taken = events[1].ms_since(events[0])
    for event in events:
        event.close()
    return taken
