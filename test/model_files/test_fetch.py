# SPDX-License-Identifier: Apache-2.0
"""Fetching from a server that does everything wrong: a complete and right file, or none."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.model_files.fetch import FetchError, fetch
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.zoo import ZooEntry, read_zoo

CONTENT = bytes(range(256)) * 2000  # 512 kB: several reads
WRONG = CONTENT[:-1] + b"!"
FILE = "pose-weights_2022.pth"
# Where the server does not answer; where it does, a busy machine may take its time.
SHORT_S, LONG_S = 0.3, 60.0


@dataclass
class Server:
    """An HTTP server on loopback; request number i is answered as ``answers[i]`` says."""

    answers: list[str]
    asked: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        how = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(handler.path)
        if how == "silent":
            self.ended.wait(20)
            return
        if how.isdigit():
            handler.send_error(int(how))
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        if how == "right":
            handler.wfile.write(CONTENT)
        elif how == "wrong":
            handler.wfile.write(WRONG)
        else:
            handler.wfile.write(CONTENT[: len(CONTENT) // 2])
            if how == "hang":
                handler.wfile.flush()
                self.ended.wait(20)
            # "cut": the connection ends here

    def wait_for(self, requests: int) -> None:
        """Assert that there were so many; the last one may still be on its way."""
        deadline = time.monotonic() + LONG_S
        while len(self.asked) < requests and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.asked) == requests


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    served = Server(["right"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, format: str, *arguments: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    served.address = f"http://127.0.0.1:{http.server_address[1]}/weights/"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    served.ended.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def entry(server: Server) -> ZooEntry:
    known = read_zoo()["mmpose_hrnet_w32_256x192"]
    return replace(
        known,
        name="mine",
        file=FILE,
        source=replace(known.source, address=server.address),
        sha256=hashlib.sha256(CONTENT).hexdigest()[:8],
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_download(
    server: Server, entry: ZooEntry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "not" / "yet"
    path = fetch(entry, folder)
    assert (path, path.read_bytes()) == (folder / "mine.pth", CONTENT)
    assert server.asked == ["/weights/" + FILE]
    assert files_in(folder) == ["mine.pth"]
    assert "mine: 100%" in capsys.readouterr().err  # the progress bar


@pytest.mark.parametrize(
    ("answer", "requests", "words"),
    [
        ("cut", 3, "download of {url} failed.*tried 3 times"),
        ("wrong", 3, "'{url}' is not the published mine: its SHA-256 begins with .*expected "),
        ("404", 1, r"answers 404 \(Not Found\) for {url}"),
        ("503", 3, r"answers 503 .*tried 3 times"),
        ("hang", 3, "download of {url} failed.*timed out.*tried 3 times"),
        ("silent", 3, "download of {url} failed.*timed out.*tried 3 times"),
    ],
)
@pytest.mark.parametrize("existing", [False, True], ids=["new", "over a broken file"])
def test_failure_leaves_nothing_and_the_next_try_succeeds(
    answer: str,
    requests: int,
    words: str,
    existing: bool,
    server: Server,
    entry: ZooEntry,
    tmp_path: Path,
) -> None:
    if existing:
        (tmp_path / "mine.pth").write_bytes(CONTENT[:1000])
    server.answers = [answer]
    said: list[str] = []
    url = server.address + FILE
    timeout = SHORT_S if answer in ("hang", "silent") else LONG_S
    with pytest.raises(FetchError, match=words.replace("{url}", url)):
        fetch(entry, tmp_path, timeout_s=timeout, say=said.append)
    server.wait_for(requests)
    assert sum("starting again" in line for line in said) == requests - 1
    assert files_in(tmp_path) == (["mine.pth"] if existing else [])
    assert not existing or (tmp_path / "mine.pth").read_bytes() == CONTENT[:1000]

    server.answers = ["right"]
    assert fetch(entry, tmp_path).read_bytes() == CONTENT
    assert files_in(tmp_path) == ["mine.pth"]


@pytest.mark.parametrize("fault", ["cut", "wrong", "hang", "503"])
def test_a_single_fault_is_mended_in_one_call(
    fault: str, server: Server, entry: ZooEntry, tmp_path: Path
) -> None:
    server.answers = [fault, "right"]
    said: list[str] = []
    timeout = 2.0 if fault == "hang" else LONG_S  # the second answer needs some of it, too
    path = fetch(entry, tmp_path, timeout_s=timeout, say=said.append)
    assert path.read_bytes() == CONTENT
    server.wait_for(2)
    assert len(said) == 1
    assert "starting again (2 of 3)" in said[0]


def test_a_right_file_stays(server: Server, entry: ZooEntry, tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(CONTENT)
    said: list[str] = []
    fetch(entry, tmp_path, say=said.append)
    assert server.asked == []
    assert said == [f"'{tmp_path / 'mine.pth'}' is there already"]


def test_a_broken_file_is_fetched_again(server: Server, entry: ZooEntry, tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(CONTENT[:1000])
    said: list[str] = []
    assert fetch(entry, tmp_path, say=said.append).read_bytes() == CONTENT
    assert "is not the published mine" in said[0]
    assert said[0].endswith("fetching it again")


def test_base_address(server: Server, entry: ZooEntry, tmp_path: Path) -> None:
    elsewhere = replace(entry, source=replace(entry.source, address="http://127.0.0.1:9/gone/"))
    base = server.address.rstrip("/")  # with or without a slash
    assert fetch(elsewhere, tmp_path, base_address=base).read_bytes() == CONTENT
    with pytest.raises(FetchError, match="No scheme supplied"):
        fetch(elsewhere, tmp_path / "other", base_address="weights")


def test_nobody_listens(server: Server, entry: ZooEntry, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9/.*refused.*tried 3 times"):
        fetch(entry, tmp_path, base_address="http://127.0.0.1:9/")


def test_local_file(server: Server, entry: ZooEntry, tmp_path: Path) -> None:
    local = tmp_path / "downloaded.pth"
    local.write_bytes(WRONG)
    folder = tmp_path / "models"
    with pytest.raises(ModelError, match=f"'{local}' is not the published mine"):
        fetch(entry, folder, local=local)
    assert files_in(folder) == []
    local.write_bytes(CONTENT)
    assert fetch(entry, folder, local=local).read_bytes() == CONTENT
    assert server.asked == []
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        fetch(entry, tmp_path / "other", local=tmp_path / "nowhere.pth")


def test_without_an_address_the_way_is_told(tmp_path: Path) -> None:
    entry = read_zoo()["pose_resnet_50_256x192"]
    with pytest.raises(FetchError, match=r"with a browser \(https://.*--from FILE"):
        fetch(entry, tmp_path)
    assert files_in(tmp_path) == []
    # Without a published checksum a local file replaces what is there.
    for content in (b"first", b"second"):
        (tmp_path / "local").write_bytes(content)
        path = fetch(entry, tmp_path, local=tmp_path / "local")
        assert path.read_bytes() == content


def test_verb(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The content is wrong for a published model: the whole command with its failure."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    verb = ["fetch", "mmpose_hrnet_w32_256x192", "--base-address", server.address]
    assert main(verb) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "is not the published mmpose_hrnet_w32_256x192" in error
    assert "tried 3 times, nothing was kept" in error
    assert files_in(tmp_path / "data" / "hrnet_pose" / "models") == []

    (tmp_path / "mine.pth").write_bytes(CONTENT)
    verb = ["fetch", "pose_hrnet_w32_256x192", "--from", str(tmp_path / "mine.pth")]
    assert main(verb) == 0
    path = tmp_path / "data" / "hrnet_pose" / "models" / "pose_hrnet_w32_256x192.pth"
    assert path.read_bytes() == CONTENT
    said = capsys.readouterr().out
    assert "none is published to compare it with" in said
    assert "hrnet_pose export pose_hrnet_w32_256x192" in said

    assert main([*verb, "-o", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / path.name).read_bytes() == CONTENT
    assert main(["fetch", "resnet"]) == 2
    assert "no model 'resnet' in the zoo; there are hrnetv2_w24_small" in capsys.readouterr().err
