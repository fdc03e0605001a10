#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo of the fusion: a simulated drive is played to the fusion node over DDS, and drawn.

``make demo-fusion`` runs it. It simulates a drive with all sensors and their errors, plays it at
the rate of the sensors to the installed person_fusion_node, records the people, and writes a video
of truth and estimates, a sheet of stills, and the errors. Exit codes: 0: success; 1: no people, too
few images were answered, or the node failed; 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "demo" / "without_torch"))

READY_TIMEOUT = 60.0


def main() -> int:
    """Run the demo and return its exit code."""
    options = _options()
    from demo.fusion.answers import PEOPLE_OUTPUTS, answers_of
    from demo.fusion.drive import RANGES, Drive
    from demo.fusion.figures import figures, problem_of, slowness_of
    from demo.fusion.outputs import ANSWERS, DRIVE, write_answers, write_pictures
    from demo.fusion.summary import summary_text
    from demo.play import NotReadyError, play_clip
    from demo.processes import NodeProcess, torch_importable
    from hrnet_pose_ros.progress import progress
    from hrnet_pose_ros.simulation.scenario import find_scenario, read_simulation
    from hrnet_pose_ros.simulation.simulator import with_changes
    from hrnet_pose_ros.yaml_config import ConfigError

    try:
        scenario = read_simulation(find_scenario(options.scenario))
        scenario = with_changes(scenario, duration=options.duration)
        if "camera" not in scenario.present:
            raise ConfigError(f"scenario '{options.scenario}' has no camera: nobody can be seen")
    except (ConfigError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    print(
        f"[demo-fusion] {scenario.name}: {scenario.duration:g} s, {', '.join(scenario.present)}",
        flush=True,
    )
    with progress("simulating", "s", math.ceil(scenario.duration)) as bar:
        drive = Drive(
            scenario,
            output / DRIVE,
            advance=lambda seconds: bar.update(min(int(seconds), bar.total) - bar.n),
        )
    ranges = ", ".join(f"'{topic}'" for topic in RANGES)
    parameters = ["-p", f"range_topics:=[{ranges}]", "-p", "autostart:=false"]
    parameters += ["-p", f"use_sim_time:={str(options.rate != 1).lower()}"]
    with NodeProcess("person_fusion_node", parameters) as node:
        try:
            recording = play_clip(drive, PEOPLE_OUTPUTS, READY_TIMEOUT, options.rate)
        except NotReadyError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    answers = answers_of(recording)
    write_answers(recording, output / ANSWERS)
    summary = figures(drive, recording, answers)
    summary["exit_codes"] = {node.name: node.exit_code}
    summary["torch_importable"] = {"demo": torch_importable(), node.name: node.torch_importable}
    written = write_pictures(drive, answers, output)
    text = summary_text(summary)
    values = json.dumps(summary, indent=2, allow_nan=False)
    (output / "fusion_summary.json").write_text(values + "\n")
    (output / "fusion_summary.md").write_text(text)
    print(text)
    print(
        f"[demo-fusion] wrote {', '.join(written)}, fusion_summary.json, fusion_summary.md, "
        f"{DRIVE}/ and {ANSWERS}/ in {output}"
    )
    if slowness := slowness_of(summary):
        print(f"warning: {slowness}", file=sys.stderr)
    if problem := problem_of(summary):
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--scenario",
        default="crossing",
        help="a bundled scenario (hrnet_pose simulate --list) or a YAML file (default: crossing)",
    )
    parser.add_argument(
        "--duration", type=float, metavar="S", help="seconds; default: the scenario's"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=1.0,
        help="seconds of the drive in one second (default: 1); another one is played by /clock",
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "demo_output", help="folder for the results"
    )
    options = parser.parse_args()
    if not 0.01 <= options.rate <= 10:
        parser.error(f"--rate must be from 0.01 to 10, got {options.rate:g}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
