# SPDX-License-Identifier: Apache-2.0
"""What the GPU benchmark times, on a pretended device: no copy of the host's between two events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime  # noqa: F401  conftest.py: without it, this file is left out
import pytest
from pretended_device import Pretended, pretend

from bench.gpu import _changing_row, _device_ms, _graph_ms, _row
from bench.rows import IMAGE_SIZE, scene, table
from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.tensorrt import plan_loading
from hrnet_pose_ros.engines.tensorrt.engine import TensorRtEngine
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.boxes import crop_to_image

MODELS = Path(__file__).resolve().parents[2] / "models"
GRAPH = sorted(MODELS.glob("*_end2end_float32.onnx"))[0]
COPY, LAUNCH, WAIT = "cudaMemcpyAsync", "cudaGraphLaunch", "cudaStreamSynchronize"
EVENT = "cudaEventRecord"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    monkeypatch.setattr(plan_loading, "known_verdict", lambda *_: True)
    return pretend(monkeypatch, GRAPH)


@pytest.fixture
def engine(gpu: Pretended, tmp_path: Path) -> Iterator[TensorRtEngine]:
    options = TensorRtOptions(
        image_size=IMAGE_SIZE, typical_persons=1, max_persons=2, plan_cache=str(tmp_path)
    )
    made = TensorRtEngine(ModelFile.read(GRAPH), options=options, watch=BuildWatch())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("measure", "between"),
    [
        # Copies up, kernels (which are no call of CUDA), the copy down.
        (_device_ms, [EVENT, COPY, COPY, EVENT, EVENT, COPY, EVENT, WAIT]),
        # The same work as the engine runs it; the graph holds all but the frame's copy.
        (_graph_ms, [EVENT, COPY, LAUNCH, EVENT, WAIT]),
    ],
    ids=["one by one", "as a graph"],
)
def test_both_columns_time_the_device_alone(
    measure, between: list[str], gpu: Pretended, engine: TensorRtEngine
) -> None:
    frame, boxes = scene(2, IMAGE_SIZE)
    runner = engine.runner
    transforms = crop_to_image(boxes, engine.metadata.input_size, engine.metadata.crop)
    staged: list[int] = []  # calls of CUDA before the copy into pinned memory
    stage = runner.stage_frame

    def noted(frame: np.ndarray) -> None:
        staged.append(len(gpu.cuda.log))
        stage(frame)

    runner.stage_frame = noted  # type: ignore[method-assign]
    gpu.cuda.forget()
    taken = measure(runner, frame, transforms.astype(np.float32))
    assert staged == [0]
    calls = [name for name in gpu.cuda.log if name in {*between}]
    assert calls == between
    assert np.all(np.array(taken) >= 0) and np.size(taken) == (3 if measure is _device_ms else 1)
    assert gpu.cuda.events == {}


def test_a_row_has_both_columns_and_the_bytes(gpu: Pretended, engine: TensorRtEngine) -> None:
    row = _row(engine, 1, repetitions=2)
    assert row.device_p50_ms is not None and row.graph_p50_ms is not None
    width, height = IMAGE_SIZE
    assert row.bytes_moved is not None and row.bytes_moved > 3 * width * height
    assert row.persons == "1" and not row.changing
    assert len(table([row]).splitlines()) == 3
    assert gpu.cuda.events == {}


def test_without_a_captured_graph_its_column_is_empty(
    gpu: Pretended, engine: TensorRtEngine
) -> None:
    for bucket in engine.runner._buckets:
        bucket.graph = None
    row = _row(engine, 1, repetitions=2)
    assert row.graph_p50_ms is None and row.device_p50_ms is not None


def test_a_row_in_which_the_number_of_persons_changes(
    gpu: Pretended, engine: TensorRtEngine
) -> None:
    def nobody(names: tuple[str, ...], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        persons = len(inputs["crop_to_image"])
        joints = engine.metadata.skeleton.joints
        return [np.zeros((persons, joints, *sides), np.float32) for sides in ((2,), (), (3,))]

    gpu.module.computed = nobody  # type: ignore[method-assign]
    gpu.module.ran.clear()
    row = _changing_row(engine, repetitions=6)
    assert row.changing and row.persons == "1 to 20, changing"
    assert 1 < row.mean_persons < 20
    assert {*gpu.module.ran} == {1, 2}  # groups of at most two, and single ones
    assert row.device_p50_ms is None and row.graph_p50_ms is None
