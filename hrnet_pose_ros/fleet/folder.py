# SPDX-License-Identifier: Apache-2.0
"""The folder of a fleet: results, failures, times, and the list of its bags.

    fleet.json          model, parameters and code
    bags.jsonl          a line for each bag: its name, tags, key and identity
    locations.jsonl     a line for each bag: where it lies
    bags/KEY/           a result: result.json and the rosbag2 skeletons/
    failed/KEY.json     a bag that failed, with the reason
    times/KEY.json      how long a bag took
    work/               what is being made

A result appears under its name by one rename, whole and flushed to the disk. Nothing but ``times``
depends on when or where the fleet ran; ``locations.jsonl`` says where its bags lay.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hrnet_pose_ros.files import flush, scratch_folder, write_file
from hrnet_pose_ros.fleet.bags import FLEET_MARK, FleetBag

BAGS, LOCATIONS = "bags.jsonl", "locations.jsonl"
RESULT, SKELETONS = "result.json", "skeletons"

State = Literal["done", "failed", "pending"]


@dataclass(frozen=True)
class FleetEntry:
    """One bag in the list of a fleet: its name and tags, the key of its result, its identity."""

    name: str
    tags: Mapping[str, str]
    key: str
    bag: str


class FleetFolder:
    """The folder at ``path``; see the module."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # Writing

    def begin(
        self, facts: Mapping[str, Any], entries: Sequence[tuple[FleetEntry, FleetBag]]
    ) -> None:
        """Write what the fleet is: the facts of its recipe, and its bags with their entries.

        Raises
        ------
        ValueError
            The folder exists, holds other things, and is not the folder of a fleet.
        """
        if not (self.path / FLEET_MARK).is_file():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ValueError(
                    f"'{self.path}' exists and is not the folder of a fleet: choose another one"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        write_file(self.path / FLEET_MARK, json_text(facts))
        lines = [json_line(vars(entry)) for entry, _ in entries]
        places = [json_line(vars(bag)) for _, bag in entries]
        write_file(self.path / LOCATIONS, "".join(places))
        write_file(self.path / BAGS, "".join(lines))
        for entry, _ in entries:  # a kill may have come between a result and this
            if self._failure(entry.key).is_file() and self.is_done(entry.key):
                self._failure(entry.key).unlink()

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder to make a result in, which `publish` takes it from.

        Each machine has its own: what a killed process left is removed only where it ran, because
        the locks that tell do not reach over every network file system.
        """
        return scratch_folder(self.path / "work" / socket.gethostname())

    def publish(self, made: Path, key: str) -> None:
        """Put a folder from `scratch` under its key; the first of two equal ones stays."""
        for path in [*made.rglob("*"), made]:
            flush(path)
        target = self.path / "bags" / key
        target.parent.mkdir(exist_ok=True)
        try:
            os.rename(made, target)
        except OSError:
            if not self.is_done(key):
                raise
            shutil.rmtree(made)
        flush(target.parent)
        self._failure(key).unlink(missing_ok=True)

    def publish_files(self, files: Mapping[str, bytes], key: str) -> None:
        """`publish` the files of a result that another machine made, by their paths."""
        with self.scratch() as scratch:
            for name, content in files.items():
                path = scratch / key / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.publish(scratch / key, key)

    def write_failure(self, key: str, name: str, reason: str, tries: int) -> None:
        """Record that a bag failed."""
        content = {"name": name, "reason": reason, "tries": tries}
        write_file(self._failure(key), json_text(content))

    def write_times(self, key: str, times: Mapping[str, float]) -> None:
        """Record how long a bag took; not flushed: nothing depends on it."""
        path = self.path / "times" / f"{key}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json_text(times))

    # Reading

    def facts(self) -> dict[str, Any]:
        """What ``fleet.json`` holds; ValueError where it is not the folder of a fleet."""
        if not (self.path / BAGS).is_file():
            raise ValueError(
                f"'{self.path}' is not the folder of a fleet: it has no {BAGS}; "
                "hrnet_pose fleet makes one"
            )
        content: dict[str, Any] = json.loads((self.path / FLEET_MARK).read_text())
        return content

    def entries(self) -> list[FleetEntry]:
        """The bags of the fleet, sorted by name."""
        with (self.path / BAGS).open(encoding="utf-8") as file:
            return [FleetEntry(**json.loads(line)) for line in file]

    def bags(self) -> Iterator[FleetBag]:
        """The bags where they lay when the fleet was begun."""
        with (self.path / LOCATIONS).open(encoding="utf-8") as file:
            for line in file:
                yield FleetBag(**json.loads(line))

    def is_done(self, key: str) -> bool:
        """Whether there is a result."""
        return (self.path / "bags" / key / RESULT).is_file()

    def state(self, key: str) -> State:
        """Whether there is a result, a failure, or neither."""
        if self.is_done(key):
            return "done"
        return "failed" if self._failure(key).is_file() else "pending"

    def result(self, key: str) -> dict[str, Any]:
        """What ``result.json`` holds."""
        path = self.path / "bags" / key / RESULT
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content

    def reason(self, key: str) -> str:
        """Why a bag failed; empty if it did not."""
        try:
            return str(json.loads(self._failure(key).read_text(encoding="utf-8"))["reason"])
        except FileNotFoundError:
            return ""

    def skeletons(self, key: str) -> Path:
        """The rosbag2 of a result."""
        return self.path / "bags" / key / SKELETONS

    def _failure(self, key: str) -> Path:
        return self.path / "failed" / f"{key}.json"


def json_text(content: Mapping[str, Any]) -> str:
    """JSON for a file: the same bytes for the same content."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def json_line(content: Mapping[str, Any]) -> str:
    """One line of a JSON Lines file."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
