# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine on a pretended GPU (test/support/pretended_device.py).

Calls, copies, buckets, failures and recovery; test/gpu has the same questions for a real one.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the pretended device computes by it")

from pretended_device import DEAD, MEMORY, NO_MEMORY, SCRATCH, Pretended, pretend
from tensorrt_fixtures import Heard

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt import plan_loading
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import CudaError, DeviceLost, OutOfDeviceMemory
from hrnet_pose_ros.engines.tensorrt.engine import TensorRtEngine
from hrnet_pose_ros.engines.tensorrt.library import RTX, STANDARD
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_check import PlanVerdict, PlanWrong, check_scene
from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRejected
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.poses import Poses

GRAPH = Path(__file__).resolve().parents[3] / "models" / "hrnetv2_w24_small_end2end_float32.onnx"
SIZE = (640, 480)
FRAME, BOXES = check_scene(SIZE)
BOXES = BOXES.astype(np.float32)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return pretend(monkeypatch, GRAPH)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of something else: the processor's answer takes its time."""
    monkeypatch.setattr(plan_loading, "known_verdict", lambda *_: True)


def engine_of(folder: Path, size: tuple[int, int] = SIZE, **options: Any) -> TensorRtEngine:
    chosen = TensorRtOptions(
        image_size=size,
        plan_cache=str(folder),
        **{"max_persons": 6, "typical_persons": 2, **options},
    )
    return TensorRtEngine(ModelFile.read(GRAPH), options=chosen, watch=BuildWatch())


def same(ours: Poses, theirs: Poses) -> None:
    np.testing.assert_allclose(ours.keypoints, theirs.keypoints, atol=0.01)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)


def test_the_poses_are_those_of_the_processor(gpu: Pretended, tmp_path: Path) -> None:
    """From the frame through every copy and back; 8 persons in groups of 6 and 2."""
    engine = engine_of(tmp_path)
    cpu = make_engine("hrnetv2_w24_small", engine="openvino", precision="float32", max_batch=1)
    ours, theirs = engine.estimate(FRAME, BOXES), cpu.estimate(FRAME, BOXES)
    cpu.close()
    near = np.abs(ours.keypoints - theirs.keypoints).max(axis=-1) < 0.2
    assert near[theirs.scores > 0.3].mean() > 0.97
    assert gpu.module.ran[-2:] == [6, 2]
    engine.close()
    assert gpu.cuda.allocated == {} and gpu.cuda.queues == {} and gpu.cuda.graphs == {}
    with pytest.raises(EngineError, match="closed or has failed"):
        engine.estimate(FRAME, BOXES)


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_every_number_of_persons_is_ready(
    cuda_graphs: bool, gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    """No shape is set while it serves; one launch and two copies up, one down, for each group."""
    engine = engine_of(tmp_path, cuda_graphs=cuda_graphs)
    assert gpu.module.shapes == 4  # 1, 2, 4 and 6, once each
    alone = Poses.concatenate([engine.raw_poses(FRAME, box[None]) for box in BOXES])
    for count, bucket in ((1, 1), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6)):
        gpu.cuda.forget()
        poses = engine.raw_poses(FRAME, BOXES[:count])
        assert len(poses) == count
        same(poses, alone.select(np.arange(count)))
        assert gpu.module.ran[-1] == bucket
        kinds = [kind for kind, _ in gpu.cuda.copied]
        assert kinds == ["up", "up", "down"]
        assert gpu.cuda.copied[0][1] == FRAME.nbytes
        assert gpu.cuda.calls["cudaGraphLaunch"] == cuda_graphs
        assert gpu.cuda.calls["cudaMemcpyAsync"] == (1 if cuda_graphs else 3)
        assert gpu.cuda.calls["cudaStreamSynchronize"] == 1
        assert gpu.cuda.calls["cudaMalloc"] == gpu.cuda.calls["cudaHostAlloc"] == 0
    assert gpu.module.shapes == 4
    assert len(engine.raw_poses(FRAME, BOXES[:0])) == 0
    engine.close()


@pytest.mark.parametrize(
    ("most", "buckets", "counts", "ran"),
    [
        # Nobody, many more than fit, one, exactly as many as fit and one more.
        (6, (), (0, 13, 1, 0, 6, 7, 12), [6, 6, 1, 1, 6, 6, 1, 6, 6]),
        (1, (), (3, 0, 1), [1, 1, 1, 1]),
        (5, (3, 3, 9), (2, 4, 8), [3, 5, 5, 3]),  # one that is repeated, one too large
        (3, (3,), (1, 2, 3), [3, 3, 3]),
    ],
)
def test_any_sequence_of_numbers_of_persons(
    most: int,
    buckets: tuple[int, ...],
    counts: tuple[int, ...],
    ran: list[int],
    gpu: Pretended,
    unchecked: None,
    tmp_path: Path,
) -> None:
    def scores_of_x(names: tuple[str, ...], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Each person's score tells which transform it was given."""
        x = inputs["crop_to_image"][:, 0, 2].astype(np.float32)
        outputs = [np.ones((len(x), 17, *sides), np.float32) for sides in ((2,), (), (3,))]
        outputs[1] *= x[:, None]
        return outputs

    gpu.module.computed = scores_of_x  # type: ignore[method-assign]
    engine = engine_of(
        tmp_path, max_persons=most, typical_persons=1, person_buckets=buckets, cuda_graphs=False
    )
    boxes = np.array([[100 + 9 * n, 50, 60, 80] for n in range(max(counts))], np.float32)
    expected = crop_to_image(boxes, engine.metadata.input_size, engine.metadata.crop)[:, 0, 2]
    shapes = gpu.module.shapes
    gpu.module.ran.clear()
    gpu.cuda.forget()
    for count in counts:
        poses = engine.raw_poses(FRAME, boxes[:count])
        np.testing.assert_allclose(poses.scores[:, 0], expected[:count], rtol=1e-6)
    assert gpu.module.ran == ran
    assert gpu.module.shapes == shapes
    assert gpu.cuda.calls["cudaMalloc"] == gpu.cuda.calls["cudaHostAlloc"] == 0
    engine.close()


def test_buckets_by_parameter_and_their_memory(
    gpu: Pretended, unchecked: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        engine = engine_of(tmp_path, person_buckets=(3,))
    engine.raw_poses(FRAME, BOXES[:1])
    assert gpu.module.ran[-1] == 3
    assert "buckets of 3, 6 persons, 2 captured; they share 0 MB of device memory" in caplog.text
    # One block of intermediate results, whatever the number of buckets.
    assert [m.size for m in gpu.cuda.allocated.values()].count(SCRATCH) == 1
    engine.close()


def test_a_bgr_frame_goes_up_as_it_lies_in_memory(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine = engine_of(tmp_path)
    expected = engine.raw_poses(FRAME, BOXES[:2])
    bgr = np.ascontiguousarray(FRAME[..., ::-1])
    same(engine.raw_poses(bgr[..., ::-1], BOXES[:2]), expected)
    np.testing.assert_array_equal(engine.runner.frame_buffer, bgr)
    same(engine.raw_poses(FRAME, BOXES[:2]), expected)  # and back
    engine.close()


def test_a_frame_in_the_engines_buffer_is_not_copied(
    gpu: Pretended, unchecked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(tmp_path)
    expected = engine.raw_poses(FRAME, BOXES[:2])
    buffer = engine.frame_buffer(480, 640)
    assert buffer is not None and engine.frame_buffer(481, 640) is None
    buffer[:] = 0
    buffer[:] = FRAME
    monkeypatch.setattr(np, "copyto", lambda *_: pytest.fail("the frame was copied"))
    same(engine.raw_poses(buffer, BOXES[:2]), expected)
    engine.close()
    assert engine.frame_buffer(480, 640) is None


def test_another_image_size_is_warmed_up_too(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine = engine_of(tmp_path)
    gpu.module.ran.clear()
    wide = np.zeros((480, 700, 3), np.uint8)
    engine.raw_poses(wide, BOXES[:1])
    assert [key.image_size for key in gpu.builds] == [SIZE, (700, 480)]
    assert sorted({*gpu.module.ran}) == [1, 2, 4, 6]
    assert gpu.module.ran.count(6) == 2  # once, and once as a graph
    engine.close()
    assert gpu.cuda.allocated == {}


def test_work_that_cannot_be_captured_runs_without(
    gpu: Pretended, unchecked: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.module.no_capture = True
    engine = engine_of(tmp_path)
    assert "6 persons run without a CUDA graph, which could not be captured" in caplog.text
    assert len(engine.raw_poses(FRAME, BOXES[:3])) == 3
    assert gpu.cuda.calls["cudaGraphLaunch"] == 0
    engine.close()
    assert gpu.cuda.graphs == {}


# --- a null is not always a stale plan -----------------------------------------------------------


def plan_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.plan")}


def test_out_of_memory_leaves_the_plan_alone(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine_of(tmp_path).close()
    kept = plan_files(tmp_path)
    gpu.module.null = "[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)"
    with pytest.raises(OutOfDeviceMemory, match=r"could not load it: at least .* are free: .*out"):
        engine_of(tmp_path)
    gpu.module.null = "Error Code 4: Internal Error (Engine deserialization failed.)"
    gpu.cuda.memory = 10  # and the library does not say why
    with pytest.raises(OutOfDeviceMemory, match="0 MB are free"):
        engine_of(tmp_path)
    gpu.cuda.memory = MEMORY
    assert plan_files(tmp_path) == kept and len(gpu.builds) == 1
    gpu.module.null = ""
    gpu.cuda.fails["cudaMalloc"] = NO_MEMORY
    with pytest.raises(OutOfDeviceMemory, match="cudaMalloc failed"):
        engine_of(tmp_path)
    del gpu.cuda.fails["cudaMalloc"]
    engine_of(tmp_path).close()
    assert len(gpu.builds) == 1


def test_a_dead_context_leaves_the_plan_alone(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine_of(tmp_path).close()
    kept = plan_files(tmp_path)
    gpu.module.null = "Error Code 1: Cuda Runtime (an illegal memory access was encountered)"
    gpu.cuda.fails["cudaDeviceSynchronize"] = DEAD
    with pytest.raises(DeviceLost, match=r"does not answer this process any more: .*illegal"):
        engine_of(tmp_path)
    assert plan_files(tmp_path) == kept and len(gpu.builds) == 1


@pytest.mark.parametrize(
    ("library", "null", "words"),
    [
        (STANDARD, "context", "tensorrt does not make a context"),
        (RTX, "context", "tensorrt_rtx does not make a context"),
        (RTX, "config", "tensorrt_rtx does not make a runtime configuration"),
    ],
)
def test_a_null_from_a_plan_that_loaded_leaves_it_alone(
    library: str,
    null: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    unchecked: None,
    tmp_path: Path,
) -> None:
    gpu = pretend(monkeypatch, GRAPH, library)
    engine_of(tmp_path).close()
    kept = plan_files(tmp_path)
    gpu.module.nulls = {null}
    with pytest.raises(CudaError, match=words):
        engine_of(tmp_path)
    gpu.cuda.memory = SCRATCH + 1  # and the library does not say why
    with pytest.raises(OutOfDeviceMemory, match=r"could not make a .* are free"):
        engine_of(tmp_path)
    gpu.cuda.memory = MEMORY
    gpu.cuda.fails["cudaDeviceSynchronize"] = DEAD
    with pytest.raises(DeviceLost, match="could not make a"):
        engine_of(tmp_path)
    del gpu.cuda.fails["cudaDeviceSynchronize"]
    assert gpu.cuda.allocated == {}
    assert plan_files(tmp_path) == kept and len(gpu.builds) == 1


def test_without_a_cache_of_kernels_rtx_runs_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
    unchecked: None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu = pretend(monkeypatch, GRAPH, RTX)
    gpu.module.nulls = {"cache"}
    engine = engine_of(tmp_path)
    assert "compiled kernels cannot be kept, and are compiled at every start" in caplog.text
    assert len(engine.raw_poses(FRAME, BOXES[:2])) == 2
    engine.close()
    assert not list(tmp_path.glob("*.kernels"))


def test_a_stale_plan_stays_until_the_new_one_has_proved_itself(
    gpu: Pretended, unchecked: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine_of(tmp_path).close()
    ((name, old),) = plan_files(tmp_path).items()
    gpu.module.null = "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed"
    with pytest.raises(PlanRejected):  # neither it nor the new one: the reason is another
        engine_of(tmp_path)
    assert plan_files(tmp_path) == {name: old} and len(gpu.builds) == 2
    gpu.module.null, gpu.module.bad_plans = "", {old}
    engine_of(tmp_path).close()
    assert "is built anew: tensorrt does not load it: Serialization" in caplog.text
    new = plan_files(tmp_path)[name]
    assert new != old and len(gpu.builds) == 3
    engine_of(tmp_path).close()
    assert len(gpu.builds) == 3


# --- a lost device -------------------------------------------------------------------------------


def test_after_the_device_is_lost_nothing_is_touched(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine = engine_of(tmp_path)
    gpu.cuda.dead = True
    with pytest.raises(DeviceLost, match="only a new process can use it again"):
        engine.estimate(FRAME, BOXES)
    gpu.cuda.forget()
    engine.close()
    assert gpu.cuda.log == []  # no free, no reset, no destructor


def test_an_error_that_passes_is_none_of_the_devices(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine = engine_of(tmp_path)
    gpu.cuda.fails["cudaGraphLaunch"] = 46
    with pytest.raises(CudaError, match="cudaGraphLaunch failed") as caught:
        engine.estimate(FRAME, BOXES)
    assert not isinstance(caught.value, DeviceLost)
    for queue in gpu.cuda.queues.values():
        queue.clear()
    engine.close()
    assert gpu.cuda.allocated == {}


# --- no plan serves before it is checked ---------------------------------------------------------


def count_references(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The processor's answers that were asked for: the graphs' paths."""
    asked: list[Path] = []
    whole = cache(plan_loading.load_plan.__kwdefaults__["reference"])  # seconds each
    monkeypatch.setitem(
        plan_loading.load_plan.__kwdefaults__,
        "reference",
        lambda path: asked.append(path) or whole(path),
    )
    return asked


def test_a_plan_is_checked_once_on_each_machine(
    gpu: Pretended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = count_references(monkeypatch)
    with caplog.at_level(logging.INFO):
        engine_of(tmp_path).close()
    assert asked == [GRAPH]
    assert re.search(
        r"mean OKS (1\.0|0\.999)\d+ against the processor, at least 0\.995", caplog.text
    )
    engine_of(tmp_path).close()
    assert len(asked) == 1
    gpu.cuda.uuid = b"\2" * 16  # the same plan on another GPU of that kind
    engine_of(tmp_path).close()
    gpu.cuda.driver = 13000
    engine_of(tmp_path).close()
    assert len(asked) == 3
    gpu.cuda.uuid = bytes(16)  # one that does not say who it is
    engine_of(tmp_path).close()
    engine_of(tmp_path).close()
    assert len(asked) == 5
    assert len(gpu.builds) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda name, values: values + 8 if name == "keypoints" else values,
        lambda name, values: values * 0 if name == "scores" else values,
        lambda name, values: values * np.nan,
    ],
    ids=["displaced", "blind", "NaN"],
)
def test_a_plan_with_wrong_answers_is_refused(spoil: Any, gpu: Pretended, tmp_path: Path) -> None:
    gpu.module.spoil = spoil
    with pytest.raises(PlanWrong, match=r"gives other key points than the processor: mean OKS 0\."):
        engine_of(tmp_path)
    assert gpu.cuda.allocated == {}
    with pytest.raises(PlanWrong):  # kept, so not built again, but checked again
        engine_of(tmp_path)
    assert len(gpu.builds) == 1


# --- TensorRT for RTX ----------------------------------------------------------------------------


def test_rtx_keeps_its_kernels_beside_the_plan(
    monkeypatch: pytest.MonkeyPatch, unchecked: None, tmp_path: Path
) -> None:
    gpu = pretend(monkeypatch, GRAPH, RTX)
    engine_of(tmp_path).close()
    (kernels,) = tmp_path.glob("*.kernels")
    assert kernels.read_bytes() == b"compiled kernels"
    config = gpu.module.made_with[0]
    assert all(one is config for one in gpu.module.made_with)  # one cache for all buckets
    assert (config.allocation, config.cuda_graph_strategy) == ("user", "whole")
    assert config.dynamic_shapes_kernel_specialization_strategy == "eager"
    assert config.cache is not None
    assert gpu.module.kernels_in == []
    assert gpu.cuda.calls["cudaStreamBeginCapture"] == 0  # the library captures by itself
    engine_of(tmp_path, cuda_graphs=False).close()
    assert gpu.module.kernels_in == [b"compiled kernels"]
    assert gpu.module.made_with[-1].cuda_graph_strategy == "disabled"
    assert len(gpu.builds) == 1
    kernels.chmod(0o666)  # others could have written them, and they are code
    engine_of(tmp_path).close()
    assert gpu.module.kernels_in == [b"compiled kernels"]


@pytest.mark.parametrize("library", [STANDARD, RTX])
def test_loading_and_checking_a_plan_are_reported_like_a_build(
    library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """tensorrt_rtx compiles its kernels then; the processor's answer takes seconds, too."""
    pretend(monkeypatch, GRAPH, library)
    monkeypatch.setitem(plan_loading.load_plan.__kwdefaults__, "reference", lambda path: None)
    monkeypatch.setattr(plan_loading, "check_plan", lambda *_: PlanVerdict(1.0, 0.0, 0.995))
    heard = Heard()
    options = TensorRtOptions(
        image_size=SIZE, max_persons=2, typical_persons=1, plan_cache=str(tmp_path)
    )
    TensorRtEngine(ModelFile.read(GRAPH), options=options, watch=heard).close()
    told = [text.split(" '")[0] for text in dict.fromkeys(heard.texts)]
    assert told == ["loading and warming up the plan", "comparing the plan"]


def test_rtx_has_one_plan_for_all_optimisation_levels(
    monkeypatch: pytest.MonkeyPatch, unchecked: None, tmp_path: Path
) -> None:
    gpu = pretend(monkeypatch, GRAPH, RTX)
    for level in (3, 5):
        engine_of(tmp_path, optimization_level=level).close()
    assert [key.optimization_level for key in gpu.builds] == [0]


def test_gpus_of_one_name_and_another_size_have_plans_of_their_own(
    gpu: Pretended, unchecked: None, tmp_path: Path
) -> None:
    engine_of(tmp_path).close()
    gpu.cuda.multiprocessors = 8  # Orin NX and AGX are both called Orin
    engine_of(tmp_path).close()
    assert [key.target.multiprocessors for key in gpu.builds] == [16, 8]
