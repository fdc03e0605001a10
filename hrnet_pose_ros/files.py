# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all: written aside, flushed to the disk, then renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Names of the folders in which files are being written.
PREFIX, SUFFIX = ".hrnet_pose-", ".part"
YOUNG_S = 60.0


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """A path to write a file to, which takes the place of ``path`` when the block ends.

    After an error, a kill or a power cut ``path`` is what it was. The path in the block has the
    same name, in a hidden folder beside, which may be used for other files too. What a killed
    writer left there is removed by the next one.

    Parameters
    ----------
    path
        The file; its folder is made where there is none.
    mode
        Permissions of the new file. None: those of the file that it replaces, or the usual ones.

    Raises
    ------
    OSError
        The file cannot be written, or the block wrote none.

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
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode is None and path.is_file():
        mode = stat.S_IMODE(path.stat().st_mode)
    _remove_abandoned(path.parent)
    # In the same folder, so that the rename cannot cross file systems.
    folder = Path(tempfile.mkdtemp(SUFFIX, PREFIX, path.parent))
    try:
        with _opened(folder) as descriptor:
            with suppress(OSError):  # a file system without locks: nobody will clean up there
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            partial = folder / path.name
            yield partial
            if mode is not None:
                os.chmod(partial, mode)
            _flush(partial)
            os.replace(partial, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _flush(path.parent)  # the name itself


def write_file(path: Path, content: bytes | str, *, mode: int | None = None) -> None:
    """Write a whole file by `replacing`; text in UTF-8."""
    with replacing(path, mode=mode) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def _flush(path: Path) -> None:
    with _opened(path) as descriptor:
        os.fsync(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed writers have left: nobody holds its lock."""
    for partial in folder.glob(f"{PREFIX}*{SUFFIX}"):
        try:
            if time.time() - partial.stat().st_mtime < YOUNG_S:
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
