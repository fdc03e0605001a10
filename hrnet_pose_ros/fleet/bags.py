# SPDX-License-Identifier: Apache-2.0
"""The bags among files: folders of rosbag2, and storage files that stand alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hrnet_pose_ros.fleet.storage import StoredFile, joined, last_name, storage_of
from hrnet_pose_ros.replay.bags import STORAGES

METADATA = "metadata.yaml"
FLEET_MARK = "fleet.json"  # a folder that `hrnet_pose fleet` writes: its results are no input

# What a bag is known by: its files' times of change (or ETags), or checksums of their content.
Identity = Literal["stat", "content"]


@dataclass(frozen=True)
class FleetBag:
    """One bag of a fleet.

    Attributes
    ----------
    name
        Unique in its fleet, and the same in every fleet that is compared: a path relative to the
        manifest.
    location
        Absolute path or URL of the folder or storage file.
    tags
        ``{"site": "north", ...}``.
    is_file
        Whether it is a storage file that stands alone, not a folder.
    """

    name: str
    location: str
    tags: Mapping[str, str] = field(default_factory=dict)
    is_file: bool = False

    def files(self) -> list[StoredFile]:
        """Its files; OSError where there are none."""
        storage = storage_of(self.location)
        if self.is_file:
            return [storage.file(self.location)]
        files = [file for file in storage.files(self.location) if _belongs(file.path)]
        if not files:
            raise FileNotFoundError(f"there is no bag at '{self.location}'")
        return files

    def identity(self, kind: Identity = "stat", files: Sequence[StoredFile] | None = None) -> str:
        """A hash, hexadecimal, that changes when the bag's content does.

        It is made of the files' names, sizes and versions; where ``kind`` is ``content``, or a
        storage knows no versions, of the checksums of their content instead, which are the same
        wherever the bag lies. ``files`` are those of `files`, where they are known already.
        """
        facts = []
        for file in self.files() if files is None else files:
            version = file.version
            if kind == "content" or not version:
                location = self.location if self.is_file else joined(self.location, file.path)
                version = storage_of(location).checksum(location)
            facts.append((file.path, file.size, version))
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def copy_to(self, folder: Path) -> Path:
        """Copy the bag into a folder; returns the path of the copy, named like the bag."""
        target = folder / last_name(self.location)
        storage = storage_of(self.location)
        if self.is_file:
            storage.copy(self.location, target)
            return target
        for file in self.files():
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.copy(joined(self.location, file.path), path)
        return target


def is_storage_name(location: str) -> bool:
    """Whether a name is that of a storage file: ``.mcap`` or ``.db3``, also compressed."""
    return last_name(location).removesuffix(".zstd").endswith(STORAGES)


def _belongs(path: str) -> bool:
    """Whether a file in a bag's folder is part of the bag; ``-wal`` and such belong to sqlite3."""
    name = path.rpartition("/")[2]
    return name == METADATA or any(storage in name for storage in STORAGES)


def bags_among(folder: str, paths: Iterable[str]) -> dict[str, bool]:
    """The paths of the bags among files, sorted, and whether each is a file by itself.

    The path ``""`` is the folder itself.

    A folder is a bag if it holds ``metadata.yaml``, or if its storage files are called as rosbag2
    calls those of a folder (``drive/drive_0.mcap``): then the recording was cut off. Every other
    storage file is a bag by itself. Results of a fleet are left out.

    Parameters
    ----------
    folder
        The name of the folder that the paths are relative to.
    paths
        Of files, with ``/`` between their parts.

    Examples
    --------
    >>> bags_among("drives", ["a/metadata.yaml", "a/a_0.mcap", "b/b_0.mcap", "c.mcap", "notes.txt"])
    {'a': False, 'b': False, 'c.mcap': True}
    """
    contents: dict[str, list[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        contents.setdefault(parent, []).append(name)
    found: dict[str, bool] = {}
    whole: list[str] = []  # folders whose inside is done with
    for parent, names in sorted(contents.items()):
        if any(parent == one or parent.startswith(f"{one}/") or not one for one in whole):
            continue
        if FLEET_MARK in names:
            whole.append(parent)
            continue
        files = [name for name in names if is_storage_name(name)]
        stem = re.escape(parent.rpartition("/")[2] or last_name(folder))
        ours = re.compile(rf"{stem}_\d+\.(mcap|db3)(\.zstd)?")
        if METADATA in names or (files and all(ours.fullmatch(name) for name in files)):
            whole.append(parent)
            found[parent] = False
        else:
            found |= {f"{parent}/{name}" if parent else name: True for name in files}
    return dict(sorted(found.items()))
