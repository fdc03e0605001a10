# SPDX-License-Identifier: Apache-2.0
"""Message definitions for the bag library: ROS 2 Jazzy, vision_msgs and this package."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

OURS, VISION = "hrnet_pose_ros", "vision_msgs"


class BagError(ValueError):
    """A bag cannot be read or written, or does not contain the requested data."""


def definition_folders(package: str) -> list[Path]:
    """Existing folders with the ``.msg`` files of `OURS` or `VISION`, in order of precedence.

    They are those of the ROS workspaces (``AMENT_PREFIX_PATH``), of the pip installation, and of
    the source tree.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    folders = [Path(prefix) / "share" / package / "msg" for prefix in prefixes if prefix]
    installed = Path(__file__).absolute().parents[1]
    folders.append(installed / ("msg" if package == OURS else package))
    source = installed.parent
    if (source / "package.xml").is_file():
        folders.append(source / "msg" if package == OURS else source / "dev" / package / "msg")
    return [folder for folder in folders if any(folder.glob("*.msg"))]


@functools.cache
def typestore() -> Typestore:
    """The message types of this package and ROS 2 Jazzy, read once. BagError as in `read_types`."""
    return read_types(definition_folders)


def read_types(folders_of: Callable[[str], list[Path]]) -> Typestore:
    """The messages of ROS 2 Jazzy, and those of `VISION` and `OURS` from their folders.

    Raises
    ------
    BagError
        The message definitions of a package were not found.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for package in (VISION, OURS):
        folders = folders_of(package)
        if not folders:
            raise BagError(
                f"no message definitions of {package} were found: source a ROS workspace that "
                "contains it, or install hrnet_pose_ros with pip"
            )
        for path in sorted(folders[0].glob("*.msg")):
            _register_msg(store, path.read_text(), f"{package}/msg/{path.stem}")
    return store


class BagTypes:
    """The types of one bag: as defined in the bag or, failing that, as in `typestore`."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._embedded: dict[str, MessageDefinition] = {}

    def add(self, type_name: str, definition: MessageDefinition) -> None:
        """Add a definition contained in the bag; it is parsed when a message needs it."""
        if definition.format is not MessageDefinitionFormat.NONE and definition.data:
            self._embedded.setdefault(type_name, definition)

    def deserialise(self, data: bytes, type_name: str) -> object:
        """Deserialise CDR bytes.

        Raises
        ------
        BagError
            The type is unknown, or the bytes are not a message of this type.
        """
        if type_name not in self._store.fielddefs:
            self._learn(type_name)
        try:
            message: object = self._store.deserialize_cdr(data, type_name)
        except Exception as error:  # the library raises struct's, NumPy's and its own errors
            what = str(error) or type(error).__name__
            raise BagError(f"{len(data)} bytes are not a {type_name}: {what}") from None
        return message

    def _learn(self, type_name: str) -> None:
        definition = self._embedded.get(type_name)
        try:
            if definition is None:
                known = typestore().fielddefs
                if type_name not in known:
                    raise BagError("the bag does not define it, and it is not a known type")
                missing = {n: f for n, f in known.items() if n not in self._store.fielddefs}
                self._store.register(missing)
            elif definition.format is MessageDefinitionFormat.IDL:
                types = get_types_from_idl(definition.data)
                known = self._store.fielddefs
                self._store.register({n: f for n, f in types.items() if n not in known})
            else:
                _register_msg(self._store, definition.data, type_name)
        except Exception as error:  # a definition comes from outside: the parser may raise anything
            raise BagError(f"type {type_name} cannot be read: {error}") from None


def _register_msg(store: Typestore, text: str, type_name: str) -> None:
    types = get_types_from_msg(text, type_name)
    store.register({n: f for n, f in types.items() if n not in store.fielddefs})
