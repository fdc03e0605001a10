# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fusion-report``: measures the fusion of people, and writes what it found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion_report.frame_time import frame_times
from hrnet_pose_ros.fusion_report.kitti import (
    PUBLISHED,
    Detect,
    fuse_sequence,
    kitti_rows,
    persons_by_detector,
    persons_by_labels,
)
from hrnet_pose_ros.fusion_report.kitti_files import KittiSequence
from hrnet_pose_ros.fusion_report.markdown import markdown
from hrnet_pose_ros.fusion_report.plots import write_plots
from hrnet_pose_ros.fusion_report.runs import SENSOR_SETS, FusedRun, fuse_run, simulate_run
from hrnet_pose_ros.fusion_report.scenes import SCENES, scenario_of_scene
from hrnet_pose_ros.fusion_report.tables import all_tables
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.time_plots import why_no_plots
from hrnet_pose_ros.simulation.sensor_configs import SENSORS
from hrnet_pose_ros.version import VERSION

JSON, MARKDOWN = "report.json", "report.md"


def sensor_sets(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return sets of sensors by name: those of `SENSOR_SETS`, or sensors with commas between.

    Raises ValueError for a name that is neither, and for a set without the camera.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in names or SENSOR_SETS:
        sensors = SENSOR_SETS.get(name) or tuple(one.strip() for one in name.split(","))
        unknown = [one for one in sensors if one not in SENSORS]
        if unknown:
            raise ValueError(
                f"there is no sensor or set of sensors '{unknown[0]}'; the sets are "
                f"{', '.join(SENSOR_SETS)}, the sensors {', '.join(SENSORS)}"
            )
        if "camera" not in sensors:
            raise ValueError(f"'{name}' has no camera, which finds the people: add camera")
        found[name] = sensors
    return found


def check_scenes(names: Sequence[str]) -> list[str]:
    """Return the scenes that are meant, all for none; ValueError for an unknown one."""
    unknown = [name for name in names if name not in SCENES]
    if unknown:
        raise ValueError(f"there is no scene '{unknown[0]}'; there are {', '.join(SCENES)}")
    # Each once: the same runs twice would be counted as independent ones.
    return list(dict.fromkeys(names)) or list(SCENES)


def simulated_report(
    folder: Path,
    *,
    scenes: Sequence[str],
    sets: Mapping[str, Sequence[str]],
    runs: int,
    seed: int,
    duration: float,
    timed: bool = True,
) -> list[Path]:
    """Run the scenes with each set of sensors; write and return the report's files.

    Parameters
    ----------
    folder
        Where the files go.
    scenes, sets
        Names of `SCENES`, and sensors by the name of their set.
    runs, seed, duration
        Of each scene: how many, the seed of the first (others follow), s each.
    timed
        Whether to measure the time for one image too.
    """
    fused: dict[tuple[str, str], list[FusedRun]] = {}
    with progress("runs", "run", runs * len(scenes)) as bar:
        for scene in scenes:
            for number in range(runs):
                moving = SCENES[scene].moving
                run = simulate_run(scenario_of_scene(scene, seed + number, duration), moving=moving)
                for name, sensors in sets.items():
                    settings = FusionSettings(fixed_base=not moving)
                    result = fuse_run(run, sensors, settings)
                    fused.setdefault((scene, name), []).append(result)
                bar.update()
    tables = all_tables(fused)
    if timed:
        tables["frame_time"] = frame_times(seed, duration)
    report = {
        "version": VERSION,
        "runs": runs,
        "seed": seed,
        "duration": duration,
        "sets": {name: list(sensors) for name, sensors in sets.items()},
        "load": os.getloadavg()[0],
        "tables": tables,
    }
    return [*_write(folder, report), *_plots(folder, tables)]


def kitti_report(
    folder: Path,
    data: str,
    sequences: Sequence[KittiSequence],
    engine: PoseEngine,
    detect: Detect,
) -> list[Path]:
    """Measure distances in the sequences of `read_kitti`, which are called ``data``; write and
    return the report's files."""
    rows: list[dict[str, Any]] = []
    frames = sum(len(sequence.frames) for sequence in sequences)
    with progress("frames", "frame", 2 * frames) as bar:
        for boxes in ("labels", "detector"):
            persons = []
            for sequence in sequences:
                found = []
                for frame in sequence.frames:
                    if boxes == "labels":
                        found.append(persons_by_labels(frame, engine))
                    else:
                        found.append(persons_by_detector(frame, engine, detect))
                    bar.update()
                persons.append(found)
            for lidar in (False, True):
                results = [
                    result
                    for sequence, found in zip(sequences, persons, strict=True)
                    if not lidar or all(frame.cloud for frame in sequence.frames)
                    for result in fuse_sequence(sequence, found, lidar=lidar)
                ]
                rows += kitti_rows(results, boxes, "camera, LIDAR" if lidar else "camera")
    published = [{"method": name, "mean_error": value} for name, value in PUBLISHED]
    report = {
        "version": VERSION,
        "data": data,
        "model": engine.info.model,
        "tables": {"kitti": rows, "published": published},
    }
    return _write(folder, report)


def _write(folder: Path, report: dict[str, Any]) -> list[Path]:
    paths = [folder / JSON, folder / MARKDOWN]
    write_file(paths[0], json.dumps(report, indent=1) + "\n")
    write_file(paths[1], markdown(report))
    return paths


def _plots(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> list[Path]:
    missing = why_no_plots()
    if missing:
        print(missing)
        return []
    return write_plots(folder, tables)
