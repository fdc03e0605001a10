# SPDX-License-Identifier: Apache-2.0
"""The latency from skeletons to people: docs/fusion.md has the results.

    python -m bench.people [--duration S] [--sensors SET]

20 people at 10 Hz, a LIDAR of 30,000 points, IMU and odometry are simulated into a bag. First, all
that the node does with it is done in this process, from bytes to bytes, and its processor time is
measured, which other programs on the machine hardly change. Then the bag is played to the installed
node over DDS, and its answers are timed by the clock on the wall, of which other programs take
their part.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

from bench.rows import markdown
from demo.fusion.answers import PEOPLE_OUTPUTS, answers_of
from demo.fusion.drive import RANGES, Drive
from demo.fusion.figures import latency
from demo.play import running_harness
from demo.processes import NodeProcess
from hrnet_pose_ros.fusion_report.frame_time import crowd_scenario
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.fusion_run import FusionRun
from hrnet_pose_ros.pipeline.people.person_messages import person_array
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.simulation.sensor_configs import SENSORS, SensorName

READY_TIMEOUT = 60.0
WARM_UP = 5  # images
PERCENTILES = (50, 95, 99)
SETS = {
    "camera": ("camera", "imu", "odometry"),
    "lidar": ("camera", "imu", "odometry", "lidar"),
    "all": SENSORS,
}


def main() -> None:
    """Measure in this process and over DDS, and print the latencies."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--duration", type=float, default=20.0, metavar="S", help="of the drive")
    parser.add_argument("--sensors", choices=SETS, default="lidar", help="(default: lidar)")
    options = parser.parse_args()
    sensors = cast(tuple[SensorName, ...], SETS[options.sensors])
    scenario = replace(crowd_scenario(1, options.duration), sensors=sensors)
    with tempfile.TemporaryDirectory() as folder:
        drive = Drive(scenario, Path(folder), pictures=False)
        print(markdown(["step", *(f"p{p}, ms" for p in PERCENTILES)], _in_process(drive)))
        print(_over_dds(drive))


def _in_process(drive: Drive) -> list[list[str]]:
    """Rows with the processor time of each step for one image."""
    steps = ("bytes to skeletons", "skeletons to people", "people to bytes")
    run, types = FusionRun(PersonFusionSettings()), RclpyClasses()
    spent: list[np.ndarray] = []
    inputs: list[float] = []
    others = 0.0
    topics = {f"/{one.value}": one for one in Input} | dict.fromkeys(RANGES, Input.RANGE)
    run.open(drive.start)
    for event in drive.events():
        data, now = serialize_message(event.message), drive.start + event.at
        times = [time.process_time()]
        message = deserialize_message(data, type(event.message))
        times.append(time.process_time())
        outputs = run.take(topics[event.topic], message, now, event.topic)
        times.append(time.process_time())
        for output in outputs:
            serialize_message(person_array(types, output))
        times.append(time.process_time())
        if outputs:
            spent.append(np.diff(times))
            inputs.append(others)
            others = 0.0
        else:
            others += times[-1] - times[0]
    table = np.array(spent[WARM_UP:])
    columns = {
        **dict(zip(steps, table.T, strict=True)),
        "bytes to bytes": table.sum(axis=1),
        "and all other inputs since the last image": np.array(inputs[WARM_UP:]),
    }
    return [
        [name, *(f"{1e3 * value:.1f}" for value in np.percentile(one, PERCENTILES))]
        for name, one in columns.items()
    ]


def _over_dds(drive: Drive) -> str:
    """What the installed node does with the drive, as text."""
    ranges = ", ".join(f"'{topic}'" for topic in RANGES)
    parameters = ["-p", f"range_topics:=[{ranges}]", "-p", "autostart:=false"]
    with (
        NodeProcess("person_fusion_node", parameters) as node,
        running_harness(drive, PEOPLE_OUTPUTS) as harness,
    ):
        harness.wait_until_ready(READY_TIMEOUT)
        before = node.processor_time()
        harness.play()
        spent = node.processor_time() - before
        harness.settle(quiet=1.0, timeout=20.0)
    recording = harness.recording
    answers = answers_of(recording)
    rows = [
        [what, *(f"{times[f'p{p}']:.1f}" for p in PERCENTILES)]
        for what, times in latency(drive, recording, answers).items()
    ]
    people = [len(one.people) for one in answers.people.values()]
    mean = sum(people) / max(len(people), 1)
    return (
        markdown(["from, to", *(f"p{p}, ms" for p in PERCENTILES)], rows)
        + f"\n{len(people)} of {drive.images} images answered, {mean:.1f} people each; the node "
        f"took {1e3 * spent / max(recording.images, 1):.1f} ms of processor time an image, with "
        f"everything that it received; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
