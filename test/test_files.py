# SPDX-License-Identifier: Apache-2.0
"""Files appear whole or not at all, whatever happens to their writer."""

from __future__ import annotations

import doctest
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrnet_pose_ros import files
from hrnet_pose_ros.files import MIN_AGE_S, replacing, write_file

WAITING_WRITER = """
import sys, time
from pathlib import Path
from hrnet_pose_ros.files import replacing
with replacing(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("content", [b"new\x00", "neu, über\n"])
def test_the_new_takes_the_place_of_the_old(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file.txt"
    write_file(path, "old and longer than the new one")
    write_file(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(path.parent) == ["file.txt"]


def test_the_old_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert (partial.name, partial.parent.parent) == (path.name, tmp_path)
    assert path.read_text() == "new"


def test_a_folder_of_that_name_is_said_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.mkdir()
    words = r"Is a directory: '.*model\.onnx'"
    with pytest.raises(IsADirectoryError, match=words), replacing(path):
        pytest.fail("the work began")
    assert names(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize("exists", [True, False])
def test_an_error_leaves_what_was_there(exists: bool, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    if exists:
        path.write_text("old")
    with pytest.raises(RuntimeError, match="not checked"), replacing(path) as partial:
        partial.write_text("new")
        raise RuntimeError("not checked")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # nothing was written
    assert names(tmp_path) == ["file.txt"] * exists
    assert not exists or path.read_text() == "old"


def test_permissions_are_kept_or_set(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    before = os.umask(0o027)
    try:
        write_file(path, "as usual")
        assert mode_of(path) == 0o640
        path.chmod(0o604)
        write_file(path, "as it was")
        assert mode_of(path) == 0o604
        write_file(path, "as asked for", mode=0o644)
        assert mode_of(path) == 0o644
    finally:
        os.umask(before)


def started_writer(path: Path) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WAITING_WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    (partial,) = path.parent.glob(".hrnet_pose-*.part")
    old = time.time() - 2 * MIN_AGE_S
    os.utime(partial, (old, old))
    return writer


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    writer = started_writer(path)
    try:
        write_file(tmp_path / "other.txt", "x")
        assert len(names(tmp_path)) == 3  # the writer lives: its partial file is not touched
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    assert path.read_text() == "old"
    write_file(path, "new")
    assert names(tmp_path) == ["file.txt", "other.txt"]
    assert path.read_text() == "new"


def test_the_example_in_the_docstring() -> None:
    done = doctest.testmod(files)
    assert done.failed == 0 and done.attempted > 0
