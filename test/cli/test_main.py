# SPDX-License-Identifier: Apache-2.0
"""The command line: its verbs and their help."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hrnet_pose_ros.cli.main import VERBS, main
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
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
