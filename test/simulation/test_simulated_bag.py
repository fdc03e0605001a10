# SPDX-License-Identifier: Apache-2.0
"""The bag of a simulation: real messages of every sensor, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from simulated_scenes import exact_scenario

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.pipeline.camera_info import camera_of
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.definitions import typestore
from hrnet_pose_ros.simulation.bag import TOPICS, TRUTH, TRUTH_FILE, write_simulation
from hrnet_pose_ros.simulation.scenario import FaultConfig
from hrnet_pose_ros.simulation.sensor import START_NS
from hrnet_pose_ros.simulation.sensor_configs import SENSORS
from hrnet_pose_ros.simulation.simulator import Simulator
from hrnet_pose_ros.simulation.truth_messages import person_array, read_truth

FAULT = FaultConfig("depth", "transform_missing", end=0.5)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "bag"
    write_simulation(path, exact_scenario(duration=0.9, faults=(FAULT,)), pictures=True)
    return path


def messages_of(bag: Path, topic: str) -> list:
    with BagReader(bag) as reader:
        return [item.message for item in reader.messages([topic])]


def test_every_sensor_has_its_topic_with_a_real_type(bag: Path) -> None:
    expected = {
        "/skeletons": "hrnet_pose_ros/msg/SkeletonArray",
        "/skeleton_info": "hrnet_pose_ros/msg/SkeletonInfo",
        "/camera_info": "sensor_msgs/msg/CameraInfo",
        "/depth": "sensor_msgs/msg/Image",
        "/depth/camera_info": "sensor_msgs/msg/CameraInfo",
        "/points": "sensor_msgs/msg/PointCloud2",
        "/scan": "sensor_msgs/msg/LaserScan",
        **{f"/range/{name}": "sensor_msgs/msg/Range" for name in ("left", "front_left")},
        **{f"/range/{name}": "sensor_msgs/msg/Range" for name in ("right", "front_right")},
        "/imu": "sensor_msgs/msg/Imu",
        "/odom": "nav_msgs/msg/Odometry",
        "/tf": "tf2_msgs/msg/TFMessage",
        "/tf_static": "tf2_msgs/msg/TFMessage",
        "/image/compressed": "sensor_msgs/msg/CompressedImage",
    }
    with BagReader(bag) as reader:
        types = {name: info.type for name, info in reader.topics.items()}
        times = [item.time for item in reader.messages()]
    types.pop(TRUTH, None)
    assert types == expected
    assert times == sorted(times)
    assert set(TOPICS.values()) <= set(types)


def test_messages_hold_what_was_measured(bag: Path) -> None:
    """Each message, read back, against the measurement that it was made from."""
    simulator = Simulator(exact_scenario(duration=0.9, faults=(FAULT,)))
    first = {}
    for event in simulator.events():
        first.setdefault(event.sensor, event.value)
    found: dict = {}
    with BagReader(bag) as reader:
        for item in reader.messages():
            found.setdefault(item.topic, item.message)

    skeletons = found["/skeletons"]
    poses, boxes = poses_of(skeletons)
    assert poses.keypoints == pytest.approx(first["camera"].poses.keypoints)
    assert poses.covariances == pytest.approx(first["camera"].poses.covariances)
    assert boxes == pytest.approx(first["camera"].boxes)
    assert stamp_of(skeletons) == first["camera"].stamp
    assert 0.08 <= skeletons.times.age < 0.3
    size = (skeletons.image_width, skeletons.image_height)
    info = found["/camera_info"]
    assert camera_of(info, size, rectified=False) == first["camera"].camera

    depth = found["/depth"]
    assert (depth.encoding, depth.step) == ("16UC1", 2 * depth.width)
    metres = depth.data.view("<u2").reshape(depth.height, depth.width) / 1000
    assert metres == pytest.approx(first["depth"].depth, abs=6e-4)

    cloud = found["/points"]
    table = cloud.data.view("<f4").reshape(cloud.width, cloud.point_step // 4)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "time"]
    assert np.array_equal(table[:, :3], first["lidar"].points, equal_nan=True)
    assert not cloud.is_dense
    assert cloud.row_step == len(cloud.data)

    scan = found["/scan"]
    assert np.array_equal(scan.ranges, first["scan"].ranges, equal_nan=True)
    steps = (scan.angle_max - scan.angle_min) / scan.angle_increment
    assert steps == pytest.approx(len(scan.ranges) - 1, abs=1e-3)
    assert found["/range/left"].range == first["ultrasonic_left"].range
    imu = found["/imu"]
    assert imu.linear_acceleration.z == first["imu"].linear_acceleration[2]
    odometry = found["/odom"]
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("odom", "base_link")


def test_transforms_are_those_that_the_vehicle_knows(bag: Path) -> None:
    """A withheld transform comes when its fault ends, with all others again."""
    simulator = Simulator(exact_scenario(duration=0.9, faults=(FAULT,)))
    early, late = messages_of(bag, "/tf_static")
    frames = [{one.child_frame_id: one for one in message.transforms} for message in (early, late)]
    assert set(frames[1]) - set(frames[0]) == {"depth_optical_frame"}
    assert set(frames[1]) == set(simulator.extrinsics())
    for frame, one in frames[1].items():
        q, t = one.transform.rotation, one.transform.translation
        found = Transform.from_quaternion([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
        expected = simulator.extrinsics()[frame]
        assert found.rotation == pytest.approx(expected.rotation, abs=1e-9)
        assert found.translation == pytest.approx(expected.translation)
        assert one.header.frame_id == "base_link"


def test_transforms_are_withheld_by_faults(tmp_path: Path) -> None:
    """That of the odometry is ``/tf``; a fault may last for ever."""
    faults = (
        FaultConfig("odometry", "transform_missing", end=0.4),
        FaultConfig("lidar", "transform_missing", end=float("inf")),
    )
    scenario = exact_scenario(duration=0.6, sensors=("lidar", "scan", "odometry"), faults=faults)
    write_simulation(tmp_path / "bag", scenario)
    moving, odometry = (messages_of(tmp_path / "bag", topic) for topic in ("/tf", "/odom"))
    first = min(stamp_of(one.transforms[0]) for one in moving)
    assert 0 < len(moving) < len(odometry) and first >= START_NS + 380_000_000
    static = messages_of(tmp_path / "bag", "/tf_static")
    assert {one.child_frame_id for some in static for one in some.transforms} == {"scan_link"}


def test_truth_lies_beside_the_bag(bag: Path) -> None:
    truths = read_truth(bag / TRUTH_FILE)
    stamps = [stamp_of(message) for message in messages_of(bag, "/skeletons")]
    assert [truth.stamp for truth in truths] == stamps
    assert truths[0].people[0].position == pytest.approx([5, 0, 0], abs=0.02)


def test_truth_is_a_topic(bag: Path) -> None:
    truths = read_truth(bag / TRUTH_FILE)
    messages = messages_of(bag, TRUTH)
    assert [stamp_of(message) for message in messages] == [truth.stamp for truth in truths]
    [person] = messages[0].people
    true = truths[0].people[0]
    assert person.id == true.name
    assert (person.skeleton_index, person.detection_id) == (0, "1")
    assert (person.position.x, person.position.y) == pytest.approx(true.position[:2], abs=1e-4)
    assert (person.posture, person.motion, person.facing) == (1, 1, 1)
    assert person.heading == pytest.approx(true.heading, abs=1e-4)
    assert len(person.keypoints) == 17
    assert person_array(typestore().types, truths[0], "base_link").status == 0


def test_pictures_show_the_people(bag: Path) -> None:
    [first, *_] = messages_of(bag, "/image/compressed")
    picture = cv2.imdecode(first.data, cv2.IMREAD_COLOR)
    assert picture.shape == (720, 1280, 3)
    person = read_truth(bag / TRUTH_FILE)[0].people[0]
    x, y = person.pixels[[5, 6]].mean(axis=0)  # the chest
    empty = picture[int(y), 100].astype(int)
    assert np.abs(picture[int(y), int(x)].astype(int) - empty).max() > 30


@pytest.mark.parametrize("kind", ["empty", "nan"])
def test_faulty_measurements_are_written(kind: str, tmp_path: Path) -> None:
    """Of every sensor; half of the values are NaN where the fault writes NaN."""
    faults = tuple(FaultConfig(name, kind, amount=0.5) for name in SENSORS)  # type: ignore[arg-type]
    written = write_simulation(tmp_path / "bag", exact_scenario(duration=0.2, faults=faults))
    assert set(TOPICS.values()) <= set(written.counts)
    with BagReader(written.path) as reader:
        read = [item.message for item in reader.messages()]
    assert len(read) == sum(written.counts.values())
    assert len(read_truth(written.path / TRUTH_FILE)) == written.counts["/skeletons"]


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        options = ["--duration", "0.5", "--seed", "7", "--sensors", "camera,scan,imu"]
        assert main(["simulate", "parked", "-o", str(tmp_path / name / "bag"), *options]) == 0
    for file in ("bag.mcap", "metadata.yaml", TRUTH_FILE):
        one, two = ((tmp_path / name / "bag" / file).read_bytes() for name in ("one", "two"))
        assert one == two, file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no scenario file 'nowhere'"),
        (["parked", "--sensors", "camera,radar"], "there is no sensor 'radar'"),
        (["parked", "--sensors", ""], "there is no sensor ''"),
        (["parked", "--duration", "-1"], "duration must be from 0.1 to 3600, got -1"),
        (["parked", "--seed", "-1"], "seed must be at least 0"),
    ],
)
def test_mistakes_on_the_command_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *arguments, "-o", str(tmp_path / "bag")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list"]) == 0
    assert "crowd            a crowd of 20" in capsys.readouterr().out
