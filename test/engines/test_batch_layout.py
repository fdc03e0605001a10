# SPDX-License-Identifier: Apache-2.0
"""How persons are spread over streams: the rule, the choice by measurement, and equal results."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from udp_model import udp_model

from hrnet_pose_ros.engines.batch_layout import (
    BatchLayout,
    Measured,
    batch_sizes,
    best,
    candidates,
    measure,
    sizes_to_measure,
)
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.engines.tensorrt.plan_check import check_scene
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.poses import Poses

MODEL = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.onnx"


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 20))
def test_batches_hold_everybody_evenly(count: int, streams: int, max_batch: int) -> None:
    sizes = batch_sizes(count, streams, max_batch)
    assert sum(sizes) == count
    largest = -(-max_batch // streams)
    assert min(sizes) >= 1 and max(sizes) <= largest and max(sizes) - min(sizes) <= 1
    rounds = -(-len(sizes) // streams)
    assert rounds == -(-count // (streams * largest))  # as few as possible


def layout(one: Callable[[int], float], two: Callable[[int], float]) -> BatchLayout:
    """The best of one stream and two, where a batch takes so many milliseconds."""
    measured = {
        n: Measured(n, {size: time(size) for size in sizes_to_measure(10, n)})
        for n, time in ((1, one), (2, two))
    }
    return best(measured, 10)


def test_two_streams_where_they_are_faster() -> None:
    """As measured for W32 with AMX: 10 persons 95.9 ms, 5 beside 5 87.9 ms."""
    chosen = layout(lambda n: 9.6 * n, lambda n: 17.6 * n)
    assert chosen.streams == 2
    assert [chosen.streams_for(n) for n in (1, 2, 4, 10, 20)] == [1, 2, 2, 2, 2]
    assert chosen.streams_for(3) == 1  # 2 beside 1 take as long as 2 beside 2
    assert [chosen.sizes_for(n) for n in (1, 10, 20)] == [[1], [5, 5], [5, 5, 5, 5]]


@pytest.mark.parametrize("gain", [1.0, 1.02, 0.8])
def test_one_stream_where_several_gain_little(gain: float) -> None:
    chosen = layout(lambda n: 10.0 * n, lambda n: 20.0 * n / gain)
    assert chosen.streams == 1
    assert str(chosen) == "one stream"
    assert chosen.sizes_for(12) == [6, 6]


def test_one_person_always_has_all_threads() -> None:
    assert layout(lambda n: 10.0 * n, lambda n: 0.1 * n).streams_for(1) == 1
    assert BatchLayout(2).streams_for(1) == 1


def test_given_streams_follow_a_fixed_rule() -> None:
    given_two = BatchLayout(2, 10)
    assert [given_two.streams_for(n) for n in (1, 2, 3, 40)] == [1, 2, 2, 2]


def test_times_between_the_measured_sizes() -> None:
    measured = Measured(2, {1: 10.0, 5: 30.0})
    assert measured.of_batch(3) == 20
    assert measured.of(10, 10) == 30  # 5 beside 5
    assert measured.of(20, 10) == 60  # and again
    assert measured.of(21, 10) == 2 * measured.of_batch(4) + measured.of_batch(3)  # three rounds
    assert str(measured) == "2 streams: persons 2 in 10.0 ms, 10 in 30.0 ms"


def test_measured_in_turns_until_the_budget_is_spent() -> None:
    order: list[tuple[int, int]] = []

    def run(streams: int) -> Callable[[int], float]:
        return lambda size: order.append((streams, size)) or 0.1

    found = measure({1: run(1), 2: run(2)}, 4, turns=5, budget=1.0)
    turn = [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2)]
    assert order == turn * 3  # 0.5 s each: the third turn passes 1 s
    assert found[1].by_size == {1: 100, 2: 100, 4: 100}


def test_candidates() -> None:
    assert [candidates(n) for n in (1, 2, 3, 4, 16)] == [(), (2,), (2, 3), (2, 4), (2, 8)]


# --- the engine ----------------------------------------------------------------------------------

FRAME, BOXES = check_scene((900, 700))
BOXES = np.concatenate([BOXES, BOXES + [2, 1, 0, 0]]).astype(np.float32)


def equal(ours: Poses, theirs: Poses) -> None:
    for name, values in vars(ours).items():
        np.testing.assert_array_equal(values, vars(theirs)[name], err_msg=name)


@pytest.fixture(scope="module")
def one() -> OpenVinoEngine:
    return OpenVinoEngine(ModelFile.read(MODEL), precision="float32", streams=1)


@pytest.fixture(scope="module")
def two() -> OpenVinoEngine:
    return OpenVinoEngine(
        ModelFile.read(MODEL), precision="float32", streams=2, threads=2, max_batch=3
    )


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 16])
def test_streams_give_the_same_poses_bit_for_bit(
    count: int, one: OpenVinoEngine, two: OpenVinoEngine
) -> None:
    """16 persons in batches of 3 are three rounds of two streams: each lane is used again."""
    equal(two.raw_poses(FRAME, BOXES[:count]), one.raw_poses(FRAME, BOXES[:count]))
    crops, _ = one.crops(FRAME, BOXES[:count])
    np.testing.assert_array_equal(two.heatmaps(crops), one.heatmaps(crops))


def test_streams_cut_out_by_the_models_rule(tmp_path: Path) -> None:
    file = ModelFile.read(udp_model(tmp_path)[1])
    engines = [OpenVinoEngine(file, precision="float32", streams=n, threads=2) for n in (1, 2)]
    equal(*(engine.raw_poses(FRAME, BOXES[:3]) for engine in engines))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 10])
def test_one_stream_runs_the_batches_that_its_layout_says(count: int) -> None:
    """The choice compares what would run: even batches, not full ones and a rest."""

    class Noted(OpenVinoEngine):
        ran: list[int]

        def _run(self, crops: np.ndarray) -> np.ndarray:
            self.ran.append(len(crops))
            return super()._run(crops)

    engine = Noted(ModelFile.read(MODEL), precision="float32", streams=1, max_batch=3)
    engine.ran = []
    assert len(engine.raw_poses(FRAME, BOXES[:count])) == count
    assert engine.ran == (engine.layout.sizes_for(count) if count else [])
    engine.close()


def test_results_stay_when_the_lanes_are_used_again(two: OpenVinoEngine) -> None:
    crops = load_check_crops()
    first = two.heatmaps(crops[:4])
    kept = first.copy()
    two.heatmaps(crops[4:])
    np.testing.assert_array_equal(first, kept)


def test_the_flip_test_in_streams(one: OpenVinoEngine) -> None:
    file = ModelFile.read(MODEL)
    engines = [
        OpenVinoEngine(file, precision="float32", streams=n, threads=2, flip_test=True)
        for n in (1, 2)
    ]
    equal(*(engine.raw_poses(FRAME, BOXES[:3]) for engine in engines))


def test_measured_at_the_start(caplog: pytest.LogCaptureFixture, one: OpenVinoEngine) -> None:
    with caplog.at_level(logging.INFO):
        engine = make_engine(MODEL, engine="openvino", precision="float32", max_batch=2, threads=2)
    assert isinstance(engine, OpenVinoEngine)
    (line,) = [r.getMessage() for r in caplog.records if "chosen in" in r.getMessage()]
    assert "MB more memory (1 stream: persons 1 in " in line and "; 2 streams: persons 2 in" in line
    assert set(engine.layout.measured) == {1, 2}
    equal(engine.raw_poses(FRAME, BOXES[:4]), one.raw_poses(FRAME, BOXES[:4]))
    # Whichever was chosen: what is going to run has run.
    for count in range(1, 9):
        if engine.layout.streams_for(count) == 1:
            assert {*engine.layout.sizes_for(count)} <= engine._met
        else:
            assert {*engine.layout.sizes_for(count)} <= engine._met_by_lanes
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.raw_poses(FRAME, BOXES)


@pytest.mark.parametrize(("streams", "max_batch"), [(1, 2), (0, 1)])
def test_nothing_is_measured_where_it_is_settled(streams: int, max_batch: int) -> None:
    engine = OpenVinoEngine(
        ModelFile.read(MODEL), precision="float32", streams=streams, max_batch=max_batch
    )
    engine.warm_up()
    assert engine.layout == BatchLayout(1, max_batch)
    assert dataclasses.asdict(engine.layout)["measured"] == {}


def test_wrong_numbers_are_named() -> None:
    with pytest.raises(ValueError, match=r"streams must be at least 0 \(0: measured\), got -1"):
        make_engine(MODEL, streams=-1)
