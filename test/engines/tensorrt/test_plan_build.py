# SPDX-License-Identifier: Apache-2.0
"""End-to-end graphs go through TensorRT's real parser and builder; only a run needs a GPU."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tensorrt_fixtures import (
    COMPACT,
    ROOT,
    Heard,
    end2end_graph_file,
    key_of,
    library_or_skip,
)

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.engine import poses_of
from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_build import build_plan
from hrnet_pose_ros.engines.tensorrt.plan_cache import PlanCache
from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRunner
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17


@pytest.fixture(scope="module")
def library() -> TensorRt:
    return library_or_skip()


@pytest.fixture(scope="module")
def compact() -> bytes:
    return COMPACT.read_bytes()


def built(library: TensorRt, onnx_file: bytes, watch: Heard | None = None, **key: object):
    wanted = key_of(onnx_file, library, **key)
    return build_plan(library, onnx_file, wanted, here=None, watch=watch or Heard())


@pytest.mark.parametrize(
    ("network", "precision", "decoding", "flip_test", "input_size", "crop", "megabytes"),
    [
        # Weights of W32: 28.5 million, 2 or 4 bytes each. Its graphs are for small crops: PyTorch
        # takes a minute to trace a large one in float16 on a CPU.
        ("hrnet_w32", "float32", "quarter", False, (64, 64), "reference", (114, 123)),
        ("hrnet_w32", "float16", "dark", True, (64, 64), "reference", (57, 66)),
        ("hrnetv2_w24_small", "float32", "quarter", True, (192, 256), "reference", (12, 24)),
        ("hrnetv2_w24_small", "float16", "dark", False, (96, 128), "reference", (6, 14)),
        ("hrnetv2_w24_small", "float16", "dark", True, (96, 128), "udp", (6, 14)),
    ],
)
def test_graphs_build(
    network: str,
    precision: str,
    decoding: str,
    flip_test: bool,
    input_size: tuple[int, int],
    crop: CropRule,
    megabytes: tuple[int, int],
    library: TensorRt,
    tmp_path: Path,
) -> None:
    path = end2end_graph_file(tmp_path, network, precision, decoding, flip_test, input_size, crop)
    plan = built(library, path.read_bytes(), image_size=(1280, 720), persons=(1, 5, 20)).plan
    least, most = megabytes
    assert least < len(plan) / 1e6 < most


@pytest.mark.parametrize("persons", [(1, 1, 1), (1, 40, 40)])
def test_profiles(persons: tuple[int, int, int], library: TensorRt, compact: bytes) -> None:
    assert built(library, compact, persons=persons).plan


def test_profile_that_is_none(library: TensorRt, compact: bytes) -> None:
    with pytest.raises(EngineError, match=r"profile \(1, 9, 4\)"):
        built(library, compact, persons=(1, 9, 4))


def test_image_size_is_fixed_in_the_plan(library: TensorRt, compact: bytes) -> None:
    """A graph for any image size becomes a plan for one; a graph for one takes no other."""
    fixed = onnx.load_from_string(compact)
    sides = fixed.graph.input[0].type.tensor_type.shape.dim
    sides[0].dim_value, sides[1].dim_value = 240, 320
    assert built(library, fixed.SerializeToString(), image_size=(320, 240)).plan
    with pytest.raises(ModelError, match=r"is for images of 320x240, expected 640x480"):
        built(library, fixed.SerializeToString(), image_size=(640, 480))


def test_too_little_workspace(library: TensorRt, compact: bytes) -> None:
    with pytest.raises(EngineError, match=r"cannot build 'compact_.*workspace limit|OutOfMemory"):
        built(library, compact, workspace_mib=1)


def test_several_gpus_at_once(library: TensorRt, compact: bytes) -> None:
    plans = {
        target: built(library, compact, target=GpuTarget(target)).plan
        for target in (("8.9",), ("8.6", "8.9", "12.0"), ("7.5",))
    }
    assert len(set(plans.values())) == 3


def test_heatmap_model_is_no_end2end_graph(library: TensorRt) -> None:
    heatmaps = (ROOT / "models" / "hrnetv2_w24_small.onnx").read_bytes()
    with pytest.raises(ModelError, match=r"it has inputs crops .*--graph end2end"):
        built(library, heatmaps)


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise"])
def test_damaged_file(damage: str, library: TensorRt, compact: bytes) -> None:
    content = {"truncated": compact[:100_000], "empty": b"", "noise": bytes(range(256)) * 40}
    with pytest.raises(ModelError, match=r"cannot read the graph of|is not an end-to-end graph"):
        built(library, content[damage])


def test_parser_errors_name_the_node(library: TensorRt, compact: bytes) -> None:
    model = onnx.load_from_string(compact)
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    node.op_type, node.name = "NotAnOperator", "the_broken_one"
    with pytest.raises(ModelError, match=r"node 'the_broken_one' \(NotAnOperator\): "):
        built(library, model.SerializeToString())


def test_progress_while_other_threads_run(library: TensorRt, compact: bytes) -> None:
    gaps, done = [], threading.Event()

    def run() -> None:
        last = time.process_time()
        while not done.wait(0.005):
            now = time.process_time()
            gaps.append(now - last)
            last = now

    other = threading.Thread(target=run)
    other.start()
    heard = Heard()
    began = time.process_time()  # what other processes take of the machine is not this build's
    assert built(library, compact, heard).plan
    taken = time.process_time() - began
    done.set()
    other.join()
    assert len(gaps) > 20
    # A build that held Python's lock would stop the others for most of its time.
    assert max(gaps) < 0.5 * taken
    assert heard.texts[0].startswith("building the plan 'compact_float16_320x240_p4_")
    assert heard.asked > 100  # the library's steps


def test_share_grows(library: TensorRt, compact: bytes) -> None:
    class Slow(Heard):
        def cancelled(self) -> bool:
            """Now and then the library waits for a report, however slow the machine is."""
            if self.asked % 20 == 10:
                count, deadline = len(self.texts), time.monotonic() + 60
                while len(self.texts) == count and time.monotonic() < deadline:
                    time.sleep(0.001)
            return super().cancelled()

    heard = Slow()
    key = key_of(compact, library)
    assert build_plan(library, compact, key, here=None, watch=heard, period=0.002).plan
    known = [fraction for fraction in heard.fractions if fraction is not None]
    assert known == sorted(known)
    assert 0 <= known[0] < 0.2
    assert 0.5 < known[-1] <= 1


class Wrapped:
    """An object of the library with some of its attributes replaced."""

    def __init__(self, real: Any, **other: Any) -> None:
        self._real, self._other = real, other

    def __getattr__(self, name: str) -> Any:
        return self._other[name] if name in self._other else getattr(self._real, name)


def nothing(*_: object) -> None:
    """A null, with the library's words or without."""


def no_memory(*_: object) -> None:
    raise MemoryError("std::bad_alloc")


def null_of_a_constructor(*_: object) -> None:
    raise TypeError("pybind11::init(): factory function returned nullptr")


@pytest.mark.parametrize(
    ("function", "fails", "words"),
    [
        ("create_network", nothing, "cannot make a network here: the library gave no reason"),
        ("create_network", no_memory, r"cannot make a network here \(std::bad_alloc\)"),
        ("OnnxParser", null_of_a_constructor, "cannot make its OnnxParser here .*nullptr"),
        ("create_builder_config", nothing, "cannot make a builder's configuration here"),
        ("create_optimization_profile", nothing, "cannot make an optimization profile here"),
        ("build_serialized_network", nothing, "cannot build 'compact_float16_320x240_p4_.*' here"),
        ("build_serialized_network", no_memory, r"cannot build .* here \(std::bad_alloc\)"),
    ],
)
def test_every_null_of_the_builder_is_an_error_in_words(
    function: str, fails: Any, words: str, library: TensorRt, compact: bytes
) -> None:
    trt = library.module
    if function == "OnnxParser":
        module = Wrapped(trt, OnnxParser=fails)
    else:
        module = Wrapped(trt, Builder=lambda log: Wrapped(trt.Builder(log), **{function: fails}))
    with pytest.raises(EngineError, match=rf"^tensorrt_rtx \S+ {words}"):
        built(dataclasses.replace(library, module=module), compact)


@pytest.mark.parametrize("cancel_after", [0, 100])
def test_cancel(
    cancel_after: int, library: TensorRt, compact: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard(cancel_after=cancel_after)
    with pytest.raises(BuildCancelled, match=r"cancelled (before|while) building"):
        built(library, compact, heard)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert built(library, compact).plan  # the library is whole afterwards


def test_watch_that_fails_does_not_end_the_process(
    library: TensorRt, compact: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Heard):
        def cancelled(self) -> bool:
            self.asked += 1
            if self.asked == 30:
                raise RuntimeError("boom")
            return False

    assert built(library, compact, Broken()).plan
    assert "boom" in caplog.text


def test_timings_of_earlier_builds(
    library: TensorRt, compact: bytes, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """tensorrt keeps them; the same calls on this library, which does nothing with them."""
    keeping = dataclasses.replace(library, keeps_timings=True)
    key = key_of(compact, library)
    with pytest.warns(DeprecationWarning):
        first = build_plan(keeping, compact, key, here=None, watch=Heard())
    assert first.timings
    with pytest.warns(DeprecationWarning):
        again = build_plan(keeping, compact, key, here=None, watch=Heard(), timings=b"nonsense")
    assert again.plan
    assert built(library, compact).timings == b""

    handed: list[bytes] = []
    cache = PlanCache(tmp_path)
    for level in (3, 2):
        other = dataclasses.replace(key, optimization_level=level)
        cache.obtain(other, lambda timings: handed.append(timings) or first, Heard())
    assert handed == [b"", first.timings]
    assert len(list(tmp_path.glob("timings_tensorrt_rtx_*_8.9.cache"))) == 1


def test_key_of_a_graph(library: TensorRt) -> None:
    graph = End2EndGraphFile(ModelFile.read(COMPACT), library)
    options = TensorRtOptions(image_size=(640, 480), typical_persons=3, max_persons=7)
    key = graph.key(GpuTarget(("8.9",)), options)
    assert (key.model, key.precision, key.onnx_sha256) == (
        "hrnetv2_w24_small",
        "float16",
        graph.checksum,
    )
    assert (key.image_size, key.persons) == ((640, 480), (1, 3, 7))
    assert (key.library, key.library_version) == (library.name, library.version)
    heatmaps = ModelFile.read(ROOT / "models" / "hrnetv2_w24_small.onnx")
    with pytest.raises(ModelError, match="contains a heatmaps graph, expected an end-to-end graph"):
        End2EndGraphFile(heatmaps, library)


def test_plan_without_a_gpu_fails_in_words(library: TensorRt, compact: bytes) -> None:
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import DeviceLost, device_count

    if device_count()[0]:
        pytest.skip("there is a CUDA device")
    options = TensorRtOptions(image_size=(320, 240), max_persons=4, typical_persons=2)
    with pytest.raises(DeviceLost, match=r"could not load it: .*(driver|CUDA)"):
        PlanRunner(library, built(library, compact).plan, options)


def test_outputs_as_poses() -> None:
    scores = np.zeros((2, 17), np.float32)
    scores[0, 3] = 0.7
    keypoints = np.arange(68, dtype=np.float32).reshape(2, 17, 2)
    covariances = np.tile(np.array([4, 1, 9], np.float32), (2, 17, 1))
    poses = poses_of(keypoints, scores, covariances, COCO17)
    assert isinstance(poses, Poses)
    assert poses.valid.sum() == 1
    np.testing.assert_array_equal(poses.keypoints[0, 3], [6, 7])
    np.testing.assert_array_equal(poses.covariances[0, 3], [[4, 1], [1, 9]])
    assert np.isnan(poses.keypoints[0, 2]).all()
    assert np.isnan(poses.covariances[1]).all()
    assert poses.covariances.dtype == poses.keypoints.dtype == poses.scores.dtype == np.float32
