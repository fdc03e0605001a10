# SPDX-License-Identifier: Apache-2.0
"""KITTI-formatted folders, made here: the parser, its errors, and distances against labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from fusion_scene import figure

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion_report.kitti import (
    ImagePersons,
    fuse_sequence,
    kitti_rows,
    persons_by_detector,
)
from hrnet_pose_ros.fusion_report.kitti_files import (
    CAMERA_HEIGHT,
    KittiError,
    KittiFrame,
    persons_of,
    read_cloud,
    read_kitti,
)
from hrnet_pose_ros.fusion_report.report import kitti_report
from hrnet_pose_ros.pose.poses import Poses

CALIBRATION = """P2: 700 0 600 35 0 700 180 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27
"""
PLACES = ((10.0, 1.0), (18.0, -2.0))  # ahead of the camera, and to the left, m


def label(kind: str, place: tuple[float, float]) -> str:
    """A line for somebody of 1.7 m on the ground in front of camera 2."""
    z, x = place[0], -place[1] - 35 / 700
    u = 600 + 700 * -place[1] / z
    top, bottom = 180 + 700 * (CAMERA_HEIGHT - 1.7) / z, 180 + 700 * CAMERA_HEIGHT / z
    box = f"{u - 180 / z:.2f} {top:.2f} {u + 180 / z:.2f} {bottom:.2f}"
    return f"{kind} 0 0 0.1 {box} 1.7 0.6 0.6 {x:.3f} {CAMERA_HEIGHT} {z:.3f} 0.1"


def cloud_of(places: tuple[tuple[float, float], ...]) -> bytes:
    """A cloud of people's surfaces, in the frame of the LIDAR 0.27 m behind the camera."""
    points = []
    for ahead, left in places:
        for y in np.arange(-0.15, 0.16, 0.05):
            for z in np.arange(0.9, 1.5, 0.1):
                points.append(
                    (ahead + 0.27 - 0.12, left + 35 / 700 + y, z - CAMERA_HEIGHT + 0.08, 1)
                )
    return np.array(points, "<f4").tobytes()


def write_objects(folder: Path) -> None:
    for name in ("image_2", "label_2", "calib", "velodyne"):
        (folder / name).mkdir(parents=True)
    lines = [label("Pedestrian", PLACES[0]), label("Cyclist", PLACES[1]), label("Car", (30.0, 5.0))]
    (folder / "label_2" / "000003.txt").write_text("\n".join(lines) + "\n")
    (folder / "calib" / "000003.txt").write_text(CALIBRATION)
    (folder / "velodyne" / "000003.bin").write_bytes(cloud_of(PLACES))
    cv2.imwrite(str(folder / "image_2" / "000003.png"), np.zeros((375, 1242, 3), np.uint8))


def write_drive(folder: Path) -> None:
    for name in ("image_02", "velodyne"):
        (folder / name).mkdir(parents=True)
    labels, times = [], []
    for n in range(3):
        name = f"{n:06d}"
        labels.append(f"{n} 7 {label('Pedestrian', PLACES[0])}")
        times.append(f"{name} 2011-09-26 13:04:38.{n}00000000")
        (folder / "velodyne" / f"{name}.bin").write_bytes(cloud_of(PLACES[:1]))
        cv2.imwrite(str(folder / "image_02" / f"{name}.png"), np.zeros((375, 1242, 3), np.uint8))
    (folder / "label_02.txt").write_text("\n".join(labels) + "\n")
    (folder / "calib.txt").write_text(CALIBRATION)
    for name in ("times_image.txt", "times_lidar.txt", "times_oxts.txt"):
        (folder / name).write_text("\n".join(times) + "\n")
    oxts = [f"{n:06d} " + " ".join(["0"] * 30) for n in range(3)]
    (folder / "oxts.txt").write_text("\n".join(oxts) + "\n")


def persons(frame: KittiFrame) -> ImagePersons:
    """Exact key points of people of 1.7 m at the labelled places."""
    calibration = frame.calibration
    labels = list(persons_of(frame))
    joints = np.array([figure(tuple(calibration.ground_point(one.place))) for one in labels])
    local = calibration.camera_to_base.inverse().apply(joints)
    camera = calibration.camera
    pixels = local[..., :2] / local[..., 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    n = len(labels)
    poses = Poses(
        keypoints=pixels.astype(np.float32),
        scores=np.full((n, 17), 0.9, np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (n, 17, 1, 1)),
        valid=np.ones((n, 17), bool),
    )
    boxes = np.array([one.box for one in labels])
    skeletons = Skeletons(frame.stamp, "camera", camera, (1242, 375), poses, boxes)
    return ImagePersons(skeletons, np.arange(n))


def test_frames_and_drives_are_found_and_read(tmp_path: Path) -> None:
    write_objects(tmp_path / "object")
    write_drive(tmp_path / "drive")
    drive, objects = read_kitti(tmp_path)
    assert (drive.drive, objects.drive) == (True, False)
    assert [one.kind for one in objects.frames[0].labels] == ["Pedestrian", "Cyclist", "Car"]
    assert drive.frames[1].stamp - drive.frames[0].stamp == 100_000_000
    assert len(drive.odometry) == 3
    calibration = objects.frames[0].calibration
    people = list(persons_of(objects.frames[0]))
    assert calibration.ground_point(people[0].place) == pytest.approx(PLACES[0], abs=1e-3)
    # A point that the LIDAR measures at a person is where the label says.
    assert objects.frames[0].cloud is not None
    points = calibration.lidar_to_base.apply(read_cloud(objects.frames[0].cloud))
    assert points[:42, :2].mean(axis=0) == pytest.approx((PLACES[0][0] - 0.12, 1.0), abs=0.01)
    assert read_kitti(tmp_path / "drive")[0].name == "drive"


def test_distances_are_measured_with_and_without_the_lidar(tmp_path: Path) -> None:
    write_objects(tmp_path / "object")
    write_drive(tmp_path / "drive")
    errors = {}
    for lidar in (False, True):
        results = [
            one
            for sequence in read_kitti(tmp_path)
            for one in fuse_sequence(
                sequence, [persons(frame) for frame in sequence.frames], lidar=lidar
            )
        ]
        rows = kitti_rows(results, "labels", "lidar" if lidar else "camera")
        (row,) = [r for r in rows if (r["data"], r["kind"]) == ("all", "Pedestrian")]
        assert (row["labels"], row["matched"]) == (4, 1.0)
        errors[lidar] = row["mean_error"]
        assert {r["kind"] for r in rows} == {"Pedestrian", "Cyclist"}
    assert errors[False] < 1.0
    assert errors[True] < 0.1


def test_the_labels_of_detections_are_found_by_overlap(tmp_path: Path) -> None:
    write_objects(tmp_path)
    (sequence,) = read_kitti(tmp_path)
    frame = sequence.frames[0]
    people = list(persons_of(frame))

    class Engine:
        def estimate(self, image: np.ndarray, boxes: np.ndarray) -> Poses:
            assert image.shape == (375, 1242, 3)
            return Poses(
                np.zeros((len(boxes), 17, 2), np.float32),
                np.zeros((len(boxes), 17), np.float32),
                np.ones((len(boxes), 17, 2, 2), np.float32),
                np.zeros((len(boxes), 17), bool),
            )

    boxes = np.array([[0.0, 0.0, 40.0, 90.0], people[1].box + [1, 1, 0, 0]])
    found = persons_by_detector(frame, Engine(), lambda _: (boxes, np.array([0.9, 0.8])))  # type: ignore[arg-type]
    assert found.labels.tolist() == [-1, 1]
    results = fuse_sequence(sequence, [found], lidar=False)
    assert [np.isfinite(one.error) for one in results] == [False, True]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("label_2/000003.txt", "Pedestrian 0 0\n", "line 1: an object must have 15 values, got 3"),
        ("label_2/000003.txt", label("Pedestrian", PLACES[0])[:-3] + "x\n", "must be finite"),
        (
            "label_2/000003.txt",
            label("Pedestrian", PLACES[0]).replace("Pedestrian 0 0", "Pedestrian 0 nan"),
            "line 1: all values after the type must be finite numbers, got 0 nan",
        ),
        ("label_2/000003.txt", label("Cyclist", (-4.0, 0.0)) + "\n", "box of a Cyclist"),
        (
            "label_2/000003.txt",
            label("Pedestrian", PLACES[0]).replace(" 0 0 ", " 0 nan ") + "\n",
            "line 1: all values after the type must be finite",
        ),
        (
            "label_2/000003.txt",
            label("Pedestrian", (np.inf, 0.0)) + "\n",
            "line 1: all values after the type must be finite",
        ),
        (
            "calib/000003.txt",
            CALIBRATION.replace("600 35", "600 nan"),
            "line 1: 'P2' must be finite numbers",
        ),
        ("velodyne/000003.bin", b"123", "3 bytes are no whole number of points"),
        ("calib/000003.txt", "P2: 1 2 3\n", "P2 must have 12 numbers, got 3"),
        ("calib/000003.txt", CALIBRATION.replace("R0_rect", "R9"), "there is no R0_rect"),
        ("calib/000003.txt", CALIBRATION.replace("700", "seven"), "line 1: 'P2' must be finite"),
        ("calib/000003.txt", CALIBRATION.replace("700", "nan"), "line 1: 'P2' must be finite"),
        ("calib/000003.txt", CALIBRATION.replace("0 -1 0 0", "0 -2 0 0"), "orthonormal"),
        ("calib/000003.txt", b"\xff\xfe\x00", "is not text"),
        ("calib/000003.txt", None, "cannot be read"),
        ("image_2/000003.png", None, "has no image 000003"),
        ("velodyne/000003.bin", None, "is missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    file: str, content: str | bytes | None, words: str, tmp_path: Path
) -> None:
    write_objects(tmp_path)
    path = tmp_path / file
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(KittiError, match=words.replace("(", r"\(")) as error:
        read_kitti(tmp_path)
    assert path.stem in str(error.value)


def test_what_is_beside_the_data_is_no_fault(tmp_path: Path) -> None:
    """A date among the calibration, a mark before the text, a Mac's hidden files."""
    write_objects(tmp_path)
    calibration = tmp_path / "calib" / "000003.txt"
    calibration.write_text("calib_time: 09-Jan-2012 13:57:47\n" + CALIBRATION)
    labels = tmp_path / "label_2" / "000003.txt"
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())
    (tmp_path / "label_2" / "._000003.txt").write_bytes(b"\x00\x05\xff")
    (sequence,) = read_kitti(tmp_path)
    (frame,) = sequence.frames
    assert [person.kind for person in persons_of(frame)] == ["Pedestrian", "Cyclist"]


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("times_image.txt", "38.1", "38.0", "frame 000001 must be later than frame 000000, .* 0 s"),
        ("times_image.txt", "38.1", "38.-1", "line 2: must be a frame and a time"),
        ("label_02.txt", " 7 Ped", "00 7 Ped", "no label is of a frame .* 100 to 200, .* 000002"),
        ("times_lidar.txt", "", "", "times_lidar.txt has no frame 000000"),
        ("oxts.txt", "0 0 0", "0 nan 0", "oxts.txt, line 1: must be finite numbers"),
    ],
)
def test_a_drive_whose_files_do_not_fit_is_refused(
    file: str, old: str, new: str, words: str, tmp_path: Path
) -> None:
    """Else its people would not be found, or its LIDAR not be used, and the report blame it."""
    write_drive(tmp_path)
    path = tmp_path / file
    path.write_text(path.read_text().replace(old, new) if old else "")
    if file == "label_02.txt":  # the first frame is 0 in any case
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(KittiError, match=words):
        read_kitti(tmp_path)


def test_a_cut_cloud_and_wrong_times_are_named(tmp_path: Path) -> None:
    write_drive(tmp_path)
    cloud = tmp_path / "velodyne" / "000000.bin"
    cloud.write_bytes(cloud.read_bytes()[:-3])
    with pytest.raises(KittiError, match="no whole number of points"):
        read_cloud(cloud)
    with pytest.raises(KittiError, match=r"000000\.bin.* no whole number of points"):
        read_kitti(tmp_path)
    cloud.write_bytes(cloud_of(PLACES))
    times = tmp_path / "times_lidar.txt"
    times.write_text("000000 yesterday\n")
    with pytest.raises(KittiError, match="line 1: must be a frame and a time"):
        read_kitti(tmp_path)
    times.write_text("000000 2011-09-26 13:04:38.5\n")
    with pytest.raises(KittiError, match="has no frame 000001"):
        read_kitti(tmp_path)
    with pytest.raises(KittiError, match="no KITTI data"):
        read_kitti(tmp_path / "velodyne")


def test_other_lines_of_a_calibration_and_a_mark_of_the_byte_order_are_ignored(
    tmp_path: Path,
) -> None:
    write_objects(tmp_path)
    calibration = tmp_path / "calib" / "000003.txt"
    calibration.write_text("calib_time: 09-Jan-2012 13:57:47\n# with targets\n" + CALIBRATION)
    labels = tmp_path / "label_2" / "000003.txt"
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())
    (sequence,) = read_kitti(tmp_path)
    assert [one.kind for one in persons_of(sequence.frames[0])] == ["Pedestrian", "Cyclist"]
    assert sequence.frames[0].calibration.camera.fx == 700


def test_labels_of_other_frames_than_the_images_are_named(tmp_path: Path) -> None:
    write_drive(tmp_path)
    labels = tmp_path / "label_02.txt"
    labels.write_text(f"60 7 {label('Pedestrian', PLACES[0])}\n")
    with pytest.raises(KittiError, match=r"of frames 60 to 60, the times of 000000 to 000002"):
        read_kitti(tmp_path)
    labels.write_text("")  # nobody is labelled
    assert not read_kitti(tmp_path)[0].frames[0].labels


def test_a_sequence_without_clouds_does_not_keep_the_lidar_from_another(tmp_path: Path) -> None:
    write_objects(tmp_path / "object")
    write_drive(tmp_path / "drive")
    shutil.rmtree(tmp_path / "drive" / "velodyne")

    class Engine:
        info = SimpleNamespace(model="none")

        def estimate(self, image: np.ndarray, boxes: np.ndarray) -> Poses:
            n = len(boxes)
            return Poses(
                np.zeros((n, 17, 2), np.float32),
                np.zeros((n, 17), np.float32),
                np.ones((n, 17, 2, 2), np.float32),
                np.zeros((n, 17), bool),
            )

    nobody = (np.zeros((0, 4)), np.zeros(0))
    sequences = read_kitti(tmp_path)
    kitti_report(tmp_path / "out", "here", sequences, Engine(), lambda _: nobody)  # type: ignore[arg-type]
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["tables"]["kitti"]
    ranged = {row["data"] for row in rows if row["sensors"] == "camera, LIDAR"}
    assert ranged == {"object", "all"}
