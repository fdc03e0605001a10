# SPDX-License-Identifier: Apache-2.0
"""Measures fleets; docs/fleet.md says what of it is known.

    python -m bench.fleet [overhead] [scaling] [ray] [kills] [memory]

Overhead of a bag beside ``replay``; one and two processes, or Ray actors; small bags of which one
in a hundred is damaged, in a fleet that is killed five times; memory of the comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rows import markdown
from demo.fleet.bags import ClipCutter, damage
from hrnet_pose_ros.fleet.bag_worker import BagWorker
from hrnet_pose_ros.fleet.folder import FleetFolder
from hrnet_pose_ros.fleet.manifest import read_manifest
from hrnet_pose_ros.fleet.recipe import Recipe
from hrnet_pose_ros.fleet.run import FleetPlan
from hrnet_pose_ros.replay.offline import replay, replay_engine
from hrnet_pose_ros.replay.parameter_file import settings_of

ROUNDS = 5
BAG_IMAGES = 30  # of the bags whose overhead is measured
SCALED_BAGS, SCALED_IMAGES = 12, 30  # enough that the start of an engine counts for little
SCALED = f"{SCALED_BAGS} bags of {SCALED_IMAGES} images"
SMALL_BAGS, DAMAGED_PART, KILLS = 2000, 0.01, 5
COMPARED_BAGS = (250, 1000, 4000)
PRECISION = {"precision": "float32"}


def main() -> None:
    """Measure what is asked for, or everything, and print tables in Markdown."""
    parts: dict[str, Callable[[Path], None]] = {
        "overhead": overhead,
        "scaling": scaling,
        "ray": scaling_on_ray,
        "kills": kills,
        "memory": memory,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="default: all")
    for name in parser.parse_args().parts or parts:
        with tempfile.TemporaryDirectory(prefix="hrnet_pose_bench_") as folder:
            print(f"\n{name}, load {os.getloadavg()[0]:.1f}", flush=True)
            parts[name](Path(folder))


def overhead(folder: Path) -> None:
    """CPU time of the same bags by `replay` alone and as tasks of a fleet, by turns."""
    cutter = ClipCutter()
    for number in range(4):
        cutter.write(folder / "bags" / f"{number}", 30 * number, BAG_IMAGES)
    recipe = Recipe.of(settings_of(None, PRECISION))
    plan = FleetPlan.of(read_manifest(str(folder / "bags")), folder / "fleet", recipe)
    plan.folder.begin(recipe.facts(), [])
    worker = BagWorker(recipe, threads=1)
    assert not worker.start()
    settings = settings_of(None, {**PRECISION, "threads": 1})
    engine = replay_engine(settings)
    times: dict[str, list[float]] = {"replay": [], "fleet": []}
    for _ in range(ROUNDS):
        for task in plan.tasks:
            with _timed(times["replay"]):
                replay(
                    task.bag.location,
                    folder / "out",
                    settings,
                    engine=engine,
                    show_progress=False,
                )
            shutil.rmtree(folder / "out")
            with _timed(times["fleet"]), plan.folder.scratch() as scratch:
                outcome = worker.run(task, scratch)
                assert not outcome.reason, outcome.reason
                plan.folder.write_times(task.key, outcome.times)
                plan.folder.publish(scratch / task.key, task.key)
            shutil.rmtree(folder / "fleet" / "bags")
    alone, as_task = (1e3 * statistics.median(times[name]) for name in ("replay", "fleet"))
    line = [f"{alone:.0f}", f"{as_task:.0f}", f"{100 * (as_task / alone - 1):+.1f} %"]
    print(markdown(["replay, CPU ms a bag", "fleet, CPU ms a bag", "more"], [line]))


@contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    begun = time.process_time()
    yield
    times.append(time.process_time() - begun)


def scaling(folder: Path) -> None:
    """Wall and CPU time of a fleet on one and two processes, beside `replay` bag by bag."""
    _write_clip_bags(folder / "bags")
    lines = [_line("replay --threads 1, bag by bag", *_replay_each(folder))]
    for jobs, threads in ((1, 1), (2, 1), (1, 2)):
        words = ["--jobs", str(jobs), "--threads", str(threads)]
        used = _fleet(folder / "bags", folder / f"fleet{jobs}_{threads}", *words)
        lines.append(_line(f"fleet --jobs {jobs} --threads {threads}", *used))
    print(markdown([SCALED, "wall, s", "CPU, s", "images/s"], lines))


def scaling_on_ray(folder: Path) -> None:
    """The same on one and two nodes of a Ray cluster, each with an actor."""
    from ray.cluster_utils import Cluster

    _write_clip_bags(folder / "bags")
    lines = []
    for nodes in (1, 2):
        memory = {"object_store_memory": 80 << 20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **memory})
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        used = _fleet(folder / "bags", folder / f"fleet{nodes}", "--ray", cluster.address)
        lines.append(_line(f"{nodes} actor{'s' if nodes > 1 else ''}", *used))
        cluster.shutdown()
    print(markdown([SCALED, "wall, s", "CPU of the driver, s", "images/s"], lines))


def _write_clip_bags(folder: Path) -> None:
    cutter = ClipCutter()
    for number in range(SCALED_BAGS):
        cutter.write(folder / f"{number}", 8 * number, SCALED_IMAGES)


def _line(name: str, wall: float, cpu: float) -> list[str]:
    return [name, f"{wall:.1f}", f"{cpu:.1f}", f"{SCALED_BAGS * SCALED_IMAGES / wall:.1f}"]


def _replay_each(folder: Path) -> tuple[float, float]:
    wall = cpu = 0.0
    for bag in sorted((folder / "bags").iterdir()):
        words = ["replay", str(bag), "-o", str(folder / "replay" / bag.name), "--threads", "1"]
        more = _run([*words, "--precision", "float32"])
        wall, cpu = wall + more[0], cpu + more[1]
    return wall, cpu


def _fleet(manifest: Path, output: Path, *words: str, code: int = 0) -> tuple[float, float]:
    common = ["fleet", str(manifest), "-o", str(output), "--precision", "float32"]
    return _run([*common, *words], code)


def _run(words: list[str], code: int = 0) -> tuple[float, float]:
    """Wall and CPU time of a verb and its processes, s."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(_command(words), capture_output=True, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, cpu


def _command(words: list[str]) -> list[str]:
    code = "import sys; from hrnet_pose_ros.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", code, *words]


def kills(folder: Path) -> None:
    """Small bags, some damaged, by a fleet that is killed again and again, and by one that is not.

    Raises AssertionError if a bag is not accounted for or a byte differs.
    """
    cutter = ClipCutter(scale=0.25)
    damaged = round(SMALL_BAGS * DAMAGED_PART)
    for number in range(SMALL_BAGS):
        place = folder / "bags" / f"{number // 100:02d}" / f"{number:04d}"
        cutter.write(place, number % 124, 2, later_ns=number * 10**9)
        if number % (SMALL_BAGS // damaged) == 0:
            damage(place, number // (SMALL_BAGS // damaged))
    parameters = folder / "parameters.yaml"
    parameters.write_text("hrnet_pose: {ros__parameters: {max_persons: 1}}\n")
    words = ["--jobs", "2", "--params-file", str(parameters), "--retries", "1"]
    whole = _fleet(folder / "bags", folder / "whole", *words, code=1)
    choice = random.Random(1)
    for number in range(KILLS):
        _killed(folder / "bags", folder / "killed", words, (number + choice.random()) / (KILLS + 1))
    _fleet(folder / "bags", folder / "killed", *words, code=1)
    states = _states(folder / "whole")
    assert states == {"done": SMALL_BAGS - damaged, "failed": damaged}, states
    assert _content(folder / "whole") == _content(folder / "killed"), "other bytes"
    line = [f"{SMALL_BAGS}", f"{states['done']}", f"{states['failed']}", f"{KILLS}", "the same"]
    line += [f"{whole[0]:.0f}", f"{1e3 * whole[0] / SMALL_BAGS:.0f}"]
    head = ["bags", "done", "failed", "kills", "bytes", "undisturbed, s", "wall ms a bag"]
    print(markdown(head, [line]))


def _killed(manifest: Path, output: Path, words: list[str], part: float) -> None:
    """Kill a fleet when such a part of all bags is done."""
    common = ["fleet", str(manifest), "-o", str(output), "--precision", "float32"]
    process = subprocess.Popen(
        _command([*common, *words]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None:
        place = output / "bags"
        if place.is_dir() and len(os.listdir(place)) >= part * SMALL_BAGS:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.05)
    raise RuntimeError("the fleet ended before it could be killed")


def _states(output: Path) -> dict[str, int]:
    folder = FleetFolder(output)
    found: dict[str, int] = {}
    for entry in folder.entries():
        state = folder.state(entry.key)
        found[state] = found.get(state, 0) + 1
    return found


def _content(output: Path) -> dict[str, bytes]:
    parts = [output / name for name in ("bags", "failed")]
    files = [path for part in parts for path in part.rglob("*") if path.is_file()]
    files += [output / name for name in ("fleet.json", "bags.jsonl", "locations.jsonl")]
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}


def memory(folder: Path) -> None:
    """Peak memory and time of a comparison, and the size of its page, by the number of bags."""
    cutter = ClipCutter()
    for number in range(4):
        cutter.write(folder / "bags" / f"{number}", 30 * number, 30)
    small = folder / "candidate.yaml"
    small.write_text("hrnet_pose: {ros__parameters: {min_detection_score: 0.9, decoding: dark}}\n")
    _fleet(folder / "bags", folder / "a", "--jobs", "2")
    _fleet(folder / "bags", folder / "b", "--jobs", "2", "--params-file", str(small))
    lines = []
    for count in COMPARED_BAGS:
        for name in ("a", "b"):
            _multiply(folder / name, folder / f"{name}{count}", count)
        words = ["fleet-compare", str(folder / f"a{count}"), str(folder / f"b{count}")]
        report = folder / f"report{count}"
        wall, peak = _peak([*words, "-o", str(report), "--pictures", "6"])
        page = (report / "report.html").stat().st_size
        rows = sum(1 for _ in (report / "persons.jsonl").open())
        cells = [f"{count}", f"{rows}", f"{peak / 2**20:.0f}", f"{page / 2**20:.2f}"]
        lines.append([*cells, f"{1e3 * wall / count:.0f}"])
    head = ["bags of 30 images", "rows of persons", "peak memory, MiB", "page, MiB", "ms a bag"]
    print(markdown(head, lines))


def _multiply(source: Path, target: Path, count: int) -> None:
    """A fleet whose results are links to those of another, under other names."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("bags", "work"))
    (target / "bags").mkdir()
    entries = FleetFolder(source).entries()
    places = {bag.name: bag for bag in FleetFolder(source).bags()}
    lists: dict[str, list[dict[str, Any]]] = {"bags": [], "locations": []}
    for number in range(count):
        entry = entries[number % len(entries)]
        key, name = f"{number:032x}", f"{number:05d}"
        tags = {"site": f"site {number % 20}"}
        os.symlink(source / "bags" / entry.key, target / "bags" / key)
        lists["bags"].append({"name": name, "tags": tags, "key": key, "bag": entry.bag})
        lists["locations"].append({**vars(places[entry.name]), "name": name})
    for name, rows in lists.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (target / f"{name}.jsonl").write_text(text)


def _peak(words: list[str]) -> tuple[float, int]:
    """Wall time, s, and peak memory, bytes, of a verb that ends with exit code 0."""
    begun = time.monotonic()
    process = subprocess.Popen(
        _command(words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {process.returncode}")
    return time.monotonic() - begun, used.ru_maxrss * 1024


if __name__ == "__main__":
    main()
