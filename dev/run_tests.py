# SPDX-License-Identifier: Apache-2.0
"""Runs every test, as ``make test`` does: several runs of pytest share the processor's cores.

Tests that start nodes, and demos that play at the rate of a camera, wait more than they compute,
and look at the clock: they run one after another, and come first wherever a core is asked for.
All others compute: they run beside them, at a lower priority, so many at a time as there are cores.
So no core is idle until the end, and a node under test still finds one when its message arrives.

Every file of tests runs once: `GROUPS` names folders and files that run by themselves, and what it
does not name runs with the folder above it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.fleet.local_workers import usable_cores

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".dev" / "log" / "tests"
# For `nice`: where both want to run, a tenth of the time that a test with a clock gets.
LOW_PRIORITY = 10
# At most so many that compute at a time: each may take a gigabyte of memory.
MOST_COMPUTING = 4
# DDS domains for tests: so many, from this one on (as in test/conftest.py).
FIRST_DOMAIN, DOMAINS = 20, 60


@dataclass(frozen=True)
class Group:
    """Tests of one run of pytest.

    Attributes
    ----------
    name
        For what is printed, and for the file of its output.
    paths
        Folders and files below the repository, without those that other groups name.
    has_clock
        They wait for nodes and look at the clock.
    """

    name: str
    paths: tuple[str, ...]
    has_clock: bool = False

    def arguments(self, groups: Iterable[Group]) -> list[str]:
        """Of pytest, beside these groups."""
        own = {Path(path) for path in self.paths}
        others = [path for group in groups if group is not self for path in group.paths]
        below = sorted(other for other in others if own & {*Path(other).parents})
        return [*self.paths, *(f"--ignore={path}" for path in below)]


# Of those that compute: the quick ones first, then the longest first, so that all end together.
GROUPS = (
    Group("nodes", ("test/nodes",), has_clock=True),
    Group("demos", ("test/demo",), has_clock=True),
    Group(
        "nodes of people",
        (
            "test/nodes/test_person_fusion_node.py",
            "test/replay/test_fuse.py",  # of the same simulated drive
            "test/nodes/test_pedestrian_guard_node.py",
            "test/nodes/test_people_outputs.py",
            "test/nodes/test_hri_bodies_node.py",
        ),
        has_clock=True,
    ),
    Group("launch and soak", ("test/launch", "test/soak"), has_clock=True),
    Group("all others", ("test",)),
    Group("verbs", ("test/cli", "test/test_estimate.py", "test/skeletons")),
    Group("engines", ("test/engines", "test/model_files")),
    Group("network", ("test/network",)),
    Group("fleet", ("test/fleet",)),
    # Not with the fleets: a demo hides PyTorch from its process.
    Group("demo of a fleet", ("test/demo/test_fleet_demo.py",)),
    Group("training", ("test/training",)),
    Group("replay", ("test/replay", "test/doctor")),
)


@dataclass(frozen=True)
class Outcome:
    """How a group ended: pytest's exit code and the file with its output."""

    group: Group
    code: int
    log: Path

    def summary(self) -> str:
        """One line with pytest's own sum, and below it the tests that failed."""
        lines = self.log.read_text(errors="replace").splitlines()
        sums = [line.strip("= ") for line in lines if re.match(r"=+ .* in [\d.]+s .*=$", line)]
        said = sums[-1] if sums else f"pytest ended with code {self.code}"
        failed = [line for line in lines if re.match(r"(FAILED|ERROR) \S+\.py", line)]
        return "\n".join([f"{'passed' if self.code == 0 else 'FAILED'}: {self.group.name}: {said}",
                          *failed])  # fmt: skip


class TestRun:
    """Runs groups of tests to their end.

    Parameters
    ----------
    groups
        All of them.
    logs
        The folder for their output; the earlier ones' is overwritten.
    """

    __test__ = False  # no class of tests

    def __init__(self, groups: Sequence[Group], logs: Path = LOGS) -> None:
        self._groups = groups
        self._logs = logs
        self._clocks = deque(group for group in groups if group.has_clock)
        self._others = deque(group for group in groups if not group.has_clock)
        self._outcomes: list[Outcome] = []
        self._running: dict[int, subprocess.Popen[bytes]] = {}  # by lane
        self._lock = threading.Lock()

    def run(self, computing: int) -> bool:
        """Run all groups, so many that compute at a time; returns whether every test passed."""
        self._logs.mkdir(parents=True, exist_ok=True)
        lanes = [threading.Thread(target=self._lane, args=(n,)) for n in range(1 + computing)]
        for lane in lanes:
            lane.start()
        try:
            for lane in lanes:
                lane.join()
        except BaseException as error:
            # Ctrl-C has reached the runs as well: a second one would leave nodes behind.
            self._stop(interrupt=not isinstance(error, KeyboardInterrupt))
            raise
        for outcome in self._outcomes:
            print(f"[test] {outcome.summary()}")
        ended = {outcome.group for outcome in self._outcomes}
        lacking = [group.name for group in self._groups if group not in ended]
        if lacking:
            print(f"[test] FAILED: did not run: {', '.join(lacking)}")
        return not lacking and all(outcome.code == 0 for outcome in self._outcomes)

    def _stop(self, interrupt: bool) -> None:
        """Nothing else begins, and if asked what runs ends as after Ctrl-C."""
        with self._lock:
            self._clocks.clear()
            self._others.clear()
            for process in self._running.values() if interrupt else ():
                process.send_signal(signal.SIGINT)

    def _lane(self, lane: int) -> None:
        while group := self._next(lane):
            self._run_group(group, lane)

    def _next(self, lane: int) -> Group | None:
        """The first lane runs those with a clock, the second one as well when no other is left."""
        with self._lock:
            queues = ([self._clocks], [self._others, self._clocks], [self._others])
            return next((queue.popleft() for queue in queues[min(lane, 2)] if queue), None)

    def _run_group(self, group: Group, lane: int) -> None:
        log = self._logs / f"{group.name.replace(' ', '_')}.txt"
        command = [sys.executable, "-m", "pytest", *group.arguments(self._groups)]
        if not group.has_clock:
            command = ["nice", "-n", str(LOW_PRIORITY), *command]
        # Each lane its own: nodes of one are not heard in another.
        domain = FIRST_DOMAIN + (os.getpid() + lane) % DOMAINS
        print(f"[test] begins: {group.name}", flush=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"HRNET_POSE_TEST_DOMAIN": str(domain)},
            )
            with self._lock:
                self._running[lane] = process
            code = process.wait()
        with self._lock:
            del self._running[lane]
            self._outcomes.append(Outcome(group, code, log))
            print(f"[test] output of: {group.name}\n{log.read_text(errors='replace')}", flush=True)


def main() -> int:
    """Run the tests of the repository; returns the exit code, 0 if all passed and else 1."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # A shell lets what runs in its background ignore Ctrl-C, and so would the runs of pytest.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    computing = min(usable_cores(), MOST_COMPUTING)
    print(f"[test] {1 + computing} runs at a time; their output is in {LOGS.relative_to(ROOT)}/")
    begin = time.monotonic()
    passed = TestRun(GROUPS).run(computing)
    print(f"[test] {'passed' if passed else 'FAILED'}, {time.monotonic() - begin:.0f} s")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
