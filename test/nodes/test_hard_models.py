# SPDX-License-Identifier: Apache-2.0
"""Model files that are missing, damaged or something else: said, and mended without a new start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from injector import Injector
from lifecycle_msgs.msg import Transition

from hrnet_pose_ros.pipeline.drop_reasons import Reason

MODEL = "hrnetv2_w24_small"


@pytest.fixture(scope="module")
def injector(inject: Callable[..., Injector]) -> Injector:
    return inject(autostart=False, model="hrnet_w99", engine="openvino")


def bad_models(root: Path, folder: Path) -> dict[str, str]:
    """``{parameter: words of the error}``, files made in the folder."""
    good = (root / "models" / f"{MODEL}.onnx").read_bytes()
    # The bytes stay as many: lengths are written before them.
    key, size = b"hrnet_pose.input_size", b"[192, 256]"
    assert key in good and size in good
    contents = {
        "empty.onnx": (b"", "damaged or not an ONNX model"),
        "cut.onnx": (good[: len(good) // 2], "damaged or not an ONNX model"),
        "nearly.onnx": (good[:-100], "damaged or not an ONNX model"),
        "text.onnx": (b"<html>404 Not Found</html>", "damaged or not an ONNX model"),
        "foreign.onnx": (
            good.replace(b"hrnet_pose.", b"other_tool."),
            "was not exported by this package",
        ),
        "mixed.onnx": (
            good.replace(size, b"[288, 384]"),
            "expected crops uint8 [N, 384, 288, 3]",
        ),
    }
    bad = {
        "hrnet_w99": "no 'hrnet_w99.onnx' in",
        "": "no model is named",
        str(folder / "none.onnx"): "no model at",
        str(folder): "no model at",
        # Another network: heatmaps are wanted, and this one gives key points.
        str(
            root / "models" / f"{MODEL}_end2end_float32.onnx"
        ): "an end-to-end graph, expected a heatmaps graph",
        str(root / "models" / f"{MODEL}.pth"): "is not the .onnx file",
    }
    for name, (content, words) in contents.items():
        (folder / name).write_bytes(content)
        bad[str(folder / name)] = words
    return bad


def test_bad_model_files_are_said_and_mended(
    injector: Injector, root: Path, tmp_path: Path
) -> None:
    robot = injector.robot
    for model, words in bad_models(root, tmp_path).items():
        assert robot.set_parameters(model=model)[0].successful, model
        before = len(injector.node.log)
        assert not robot.transition(Transition.TRANSITION_CONFIGURE), model
        assert robot.state() == "unconfigured"
        # One line of this request's; the diagnostics' timer may write others after it.
        [line] = [one for one in injector.node.log[before:].splitlines() if "cannot conf" in one]
        assert "cannot configure: " in line and words in line and model in line
        stamp = injector.image(reason=Reason.ENGINE_NOT_READY)
        injector.detections(stamp, reason=Reason.ENGINE_NOT_READY)
    status = robot.wait(
        lambda: (s := robot.statuses()["engine"]) and model in s.message and s, what=model
    )
    assert status.level == DiagnosticStatus.ERROR and words in status.message
    assert not robot.heard["skeleton_info"]
    injector.wait_until_received()

    assert robot.set_parameters(model=MODEL)[0].successful
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.transition(Transition.TRANSITION_ACTIVATE)
    assert len(injector.good().skeletons) == 1
    injector.reckon()
