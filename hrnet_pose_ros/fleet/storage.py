# SPDX-License-Identifier: Apache-2.0
"""Where bags lie: in folders of this machine, or wherever fsspec reaches (s3, gs, http, …)."""

from __future__ import annotations

import glob
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hrnet_pose_ros.model_files.checksums import sha256_of, sha256_of_stream

# What a file system of fsspec says about the version of a file, best first.
VERSION_FIELDS = (
    *("ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "crc32c", "checksum"),
    *("LastModified", "Last-Modified", "last_modified", "mtime", "updated", "modified", "created"),
)


@dataclass(frozen=True)
class StoredFile:
    """A file: its path below the place that was asked for, its bytes, and its version.

    ``size`` is -1 where a server does not say it. ``version`` changes with the content: the time of
    its last change, or the storage's own (ETag).
    """

    path: str
    size: int
    version: str


class Storage(ABC):
    """One kind of places; a location is a text that `storage_of` gives it for."""

    @abstractmethod
    def is_file(self, location: str) -> bool:
        """Whether a file lies there."""

    @abstractmethod
    def is_folder(self, location: str) -> bool:
        """Whether a folder lies there."""

    @abstractmethod
    def file(self, location: str) -> StoredFile:
        """A file, under its name; OSError where there is none."""

    @abstractmethod
    def files(self, location: str) -> list[StoredFile]:
        """All files below a folder, without hidden ones, sorted by path."""

    @abstractmethod
    def matches(self, pattern: str) -> list[str]:
        """The locations that a pattern with ``*``, ``**``, ``?`` or ``[]`` matches, sorted."""

    @abstractmethod
    def checksum(self, location: str) -> str:
        """SHA-256 of a file's content."""

    @abstractmethod
    def copy(self, location: str, target: Path) -> None:
        """Copy a file; OSError where it does not arrive whole."""

    @abstractmethod
    def read_text(self, location: str) -> str:
        """The content of a text file."""


class LocalStorage(Storage):
    """Paths of this machine, or of a file system that it has mounted."""

    def is_file(self, location: str) -> bool:
        return os.path.isfile(location)

    def is_folder(self, location: str) -> bool:
        return os.path.isdir(location)

    def file(self, location: str) -> StoredFile:
        return _local_file(Path(location), last_name(location))

    def files(self, location: str) -> list[StoredFile]:
        top, found = Path(location), []
        for folder, folders, names in os.walk(top, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not name.startswith("."):  # no broken link, no socket
                    found.append(_local_file(path, path.relative_to(top).as_posix()))
        return sorted(found, key=lambda one: one.path)

    def matches(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern, recursive=True))

    def checksum(self, location: str) -> str:
        return sha256_of(Path(location))

    def copy(self, location: str, target: Path) -> None:
        shutil.copyfile(location, target)

    def read_text(self, location: str) -> str:
        return Path(location).read_text(encoding="utf-8")


def _local_file(path: Path, name: str) -> StoredFile:
    status = path.stat()
    return StoredFile(name, status.st_size, str(status.st_mtime_ns))


class RemoteStorage(Storage):
    """A file system of fsspec, by the URLs of one protocol."""

    def __init__(self, file_system: Any) -> None:
        self._fs = file_system

    def _path(self, location: str) -> str:
        path: str = self._fs._strip_protocol(location)
        return path

    def is_file(self, location: str) -> bool:
        return bool(self._fs.isfile(self._path(location)))

    def is_folder(self, location: str) -> bool:
        return bool(self._fs.isdir(self._path(location)))

    def file(self, location: str) -> StoredFile:
        return self._file(self._fs.info(self._path(location)), last_name(location))

    def files(self, location: str) -> list[StoredFile]:
        top = self._path(location).rstrip("/")
        found = {
            path[len(top) :].lstrip("/"): info
            for path, info in self._fs.find(top + "/", detail=True).items()
        }
        return [
            self._file(info, path)
            for path, info in sorted(found.items())
            if path and not any(part.startswith(".") for part in path.split("/"))
        ]

    def matches(self, pattern: str) -> list[str]:
        found = self._fs.glob(self._path(pattern))
        protocol = pattern.partition("://")[0]
        plain = (path.partition("://")[2] or path for path in found)
        return sorted(
            f"{protocol}://{path.lstrip('/')}"
            for path in plain
            if not any(part.startswith(".") for part in path.split("/"))  # as a shell does
        )

    def checksum(self, location: str) -> str:
        with self._fs.open(self._path(location), "rb") as file:
            return sha256_of_stream(file)

    def copy(self, location: str, target: Path) -> None:
        path = self._path(location)
        self._fs.get_file(path, str(target))
        size = self._fs.info(path).get("size")
        arrived = target.stat().st_size
        if size is not None and size != arrived:
            raise OSError(f"'{location}' was copied in part: {arrived} of {size} bytes")

    def read_text(self, location: str) -> str:
        content: bytes = self._fs.cat_file(self._path(location))
        return content.decode("utf-8")

    def _file(self, info: Mapping[str, Any], path: str) -> StoredFile:
        size = info.get("size")
        if size is None or not _version_of(info):  # a listing says less than the file's own entry
            info = self._fs.info(info["name"])
            size = info.get("size")
        return StoredFile(path, -1 if size is None else int(size), _version_of(info))


def _version_of(info: Mapping[str, Any]) -> str:
    found = next((info[name] for name in VERSION_FIELDS if info.get(name)), "")
    return str(found)


def is_url(location: str) -> bool:
    """Whether a location is for fsspec: it has a protocol, and not that of local files."""
    protocol, mark, _ = location.partition("://")
    return bool(mark) and protocol not in ("file", "local")


def storage_of(location: str) -> Storage:
    """The storage of a path or URL.

    Raises
    ------
    ImportError
        It is a URL, and fsspec, or what it needs for the protocol, is not installed.
    ValueError
        fsspec does not know the protocol.
    """
    if not is_url(location):
        return LocalStorage()
    try:
        import fsspec
    except ImportError:
        raise ImportError(
            f"'{location}' needs fsspec, which is not installed: pip install 'fsspec[http]', or "
            "for other protocols fsspec with s3fs, gcsfs or adlfs"
        ) from None
    file_system, _ = fsspec.core.url_to_fs(location)
    return RemoteStorage(file_system)


def local_path(location: str) -> str:
    """A path without the ``file://`` that may stand before it."""
    protocol, mark, rest = location.partition("://")
    return rest if mark and protocol in ("file", "local") else location


def joined(location: str, path: str) -> str:
    """The location of a file below a folder; the folder's for an empty path."""
    return f"{location.rstrip('/')}/{path}" if path else location


def last_name(location: str) -> str:
    """The last part of a path or URL, without the query of the latter."""
    return PurePosixPath(location.partition("?")[0].rstrip("/")).name
