# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the fleets: small bags, and small models of the bundled weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.fleet.bags import ClipCutter
from hrnet_pose_ros.pipeline.settings import Settings

BAGS, IMAGES = 5, 3


@pytest.fixture(scope="session")
def cutter() -> ClipCutter:
    """Writes bags with images of a quarter of the clip's size."""
    return ClipCutter(scale=0.25)


@pytest.fixture(scope="session")
def bags(cutter: ClipCutter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bags; nobody writes into it."""
    folder = tmp_path_factory.mktemp("bags")
    for number in range(BAGS):
        cutter.write(folder / f"drive{number}", 20 * number, IMAGES)
    return folder


def _exported(folder: Path, size: tuple[int, int]) -> Path:
    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.model_files.find import find_checkpoint
    from hrnet_pose_ros.network.export import export_onnx

    checkpoint = find_checkpoint(Settings().model)[0].path
    path = folder / "small.onnx"
    export_onnx(checkpoint, path, crops=load_check_crops()[:2], input_size=size)
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled weights for crops of 64x64: quick, and worse."""
    return _exported(tmp_path_factory.mktemp("small_model"), (64, 64))


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights under the same name for crops of 64x96: other skeletons."""
    return _exported(tmp_path_factory.mktemp("other_model"), (64, 96))


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and lists of folders, and logs nothing."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL under which a server on this machine serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
