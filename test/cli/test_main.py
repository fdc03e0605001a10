# SPDX-License-Identifier: Apache-2.0
"""The command line: its verbs and their help."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hrnet_pose_ros.cli.arguments import Verbs
from hrnet_pose_ros.cli.main import VERBS, main
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.version import VERSION


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"hrnet_pose {VERSION}\n"


def test_the_help_of_every_verb_needs_neither_torch_nor_openvino() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'openvino', 'onnx', 'matplotlib')))\n"
        "from hrnet_pose_ros.cli.main import VERBS, main\n"
        "for words in [[], *([verb] for verb in VERBS)]:\n"
        "    try:\n"
        "        main([*words, '--help'])\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0, words\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.split("usage: hrnet_pose ")
    for verb in VERBS:
        assert any(text.startswith(f"{verb} ") for text in shown), verb
        assert verb in shown[1].split(), verb  # in the list of all


def test_the_doctor_starts_where_numpy_is_broken() -> None:
    code = (
        "import sys\n"
        "sys.modules['numpy'] = sys.modules['cv2'] = None\n"  # an import raises ImportError
        "from hrnet_pose_ros.cli.main import main\n"
        "main(['doctor', '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "usage: hrnet_pose doctor" in done.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["export"], ["export", "x", "-o", "y", "--input-size", "9"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "usage: hrnet_pose" in capsys.readouterr().err


def test_ctrl_c_while_modules_are_loaded() -> None:
    code = (
        "import os, signal, sys\n"
        # A test run in the background passes on that it is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'hrnet_pose_ros.cli.train':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from hrnet_pose_ros.cli.command import command\n"
        "sys.exit(command())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"], capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("error", [ValueError("no\nway"), KeyboardInterrupt()])
def test_an_error_begins_on_a_line_of_its_own(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a progress bar is shown, which stays on its line."""

    def run(options: object) -> None:
        for _ in progress("working", "image", 3, range(3)):
            raise error

    def add_verb(verbs: Verbs) -> None:
        verbs.add_parser("doctor").set_defaults(run=run)

    monkeypatch.setitem(VERBS, "doctor", add_verb)
    code = main(["doctor"])
    said = capsys.readouterr().err
    assert "working" in said
    if isinstance(error, KeyboardInterrupt):
        assert code == 130 and said.endswith("\n")
    else:
        assert code == 2 and said.splitlines()[-1] == "hrnet_pose: no way"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("std::bad_alloc"), "hrnet_pose: not enough memory: std::bad_alloc\n"),
        (MemoryError(), "hrnet_pose: not enough memory: an allocation failed\n"),
    ],
)
def test_too_little_memory_is_one_line(
    error: MemoryError,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def add(verbs: Verbs) -> None:
        def run(options: object) -> None:
            raise error

        verbs.add_parser("allocate").set_defaults(run=run)

    monkeypatch.setitem(VERBS, "allocate", add)
    assert main(["allocate"]) == 2
    assert capsys.readouterr().err == line
