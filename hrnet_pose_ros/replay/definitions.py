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

from hrnet_pose_ros.version import VERSION

OURS, VISION = "hrnet_pose_ros", "vision_msgs"

# Type hashes (RIHS01) of the messages of earlier versions, docs/migration.md.
_BEFORE_0_1_0 = "a version before 0.1.0"
EARLIER_HASHES = {
    "RIHS01_0146221452cbeb0733048553c037b5f7e45fffaf97a3ce25dd89b0c2fc1c1179": _BEFORE_0_1_0,
    "RIHS01_e7a9843ca7c3751aec5a781f743561889281b5da3d27ee39e032fe5813372b0a": _BEFORE_0_1_0,
    "RIHS01_c3eae1712d3ffa94131306cd276e27e101c0b3505e435e10f7675842a5df8357": _BEFORE_0_1_0,
    "RIHS01_f78a6a4c29e8ae82ba722a7e601645c3014030dd8dd0cd68068abb8071dee823": _BEFORE_0_1_0,
    "RIHS01_21ab7a628e70266aaf27931cfade2cf38ccc4724d9331250514879089fabcbd4": _BEFORE_0_1_0,
}


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
        self._hashes: dict[str, str] = {}
        self._other_versions: dict[str, str] = {}

    def add(self, type_name: str, definition: MessageDefinition, type_hash: str = "") -> None:
        """Add a definition contained in the bag, and the type hash (RIHS01) that the bag names.

        The definition is parsed when a message needs it.
        """
        if type_hash.startswith("RIHS01_"):
            self._hashes.setdefault(type_name, type_hash)
        if definition.format is not MessageDefinitionFormat.NONE and definition.data:
            self._embedded.setdefault(type_name, definition)

    def deserialise(self, data: bytes, type_name: str) -> object:
        """Deserialise CDR bytes.

        Raises
        ------
        BagError
            The type is unknown, or the bytes are not a message of this type; or it is a message of
            another version of this package.
        """
        if foreign := self.other_version(type_name):
            raise BagError(foreign)
        if type_name not in self._store.fielddefs:
            self._learn(type_name)
        try:
            message: object = self._store.deserialize_cdr(data, type_name)
        except Exception as error:  # the library raises struct's, NumPy's and its own errors
            what = str(error) or type(error).__name__
            raise BagError(f"{len(data)} bytes are not a {type_name}: {what}") from None
        return message

    def other_version(self, type_name: str) -> str:
        """Why a message of this package is of another version of it; empty if it is not.

        The type hash decides: that of the definition in the bag or, in a bag without definitions,
        the one that its metadata name.
        """
        if not type_name.startswith(f"{OURS}/"):
            return ""
        if type_name not in self._other_versions:
            self._other_versions[type_name] = self._find_other_version(type_name)
        return self._other_versions[type_name]

    def _find_other_version(self, type_name: str) -> str:
        found = self._hashes.get(type_name, "")
        if (definition := self._embedded.get(type_name)) is not None:
            store = get_typestore(Stores.ROS2_JAZZY)
            try:
                _register(store, definition, type_name)
                found = store.hash_rihs01(type_name)
            except Exception:  # from outside, as in _learn; reading it will say what is wrong
                return ""
        known = typestore()
        if not found or (type_name in known.fielddefs and found == known.hash_rihs01(type_name)):
            return ""
        version = EARLIER_HASHES.get(found, f"another version (type hash {found})")
        return (
            f"{type_name} was recorded by {version} of {OURS} and cannot be read by {VERSION}: "
            "replay the images and detections again, or read it with the version that recorded it "
            "(docs/migration.md)"
        )

    def _learn(self, type_name: str) -> None:
        definition = self._embedded.get(type_name)
        try:
            if definition is None:
                known = typestore().fielddefs
                if type_name not in known:
                    raise BagError("the bag does not define it, and it is not a known type")
                missing = {n: f for n, f in known.items() if n not in self._store.fielddefs}
                self._store.register(missing)
            else:
                _register(self._store, definition, type_name)
        except Exception as error:  # a definition comes from outside: the parser may raise anything
            raise BagError(f"type {type_name} cannot be read: {error}") from None


def _register(store: Typestore, definition: MessageDefinition, type_name: str) -> None:
    if definition.format is MessageDefinitionFormat.IDL:
        types = get_types_from_idl(definition.data)
        store.register({n: f for n, f in types.items() if n not in store.fielddefs})
    else:
        _register_msg(store, definition.data, type_name)


def _register_msg(store: Typestore, text: str, type_name: str) -> None:
    types = get_types_from_msg(text, type_name)
    store.register({n: f for n, f in types.items() if n not in store.fielddefs})
