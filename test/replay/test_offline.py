# SPDX-License-Identifier: Apache-2.0
"""The offline run: the node's answers without the node."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_maker import CLIP, DETECTIONS, IMAGES, Row, changed, clip_rows, write_bag

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.pipeline.detections import persons_of
from hrnet_pose_ros.pipeline.images import rgb_frame_of_compressed
from hrnet_pose_ros.pipeline.parameter import ParameterError
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.replay.bags import BagReader, typestore
from hrnet_pose_ros.replay.offline import ReplayResult, replay
from hrnet_pose_ros.replay.parameter_file import settings_of

FRAMES = 6


def settings(**values: Any) -> Settings:
    return settings_of(None, {"precision": "float32", "max_batch": 2} | values)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return clip_rows(3 * FRAMES)


@pytest.fixture(scope="module")
def bag(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("clip") / "bag", rows)


def answers(bag: Path) -> list[Any]:
    with BagReader(bag) as reader:
        return [one.message for one in reader.messages(["/skeletons"])]


def content(bag: Path) -> list[tuple[str, int, bytes]]:
    with BagReader(bag) as reader:
        return [(one.topic, one.time, one.data) for one in reader.messages()]


def run(rows: list[Row], tmp_path: Path, **values: Any) -> tuple[ReplayResult, list[Any]]:
    """Replay a bag of these rows; what was done, and the answers."""
    done = replay(write_bag(tmp_path / "in", rows), tmp_path / "out", settings(**values))
    with BagReader(tmp_path / "out") as reader:
        written = [one.message for one in reader.messages() if one.topic == "/skeletons"]
    return done, written


def test_skeletons_are_those_of_the_engine(bag: Path, tmp_path: Path) -> None:
    done = replay(bag, tmp_path / "out", settings())
    assert (done.images, done.arrays, done.drops, done.loss) == (FRAMES, FRAMES, {}, "")
    engine = make_engine("hrnetv2_w24_small", precision="float32", max_batch=2)
    with BagReader(bag) as reader:
        frames = [rgb_frame_of_compressed(m.message) for m in reader.messages([IMAGES])]
        inputs = [m.message for m in reader.messages([IMAGES])]
        detections = [m.message for m in reader.messages([DETECTIONS])]
    found = answers(tmp_path / "out")
    for frame, image, boxes, answer in zip(frames, inputs, detections, found, strict=True):
        height, width = frame.shape[:2]
        persons = persons_of(boxes, (width, height), settings())
        poses = engine.estimate(frame, persons.boxes)
        written, _ = poses_of(answer)
        np.testing.assert_array_equal(written.keypoints, poses.keypoints)
        np.testing.assert_array_equal(written.covariances, poses.covariances)
        assert stamp_of(answer) == stamp_of(image)
        assert answer.header.frame_id == image.header.frame_id
        assert answer.detections_stamp.sec == boxes.header.stamp.sec
        assert [one.id for one in answer.skeletons] == [one.id for one in boxes.detections]
        assert (answer.image_width, answer.image_height) == (width, height)
        assert all(math.isnan(getattr(answer.times, name)) for name in ("age", "inference"))
    engine.close()
    assert done.persons == sum(len(one.skeletons) for one in found)


def test_two_runs_write_the_same_bytes(bag: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        replay(bag, tmp_path / name, settings())
    first = content(tmp_path / "one")
    assert len(first) == FRAMES + 1
    assert first[0][0] == "/skeleton_info"
    assert content(tmp_path / "two") == first


def test_info_is_that_of_the_engine(bag: Path, tmp_path: Path) -> None:
    replay(bag, tmp_path / "out", settings(decoding="dark"))
    with BagReader(tmp_path / "out") as reader, BagReader(bag) as inputs:
        [one] = reader.messages(["/skeleton_info"])
        first = next(iter(inputs.messages()))
    info = one.message
    assert (info.model, info.precision, info.decoding) == ("hrnetv2_w24_small", "float32", "dark")
    assert stamp_of(info) == one.time == first.time
    assert info.limbs.size


def test_raw_images_give_the_skeletons_of_compressed_ones(
    rows: list[Row], bag: Path, tmp_path: Path
) -> None:
    types = typestore().types

    def raw(row: Row) -> Row:
        message = typestore().deserialize_cdr(row[3], row[1])
        frame = rgb_frame_of_compressed(message)
        image = types["sensor_msgs/msg/Image"](
            header=message.header,
            height=frame.shape[0],
            width=frame.shape[1],
            encoding="bgr8",
            is_bigendian=0,
            step=3 * frame.shape[1],
            data=frame[..., ::-1].reshape(-1).copy(),
        )
        return "/camera/image", "sensor_msgs/msg/Image", row[2], image

    done, found = run([raw(row) if row[0] == IMAGES else row for row in rows], tmp_path)
    assert done.arrays == FRAMES
    replay(bag, tmp_path / "compressed", settings())
    expected = [data for topic, _, data in content(tmp_path / "compressed") if "info" not in topic]
    assert [data for topic, _, data in content(tmp_path / "out") if "info" not in topic] == expected
    assert found


def test_drops_are_counted(rows: list[Row], tmp_path: Path) -> None:
    def truncate(message: Any) -> None:
        message.data = message.data[:1000].copy()

    def other_class(message: Any) -> None:
        for detection in message.detections:
            detection.results[0].hypothesis.class_id = "car"

    faulty = list(rows)
    faulty[3] = changed(faulty[3], truncate)  # the second image
    faulty[8] = changed(faulty[8], other_class)  # detections of the third
    faulty[9] = (*faulty[9][:3], faulty[9][3][:6])  # the fourth image: no message at all
    cars = len(typestore().deserialize_cdr(faulty[8][3], faulty[8][1]).detections)
    del faulty[14]  # the detections of the fifth
    done, found = run(faulty, tmp_path)
    assert done.drops == {
        "detections.unmatched": 2,  # of the images that cannot be read
        "images.unmatched": 1,
        "images.unreadable": 2,
        "persons.class_not_wanted": cars,
    }
    assert (done.images, done.arrays, len(found)) == (FRAMES, 3, 3)  # 6 = 3 + 1 + 2
    assert [len(one.skeletons) > 0 for one in found] == [True, False, True]


def test_a_bag_that_was_cut_off(bag: Path, rows: list[Row], tmp_path: Path) -> None:
    file = tmp_path / "cut.mcap"
    whole = (bag / "bag.mcap").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    done = replay(file, tmp_path / "out", settings())
    assert 0 < done.arrays < FRAMES
    assert "truncated" in done.loss
    assert "truncated" in done.summary()


def test_whole_image_as_person(rows: list[Row], tmp_path: Path) -> None:
    images = [row for row in rows if row[0] == IMAGES]
    done, found = run(images, tmp_path, whole_image_as_person=True)
    assert done.arrays == FRAMES
    assert all(len(one.skeletons) == 1 for one in found)


def test_a_gap_in_the_bag_lets_time_pass(rows: list[Row], tmp_path: Path) -> None:
    late = [(*row[:2], row[2] + (10**9 if row[0] == DETECTIONS else 0), row[3]) for row in rows]
    done, found = run(sorted(late, key=lambda row: row[2]), tmp_path)  # 1 s, max_wait_ms is 300
    assert found == []
    assert done.drops == {
        "detections.unmatched": FRAMES,
        "images.no_detections_yet": FRAMES,
    }


PARAMETERS = """
/**:
  ros__parameters: {use_sim_time: true, whatever: 3, max_batch: 4}
front:
  hrnet_pose:
    ros__parameters: {class_ids: ["7"], max_age_ms: 900}
other_node:
  ros__parameters: {class_ids: ["8"]}
"""


def test_parameter_file(tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(PARAMETERS)
    found = settings_of(file, {"model": "x"})
    assert (found.max_batch, found.class_ids, found.max_age_ms) == (4, ["7"], 900.0)
    assert found.model == "x"
    file.write_text("hrnet_pose: {ros__parameters: {max_agee_ms: 1}}")
    with pytest.raises(ParameterError, match="no parameter 'max_agee_ms'"):
        settings_of(file, {})
    file.write_text("hrnet_pose: {ros__parameters: {max_batch: many}}")
    with pytest.raises(ParameterError, match=r"parameters.yaml: parameter max_batch is 'many'"):
        settings_of(file, {})


def test_command(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["replay", str(bag), "-o", str(tmp_path / "out"), "--precision", "float32"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{FRAMES} of {FRAMES} images processed" in printed
    assert "images/s" in printed
    assert main(arguments) == 2
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/no/such/bag"], "no bag at '/no/such/bag'"),
        ([str(CLIP), "--image", "/front"], "the bag has no topic /front; it has"),
        ([str(CLIP), "--image", DETECTIONS], "image must be sensor_msgs/msg/Image or"),
        ([str(CLIP), "--params-file", "/no/such.yaml"], "'/no/such.yaml' cannot be read"),
        ([str(CLIP), "--model", "hrnet_w99"], "hrnet_w99"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *arguments, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hrnet_pose: ")
    assert error.count("\n") == 1
    assert expected in error
    assert not (tmp_path / "out").exists()


def test_two_cameras_need_a_choice(
    rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = [("/rear/compressed", *row[1:]) for row in rows if row[0] == IMAGES]
    folder = write_bag(tmp_path / "in", rows + second)
    arguments = ["replay", str(folder), "-o", str(tmp_path / "out"), "--max-batch", "2"]
    assert main(arguments) == 2
    assert f"2 topics for image: {IMAGES}, /rear/compressed; choose one with --image" in (
        capsys.readouterr().err
    )
    assert main([*arguments, "--image", "/rear/compressed"]) == 0


def test_ids_that_the_detector_does_not_give_are_assigned(rows: list[Row], tmp_path: Path) -> None:
    """The first detection of every image, another person each time, has an id from the detector."""

    def forget(message: Any) -> None:
        for detection in message.detections[1:]:
            detection.id = ""

    partly = [changed(row, forget) if row[0] == DETECTIONS else row for row in rows]
    (tmp_path / "assigned").mkdir()
    _, found = run(partly, tmp_path / "assigned")
    ids = [[one.id for one in answer.skeletons] for answer in found]
    with BagReader(tmp_path / "assigned" / "in") as reader:
        given = [m.message.detections[0].id for m in reader.messages([DETECTIONS])]
    assert [here[0] for here in ids] == given
    assert all(re.fullmatch(r"hrnet_[0-9]+", one) for here in ids for one in here[1:])
    assert all(len(set(here)) == len(here) for here in ids)
    # Six persons, and a second box on one of them in the third image.
    assert len({one for here in ids for one in here[1:]}) == 7
    (tmp_path / "never").mkdir()
    _, found = run(partly, tmp_path / "never", assign_ids="never")
    assert [[one.id for one in answer.skeletons[1:]] for answer in found] == [
        [""] * len(here[1:]) for here in ids
    ]
