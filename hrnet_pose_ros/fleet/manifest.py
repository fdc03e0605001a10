# SPDX-License-Identifier: Apache-2.0
"""The manifest of a fleet: which bags there are, under which names and tags."""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hrnet_pose_ros.fleet.bags import FleetBag, bags_among, is_storage_name
from hrnet_pose_ros.fleet.storage import is_url, joined, last_name, local_path, storage_of
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping

WILDCARDS = frozenset("*?[")
LISTS = (".txt", ".lst", ".list")
MAPPINGS = (".yaml", ".yml", ".json")
TABLES = (".csv", ".tsv")
BAGS = "bags"
PATH, NAME = "path", "name"  # columns of a table that are no tags


@dataclass(frozen=True)
class ManifestEntry:
    """One entry of a manifest: a bag, a folder of bags, or a pattern, with tags for all of them.

    ``name`` replaces the name of a single bag.
    """

    path: str
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ManifestHead:
    """What a manifest in YAML or JSON says beside its list ``bags``.

    ``tags`` lists the tags that bags may have; empty: any.
    """

    tags: tuple[str, ...] = ()


def read_manifest(text: str) -> list[FleetBag]:
    """Return the bags of a manifest, sorted by name.

    Parameters
    ----------
    text
        Path or URL of a bag, of a folder that is searched for bags, of a list (``.txt``: one bag,
        folder or pattern a line), of a manifest (``.yaml``, ``.json``) or a table (``.csv``,
        ``.tsv``) with tags; or a pattern with ``*``, ``**``, ``?`` or ``[]``. What a list or
        manifest names is relative to its own folder.

    Raises
    ------
    ValueError
        Nothing is there, no bag is found, an entry is not a bag, a bag or name occurs twice, or a
        tag is not among those that the manifest lists.
    OSError
        A place cannot be read.
    """
    text = _normal(local_path(text))
    suffix = os.path.splitext(last_name(text))[1].lower()
    is_manifest = suffix in (*LISTS, *MAPPINGS, *TABLES) and not _is_pattern(text)
    if is_manifest and (is_url(text) or not os.path.isdir(text)):
        bags = list(_of_file(text, suffix))
    else:
        bags = list(_found(ManifestEntry(text), None, ""))
    if not bags:
        raise ValueError(f"'{text}' names no bag: it has no entries")
    _check_unique(bags)
    return sorted(bags, key=lambda bag: bag.name)


def _of_file(text: str, suffix: str) -> Iterator[FleetBag]:
    storage = storage_of(text)
    if not storage.is_file(text):
        raise ValueError(f"there is no manifest at '{text}'")
    try:
        content = storage.read_text(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{text}' is not text in UTF-8: {error}") from None
    if suffix in LISTS:
        entries = _list_entries(content)
    elif suffix in TABLES:
        entries = _table_entries(text, content, "\t" if suffix == ".tsv" else ",")
    else:
        entries = _mapping_entries(text, content)
    base = text.rpartition("/")[0]
    for place, entry in entries:
        where = f"{text}, {place}: "
        found = list(_found(entry, base, where))
        if entry.name and len(found) > 1:
            raise ConfigError(f"{where}the name '{entry.name}' is for one bag, not {len(found)}")
        yield from found


def _list_entries(content: str) -> Iterator[tuple[str, ManifestEntry]]:
    for number, line in enumerate(content.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield f"line {number}", ManifestEntry(line)


def _table_entries(text: str, content: str, delimiter: str) -> Iterator[tuple[str, ManifestEntry]]:
    rows = csv.reader(io.StringIO(content.lstrip("\ufeff")), delimiter=delimiter)
    head = [cell.strip() for cell in next(rows, [])]
    if PATH not in head:
        raise ConfigError(
            f"'{text}' has no column '{PATH}'; its columns are {', '.join(head) or 'none'}"
        )
    if twice := sorted({name for name in head if head.count(name) > 1 or not name}):
        raise ConfigError(f"'{text}': the column '{twice[0]}' is there twice or has no name")
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        place = f"line {rows.line_num}"
        if len(cells) > len(head):
            raise ConfigError(f"{text}, {place}: {len(cells)} cells for {len(head)} columns")
        row = dict(zip(head, (cell.strip() for cell in cells), strict=False))
        if not row[PATH]:
            raise ConfigError(f"{text}, {place}: the column '{PATH}' is empty")
        tags = {name: row.get(name, "") for name in head if name not in (PATH, NAME)}
        yield place, ManifestEntry(row[PATH], row.get(NAME, ""), tags)


def _mapping_entries(text: str, content: str) -> Iterator[tuple[str, ManifestEntry]]:
    try:
        if text.lower().endswith(".json"):
            values = json.loads(content)
        else:
            values = YAML(typ="safe", pure=True).load(content)
    except (json.JSONDecodeError, YAMLError) as error:
        raise ConfigError(f"manifest '{text}' cannot be read: {error}") from None
    if isinstance(values, list):
        values = {BAGS: values}
    if not isinstance(values, dict) or not isinstance(values.get(BAGS), list):
        raise ConfigError(f"manifest '{text}' has no list '{BAGS}'")
    try:
        rest = {key: value for key, value in values.items() if key != BAGS}
        known = from_mapping(ManifestHead, rest).tags
        for number, value in enumerate(values[BAGS]):
            place = f"{BAGS}[{number}]"
            yield place, _mapping_entry(value, known, place)
    except ConfigError as error:
        raise ConfigError(f"{text}: {error}") from None


def _mapping_entry(value: Any, known: Sequence[str], place: str) -> ManifestEntry:
    if isinstance(value, str):
        return ManifestEntry(value)
    if isinstance(value, dict) and isinstance(value.get("tags"), dict):
        tags = {name: _tag(name, tag, place) for name, tag in value["tags"].items()}
        value = value | {"tags": tags}
    entry = from_mapping(ManifestEntry, value, place)
    for name in entry.tags:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; the nearest is '{near[0]}'" if near else ""
            raise ConfigError(
                f"{place}: unknown tag '{name}'; the manifest's tags are {', '.join(known)}{hint}"
            )
    return entry


def _tag(name: Any, value: Any, place: str) -> str:
    """A tag's value as text: YAML makes numbers, dates and truths of some."""
    if value is None or isinstance(value, (list, dict)):
        raise ConfigError(f"{place}: tag '{name}' must be a text or number, got {value!r}")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _found(entry: ManifestEntry, base: str | None, where: str) -> Iterator[FleetBag]:
    """The bags of an entry; ``base`` is the folder of its manifest, None: it is the manifest."""
    location = local_path(entry.path)
    if base is not None and not (is_url(location) or os.path.isabs(os.path.expanduser(location))):
        location = joined(base, location)
    location = _normal(location)
    tags = {str(name): value for name, value in entry.tags.items()}
    if _is_pattern(location):
        places = [_normal(place) for place in storage_of(location).matches(location)]
        if not places:
            raise ValueError(f"{where}nothing matches '{location}'")
        bags = {bag: is_file for place in places for bag, is_file in _bags_at(place).items()}
        if not bags:
            raise ValueError(f"{where}none of the {len(places)} matches of '{location}' is a bag")
        top = _before_wildcards(location)
    else:
        bags = _bags_at(location)
        if not bags:
            raise ValueError(f"{where}{_why_none(location)}")
        top = location
    for bag, is_file in bags.items():
        if base is None:
            name = _below(bag, top) or last_name(bag)
        else:
            name = _below(bag, base) or bag.partition("://")[2] or bag.lstrip("/")
        yield FleetBag(entry.name or name, bag, tags, is_file)


def _normal(location: str) -> str:
    """A location without a slash at its end; a path also absolute, without ``~`` and ``..``."""
    if is_url(location):
        return location.rstrip("/")
    return os.path.abspath(os.path.expanduser(location))


def _is_pattern(location: str) -> bool:
    """Whether it is to be matched; a file or folder may have ``[`` in its name."""
    wild = WILDCARDS - {"?"} if location.startswith(("http://", "https://")) else WILDCARDS
    return bool(wild & set(location)) and (is_url(location) or not os.path.lexists(location))


def _bags_at(location: str) -> dict[str, bool]:
    """The locations of the bags at and below a place, and whether each is a file by itself."""
    storage = storage_of(location)
    if is_storage_name(location) and storage.is_file(location):
        return {location: True}
    if not storage.is_folder(location):
        return {}
    found = bags_among(location, [file.path for file in storage.files(location)])
    return {joined(location, path): is_file for path, is_file in found.items()}


def _why_none(location: str) -> str:
    storage = storage_of(location)
    if storage.is_folder(location):
        ros1 = any(file.path.endswith(".bag") for file in storage.files(location))
        hint = "; it has bags of ROS 1, which rosbags-convert converts" if ros1 else ""
        return f"there is no bag in the folder '{location}'{hint}"
    if storage.is_file(location):
        return f"'{location}' is not a bag: it is neither a folder nor a .mcap or .db3 file"
    return f"there is nothing at '{location}'"


def _before_wildcards(pattern: str) -> str:
    """The folder of a pattern before its first part with a wildcard."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if WILDCARDS & set(part))
    return "/".join(parts[:first])


def _below(location: str, folder: str) -> str:
    """A location relative to a folder; empty where it is not inside."""
    prefix = folder.rstrip("/") + "/"
    return location[len(prefix) :].strip("/") if location.startswith(prefix) else ""


def _check_unique(bags: Sequence[FleetBag]) -> None:
    names: dict[str, FleetBag] = {}
    places: dict[str, FleetBag] = {}
    for bag in bags:
        local = not is_url(bag.location)
        protocol, _, path = bag.location.partition("://")
        place = str(Path(bag.location).resolve()) if local else f"{protocol}:{path.strip('/')}"
        if place in places:
            raise ValueError(
                f"the bag '{bag.location}' is there twice, as '{places[place].name}' and as "
                f"'{bag.name}'"
            )
        if bag.name in names:
            raise ValueError(
                f"two bags have the name '{bag.name}', '{names[bag.name].location}' and "
                f"'{bag.location}': give one of them another name in the manifest"
            )
        places[place], names[bag.name] = bag, bag
