# SPDX-License-Identifier: Apache-2.0
"""Every probe runs in a process of its own: a library that crashes, exits or hangs ends only that.

A probe is a function that returns its findings; it is called without arguments.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hrnet_pose_ros.doctor.findings import Finding, Severity
from hrnet_pose_ros.doctor.middleware import NODE_CURE

# A cold start of the slowest library on a small, busy processor takes some seconds.
TIMEOUT = 60.0
AT_ONCE = 4

# The child has the parent's import path, whatever way the parent was started.
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hrnet_pose_ros.doctor.probes import child; child(sys.argv[2])"
)


@dataclass(frozen=True)
class Probe:
    """A probe: its section in the report, ``module:function``, and whether a node needs it.

    ``cure`` is the advice when the probe itself comes to grief.
    """

    section: str
    function: str
    needed: bool = False
    cure: str = "a library that this looks at does not work: install it again"


PROBES = (
    Probe("software", "software:python", needed=True),
    Probe("software", "software:numpy", needed=True),
    Probe("software", "software:opencv", needed=True),
    Probe("ros", "ros_installation:ros", needed=True),
    Probe("middleware", "middleware:rmw", needed=True),
    Probe("middleware", "middleware:node", needed=True, cure=NODE_CURE),
    Probe("middleware", "middleware:profile"),
    Probe("middleware", "middleware:shared_memory"),
    Probe("middleware", "middleware:network"),
    Probe("processor", "processor:processor"),
    Probe("gpu", "gpu:gpu"),
    Probe("gpu", "gpu:tensorrt"),
    Probe("openvino", "openvino_library:openvino"),
    Probe("models", "models:models"),
    Probe("plans", "models:plans"),
    Probe("engine", "engine_choice:engine", needed=True),
)


def run_probes(
    probes: Iterable[Probe] = PROBES, timeout: float = TIMEOUT
) -> dict[str, list[Finding]]:
    """Run probes, a few at a time; the findings of each section in the order of the probes."""
    probes = tuple(probes)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda probe: run_probe(probe, timeout), probes))
    sections: dict[str, list[Finding]] = {}
    for probe, findings in zip(probes, results, strict=True):
        sections.setdefault(probe.section, []).extend(findings)
    return sections


def run_probe(probe: Probe, timeout: float = TIMEOUT) -> list[Finding]:
    """Run one probe in a process of its own; what goes wrong there is a finding. Does not raise."""
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), probe.function]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return [_broken(probe, f"no answer in {timeout:.0f} s")]
    except OSError as error:
        return [_broken(probe, f"cannot be started: {error}")]
    if done.returncode < 0:
        number = -done.returncode
        name = signal.Signals(number).name if number in list(signal.Signals) else str(number)
        return [_broken(probe, f"crashed with {name}")]
    try:
        return [Finding.from_json(one) for one in json.loads(done.stdout)]
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return [_broken(probe, lines[-1] if lines else f"ended with code {done.returncode}")]


def _broken(probe: Probe, why: str) -> Finding:
    return Finding(
        probe.function.rpartition(":")[2],
        f"broken: {why}",
        Severity.ERROR if probe.needed else Severity.WARNING,
        probe.cure,
    )


def child(function: str) -> None:
    """What a probe's process does: the findings go to stdout as JSON, and nothing else does."""
    answer = os.dup(1)
    os.dup2(2, 1)  # libraries print
    module, _, name = function.partition(":")
    probe = getattr(importlib.import_module(f"hrnet_pose_ros.doctor.{module}"), name)
    text = json.dumps([finding.to_json() for finding in probe()])
    with os.fdopen(answer, "w") as file:
        file.write(text)
        file.flush()
    # Without the interpreter's own end: a library that crashes there has answered already.
    os._exit(0)
