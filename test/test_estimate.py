# SPDX-License-Identifier: Apache-2.0
"""`hrnet_pose estimate`: pictures, folders and videos without ROS."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from udp_model import udp_model

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.coco.results import coco_results
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.video import VideoError, VideoReader, VideoWriter


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
    models = {"reference": "hrnet_w16_small", "openvino": str(exported), "torch": str(checkpoint)}
    points, drawn = {}, {}
    for name, model in models.items():
        engine = "torch" if name == "torch" else "openvino"
        options = ["--engine", engine, "--precision", "float32"]
        assert main(["estimate", str(picture), "-o", str(tmp_path / name), "--model", model,
                     *options]) == 0  # fmt: skip
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
    assert main(["estimate", str(folder), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "c.jpg cannot be read as an image" in said.err and "in 2 images" in said.out
    assert {r["image_id"] for r in _results(tmp_path / "out")} == {0, 1}
    assert {r["file_name"] for r in _results(tmp_path / "out")} == {"a.jpg", "b.png"}


def test_the_whole_picture_as_one_person(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    picture = _write(tmp_path / "person.png", street_frames[2][320:480, 180:260])
    assert main(["estimate", str(picture), "-o", str(tmp_path / "out"), "--whole-image"]) == 0
    (result,) = _results(tmp_path / "out")
    assert result["box"] == [0, 0, 80, 160]


def test_tiles_of_the_detector(street_frames: list[np.ndarray], tmp_path: Path) -> None:
    """The whole picture alone loses small persons that tiles show."""
    picture = _write(tmp_path / "street.png", street_frames[2])
    found = {}
    for columns, rows in ((1, 1), (3, 2)):
        output = tmp_path / f"{columns}x{rows}"
        tiles = ("--tile-columns", str(columns), "--tile-rows", str(rows))
        assert main(["estimate", str(picture), "-o", str(output), *tiles]) == 0
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
    assert main(["estimate", str(video), "-o", str(tmp_path / "out")]) == 0
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
    for rate in ((), ("--rate", "10")):
        assert main(["estimate", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *rate]) == 0
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


def test_video_frames_come_back_in_order_and_time(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    levels = range(20, 240, 20)
    with VideoWriter(path, 12.5) as writer:
        for level in levels:
            writer.write(np.full((49, 65, 3), level, np.uint8))  # odd sizes lose a row and a column
    reader = VideoReader(path)
    assert reader.rate == pytest.approx(12.5)
    frames = list(reader)
    assert [round(seconds, 3) for seconds, _ in frames] == [round(n * 0.08, 3) for n in range(11)]
    for (_, frame), level in zip(frames, levels, strict=True):
        assert frame.shape == (48, 64, 3)
        assert abs(float(frame.mean()) - level) < 4  # lossy


def test_a_file_that_is_no_video_is_said(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("hello")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        VideoReader(path)
