# SPDX-License-Identifier: Apache-2.0
"""`hrnet_pose estimate`: pictures, folders and videos without ROS."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from udp_model import udp_model

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.coco.results import coco_results
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.video import VideoReader, VideoWriter

# Few sizes of batches to warm up, which otherwise takes most of a short run's time; the first test
# has the default.
FEW = ("--max-batch", "2")


def _write(path: Path, frame: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return path


def _results(folder: Path) -> list[dict]:
    return json.loads((folder / "results.json").read_text())


def test_a_picture(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    picture = _write(tmp_path / "000042.png", street_frames[2])
    output = tmp_path / "out"
    assert main(["estimate", str(picture), "-o", str(output)]) == 0
    results = _results(output)
    assert len(results) >= 4  # seven persons walk there
    for result in results:
        assert result["image_id"] == 42 and result["category_id"] == 1
        assert len(result["keypoints"]) == 51
        assert 0 < result["score"] <= 1
        assert "bbox" not in result  # COCO's evaluators would take its area
        # Most joints lie in or near the person's box.
        x, y, width, height = result["box"]
        joints = np.reshape(result["keypoints"], (17, 3))
        centre = (x + width / 2, y + height / 2)
        near = np.abs(joints[:, :2] - centre) <= np.array([width, height])
        assert near.all(axis=1).mean() > 0.8
    drawn = cv2.imread(str(output / "000042_pose.png"))
    assert drawn.shape == (576, 768, 3)
    assert (drawn != cv2.imread(str(picture))).any(axis=2).sum() > 1000


def test_a_udp_model_is_drawn_where_the_persons_are(
    street_frames: list[np.ndarray], tmp_path: Path
) -> None:
    picture = _write(tmp_path / "42.png", street_frames[2])
    checkpoint, exported = udp_model(tmp_path)
    models = {"reference": "hrnetv2_w24_small", "openvino": str(exported), "torch": str(checkpoint)}
    points, drawn = {}, {}
    for name, model in models.items():
        engine = "torch" if name == "torch" else "openvino"
        options = ["--engine", engine, "--precision", "float32"]
        assert main(["estimate", str(picture), "-o", str(tmp_path / name), "--model", model,
                     *options, *FEW]) == 0  # fmt: skip
        joints = np.array([one["keypoints"] for one in _results(tmp_path / name)]).reshape(-1, 3)
        points[name] = joints
        drawn[name] = cv2.imread(str(tmp_path / name / "42_pose.png"))
    # The checkpoint's rule is known from the file that was exported beside it.
    near = np.abs(points["torch"] - points["openvino"])[:, :2].max(axis=1) < 0.05
    assert near.mean() > 0.99
    seen = points["reference"][:, 2] > 0.5
    moved = np.linalg.norm(points["openvino"] - points["reference"], axis=1)[seen]
    assert 0 < np.median(moved) < 2
    assert (drawn["openvino"] != cv2.imread(str(picture))).any(axis=2).sum() > 1000


def test_a_folder_keeps_what_can_be_read(
    street_frames: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    for name, frame in (("a.jpg", street_frames[0]), ("b.png", street_frames[1])):
        _write(folder / name, frame)
    (folder / "c.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    cut = (folder / "a.jpg").read_bytes()
    (folder / "d.jpg").write_bytes(cut[: len(cut) // 4])
    assert main(["estimate", str(folder), "-o", str(tmp_path / "out"), *FEW]) == 1
    said = capsys.readouterr()
    assert "c.jpg' cannot be read as an image" in said.err
    assert (
        "d.jpg' cannot be read as an image: it ends too early" in said.err
        and "in 2 images" in said.out
    )
    assert {r["image_id"] for r in _results(tmp_path / "out")} == {0, 1}
    assert {r["file_name"] for r in _results(tmp_path / "out")} == {"a.jpg", "b.png"}


def test_the_whole_picture_as_one_person(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    picture = _write(tmp_path / "person.png", street_frames[2][320:480, 180:260])
    words = ["estimate", str(picture), "-o", str(tmp_path / "out"), "--whole-image", *FEW]
    assert main(words) == 0
    (result,) = _results(tmp_path / "out")
    assert result["box"] == [0, 0, 80, 160]


def test_tiles_of_the_detector(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    """The whole picture alone loses small persons that tiles show."""
    picture = _write(tmp_path / "street.png", street_frames[2])
    found = {}
    for columns, rows in ((1, 1), (3, 2)):
        output = tmp_path / f"{columns}x{rows}"
        tiles = ("--tile-columns", str(columns), "--tile-rows", str(rows))
        assert main(["estimate", str(picture), "-o", str(output), *tiles, *FEW]) == 0
        found[columns] = len(_results(output))
    assert found[3] > found[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tile-columns", "0"), "tiles must be"),
        (("--min-score", "2"), "min_score must be"),
        (("--whole-image", "--tile-rows", "1"), "--tile-rows: of the detector"),
    ],
)
def test_detector_options_that_cannot_be(
    arguments: tuple[str, ...],
    words: str,
    street_frames: list[np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = _write(tmp_path / "street.png", street_frames[0])
    assert main(["estimate", str(picture), "-o", str(tmp_path / "out"), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_video(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    video = tmp_path / "walk.mp4"
    with VideoWriter(video, 10.0) as writer:
        for frame in street_frames[:3]:
            writer.write(frame)
    assert main(["estimate", str(video), "-o", str(tmp_path / "out"), *FEW]) == 0
    assert {r["image_id"] for r in _results(tmp_path / "out")} == {0, 1, 2}
    for image in range(3):
        tracks = [r["track_id"] for r in _results(tmp_path / "out") if r["image_id"] == image]
        assert len(set(tracks)) == len(tracks) > 3
    drawn = [frame for _, frame in VideoReader(tmp_path / "out" / "walk_pose.mp4")]
    assert len(drawn) == 3 and drawn[0].shape == (576, 768, 3)


def test_a_folder_with_a_sequence(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    """With a rate, persons are followed in the order of the names; without one, they are not."""
    for name in ("0.png", "1.png"):
        _write(tmp_path / "in" / name, street_frames[0])
    words = ["estimate", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *FEW]
    for rate in ((), ("--rate", "10")):
        assert main([*words, *rate]) == 0
        results = _results(tmp_path / "out")
        tracks = [[r.get("track_id") for r in results if r["image_id"] == n] for n in (0, 1)]
        assert tracks[0] == tracks[1]
        assert set(tracks[0]) == (set(range(1, len(tracks[0]) + 1)) if rate else {None})


@pytest.mark.parametrize(("name", "rate"), [("a.png", "10"), (".", "0"), (".", "inf")])
def test_a_rate_that_cannot_be(
    name: str,
    rate: str,
    street_frames: list[np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _write(tmp_path / "a.png", street_frames[0][:100, :100])
    words = ["estimate", str(tmp_path / name), "-o", str(tmp_path / "out"), "--rate", rate]
    assert main([*words, "--whole-image"]) == 2
    assert "must be above 0, and is for a folder of images" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nowhere.png", "noise.png", "noise.mp4", "empty"])
def test_bad_input_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name.startswith("noise"):
        path.write_bytes(bytes(range(256)) * 10)
    assert main(["estimate", str(path), "-o", str(tmp_path / "out"), "--whole-image"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hrnet_pose: ") and name in error


def test_results_hold_no_nan() -> None:
    poses = Poses(
        keypoints=np.full((1, 17, 2), np.nan, np.float32),
        scores=np.zeros((1, 17), np.float32),
        covariances=np.full((1, 17, 2, 2), np.nan, np.float32),
        valid=np.zeros((1, 17), bool),
    )
    (result,) = coco_results(poses, np.array([0.9]))
    assert result["keypoints"] == [0.0] * 51 and result["score"] == 0


@pytest.mark.parametrize("name", ["²³.jpg"])
def test_a_name_of_other_digits_is_no_number(
    name: str, street_frames: list[np.ndarray], tmp_path: Path
) -> None:
    picture = _write(tmp_path / name, street_frames[2][320:480, 180:260])
    words = ["estimate", str(picture), "-o", str(tmp_path / "out"), "--whole-image", *FEW]
    assert main(words) == 0
    assert [r["image_id"] for r in _results(tmp_path / "out")] == [0]


def test_a_photo_is_taken_upright(
    street_frames: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored lying, as phones do, with an EXIF orientation."""
    frame = street_frames[2][320:480, 180:260]
    lying = _write(tmp_path / "photo.jpg", np.ascontiguousarray(np.rot90(frame)))
    block = b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(block)) + b"Exif\x00\x00" + block
    data = lying.read_bytes()
    lying.write_bytes(data[:2] + exif + data[2:])
    words = ["estimate", str(lying), "-o", str(tmp_path / "out"), "--whole-image", *FEW]
    assert main(words) == 0
    (result,) = _results(tmp_path / "out")
    assert result["box"] == [0, 0, 80, 160]
    assert cv2.imread(str(tmp_path / "out" / "photo_pose.jpg")).shape == (160, 80, 3)


def _estimate_with_file_limit(source: Path, output: Path, limit: int) -> tuple[int, str]:
    """The verb in a process whose files may not grow beyond a limit, as on a full disk."""
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from hrnet_pose_ros.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "estimate", str(source), "-o", str(output)]
    done = subprocess.run(
        [*command, "--whole-image", *FEW],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("kind", ["png", "mp4"])
def test_a_full_disk_is_an_error(
    kind: str, street_frames: list[np.ndarray], tmp_path: Path
) -> None:
    if kind == "png":
        source = _write(tmp_path / "street.png", street_frames[0])
    else:
        source = tmp_path / "street.mp4"
        with VideoWriter(source, 10.0) as writer:
            for frame in street_frames[:3]:
                writer.write(frame)
    code, said = _estimate_with_file_limit(source, tmp_path / "out", 20_000)
    assert code == 2
    assert f"street_pose.{kind}' cannot be written" in said.splitlines()[-1]
    assert "Traceback" not in said
