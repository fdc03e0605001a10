# SPDX-License-Identifier: Apache-2.0
"""Atomic file writing: write to a temporary folder, flush to disk, then rename."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Names of the temporary folders. Younger ones may belong to a writer that has yet to lock them.
PREFIX, SUFFIX = ".hrnet_pose-", ".part"
MIN_AGE_S = 60.0


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Yields a temporary path; the file written there replaces ``path`` when the block ends.

    After an error, a kill or a power cut ``path`` is unchanged. The temporary path has the same
    file name, in a hidden folder next to ``path`` that may be used for other files too. Leftovers
    of a killed writer are removed by the next one.

    Parameters
    ----------
    path
        The file; its folder is created if it does not exist.
    mode
        Permissions of the new file. None: those of the replaced file, or the default ones.

    Raises
    ------
    OSError
        The file cannot be written, or the block did not write it.

    Example
    -------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "results.csv"
    >>> with replacing(path) as partial:
    ...     _ = partial.write_text("a,b\\n")
    ...     path.exists()
    False
    >>> path.read_text()
    'a,b\\n'
    """
    if path.is_dir():  # the rename would fail, after all the work
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if mode is None and path.is_file():
        mode = stat.S_IMODE(path.stat().st_mode)
    # In the same folder, so that the rename cannot cross file systems.
    with scratch_folder(path.parent) as folder:
        partial = folder / path.name
        yield partial
        if mode is not None:
            os.chmod(partial, mode)
        flush(partial)
        os.replace(partial, path)
    flush(path.parent)  # makes the rename itself durable


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yields a new hidden folder in ``parent``, and removes it when the block ends.

    ``parent`` is created if it does not exist. What a killed process left behind in it is removed
    by the next call.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(SUFFIX, PREFIX, parent))
    try:
        with _opened(folder) as descriptor:
            # A file system without locks raises; abandoned folders are not removed there.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_file(path: Path, content: bytes | str, *, mode: int | None = None) -> None:
    """Write a file atomically with `replacing`; text is encoded as UTF-8."""
    with replacing(path, mode=mode) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def flush(path: Path) -> None:
    """Write a file, or the entries of a folder, through to the disk."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Remove the folders of killed writers, which are no longer locked."""
    for partial in folder.glob(f"{PREFIX}*{SUFFIX}"):
        try:
            if time.time() - partial.stat().st_mtime < MIN_AGE_S:
                continue  # its writer may be about to lock it
            with _opened(partial) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(partial, ignore_errors=True)
        except OSError:  # it is locked, or another writer has just removed it
            continue


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
