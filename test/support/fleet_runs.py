# SPDX-License-Identifier: Apache-2.0
"""Runs of ``hrnet_pose fleet`` in processes of their own, and what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

FOR_ALL = ("--precision", "float32", "--max-batch", "2")
PATIENCE_S = 300.0


def start_fleet(manifest: Path, output: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    """Start a fleet in a process group of its own."""
    words = [str(manifest), "-o", str(output), "--model", str(model), *FOR_ALL, *options]
    # A shell starts what it runs in the background with SIGINT ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from hrnet_pose_ros.cli.main import main; sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "fleet", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for it; exit code and output."""
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; TimeoutError after some minutes."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.02)


def results(output: Path) -> dict[str, bytes]:
    """Everything in a fleet's folder that must not depend on when and where it ran, by path."""
    found = {}
    for part in ("bags", "failed", "fleet.json", "bags.jsonl", "locations.jsonl"):
        place = output / part
        paths = sorted(place.rglob("*")) if place.is_dir() else [place]
        found |= {
            path.relative_to(output).as_posix(): path.read_bytes()
            for path in paths
            if path.is_file()
        }
    return found


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def workers(pid: int) -> list[int]:
    """Process ids of a fleet's workers: its children that Python's spawn started."""
    return [child for child in children(pid) if "spawn_main" in _command(child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def alive(pids: Iterable[int]) -> list[int]:
    """Those processes that still run."""
    return [pid for pid in pids if "spawn_main" in _command(pid)]


def being_made(output: Path) -> list[str]:
    """Keys of the results that are being made."""
    return [path.name for path in output.glob("work/*/.*.part/*")]


def done_keys(output: Path) -> Sequence[str]:
    """Keys of the results that are done."""
    return sorted(os.listdir(output / "bags")) if (output / "bags").is_dir() else []
