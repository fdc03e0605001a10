# SPDX-License-Identifier: Apache-2.0
"""The order of tries, lost workers, keys and shards, without a process or an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.fleet.bag_worker import FleetTask, TaskOutcome
from hrnet_pose_ros.fleet.bags import FleetBag
from hrnet_pose_ros.fleet.folder import FleetEntry, FleetFolder
from hrnet_pose_ros.fleet.local_workers import threads_of, usable_cores
from hrnet_pose_ros.fleet.recipe import Recipe
from hrnet_pose_ros.fleet.run import Shard
from hrnet_pose_ros.fleet.scheduler import MOST_STARTS, Slot, run_tasks
from hrnet_pose_ros.replay.parameter_file import settings_of


class WorkerGone(Exception):
    """What a future of `ScriptedSlot` raises when its worker is lost."""


class ScriptedSlot(Slot):
    """A worker whose answers are written down: by bag, one after the other."""

    lost = (WorkerGone,)

    def __init__(self, script: Mapping[str, list[Any]], starts: list[Any] | None = None) -> None:
        self.script = {name: list(answers) for name, answers in script.items()}
        self.starts = list(starts or [])
        self.asked: list[str] = []
        self.started = 0
        self.running = False

    def start(self) -> Future[str]:
        self.started += 1
        self.running = True
        return _answered(self.starts.pop(0) if self.starts else "")

    def submit(self, task: FleetTask) -> Future[TaskOutcome]:
        self.asked.append(task.bag.name)
        answer = self.script.get(task.bag.name, [""])
        reason = answer.pop(0) if len(answer) > 1 else answer[0]
        return _answered(TaskOutcome(reason) if isinstance(reason, str) else reason)

    def why_lost(self, error: BaseException) -> str:
        return f"lost: {error}"

    def stop(self) -> None:
        self.running = False


def _answered(answer: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
    return future


class Heard:
    """Remembers what became of the tasks."""

    def __init__(self) -> None:
        self.done_names: list[str] = []
        self.failures: dict[str, tuple[str, int]] = {}
        self.retries: list[str] = []

    def done(self, task: FleetTask, outcome: TaskOutcome) -> None:
        self.done_names.append(task.bag.name)

    def retried(self, task: FleetTask, outcome: TaskOutcome) -> None:
        self.retries.append(task.bag.name)

    def failed(self, task: FleetTask, outcome: TaskOutcome, tries: int) -> None:
        self.failures[task.bag.name] = outcome.reason, tries


def task(name: str) -> FleetTask:
    return FleetTask(f"key of {name}", FleetBag(name, f"/bags/{name}"), f"content of {name}")


def run(slot: ScriptedSlot, names: str, retries: int) -> Heard:
    heard = Heard()
    run_tasks([task(name) for name in names], [slot], retries, heard)
    assert not slot.running
    return heard


def test_a_failed_task_is_tried_again_after_all_others() -> None:
    slot = ScriptedSlot({"a": ["no", "no", ""], "b": ["no"]})
    heard = run(slot, "abc", retries=2)
    assert slot.asked == ["a", "b", "c", "a", "b", "a", "b"]
    assert heard.done_names == ["c", "a"]
    assert heard.failures == {"b": ("no", 3)}
    assert heard.retries == ["a", "b", "a", "b"]


def test_without_retries() -> None:
    heard = run(ScriptedSlot({"a": ["no", ""]}), "ab", retries=0)
    assert (heard.done_names, heard.failures) == (["b"], {"a": ("no", 1)})


def test_a_lost_worker_is_replaced_and_its_task_tried_again() -> None:
    slot = ScriptedSlot({"a": [WorkerGone("killed"), ""], "b": [WorkerGone("killed")]})
    heard = run(slot, "abc", retries=1)
    assert heard.done_names == ["c", "a"]
    assert heard.failures == {"b": ("lost: killed", 2)}
    assert slot.started == 1 + 3


def test_a_worker_that_is_lost_while_it_starts() -> None:
    slot = ScriptedSlot({}, starts=[WorkerGone("no memory")] * (MOST_STARTS - 1))
    assert run(slot, "ab", retries=0).done_names == ["a", "b"]
    slot = ScriptedSlot({}, starts=[WorkerGone("no memory")] * MOST_STARTS)
    with pytest.raises(RuntimeError, match="ended 3 times before it could work: lost: no memory"):
        run(slot, "ab", retries=0)
    assert not slot.running


def test_a_worker_that_cannot_work_ends_everything() -> None:
    slots = [ScriptedSlot({}), ScriptedSlot({}, starts=["the engine cannot be made: no model"])]
    with pytest.raises(RuntimeError, match="the engine cannot be made: no model"):
        run_tasks([task("a"), task("b"), task("c")], slots, 0, Heard())
    assert not any(slot.running for slot in slots)


def test_no_more_workers_than_tasks() -> None:
    slots = [ScriptedSlot({}) for _ in range(3)]
    run_tasks([task("a")], slots, 0, Heard())
    assert [slot.started for slot in slots] == [1, 0, 0]
    run_tasks([], slots, 0, Heard())


@given(
    st.lists(st.sampled_from(["good", "bad", "killer"]), max_size=12),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_every_task_ends_once(kinds: list[str], retries: int, workers: int) -> None:
    names = [f"{kind} {number}" for number, kind in enumerate(kinds)]
    answers: dict[str, Any] = {"good": [""], "bad": ["no"], "killer": [WorkerGone("killed")]}
    script = {name: answers[name.split()[0]] for name in names}
    slots, heard = [ScriptedSlot(script) for _ in range(workers)], Heard()
    run_tasks([task(name) for name in names], slots, retries, heard)
    assert sorted(heard.done_names) == sorted(n for n in names if n.startswith("good"))
    assert set(heard.failures) == {n for n in names if not n.startswith("good")}
    asked = Counter(name for slot in slots for name in slot.asked)
    assert asked == {n: 1 if n.startswith("good") else 1 + retries for n in names}


@given(st.sets(st.text("abc", min_size=1), max_size=20), st.integers(1, 6))
def test_shards_divide_the_tasks(names: set[str], count: int) -> None:
    tasks = [task(name) for name in sorted(names)]
    shares = [Shard(index, count).share(tasks) for index in range(count)]
    together = [one.bag.name for share in shares for one in share]
    assert sorted(together) == sorted(names)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    # Another model has other keys, but the same shares; so has another order.
    other = [replace(one, key="another") for one in reversed(tasks)]
    for index, share in enumerate(shares):
        found = Shard(index, count).share(other)
        assert [one.bag.name for one in found] == [one.bag.name for one in share]


def test_a_key_depends_on_all_that_a_result_depends_on() -> None:
    recipe = Recipe.of(settings_of(None, {"precision": "float32"}))
    key = recipe.key("drive", "identity")
    assert recipe.key("drive", "identity") == key
    settings = recipe.settings
    others = [
        recipe.key("drive", "another"),
        recipe.key("another", "identity"),
        replace(recipe, checksum="0").key("drive", "identity"),
        replace(recipe, model=Path("/other.onnx")).key("drive", "identity"),
        replace(recipe, beside_checksum="0").key("drive", "identity"),
        replace(recipe, code="0.0.1").key("drive", "identity"),
        replace(recipe, image="/camera").key("drive", "identity"),
        replace(recipe, settings=replace(settings, decoding="dark")).key("drive", "identity"),
    ]
    assert len({key, *others}) == 1 + len(others)
    same = [
        replace(recipe, settings=replace(settings, threads=3)).key("drive", "identity"),
        replace(recipe, model=Path("/elsewhere") / recipe.model.name).key("drive", "identity"),
    ]
    assert set(same) == {key}


def test_the_engine_is_chosen_where_the_workers_are() -> None:
    settings = settings_of(None, {})
    here = Recipe.of(settings, why_no_tensorrt=lambda device: "no GPU")
    assert here.settings.engine == "openvino"
    assert "float32" in here.depends_on_machine
    asked = settings_of(None, {"engine": "tensorrt"})
    with pytest.raises(EngineError, match="the TensorRT engine cannot run here: no GPU"):
        Recipe.of(asked, why_no_tensorrt=lambda device: "no GPU")


def test_a_result_appears_whole_and_once(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path / "fleet")
    folder.begin({}, [(FleetEntry("drive", {}, "k", "i"), FleetBag("drive", "/drive"))])
    folder.write_failure("k", "drive", "no luck", 3)
    assert (folder.state("k"), folder.reason("k")) == ("failed", "no luck")
    for content in (b"first", b"second"):
        folder.publish_files({"result.json": b"{}", "skeletons/a.mcap": content}, "k")
        assert folder.state("k") == "done"
        assert (folder.skeletons("k") / "a.mcap").read_bytes() == b"first"
    assert not list((tmp_path / "fleet" / "work").glob("*/*"))
    assert folder.reason("k") == ""


def test_a_failure_that_a_kill_left_beside_a_result(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path / "fleet")
    entries = [(FleetEntry("drive", {}, "k", "i"), FleetBag("drive", "/drive"))]
    folder.begin({}, entries)
    folder.publish_files({"result.json": b"{}"}, "k")
    folder.write_failure("k", "drive", "no luck", 3)
    folder.begin({}, entries)
    assert folder.reason("k") == ""


def test_cores_of_a_container(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    everything = usable_cores(limit)
    assert everything >= 1
    for text, cores in (("max 100000", everything), ("100000 100000", 1), ("50000 100000", 1)):
        limit.write_text(text)
        assert usable_cores(limit) == cores


@pytest.mark.parametrize(
    ("jobs", "threads", "cores", "each"), [(1, 0, 8, 8), (3, 0, 8, 2), (9, 0, 8, 1), (2, 3, 8, 3)]
)
def test_cores_are_divided(jobs: int, threads: int, cores: int, each: int) -> None:
    assert threads_of(jobs, threads, cores) == each
