# SPDX-License-Identifier: Apache-2.0
"""An engine that fails: made again, given up for the CPU, or waited for. Beside it, long builds."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from engine_bench import Bench, fail
from ros_robot import TIMEOUT

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import DeviceLost
from hrnet_pose_ros.engines.tensorrt.plan_check import PlanWrong
from hrnet_pose_ros.model_files.folders import find_bundled_file
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.nodes.pose.diagnostics import EngineState
from hrnet_pose_ros.nodes.pose.engine_supervisor import RetryPolicy
from hrnet_pose_ros.pipeline.engine_arguments import cpu_arguments, engine_arguments
from hrnet_pose_ros.ros.diagnostic_status import HOLD

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def bench(street_frames: list[np.ndarray]) -> Bench:
    return Bench(street_frames[0])


@pytest.fixture
def gpu(bench: Bench) -> Bench:
    """A bench whose machine has a GPU, configured."""
    bench.gpu = True
    bench.supervisor.prepare()
    return bench


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def refuse(kind: str, error: Exception) -> Any:
    """Something for `Bench.before`: engines of that kind cannot be made."""

    def before(arguments: dict[str, Any]) -> None:
        if kind in ("any", arguments["selection"].engine):
            raise error

    return before


# --- any engine ----------------------------------------------------------------------------------


def test_the_parameters_reach_the_engine(bench: Bench) -> None:
    bench.set(
        model="hrnetv2_w24_small",
        precision="float32",
        flip_test=True,
        image_size=[768, 576],
        typical_persons=9,
        max_persons=7,
        plan_cache="/plans",
    )
    bench.supervisor.prepare()
    (asked,) = bench.asked
    assert asked.pop("watch") is bench.watch
    assert asked.pop("selection").engine == "openvino"
    assert asked == engine_arguments(bench.settings)
    assert (asked["precision"], asked["flip_test"]) == ("float32", True)
    options = asked["tensorrt"]
    assert (options.image_size, options.plan_cache) == ((768, 576), "/plans")
    assert (options.typical_persons, options.max_persons) == (7, 7)  # a profile's typical is in it
    make_engine(**asked).close()  # it takes them all


def test_an_engine_that_fails_is_closed_and_made_again_at_once(bench: Bench) -> None:
    bench.supervisor.prepare()
    broken = bench.engines[0]
    broken.fault = fail
    bench.process()
    assert broken.closed and bench.published == []
    assert "out of memory" in bench.warnings[0]
    assert bench.drops() == {"images.engine_not_ready": 1}
    status = bench.engine_status()
    assert status.level == ERROR and "out of memory" in status.message  # though it is back
    assert values(status) == {"state": "ready", "fallback": "false", "failures": "1"}
    bench.process()
    assert len(bench.engines) == 2 and len(bench.published) == 1
    assert len(bench.infos) == 2  # the latched info is published again


def test_an_engine_that_fails_twice_is_waited_for_longer_each_time(bench: Bench) -> None:
    bench.supervisor.prepare()
    bench.engines[0].fault = fail
    bench.process()
    times = []
    for _ in range(3):
        bench.engines[-1].fault = fail
        begin = time.monotonic()
        bench.process()
        assert bench.health.engine_state[0] is EngineState.FAILED
        made = len(bench.engines)
        while len(bench.engines) == made and time.monotonic() - begin < TIMEOUT:
            bench.process()
            time.sleep(0.002)
        times.append(time.monotonic() - begin)
    assert (np.array(times) >= [0.05, 0.1, 0.2]).all()  # the first delay is 0.05 s on the bench
    assert bench.health.engine_state[0] is EngineState.READY
    assert not bench.infos[-1][1]


def test_an_engine_that_cannot_be_made_again_is_tried_less_often(bench: Bench) -> None:
    bench.supervisor.prepare()
    bench.engines[0].fault = fail
    made = []

    def before(arguments: dict[str, Any]) -> None:
        made.append(time.monotonic())
        raise RuntimeError("no device")

    bench.before = before
    begin = time.monotonic()
    while len(made) < 5 and time.monotonic() - begin < TIMEOUT:
        bench.process()
        time.sleep(0.002)
    assert len(made) == 5 and (np.diff(made) >= [0.05, 0.1, 0.2, 0.4]).all()
    state, text = bench.health.engine_state
    assert (state, text) == (EngineState.FAILED, "no device")
    assert bench.published == []


def test_an_engine_that_is_stable_is_made_again_at_once_again(
    street_frames: list[np.ndarray],
) -> None:
    bench = Bench(street_frames[0], RetryPolicy(stable_images=3, stable_seconds=0.05))
    bench.supervisor.prepare()
    for life in range(3):
        bench.engines[-1].fault = fail
        bench.process()
        assert len(bench.engines) == life + 2  # no waiting
        assert bench.health.engine_state[0] is EngineState.READY
        bench.process(3)
        time.sleep(0.06)
    assert len(bench.published) == 9


def test_images_without_persons_do_not_make_an_engine_stable(
    street_frames: list[np.ndarray],
) -> None:
    bench = Bench(street_frames[0], RetryPolicy(stable_images=2, stable_seconds=0.0))
    bench.supervisor.prepare()
    bench.engines[0].fault = fail
    bench.process()
    for _ in range(5):
        bench.processor.process(bench.frame(persons=0))
    bench.engines[1].fault = fail
    bench.process()
    assert bench.health.engine_state[0] is EngineState.FAILED


def test_an_engine_that_does_not_close_is_left(bench: Bench) -> None:
    bench.supervisor.prepare()
    bench.engines[0].closing_fault = fail
    bench.supervisor.release()
    assert "could not be closed: out of memory" in bench.warnings[0]
    assert bench.health.engine_state[0] is EngineState.NONE


# --- the engine of a GPU -------------------------------------------------------------------------


def test_a_gpu_engine_that_fails_once_stays_a_gpu_engine(gpu: Bench) -> None:
    gpu.engines[0].fault = fail
    gpu.process(2)
    assert [engine.info.engine for engine in gpu.engines] == ["tensorrt", "tensorrt"]
    assert len(gpu.published) == 1
    assert [fallback for _, fallback in gpu.infos] == [False, False]


def test_a_gpu_engine_that_fails_twice_is_given_up_for_the_cpu(
    gpu: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.set(precision="float16")
    gpu.engines[0].fault = fail
    gpu.process()
    gpu.engines[1].fault = fail
    with caplog.at_level(logging.ERROR):
        gpu.process()
    assert "falling back to the CPU" in caplog.text
    gpu.process(5)
    assert [engine.info.engine for engine in gpu.engines] == ["tensorrt", "tensorrt", "openvino"]
    assert gpu.asked[2]["precision"] == "auto"  # float16 is no precision of the CPU's
    assert len(gpu.published) == 5
    assert gpu.infos[-1][0].engine == "openvino" and gpu.infos[-1][1]
    status = gpu.engine_status()
    assert status.level == ERROR  # the moment of the failure
    assert "CPU fallback" in status.message and "out of memory" in status.message
    assert values(status)["fallback"] == "true" and values(status)["failures"] == "2"


def test_the_fallback_warns_for_as_long_as_it_lasts(gpu: Bench) -> None:
    gpu.before = refuse("tensorrt", RuntimeError("illegal address"))
    gpu.engines[0].fault = fail
    gpu.process()  # it cannot be made again, so the CPU's is made within the same image
    assert gpu.engine_status().level == ERROR
    gpu.now += HOLD + 0.1
    for _ in range(3):
        status = gpu.engine_status()
        assert status.level == WARN
        assert "illegal address" in status.message
    # The CPU's own failure does not lead back to the GPU.
    gpu.engines[-1].fault = fail
    gpu.process(2)
    assert gpu.asked[-1]["engine"] == "openvino" and gpu.infos[-1][1]
    assert gpu.engine_status().level == ERROR
    # Cleaning up and configuring does.
    gpu.before = lambda arguments: None
    gpu.supervisor.prepare()
    gpu.now += HOLD + 0.1
    assert gpu.engines[-1].info.engine == "tensorrt" and not gpu.infos[-1][1]
    assert gpu.engine_status().level == OK


def lose() -> None:
    raise DeviceLost("illegal address; only a new process can use it again")


def test_a_lost_device_is_not_tried_again_in_this_process(gpu: Bench) -> None:
    """Not even once: OpenVINO answers the very next image, and that is announced."""
    gpu.engines[0].fault = lose
    gpu.process(3)
    assert [engine.info.engine for engine in gpu.engines] == ["tensorrt", "openvino"]
    assert len(gpu.published) == 2
    assert gpu.infos[-1][0].engine == "openvino" and gpu.infos[-1][1]
    assert "only a new process" in gpu.engine_status().message
    assert gpu.ended == []
    # Configured again, the device is still lost, whatever `auto` now finds: announced as well.
    for there in (True, False):
        gpu.gpu = there
        gpu.supervisor.prepare()
        assert gpu.engines[-1].info.engine == "openvino" and gpu.infos[-1][1]
    gpu.set(engine="openvino")  # asked for: it replaces nothing
    gpu.supervisor.prepare()
    assert not gpu.infos[-1][1]


def test_without_a_fallback_a_lost_device_ends_the_process(
    gpu: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.set(fallback="none")
    gpu.engines[0].fault = lose
    gpu.process()
    assert gpu.ended == ["illegal address; only a new process can use it again"]
    assert "the process ends, so that a new one can use the GPU" in caplog.text
    assert gpu.health.engine_state[0] is EngineState.FAILED
    assert len(gpu.engines) == 1


def test_a_device_that_is_lost_while_the_engine_is_made(bench: Bench) -> None:
    bench.gpu = True
    bench.set(fallback="none")
    bench.before = refuse("tensorrt", DeviceLost("illegal address"))
    with pytest.raises(DeviceLost):
        bench.supervisor.prepare()
    assert bench.ended == ["illegal address"]


def test_a_plan_with_wrong_answers_falls_back_with_the_reason(bench: Bench) -> None:
    bench.gpu = True
    bench.before = refuse("tensorrt", PlanWrong("gives other key points than the processor"))
    bench.supervisor.prepare()
    assert bench.infos[-1][0].engine == "openvino" and bench.infos[-1][1]
    assert "other key points" in bench.engine_status().message


def test_frames_are_decoded_into_the_engines_memory(bench: Bench) -> None:
    assert bench.supervisor.frame_buffer(4, 6) is None  # no engine yet
    bench.supervisor.prepare()
    assert bench.supervisor.frame_buffer(4, 6) is None  # any memory is as good for this one
    buffer = np.zeros((4, 6, 3), np.uint8)
    bench.engines[0].frame_buffer = lambda height, width: buffer
    assert bench.supervisor.frame_buffer(4, 6) is buffer


def test_without_a_fallback_the_gpu_is_waited_for(gpu: Bench) -> None:
    gpu.set(fallback="none")
    gpu.before = refuse("tensorrt", RuntimeError("no device"))
    gpu.engines[0].fault = fail
    gpu.process()
    assert gpu.drops() == {"images.engine_not_ready": 1}
    assert gpu.engine_status().level == ERROR
    assert values(gpu.engine_status())["state"] == "failed"
    gpu.before = lambda arguments: None
    time.sleep(0.06)
    gpu.process()
    assert gpu.engines[-1].info.engine == "tensorrt" and len(gpu.published) == 1


def test_when_the_cpu_cannot_stand_in_both_are_named_and_tried_again(gpu: Bench) -> None:
    gpu.before = refuse("any", RuntimeError("disk full"))
    gpu.engines[0].fault = fail
    gpu.process()
    state, text = gpu.health.engine_state
    assert state is EngineState.FAILED
    assert "out of memory" in text and "CPU cannot replace it: disk full" in text
    gpu.before = lambda arguments: None
    time.sleep(0.06)
    gpu.process()
    assert gpu.engines[-1].info.engine == "openvino" and len(gpu.published) == 1
    assert gpu.infos[-1][1]


@pytest.mark.parametrize("fallback", ["cpu", "none"])
def test_a_gpu_engine_that_cannot_be_made_at_the_start(bench: Bench, fallback: str) -> None:
    bench.set(engine="tensorrt", fallback=fallback)
    bench.before = refuse("tensorrt", EngineError("no CUDA device"))
    if fallback == "none":
        with pytest.raises(EngineError, match="no CUDA device"):
            bench.supervisor.prepare()
        assert bench.health.engine_state == (EngineState.FAILED, "no CUDA device")
        return
    bench.supervisor.prepare()
    bench.process()
    assert len(bench.published) == 1
    assert [(info.engine, told) for info, told in bench.infos] == [("openvino", True)]
    assert "no CUDA device" in bench.engine_status().message


def test_a_precision_of_the_gpu_asks_for_the_gpu(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.set(engine="auto", precision="float16")
    bench.before = refuse("tensorrt", EngineError("no CUDA device"))
    bench.supervisor.prepare()
    assert [(info.engine, told) for info, told in bench.infos] == [("openvino", True)]
    assert "falling back to the CPU, in precision auto instead of float16" in caplog.text


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "int8"])
def test_without_a_gpu_nothing_falls_back(
    bench: Bench, precision: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is OpenVINO that fails: nobody gave a GPU up, and the precision stays what it was."""
    int8_files = pytest.importorskip("int8_files", reason="needs onnx")
    model = int8_files.model_with_int8(tmp_path)
    bench.set(engine="auto", precision=precision, model=str(model))
    bench.before = refuse("any", EngineError("OpenVINO cannot be imported"))
    with pytest.raises(EngineError, match="OpenVINO cannot be imported"):
        bench.supervisor.prepare()
    (asked,) = bench.asked
    assert (asked["selection"].engine, asked["precision"]) == ("openvino", precision)
    assert bench.health.engine_state == (EngineState.FAILED, "OpenVINO cannot be imported")
    assert values(bench.engine_status())["fallback"] == "false"
    assert "GPU" not in caplog.text and bench.infos == []


@pytest.mark.parametrize("suffix", [".onnx", ".pth"])
def test_a_gpu_that_the_model_has_no_file_for_is_not_given_up(
    bench: Bench, suffix: str, tmp_path: Path
) -> None:
    """`auto` takes another engine though there is a GPU: its failure is none of the GPU's."""
    path = shutil.copy(find_bundled_file(f"hrnetv2_w24_small{suffix}"), tmp_path)
    bench.gpu = True
    bench.set(model=str(path))
    bench.before = refuse("any", EngineError("out of memory"))
    with pytest.raises(EngineError, match="out of memory"):
        bench.supervisor.prepare()
    assert len(bench.asked) == 1
    assert values(bench.engine_status())["fallback"] == "false"


@pytest.mark.parametrize("fallback", ["cpu", "none"])
def test_a_gpu_that_is_gone_does_not_become_a_cpu_unsaid(gpu: Bench, fallback: str) -> None:
    """`auto` decides when the node is configured: afterwards the CPU is a fallback, or nothing."""
    gpu.set(fallback=fallback)
    gpu.gpu = False
    gpu.before = refuse("tensorrt", EngineError("no CUDA device"))
    gpu.engines[0].fault = fail
    gpu.process()
    assert gpu.asked[1]["selection"].engine == "tensorrt"
    status = gpu.engine_status()
    if fallback == "cpu":
        assert [(i.engine, told) for i, told in gpu.infos[1:]] == [("openvino", True)]
        assert values(status)["fallback"] == "true"
    else:
        assert len(gpu.engines) == 1 and values(status)["state"] == "failed"
    gpu.before = lambda arguments: None
    gpu.supervisor.prepare()  # configured again, without the GPU: OpenVINO is what `auto` takes
    assert (gpu.infos[-1][0].engine, gpu.infos[-1][1]) == ("openvino", False)


def test_auto_on_a_machine_with_a_gpu_falls_back_too(bench: Bench) -> None:
    bench.before = refuse("tensorrt", EngineError("the plan cannot be built"))
    bench.gpu = True
    bench.supervisor.prepare()
    assert [(info.engine, told) for info, told in bench.infos] == [("openvino", True)]


@pytest.mark.parametrize(
    ("engine", "error"),
    [
        ("tensorrt", ModelError("no model")),  # the user's to mend, whatever engine
        ("openvino", EngineError("not installed")),  # no GPU was asked for
        ("torch", EngineError("not installed")),
    ],
)
def test_what_is_no_failure_of_a_gpu_does_not_fall_back(
    bench: Bench, engine: str, error: Exception
) -> None:
    bench.set(engine=engine)
    bench.before = refuse("any", error)
    with pytest.raises(type(error), match=str(error)):
        bench.supervisor.prepare()
    assert len(bench.asked) == 1
    assert bench.health.engine_state == (EngineState.FAILED, str(error))


def test_a_fallback_that_would_not_work_is_said_while_the_gpu_works(
    bench: Bench, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bench.gpu = True
    graph = tmp_path / "net_end2end.onnx"  # and no heatmap graph beside it
    shutil.copy(find_bundled_file("hrnetv2_w24_small_end2end_float16.onnx"), graph)
    for model, fallback, warned in (
        ("hrnetv2_w24_small", "cpu", False),
        (str(graph), "none", False),
        (str(graph), "cpu", True),
    ):
        caplog.clear()
        bench.set(model=model, fallback=fallback)
        bench.supervisor.prepare()
        assert ("will not work if the GPU fails" in caplog.text) == warned
    bench.gpu = False
    caplog.clear()
    bench.set(model="hrnetv2_w24_small")
    bench.supervisor.prepare()
    assert not caplog.text  # nobody asked for a GPU


def test_the_arguments_of_the_cpu_keep_its_own_precision(bench: Bench) -> None:
    for asked, taken in (("int8", "auto"), ("float32", "float32"), ("auto", "auto")):
        settings = replace(bench.settings, precision=asked, engine="tensorrt")
        arguments = cpu_arguments(settings)
        assert (arguments["engine"], arguments["precision"]) == ("openvino", taken)


# --- long builds ---------------------------------------------------------------------------------


def test_a_build_is_told_in_diagnostics_and_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    told = []

    def before(arguments: dict[str, Any]) -> None:
        arguments["watch"].report("waiting for another build", None)
        told.append(bench.engine_status(active=False))
        for share in (0.1, 0.2, 0.3):
            arguments["watch"].report("building a plan", share)
        told.append(bench.engine_status(active=False))
        bench.now += 5
        arguments["watch"].report("building a plan", 0.42)

    bench.before = before
    with caplog.at_level(logging.INFO):
        bench.supervisor.prepare()
    assert told[0].level == told[1].level == OK
    assert told[0].message == "preparing: waiting for another build, 0 s"
    assert told[1].message == "preparing: building a plan, 30 %, 0 s"
    assert values(told[1])["build_progress"] == "0.30" and values(told[1])["build_seconds"] == "0"
    lines = [r.message for r in caplog.records if r.name.endswith("build_progress")]
    assert lines == [
        "waiting for another build, 0 s",
        "building a plan, 10 %, 0 s",
        "building a plan, 42 %, 5 s",
    ]
    assert "build_seconds" not in values(bench.engine_status())
    assert bench.health.engine_state[0] is EngineState.READY


def test_images_of_another_size_are_built_for_and_then_it_is_ready_again(gpu: Bench) -> None:
    told = []

    def rebuild() -> None:
        gpu.watch.report("building for 768x576", 0.5)
        told.append(gpu.engine_status())

    gpu.engines[0].fault = rebuild
    gpu.process()
    assert told[0].level == WARN and "no skeletons until the engine is ready" in told[0].message
    assert values(told[0])["state"] == "preparing"
    assert gpu.health.engine_state[0] is EngineState.READY
    assert len(gpu.published) == 1 and len(gpu.engines) == 1


@pytest.mark.parametrize("by", ["cancel", "the end of the node"])
def test_a_build_is_cancelled(bench: Bench, by: str) -> None:
    def before(arguments: dict[str, Any]) -> None:
        assert not arguments["watch"].cancelled()
        bench.watch.cancel() if by == "cancel" else bench.stopping.set()
        if arguments["watch"].cancelled():
            raise BuildCancelled("the build was cancelled")

    bench.set(engine="tensorrt")
    bench.before = before
    with pytest.raises(BuildCancelled):
        bench.supervisor.prepare()
    assert len(bench.asked) == 1  # no fallback, no second try
    assert bench.health.engine_state[0] is EngineState.NONE
    assert bench.engine_status(active=False).level == OK
    bench.watch.allow()
    assert bench.watch.cancelled() == (by != "cancel")


def test_a_build_that_is_cancelled_between_images_is_no_failure(gpu: Bench) -> None:
    def cancelled() -> None:
        raise BuildCancelled("the build was cancelled")

    gpu.engines[0].fault = cancelled
    gpu.process()
    assert gpu.engines[0].closed and gpu.drops() == {"images.engine_not_ready": 1}
    assert values(gpu.engine_status(active=False))["failures"] == "0"
    gpu.process()
    assert gpu.engines[1].info.engine == "tensorrt" and len(gpu.published) == 1


def test_a_gpu_that_fails_after_a_cancelled_build_is_given_up_too(gpu: Bench) -> None:
    def cancelled() -> None:
        raise BuildCancelled("the build was cancelled")

    gpu.engines[0].fault = cancelled
    gpu.process()
    gpu.before = refuse("tensorrt", EngineError("no CUDA device"))
    gpu.set(precision="float16")
    gpu.process()
    assert len(gpu.published) == 1 and gpu.infos[-1][1]
    gpu.engines[-1].fault = fail
    gpu.process(2)
    assert gpu.asked[-1]["engine"] == "openvino"
