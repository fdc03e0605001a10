# SPDX-License-Identifier: Apache-2.0
"""Replays one bag after the other with one engine: what a worker of a fleet does."""

from __future__ import annotations

import re
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.files import scratch_folder
from hrnet_pose_ros.fleet.bags import FleetBag, Identity
from hrnet_pose_ros.fleet.folder import RESULT, SKELETONS, json_text
from hrnet_pose_ros.fleet.recipe import Recipe, code_version
from hrnet_pose_ros.fleet.storage import is_url
from hrnet_pose_ros.replay.definitions import BagError
from hrnet_pose_ros.replay.offline import replay, replay_engine

# Names that differ from run to run, in what is said about a bag.
_TEMPORARY = re.compile(r"[^\s'\"]*/hrnet_pose_bag_\w+/")


@dataclass(frozen=True)
class FleetTask:
    """A bag to be replayed: the key of its result, and the bag's identity when the fleet began."""

    key: str
    bag: FleetBag
    identity: str
    identity_kind: Identity = "stat"
    size: int = 0  # bytes


@dataclass(frozen=True)
class TaskOutcome:
    """How a try ended.

    Attributes
    ----------
    reason
        Why it failed; empty if it did not.
    trace
        The traceback of an error that nobody expected.
    times
        Seconds by name.
    files
        The result's files, where they still have to be published.
    """

    reason: str = ""
    trace: str = ""
    times: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] | None = None


class BagWorker:
    """Keeps one engine for all of its bags.

    Parameters
    ----------
    threads
        CPU threads of the engine and of image decoding; 0: all cores.
    cache
        Folder for copies of remote bags and for what has to be unpacked; None: the system's.
    """

    def __init__(self, recipe: Recipe, threads: int, cache: Path | None = None) -> None:
        self._settings = replace(recipe.settings, threads=threads, model=str(recipe.model))
        self._recipe, self._cache = recipe, cache or Path(tempfile.gettempdir())
        self._engine: PoseEngine | None = None
        cv2.setNumThreads(threads or -1)

    def start(self) -> str:
        """Make the engine; returns why it cannot be made, or why results would differ."""
        recipe = self._recipe
        here = code_version(recipe.settings.engine)
        if here != recipe.code:
            return f"a worker has other code than the fleet: {here}; not {recipe.code}"
        try:
            self._engine = self._engine or replay_engine(self._settings)
        except Exception as error:  # nothing that the next bag could change
            return f"the engine cannot be made: {_text(error)}"
        if (checksum := self._engine.info.checksum) != recipe.checksum:
            return (
                f"'{recipe.model}' is another file for a worker: {checksum}, not {recipe.checksum}"
            )
        return ""

    def run(self, task: FleetTask, scratch: Path) -> TaskOutcome:
        """Replay a bag into the folder ``scratch/KEY``; a failure is told, not raised."""
        begun, cpu_begun = time.monotonic(), time.process_time()
        copied = begun
        path = Path(task.bag.location)
        try:
            with scratch_folder(self._cache) as cache, _temporary_files(cache):
                if is_url(task.bag.location):
                    path = task.bag.copy_to(cache)
                    copied = time.monotonic()
                self._replay(task, path, scratch / task.key)
                if task.identity_kind == "stat" and task.bag.identity() != task.identity:
                    raise BagError(f"'{task.bag.name}' changed while it was replayed")
        except Exception as error:  # whatever a bag provokes is the bag's failure, not the fleet's
            if not isinstance(error, (BagError, OSError)):
                self.close()  # the next try has an engine that nothing happened to
            expected = isinstance(error, (ValueError, RuntimeError, OSError, ImportError))
            trace = "" if expected else traceback.format_exc()
            return TaskOutcome(_said(_text(error), path, task.bag.name), trace)
        times = {
            "copy_s": copied - begun,
            "total_s": time.monotonic() - begun,
            "cpu_s": time.process_time() - cpu_begun,
        }
        return TaskOutcome(times=times)

    def _replay(self, task: FleetTask, path: Path, target: Path) -> None:
        if not path.exists():
            raise BagError(f"there is no bag at '{path}' on this machine")
        if self._engine is None:
            self._engine = replay_engine(self._settings)
        target.mkdir()
        warnings: list[str] = []
        result = replay(
            path,
            target / SKELETONS,
            self._settings,
            image=self._recipe.image,
            detections=self._recipe.detections,
            warn=warnings.append,
            engine=self._engine,
            show_progress=False,
        )
        info, name = self._engine.info, task.bag.name
        content = {
            "name": name,
            "key": task.key,
            "bag": task.identity,
            "images": result.images,
            "arrays": result.arrays,
            "persons": result.persons,
            "drops": result.drops,
            "bag_seconds": result.bag_seconds,
            "loss": _said(result.loss, path, name),
            "warnings": [_said(one, path, name) for one in warnings],
            "model": info.model,
            "engine": info.engine,
            "precision": info.precision,
        }
        (target / RESULT).write_text(json_text(content), encoding="utf-8")

    def close(self) -> None:
        """Free the engine; the next bag gets a new one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


@contextmanager
def _temporary_files(folder: Path) -> Iterator[None]:
    """Temporary files go into a folder that is removed even if this process is killed."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _text(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, RuntimeError, OSError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _said(text: str, path: Path, name: str) -> str:
    """A text about a bag with its name instead of the place where it was read."""
    text = text.replace(str(path.absolute()), name).replace(str(path), name)
    return _TEMPORARY.sub("", text)
