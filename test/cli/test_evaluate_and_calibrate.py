# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose evaluate`` and ``calibrate`` on the hand-labelled persons of the clip."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools_scores import by_pycocotools
from udp_model import udp_model

from hrnet_pose_ros.cli.engine_options import EngineChoice
from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.coco import uncertainty_fit
from hrnet_pose_ros.coco.annotations import read_annotations
from hrnet_pose_ros.coco.evaluation import METRICS, evaluate_results
from hrnet_pose_ros.coco.table import TEST_DEV, VAL2017
from hrnet_pose_ros.engines.heatmap_engine import calibration_of
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.metadata import KEY_PREFIX
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.export_end2end import export_end2end_graph
from hrnet_pose_ros.pose.uncertainty import find_calibration
from hrnet_pose_ros.skeleton import COCO17

MODEL = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.onnx"
PLAIN = ("hrnetv2_w24_small", "--engine", "openvino", "--precision", "float32", "--max-batch", "2")


@pytest.fixture(autouse=True, scope="module")
def coarse_fits() -> Iterator[None]:
    """Six candidates for a factor instead of 26: how well a fit finds them has its own tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uncertainty_fit, "RATIOS", uncertainty_fit.RATIOS[::5])
        yield


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
    again = evaluate_results(read_annotations(street.annotations), results)
    assert again.values == pytest.approx(report["scores"], abs=1e-9)
    # As the HRNet reference writes them: a bbox would change APM and APL.
    assert {frozenset(result) for result in results} == {
        frozenset(("image_id", "category_id", "keypoints", "score"))
    }
    found = by_pycocotools(street.annotations, results)
    assert [report["scores"][m] for m in METRICS] == pytest.approx(found, abs=1e-6)
    change = report["against"]["scores"]["AP"] - report["scores"]["AP"]
    assert report["against"]["change"]["AP"] == pytest.approx(change)
    assert report["against"]["difference"]["joints"] == 36 * 17
    for one in (report, report["against"]):
        for shares in one["errors"].values():
            assert sum(shares.values()) == pytest.approx(1)
        for pair in one["left_right"].values():
            evaluated, *shares = pair.values()
            assert evaluated == 0 or sum(shares) == pytest.approx(1)
        assert one["left_right"]["shoulders"]["evaluated"] > 5


def test_a_udp_model(street: Any, evaluated: Path, tmp_path: Path) -> None:
    """The bundled weights with UDP's crops are nearly as accurate as with those that they were
    trained with, less than a pixel beside."""
    model, output = udp_model(tmp_path)[1], tmp_path / "all.json"
    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    verb = ["evaluate", str(model), *PLAIN[1:], *data, "--against", "decoding=dark"]
    assert main([*verb, "--json", str(output)]) == 0
    report = json.loads(output.read_text())
    assert report["engine"]["crop"] == report["against"]["engine"]["crop"] == "udp"
    before = json.loads((evaluated / "all.json").read_text())
    assert before["engine"]["crop"] == "reference"
    assert report["scores"]["AP"] == pytest.approx(before["scores"]["AP"], abs=0.05)
    difference = report["against"]["difference"]
    assert difference["joints"] == 36 * 17
    assert 0 < difference["cells"]["50"] < 0.6  # the two decodings of the same heatmaps


def test_kinds_of_errors_are_printed_side_by_side(evaluated: Path) -> None:
    report = json.loads((evaluated / "all.json").read_text())
    printed = (evaluated / "printed.txt").read_text()
    inversion = [
        f"{100 * one['errors']['left_ankle']['inversion']:.1f}"
        for one in (report, report["against"])
    ]
    (row,) = [line for line in printed.splitlines() if line.startswith("| left ankle |")]
    assert row.split("|")[5].strip() == " → ".join(inversion)
    (row,) = [line for line in printed.splitlines() if line.startswith("| ankles |")]
    assert row.split("|")[2].strip() == str(report["left_right"]["ankles"]["evaluated"])


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
    names = ["precision_recall.png", "joints.png", "errors.png", "left_right.png"]
    for name in (*names, "worst_01.jpg", "worst_12.jpg"):
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


def test_a_missing_image_is_named(
    street: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "images"
    shutil.copytree(street.images, copied)
    next(iter(sorted(copied.iterdir()))).unlink()
    data = ("--annotations", str(street.annotations), "--images", str(copied))
    assert main(["evaluate", *PLAIN, *data]) == 2
    assert (
        "000000.png' cannot be read as an image: there is no such file" in capsys.readouterr().err
    )


def _person_without(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["annotations"][3].update({field: value})


@pytest.mark.parametrize("verb", ["evaluate", "calibrate"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_person_without("bbox", None), "'bbox' of annotation number 3 (id 4) is null"),
        (_person_without("area", 0), "'area' of annotation number 3 (id 4) is 0"),
        (_person_without("image_id", {}), "'image_id' of annotation number 3 (id 4) is {}"),
        (lambda content: content.update(categories=[]), "no category with COCO's 17 joints"),
        (lambda content: content.update(images=None), "must contain a list of images, not null"),
    ],
)
def test_a_data_set_that_is_wrong_ends_before_any_inference(
    verb: str,
    change: Callable[[dict[str, Any]], None],
    words: str,
    street: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_engine(self: EngineChoice) -> None:
        raise AssertionError("an engine was made")

    monkeypatch.setattr(EngineChoice, "make", no_engine)
    content = json.loads(street.annotations.read_text())
    change(content)
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(content))
    assert main([verb, *PLAIN, "--annotations", str(path), "--images", str(street.images)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"'{path}'" in line and words in line


def test_another_numbering_gives_the_same_figures(
    street: Any, evaluated: Path, tmp_path: Path
) -> None:
    """Persons are category 0 beside another one, and their ids begin at 0 or repeat."""
    content = json.loads(street.annotations.read_text())
    for number, person in enumerate(content["annotations"]):
        person.update(category_id=0, id=number // 2)
    content["categories"][0]["id"] = 0
    content["categories"].append({"id": 1, "name": "dog", "keypoints": ["nose", "tail"]})
    content["annotations"].append(
        {"id": 7, "image_id": content["images"][0]["id"], "category_id": 1, "keypoints": [1, 2, 2]}
    )
    path, report = tmp_path / "from_0.json", tmp_path / "report.json"
    path.write_text(json.dumps(content))
    results = tmp_path / "results.json"
    data = ("--annotations", str(path), "--images", str(street.images))
    assert main(["evaluate", *PLAIN, *data, "--json", str(report), "--results", str(results)]) == 0
    expected = json.loads((evaluated / "all.json").read_text())["scores"]
    assert json.loads(report.read_text())["scores"] == pytest.approx(expected, abs=1e-9)
    assert {result["category_id"] for result in json.loads(results.read_text())} == {0}


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
    assert list(report) == ["quarter+flip"]
    calibration = report["quarter+flip"]["calibration"]
    expected = find_calibration({"quarter+flip": calibration}, "quarter", True, COCO17)
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
    by_hand = expected.apply(raw, boxes, frame.shape[1::-1])
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


def test_the_report_is_cross_validated(calibrated: Path, street: Any) -> None:
    content = json.loads(street.annotations.read_text())
    labelled = sum(p["num_keypoints"] for p in content["annotations"])
    report = json.loads((calibrated / "report.json").read_text())["quarter+flip"]
    for when in ("as_decoded", "cross_validated"):
        assert report[when]["all"]["samples"] == labelled
        kinds = report[when]["hidden"]["samples"] + report[when]["visible"]["samples"]
        assert kinds == labelled
    before, after = (report[when]["all"] for when in ("as_decoded", "cross_validated"))
    assert abs(after["inside"]["50"] - 0.5) < abs(before["inside"]["50"] - 0.5)
    assert f"{labelled} labelled" in report["calibration"]["origin"]
    for name in ("scores.png", "ellipses.png"):
        assert cv2.imread(str(calibrated / "plots" / "quarter+flip" / name)).std() > 10


def test_check_reports_and_changes_nothing(
    calibrated: Path, street: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file holds, on the pictures it was fitted to: nearer than by cross-validation."""
    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    model, file = calibrated / "mine.onnx", tmp_path / "report.json"
    content = model.read_bytes()
    options = (*PLAIN[1:], *data, "--check", "--all-settings", "--json", str(file))
    assert main(["calibrate", str(model), *options]) == 0
    assert model.read_bytes() == content
    fitted = json.loads((calibrated / "report.json").read_text())["quarter+flip"]
    reports = json.loads(file.read_text())
    assert list(reports) == ["quarter+flip"]
    report = reports["quarter+flip"]
    assert report["calibration"] == fitted["calibration"]
    assert report["as_decoded"] == fitted["as_decoded"]
    assert set(report) == {"calibration", "as_decoded", "shipped"}
    assert report["shipped"]["all"]["ece"] < report["as_decoded"]["all"]["ece"]
    printed, missing = capsys.readouterr()
    for key in ("quarter", "dark", "dark+flip"):
        assert f"contains no uncertainty calibration for '{key}'\n" in missing
    assert f"quarter+flip: uncertainty calibration on {fitted['calibration']['origin']}" in printed
    assert "joints without a label" in printed

    assert main(["calibrate", str(model), *PLAIN[1:], *data, "--check"]) == 2
    error = capsys.readouterr().err
    assert "contains no uncertainty calibration for 'quarter': fit one with" in error
    with pytest.raises(SystemExit):
        main(["calibrate", str(model), *data, "--check", "--write"])


def test_all_settings_in_one_go(
    calibrated: Path, street: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into the graph, its end-to-end graph and its file in 8 bits; a damaged entry is replaced."""
    import onnx

    data = ("--annotations", str(street.annotations), "--images", str(street.images))
    for name in ("mine.onnx", "mine_end2end.onnx"):
        shutil.copy(calibrated / name, tmp_path / name)
    shutil.copy(calibrated / "mine.onnx", tmp_path / "mine_int8.onnx")
    model = tmp_path / "mine.onnx"
    _write_property(model, "calibrations", {"dark": {"peaks": [1]}, "quarter": {"odd": 1}})
    assert main(["calibrate", str(model), *PLAIN[1:], *data, "--check"]) == 2
    assert "'hrnet_pose calibrate … --write' replaces it" in capsys.readouterr().err
    options = (*PLAIN[1:], *data, "--all-settings")
    assert main(["calibrate", str(model), *options, "--flip-test"]) == 2
    assert "--all-settings takes every decoding and flip test" in capsys.readouterr().err
    assert main(["calibrate", str(model), *options, "--write"]) == 0
    assert f"took the calibrations for dark, quarter, which cannot be read, out of {model}" in (
        capsys.readouterr().err
    )
    held = []
    for path in sorted(tmp_path.glob("*.onnx")):
        properties = {p.key: p.value for p in onnx.load(str(path)).metadata_props}
        held.append(json.loads(properties[KEY_PREFIX + "calibrations"]))
    assert len(held) == 3
    assert set(held[0]) == {"quarter", "quarter+flip", "dark", "dark+flip"}
    assert held[0] == held[1] == held[2]


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
