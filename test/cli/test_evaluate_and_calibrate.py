# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose evaluate`` and ``calibrate`` on the hand-labelled persons of the clip."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hrnet_pose_ros.cli.engine_options import EngineChoice
from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.coco.evaluation import METRICS, evaluate_results
from hrnet_pose_ros.coco.table import TEST_DEV, VAL2017
from hrnet_pose_ros.engines.heatmap_engine import calibration_of
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.metadata import KEY_PREFIX
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.export_end2end import export_end2end_graph
from hrnet_pose_ros.pose.calibration import find_calibration

MODEL = Path(__file__).resolve().parents[2] / "models" / "hrnet_w16_small.onnx"
PLAIN = ("hrnet_w16_small", "--engine", "openvino", "--precision", "float32")


def run(verb: str, street: Any, *options: str) -> int:
    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    return main([verb, *PLAIN, *data, *options])


@pytest.fixture(scope="module")
def evaluated(street: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one run with everything it can write."""
    folder = tmp_path_factory.mktemp("evaluated")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run(
            *("evaluate", street, "--against", "flip-test=yes", "--json", str(folder / "all.json")),
            *("--results", str(folder / "results.json"), "--plots", str(folder / "plots")),
        )
    assert code == 0
    (folder / "printed.txt").write_text(printed.getvalue())
    return folder


def test_report_and_results(street: Any, evaluated: Path) -> None:
    report = json.loads((evaluated / "all.json").read_text())
    results = json.loads((evaluated / "results.json").read_text())
    assert report["persons"] == 36
    assert report["engine"]["flip_test"] is False
    assert report["against"]["engine"]["flip_test"] is True
    assert set(report["scores"]) == set(METRICS)
    assert 0.1 < report["scores"]["AP50"] <= 1  # the bundled model sees these people
    again = evaluate_results(street.annotations, results)
    assert again.values == pytest.approx(report["scores"], abs=1e-9)
    change = report["against"]["scores"]["AP"] - report["scores"]["AP"]
    assert report["against"]["change"]["AP"] == pytest.approx(change)
    assert report["against"]["difference"]["joints"] == 36 * 17
    for shares in report["errors"].values():
        assert sum(shares.values()) == pytest.approx(1)


def test_results_are_the_engines(street: Any, evaluated: Path) -> None:
    """One person of one image, estimated by hand: nothing stands between engine and result."""
    content = json.loads(street.annotations.read_text())
    person = content["annotations"][0]
    name = next(i["file_name"] for i in content["images"] if i["id"] == person["image_id"])
    frame = cv2.imread(str(street.images / name))[:, :, ::-1]
    engine = OpenVinoEngine(ModelFile.read(MODEL), precision="float32")
    poses = engine.raw_poses(np.ascontiguousarray(frame), np.array([person["bbox"]]))
    results = json.loads((evaluated / "results.json").read_text())
    (result,) = [r for r in results if r["image_id"] == person["image_id"]][:1]
    keypoints = np.array(result["keypoints"]).reshape(17, 3)
    np.testing.assert_allclose(keypoints[:, :2], poses.keypoints[0], atol=0.01)
    np.testing.assert_allclose(keypoints[:, 2], poses.scores[0], atol=0.002)
    assert result["score"] == pytest.approx(float(poses.person_scores()[0]), abs=1e-4)


def test_plots(evaluated: Path) -> None:
    plots = evaluated / "plots"
    names = ["precision_recall.png", "joints.png", "errors.png", "worst_01.jpg", "worst_12.jpg"]
    for name in names:
        picture = cv2.imread(str(plots / name))
        assert picture is not None, name
        assert picture.std() > 10, f"{name} shows nothing"


def test_the_table_holds_every_row(evaluated: Path) -> None:
    lines = (evaluated / "printed.txt").read_text().splitlines()
    for table in (VAL2017, TEST_DEV):
        for row in table:
            wanted = f"| {row.method} | {row.backbone} |"
            assert any(line.startswith(wanted) for line in lines), wanted
            assert len(row.scores.split()) in (1, 5, 6)
    assert sum("measured here" in line for line in lines) == 4  # two engines, two tables


def test_boxes_of_a_detector(street: Any, tmp_path: Path) -> None:
    """Shifted and doubled boxes: NMS leaves one result a person, boxes' scores go in."""
    content = json.loads(street.annotations.read_text())
    detections = []
    for person in content["annotations"]:
        x, y, width, height = person["bbox"]
        for shift, score in ((0.0, 0.9), (0.01, 0.5)):
            box = [x + shift * width, y, width, height]
            detections.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "bbox": box,
                    "score": score,
                }
            )
    boxes, results = tmp_path / "boxes.json", tmp_path / "results.json"
    boxes.write_text(json.dumps(detections))
    report = tmp_path / "report.json"
    code = run(
        *("evaluate", street, "--boxes", str(boxes)),
        *("--results", str(results), "--json", str(report)),
    )
    assert code == 0
    assert json.loads(report.read_text())["persons"] == 72
    kept = json.loads(results.read_text())
    assert 36 <= len(kept) < 50
    assert max(r["score"] for r in kept) < 0.9 * 1.3


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("precision=bfloat16", {"precision": "bfloat16"}),
        ("other", {"model": "other"}),
        ("other,engine=torch,flip-test=yes", {"model": "other", "engine": "torch"}),
        ("decoding=dark", {"decoding": "dark"}),
    ],
)
def test_against(text: str, changed: dict) -> None:
    choice = EngineChoice("one").changed(text)
    for name, value in changed.items():
        assert getattr(choice, name) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "changes nothing"),
        ("one,decoding=quarter", "changes nothing"),
        ("two,three", "names 2 models"),
        ("precision=float64", "must be one of"),
        ("flip=yes", "must be one of"),
    ],
)
def test_against_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EngineChoice("one").changed(text)


def test_a_missing_image_is_named(
    street: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "images"
    shutil.copytree(street.images, copied)
    next(iter(sorted(copied.iterdir()))).unlink()
    data = ("--annotations", str(street.annotations), "--images", str(copied))
    assert main(["evaluate", *PLAIN, *data]) == 2
    assert "000000.png' does not exist" in capsys.readouterr().err


@pytest.fixture(scope="module")
def calibrated(street: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the bundled model, end-to-end graphs beside it, calibrated anew.

    ``before.onnx`` is the copy without any calibration.
    """
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copy(MODEL, folder / "mine.onnx")
    _write_property(folder / "mine.onnx", "calibrations", None)
    shutil.copy(folder / "mine.onnx", folder / "before.onnx")
    shutil.copy(MODEL.with_suffix(".pth"), folder / "mine.pth")
    export_end2end_graph(
        folder / "mine.pth",
        folder / "mine_end2end.onnx",
        crops=load_check_crops(),
        precision="float32",
        flip_test=True,
    )
    for name in ("mine_end2end_old.onnx", "other_end2end.onnx"):
        shutil.copy(folder / "mine_end2end.onnx", folder / name)
    _write_property(folder / "mine_end2end_old.onnx", "checkpoint_sha256", "0" * 64)
    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    code = main(
        [
            *("calibrate", str(folder / "mine.onnx"), *PLAIN[1:], *data, "--flip-test", "--write"),
            *("--json", str(folder / "report.json"), "--plots", str(folder / "plots")),
        ]
    )
    assert code == 0
    return folder


def _write_property(path: Path, key: str, value: Any) -> None:
    import onnx

    model = onnx.load(str(path))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if value is None:
        properties.pop(KEY_PREFIX + key, None)
    else:
        properties[KEY_PREFIX + key] = json.dumps(value)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(path))


def test_calibration_goes_where_it_fits(calibrated: Path, street: Any) -> None:
    """Into both files of the model; used with its own decoding and flip test, nowhere else."""
    report = json.loads((calibrated / "report.json").read_text())
    assert report["key"] == "quarter+flip"
    expected = find_calibration({"quarter+flip": report["calibration"]}, "quarter", True)
    engine = OpenVinoEngine(
        ModelFile.read(calibrated / "mine.onnx"), precision="float32", flip_test=True
    )
    assert engine.calibration == expected
    assert engine.info.calibrated
    graph = ModelFile.read(calibrated / "mine_end2end.onnx").end2end()
    assert calibration_of(graph.model, graph.decoding, graph.flip_test) == expected
    frame = cv2.imread(str(sorted(street.images.iterdir())[0]))
    boxes = np.array([[100.0, 100, 60, 150]])
    raw, poses = engine.raw_poses(frame, boxes), engine.estimate(frame, boxes)
    assert expected is not None
    by_hand = expected.apply(raw, boxes)
    np.testing.assert_array_equal(poses.scores, by_hand.scores)
    np.testing.assert_array_equal(poses.covariances, by_hand.covariances)
    assert not np.array_equal(poses.scores, raw.scores)
    plain = OpenVinoEngine(ModelFile.read(calibrated / "mine.onnx"), precision="float32")
    assert plain.calibration is None
    assert not plain.info.calibrated
    for name in ("mine_end2end_old.onnx", "other_end2end.onnx"):
        assert not ModelFile.read(calibrated / name).end2end().model.calibrations


def test_the_checkpoint_beside_it_is_calibrated_as_well(calibrated: Path, street: Any) -> None:
    """A checkpoint holds no facts: the torch engine takes those of the ONNX file of its weights."""
    from hrnet_pose_ros.engines.torch_engine import TorchEngine

    openvino = OpenVinoEngine(
        ModelFile.read(calibrated / "mine.onnx"), precision="float32", flip_test=True
    )
    torch = TorchEngine(ModelFile.read(calibrated / "mine.pth"), flip_test=True)
    assert torch.info.calibrated
    assert torch.calibration == openvino.calibration
    frame = cv2.imread(str(sorted(street.images.iterdir())[0]))
    boxes = np.array([[100.0, 100, 60, 150]])
    np.testing.assert_allclose(
        torch.estimate(frame, boxes).scores, openvino.estimate(frame, boxes).scores, atol=1e-3
    )
    assert not TorchEngine(ModelFile.read(calibrated / "mine.pth")).info.calibrated


def test_a_new_export_keeps_the_calibration(
    calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = OpenVinoEngine(
        ModelFile.read(calibrated / "mine.onnx"), precision="float32"
    ).metadata.calibrations
    output = tmp_path / "again.onnx"
    assert main(["export", str(calibrated / "mine.pth"), "-o", str(output)]) == 0
    assert capsys.readouterr().out.endswith("; calibrated for quarter+flip\n")
    assert (
        OpenVinoEngine(ModelFile.read(output), precision="float32").metadata.calibrations
        == expected
    )
    graph = tmp_path / "again_end2end.onnx"
    options = ("--graph", "end2end", "--precision", "float32")
    assert main(["export", str(calibrated / "mine.pth"), *options, "-o", str(graph)]) == 0
    assert ModelFile.read(graph).end2end().model.calibrations == expected


def test_only_the_metadata_changes(calibrated: Path) -> None:
    import onnx

    before, after = (onnx.load(str(calibrated / f"{name}.onnx")) for name in ("before", "mine"))
    assert before.graph == after.graph
    added = {p.key for p in after.metadata_props} - {p.key for p in before.metadata_props}
    assert added == {KEY_PREFIX + "calibrations"}
    assert sorted(path.name for path in calibrated.glob("*.onnx")) == [
        *(
            "before.onnx",
            "mine.onnx",
            "mine_end2end.onnx",
            "mine_end2end_old.onnx",
            "other_end2end.onnx",
        )
    ]


def test_the_report_is_of_the_other_half(calibrated: Path, street: Any) -> None:
    content = json.loads(street.annotations.read_text())
    odd = sum(p["num_keypoints"] for p in content["annotations"] if p["image_id"] % 2)
    report = json.loads((calibrated / "report.json").read_text())
    assert report["after"]["samples"] == odd
    assert report["before"]["samples"] == odd
    before, after = (report[when]["inside"] for when in ("before", "after"))
    assert abs(after["50"] - 0.5) < abs(before["50"] - 0.5)
    for name in ("scores.png", "ellipses.png"):
        assert cv2.imread(str(calibrated / "plots" / name)).std() > 10


def test_a_second_calibration_keeps_the_first(calibrated: Path, street: Any) -> None:
    copied = calibrated / "twice"
    copied.mkdir()
    shutil.copy(calibrated / "mine.onnx", copied)
    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    assert main(["calibrate", str(copied / "mine.onnx"), *PLAIN[1:], *data, "--write"]) == 0
    engine = OpenVinoEngine(ModelFile.read(copied / "mine.onnx"), precision="float32")
    assert sorted(engine.metadata.calibrations) == ["quarter", "quarter+flip"]
    assert engine.info.calibrated


def test_calibration_changes_no_result(calibrated: Path, street: Any, tmp_path: Path) -> None:
    """A person's score is made of raw peaks: AP is that of the model that is not calibrated."""
    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    reports = {}
    for name in ("before", "mine"):
        file = tmp_path / f"{name}.json"
        options = ("--flip-test", "--json", str(file))
        model = str(calibrated / f"{name}.onnx")
        assert main(["evaluate", model, *PLAIN[1:], *data, *options]) == 0
        reports[name] = json.loads(file.read_text())
    assert reports["mine"]["engine"]["calibrated"]
    assert not reports["before"]["engine"]["calibrated"]
    assert reports["mine"]["scores"] == pytest.approx(reports["before"]["scores"], abs=1e-9)
