# SPDX-License-Identifier: Apache-2.0
"""Fleets on processes of this machine: results, failures, shards, and kills at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_runs import (
    FOR_ALL,
    alive,
    being_made,
    done_keys,
    ended,
    results,
    start_fleet,
    wait_for,
    workers,
)

from demo.fleet.bags import ClipCutter, damage
from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.fleet.folder import FleetFolder
from hrnet_pose_ros.replay.bags import BagReader

KILLS = 5


def fleet(manifest: Path | str, output: Path, model: Path, *options: str) -> int:
    words = [str(manifest), "-o", str(output), "--model", str(model), *FOR_ALL, *options]
    return main(["fleet", *words])


@pytest.fixture(scope="module")
def damaged_bags(bags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bags, of which two are damaged, each in another way."""
    folder = tmp_path_factory.mktemp("damaged") / "bags"
    shutil.copytree(bags, folder)
    damage(folder / "drive1", 0)
    damage(folder / "drive3", 1)
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    damaged_bags: Path, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The fleet of these bags, which nothing has disturbed."""
    output = tmp_path_factory.mktemp("undisturbed") / "fleet"
    assert fleet(damaged_bags, output, small_model, "--retries", "1") == 1
    return output


def messages(bag: Path) -> list[tuple[str, int, bytes]]:
    with BagReader(bag) as reader:
        return [(one.topic, one.time, one.data) for one in reader.messages()]


def test_every_bag_is_accounted_for(undisturbed: Path) -> None:
    folder = FleetFolder(undisturbed)
    states = {entry.name: folder.state(entry.key) for entry in folder.entries()}
    assert states == {
        **{f"drive{number}": "done" for number in (0, 2, 4)},
        **{f"drive{number}": "failed" for number in (1, 3)},
    }
    reasons = {entry.name: folder.reason(entry.key) for entry in folder.entries()}
    assert reasons["drive1"] == "'drive1/drive1.mcap' is empty (0 bytes)"
    assert "drive3" in reasons["drive3"]
    failures = [json.loads(path.read_text()) for path in (undisturbed / "failed").iterdir()]
    assert [one["tries"] for one in failures] == [2, 2]
    assert not being_made(undisturbed)


def test_skeletons_are_those_of_replay(
    bags: Path, undisturbed: Path, small_model: Path, tmp_path: Path
) -> None:
    options = ["--model", str(small_model), *FOR_ALL]
    assert main(["replay", str(bags / "drive2"), "-o", str(tmp_path / "out"), *options]) == 0
    folder = FleetFolder(undisturbed)
    key = next(entry.key for entry in folder.entries() if entry.name == "drive2")
    assert messages(folder.skeletons(key)) == messages(tmp_path / "out")
    assert folder.result(key)["images"] == 3


def test_no_result_depends_on_the_place(undisturbed: Path, damaged_bags: Path) -> None:
    for name, content in results(undisturbed).items():
        if name != "locations.jsonl":
            assert str(undisturbed).encode() not in content, name
            assert str(damaged_bags).encode() not in content, name


def test_what_is_done_is_not_done_again(
    undisturbed: Path, damaged_bags: Path, small_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in undisturbed.rglob("bags/*/*")}

    before, content = times(), results(undisturbed)
    assert fleet(damaged_bags, undisturbed, small_model, "--retries", "1") == 1
    assert (times(), results(undisturbed)) == (before, content)
    assert "5 bags: 0 were replayed and 3 were done before, 2 failed" in capfd.readouterr().out


def test_a_failed_bag_that_was_mended(
    bags: Path, damaged_bags: Path, undisturbed: Path, small_model: Path, tmp_path: Path
) -> None:
    mended, output = tmp_path / "bags", tmp_path / "fleet"
    shutil.copytree(damaged_bags, mended)
    shutil.copytree(undisturbed, output)
    shutil.rmtree(mended / "drive1")
    shutil.copytree(bags / "drive1", mended / "drive1")
    assert fleet(mended, output, small_model, "--retries", "0") == 1
    folder = FleetFolder(output)
    states = {entry.name: folder.state(entry.key) for entry in folder.entries()}
    assert [name for name, state in states.items() if state != "done"] == ["drive3"]


def test_a_dry_run(
    damaged_bags: Path,
    undisturbed: Path,
    small_model: Path,
    other_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fleet(damaged_bags, tmp_path / "new", small_model, "--dry-run") == 0
    assert not (tmp_path / "new").exists()
    assert fleet(damaged_bags, undisturbed, small_model, "--dry-run") == 0
    assert fleet(damaged_bags, undisturbed, other_model, "--dry-run") == 0
    done = ["done", "failed", "done", "failed", "done"]
    found = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = [f"drive{number}" for number in range(5)]
    assert found == [
        *([state, name] for state in ["pending"] for name in names),
        *([state, name] for state, name in zip(done, names, strict=True)),
        *([state, name] for state in ["pending"] for name in names),  # another model
    ]


def test_shards_make_the_same_as_one_fleet(
    damaged_bags: Path, undisturbed: Path, small_model: Path, tmp_path: Path
) -> None:
    output, codes, shares = tmp_path / "fleet", [], []
    for number in range(2):
        shard = ["--shard", f"{number}/2", "--retries", "1"]
        before = _settled_keys(output)
        codes.append(fleet(damaged_bags, output, small_model, *shard))
        shares.append(len(_settled_keys(output) - before))
    assert max(codes) == 1
    # Which bags are in which shard depends on the times of their files: both damaged ones may be
    # alone in one.
    assert shares == [3, 2]
    assert results(output) == results(undisturbed)


def _settled_keys(output: Path) -> set[str]:
    """Keys of the bags that are done or have failed."""
    failed = output / "failed"
    return {*done_keys(output), *(path.name for path in failed.glob("*"))}


def test_two_processes_make_the_same_as_one(
    damaged_bags: Path, undisturbed: Path, small_model: Path, tmp_path: Path
) -> None:
    options = ["--jobs", "2", "--retries", "1"]
    assert fleet(damaged_bags, tmp_path / "fleet", small_model, *options) == 1
    assert results(tmp_path / "fleet") == results(undisturbed)


def test_remote_bags_are_copied_and_removed(
    bags: Path, small_model: Path, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    shutil.copytree(bags / "drive0", folder / "bags" / "drive0")
    cache = tmp_path / "cache"
    options = ["--cache", str(cache)]
    assert fleet(f"{url}/bags", tmp_path / "remote", small_model, *options) == 0
    assert list(cache.iterdir()) == []
    assert fleet(folder / "bags", tmp_path / "local", small_model, *options) == 0
    [remote], [local] = done_keys(tmp_path / "remote"), done_keys(tmp_path / "local")
    assert remote != local  # an HTTP server says another time than the file system
    assert messages(FleetFolder(tmp_path / "remote").skeletons(remote)) == messages(
        FleetFolder(tmp_path / "local").skeletons(local)
    )


@pytest.fixture(scope="module")
def long_bags(cutter: ClipCutter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bags that take a while."""
    folder = tmp_path_factory.mktemp("long")
    for number in range(4):
        cutter.write(folder / f"drive{number}", 10 * number, 12)
    return folder


@pytest.fixture(scope="module")
def long_undisturbed(
    long_bags: Path, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("long_undisturbed") / "fleet"
    assert fleet(long_bags, output, small_model) == 0
    return output


def test_a_fleet_that_is_killed_again_and_again(
    long_bags: Path, long_undisturbed: Path, small_model: Path, tmp_path: Path
) -> None:
    """Kills of the whole at any moment leave whole results alone, and no process behind."""
    output, choice = tmp_path / "fleet", random.Random(4)
    for number in range(KILLS):
        _start_and_kill(long_bags, output, small_model, choice.uniform(0, 0.5))
        whole = results(long_undisturbed)
        for name, content in results(output).items():
            assert whole[name] == content, (number, name)
    code, said = ended(start_fleet(long_bags, output, small_model))
    assert code == 0, said
    assert results(output) == results(long_undisturbed)


def _start_and_kill(manifest: Path, output: Path, model: Path, after_s: float) -> None:
    """Kill a fleet so long after a bag has been begun."""
    process = start_fleet(manifest, output, model, "--jobs", "2")
    wait_for(lambda: bool(being_made(output)) or process.poll() is not None, "a bag in work")
    time.sleep(after_s)
    of_it = workers(process.pid) if process.poll() is None else []
    process.kill()
    ended(process)
    wait_for(lambda: not alive(of_it), "the end of the workers")


def _start_with_two_in_work(
    manifest: Path, output: Path, model: Path, *options: str
) -> subprocess.Popen[str]:
    """A fleet with two workers that both have a bag in work.

    On a busy machine one worker may have done everything before the other one has begun.
    """
    for _ in range(5):
        process = start_fleet(manifest, output, model, "--jobs", "2", *options)
        wait_for(
            lambda p=process: len(being_made(output)) == 2 or p.poll() is not None,  # type: ignore[misc]
            "two bags in work",
        )
        if process.poll() is None:
            return process
        ended(process)
        shutil.rmtree(output)
    pytest.fail("two bags were never in work at once")


@pytest.mark.parametrize("victim", ["worker", "every try"])
def test_a_worker_that_is_killed_loses_one_try(
    victim: str, long_bags: Path, long_undisturbed: Path, small_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "fleet"
    retries = "1" if victim == "worker" else "0"
    process = _start_with_two_in_work(long_bags, output, small_model, "--retries", retries)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    code, said = ended(process)
    reason = "the worker process was ended by SIGKILL: out of memory?"
    assert reason in said
    folder = FleetFolder(output)
    if victim == "worker":
        assert code == 0, said
        assert results(output) == results(long_undisturbed)
    else:
        assert code == 1, said
        states = [folder.state(entry.key) for entry in folder.entries()]
        assert sorted(states) == ["done", "done", "done", "failed"]


def test_ctrl_c_ends_the_fleet_and_its_workers(
    long_bags: Path, small_model: Path, tmp_path: Path
) -> None:
    process = start_fleet(long_bags, tmp_path / "fleet", small_model)
    wait_for(lambda: bool(being_made(tmp_path / "fleet")), "a bag in work")
    of_it = workers(process.pid)
    assert of_it
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    code, said = ended(process)
    assert code == 130, said
    assert not alive(of_it)
    assert "Traceback" not in said
    assert "leaked" not in said


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: ["--shard", "2/2"], "there is no shard 2/2: the first of 2 is 0/2"),
        (lambda d: ["--shard", "1"], "a shard is i/n, like 0/8; got '1'"),
        (lambda d: ["--jobs", "0"], "must be at least 1"),
        (lambda d: ["--retries", "-1"], "must be a whole number"),
    ],
)
def test_wrong_options(
    make: Callable[[Path], list[str]],
    message: str,
    bags: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fleet", str(bags), "-o", str(tmp_path / "out"), *make(tmp_path)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_places(
    bags: Path, small_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert fleet(bags, tmp_path / "full", small_model) == 2
    assert "is not the folder of a fleet: choose another one" in capfd.readouterr().err
    assert fleet(tmp_path / "none", tmp_path / "out", small_model) == 2
    assert fleet(bags, tmp_path / "out", tmp_path / "none.onnx") == 2
    assert "no model at" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_engine_that_cannot_be_made_ends_the_fleet(
    bags: Path, small_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is no failure of a bag: nothing is recorded, and the reason is said once."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(small_model.read_bytes().replace(b"Conv", b"Cxnv"))  # no such operation
    assert fleet(bags, tmp_path / "out", broken) == 2
    assert "the engine cannot be made: " in capfd.readouterr().err
    assert not (tmp_path / "out" / "failed").exists()
    assert not done_keys(tmp_path / "out")
