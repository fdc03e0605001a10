# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose compare`` on real bags: the replay test of the bundled clip and what fails it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bag_maker
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.replay.answers import read_answers, statuses_of
from hrnet_pose_ros.replay.bags import BagReader, BagWriter, typestore

# The cuts of the clip that the failing runs work on: enough persons for a fraction of 99 %.
IMAGES = 30


def golden_bag(root: Path) -> Path:
    return root / "demo" / "golden"


def scenario(root: Path) -> Path:
    return root / "demo" / "street_scenario.yaml"


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first images of the clip with their detections."""
    folder = tmp_path_factory.mktemp("clip") / "clip"
    return bag_maker.write_bag(folder, bag_maker.clip_rows(3 * IMAGES))


@pytest.fixture(scope="module")
def short_golden(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden skeletons of those images."""
    folder = tmp_path_factory.mktemp("golden") / "golden"
    with BagReader(golden_bag(root)) as bag, BagWriter(folder) as writer:
        arrays = 0
        for item in bag.messages():
            arrays += item.topic == "/skeletons"
            if arrays <= IMAGES:
                writer.write(item.topic, item.type, item.time, item.data)
    return folder


@pytest.fixture(scope="module")
def noisy_answers(root: Path, short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another model makes of the clip: the bundled one with 1 % of noise on its weights."""
    folder = tmp_path_factory.mktemp("noisy")
    model = onnx.load(root / "models" / "hrnetv2_w24_small.onnx")
    rng = np.random.default_rng(1)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.ndim == 4:
            noise = 1 + 0.01 * rng.standard_normal(values.shape).astype(np.float32)
            weights.CopyFrom(numpy_helper.from_array(values * noise, weights.name))
    onnx.save(model, folder / "noisy.onnx")
    return replayed(
        short_clip, folder / "answers", "--model", str(folder / "noisy.onnx"), "--max-batch", "2"
    )


def replayed(bag: Path, output: Path, *options: str) -> Path:
    assert main(["replay", str(bag), "--precision", "float32", "-o", str(output), *options]) == 0
    return output


def compared(golden: Path, new: Path, scenario: Path, output: Path, *options: str) -> int:
    words = [str(golden), str(new), "--scenario", str(scenario), "-o", str(output)]
    return main(["compare", *words, *options])


def outcomes(folder: Path) -> dict[str, str]:
    """The outcome of each condition by its name."""
    last = json.loads((folder / "result.jsonl").read_text().splitlines()[-1])
    assert last["success"] is all(one["outcome"] != "fail" for one in last["outcomes"])
    return {one["condition"]: one["outcome"] for one in last["outcomes"]}


def test_the_golden_bag_is_small_and_whole(root: Path) -> None:
    files = list(golden_bag(root).iterdir())
    assert sum(file.stat().st_size for file in files) < 1_000_000
    golden = read_answers(golden_bag(root))
    with BagReader(root / "demo" / "street_bag") as bag:
        images = bag.topics["/camera/image/compressed"].count
    assert len(golden.frames) == images
    assert golden.model == "hrnetv2_w24_small, openvino float32, quarter"
    assert golden.loss == ""


def test_the_bundled_clip_passes(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``make replay-test`` does."""
    clip = root / "demo" / "street_bag"
    answers = replayed(clip, tmp_path / "answers")
    options = ("--images", str(clip))
    assert compared(golden_bag(root), answers, scenario(root), tmp_path / "out", *options) == 0
    assert set(outcomes(tmp_path / "out").values()) == {"pass"}
    assert (tmp_path / "out" / "junit.xml").is_file()
    assert capsys.readouterr().out.splitlines()[-1].startswith("pass: street clip; see ")


def test_another_model_fails(
    root: Path,
    short_clip: Path,
    short_golden: Path,
    noisy_answers: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    options = ("--images", str(short_clip))
    assert compared(short_golden, noisy_answers, scenario(root), tmp_path, *options) == 1
    failed = {name for name, outcome in outcomes(tmp_path).items() if outcome == "fail"}
    assert failed == {"oks", "person_score_change", "keypoint_score_change"}
    printed = capsys.readouterr().out
    assert "fail: oks: " in printed
    assert "fail: street clip; see " in printed
    report = (tmp_path / "report.html").read_text()
    assert report.count("data:image/jpeg;base64,") == 4 * 6


def test_the_scenario_decides(
    root: Path, short_golden: Path, noisy_answers: Path, tmp_path: Path
) -> None:
    text = "name: lenient\noks: {at_least: 0.5, fraction: 0.9}\nextra_skeletons: {count: 0}\n"
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(text)
    assert compared(short_golden, noisy_answers, lenient, tmp_path / "a") == 0
    lenient.write_text(text.replace("0.5", "0.999"))
    assert compared(short_golden, noisy_answers, lenient, tmp_path / "b") == 1


def test_another_threshold_of_the_node_fails(
    root: Path, short_clip: Path, short_golden: Path, tmp_path: Path
) -> None:
    parameters = tmp_path / "node.yaml"
    parameters.write_text("hrnet_pose: {ros__parameters: {min_detection_score: 0.95}}\n")
    options = ("--params-file", str(parameters), "--max-batch", "2")
    answers = replayed(short_clip, tmp_path / "answers", *options)
    assert compared(short_golden, answers, scenario(root), tmp_path / "out") == 1
    failed = {name for name, outcome in outcomes(tmp_path / "out").items() if outcome == "fail"}
    assert failed == {"missed_skeletons"}


def test_a_bag_without_answers_fails(root: Path, short_golden: Path, tmp_path: Path) -> None:
    with BagReader(short_golden) as bag, BagWriter(tmp_path / "one") as writer:
        item = next(iter(bag.messages(["/skeletons"])))
        writer.write(item.topic, item.type, item.time, item.data)
    assert compared(short_golden, tmp_path / "one", scenario(root), tmp_path / "out") == 1
    assert outcomes(tmp_path / "out")["missing_frames"] == "fail"


def test_diagnostics_and_ages_of_a_recording(short_golden: Path, tmp_path: Path) -> None:
    """A bag as the node's answers are recorded on the road: with ages and diagnostics."""
    types = typestore().types
    recorded = tmp_path / "recorded"
    with BagReader(short_golden) as bag, BagWriter(recorded) as writer:
        for item in bag.messages(["/skeletons"]):
            message: Any = item.message
            message.times.age = 0.25
            writer.write(item.topic, item.type, item.time, message)
        pair = types["diagnostic_msgs/msg/KeyValue"]
        status = types["diagnostic_msgs/msg/DiagnosticStatus"](
            level=1,
            name="/front/hrnet_pose: input",
            message="images have stopped",
            hardware_id="",
            values=[pair("received.images", "30"), pair("dropped.images.too_old", "6")],
        )
        header = types["std_msgs/msg/Header"](item.message.header.stamp, "")
        array = types["diagnostic_msgs/msg/DiagnosticArray"](header, [status])
        writer.write("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", item.time, array)
    answers = read_answers(recorded)
    assert answers.drops() == (30, 6)
    assert [one.level for one in answers.statuses] == [1]
    path = tmp_path / "road.yaml"
    path.write_text(
        "name: road\n"
        "age_p95: {at_most_s: 0.2}\n"
        "drop_fraction: {fraction: 0.1}\n"
        "diagnostics: {at_most: ok}\n"
    )
    assert compared(short_golden, recorded, path, tmp_path / "out") == 1
    assert set(outcomes(tmp_path / "out").values()) == {"fail"}
    path.write_text(
        path.read_text().replace("0.2", "0.3").replace("0.1", "0.2").replace("ok", "warn")
    )
    assert compared(short_golden, recorded, path, tmp_path / "out") == 0


def test_levels_of_rclpy_are_bytes() -> None:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    message = DiagnosticArray(status=[DiagnosticStatus(level=DiagnosticStatus.ERROR, name="n")])
    assert [one.level for one in statuses_of(message, 0)] == [2]


@pytest.mark.parametrize(
    ("golden", "new", "scenario_text", "words"),
    [
        ("nowhere", "golden", "", "nowhere"),
        ("golden", "nowhere", "", "nowhere"),
        ("clip", "golden", "", "has no topic of hrnet_pose_ros/msg/SkeletonArray"),
        ("golden", "clip", "", "has no topic of hrnet_pose_ros/msg/SkeletonArray"),
        ("golden", "golden", None, "scenario.yaml"),  # no such file
        ("golden", "golden", "name: x\nosk: {}\n", "unknown key 'osk'"),
        ("golden", "golden", "name: x\ntopic: /b\noks: {at_least: 1, fraction: 1}\n", "'/b'"),
    ],
)
def test_bad_input(
    golden: str,
    new: str,
    scenario_text: str | None,
    words: str,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {
        "golden": golden_bag(root),
        "clip": root / "demo" / "street_bag",
        "nowhere": tmp_path / "nowhere",
    }
    path = tmp_path / "scenario.yaml"
    if scenario_text is not None:
        path.write_text(scenario_text or scenario(root).read_text())
    assert compared(places[golden], places[new], path, tmp_path / "out") == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("hrnet_pose: ")
    assert written.err.count("\n") == 1
    assert words in written.err
    assert not (tmp_path / "out").exists()


def test_images_without_images(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = golden_bag(root)
    options = ("--images", str(golden))
    assert compared(golden, golden, scenario(root), tmp_path / "out", *options) == 2
    assert "has no image topic" in capsys.readouterr().err
