#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo of the guard: a simulated vehicle drives along a street as the guard's node allows.

``make demo-guard`` runs it. The simulated camera sees people, the fusion places them, and the
installed pedestrian_guard_node limits the commands over DDS; its answers move the vehicle, which
moves the camera. It writes a video from above with zones, speeds and reasons, a sheet of stills,
and a summary. Exit codes: 0: success; 1: a contact, too few answers, or the node failed; 2: bad
input.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "demo" / "without_torch"))

READY_TIMEOUT = 180.0
SECONDS, LONGEST = 38.0, 60.0


def main() -> int:
    """Run the demo and return its exit code."""
    options = _options()
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    from demo.guard.closed_loop import GuardedVehicle, GuardHarness, GuardNotReadyError
    from demo.guard.outputs import (
        SUMMARY,
        SUMMARY_TEXT,
        guard_figures,
        guard_problem,
        guard_text,
        write_guard_pictures,
    )
    from demo.guard.scene import street
    from demo.processes import NodeProcess, torch_importable
    from hrnet_pose_ros.progress import progress

    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    parameters = ["-p", "use_sim_time:=true", "-p", "enable_stamped_cmd_vel:=true"]
    rclpy.init()
    harness = GuardHarness()
    executor = SingleThreadedExecutor()
    executor.add_node(harness)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    ride = street(options.duration, options.seed)
    try:
        with NodeProcess("pedestrian_guard_node", parameters) as node:
            try:
                harness.wait_until_ready(READY_TIMEOUT)
            except GuardNotReadyError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            with progress("driving", "s", math.ceil(options.duration)) as bar:
                driven = GuardedVehicle(ride, harness).drive(
                    advance=lambda seconds: bar.update(min(int(seconds), bar.total) - bar.n)
                )
    finally:
        executor.shutdown()
        spinner.join(5)
        harness.destroy_node()
        rclpy.try_shutdown()

    summary = guard_figures(driven)
    summary["exit_codes"] = {node.name: node.exit_code}
    summary["torch_importable"] = {"demo": torch_importable(), node.name: node.torch_importable}
    written = write_guard_pictures(driven, output)
    text = guard_text(summary)
    (output / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    (output / SUMMARY_TEXT).write_text(text)
    print(text)
    print(f"[demo-guard] wrote {', '.join(written)}, {SUMMARY} and {SUMMARY_TEXT} in {output}")
    if problem := guard_problem(summary):
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--duration",
        type=float,
        default=SECONDS,
        metavar="S",
        help=f"seconds of the ride (default: {SECONDS:g})",
    )
    parser.add_argument(
        "--seed", type=int, default=3, help="of the people and the sensors' errors (default: 3)"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "demo_output", help="folder for the results"
    )
    options = parser.parse_args()
    if not 0.5 <= options.duration <= LONGEST:
        parser.error(f"--duration must be from 0.5 to {LONGEST:g}, got {options.duration:g}")
    if options.seed < 0:
        parser.error(f"--seed must be at least 0, got {options.seed}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
