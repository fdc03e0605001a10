# SPDX-License-Identifier: Apache-2.0
"""The class that node and offline run share, with messages made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_messages import (
    STAMP,
    TYPES,
    camera_info,
    cloud,
    header,
    image,
    imu,
    odometry,
    quaternion,
    range_reading,
    scan,
    transforms,
    vector,
)

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.person import PeopleStatus, StatusReason
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.camera_info import camera_of
from hrnet_pose_ros.pipeline.parameter import ParameterError
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.fusion_run import FusionRun
from hrnet_pose_ros.pipeline.people.person_markers import ellipse, person_markers
from hrnet_pose_ros.pipeline.people.person_messages import person_array
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_info
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.replay.bags import message_types
from hrnet_pose_ros.replay.definitions import typestore
from hrnet_pose_ros.simulation.messages import skeletons_message

MS = 1_000_000
XYZ = [("x", 0, 7), ("y", 4, 7), ("z", 8, 7)]
SIZE = (640, 480)
EXTRINSICS = ["camera 0 0 1.4 -90 0 -90", "lidar 0 0 1.8 0 0 0", "sonar 0 0 0.4 0 0 0"]
SETTINGS = PersonFusionSettings(extrinsics=EXTRINSICS)
INFO = skeleton_info(
    message_types(),
    header(""),
    EngineInfo("m", "e", "d", "float32", "quarter", "", 192, 256, calibrated=True),
    image_rectified=True,
    assigned_ids=False,
)
CAMERA = camera_info(*SIZE, frame="camera", focal=500.0)
# A person of 1.7 m, 6 m ahead: height and side of each joint in m.
BODY = np.array(
    [
        *[(1.6, 0), (1.63, 0.03), (1.63, -0.03), (1.6, 0.07), (1.6, -0.07)],
        *[(1.4, 0.18), (1.4, -0.18), (1.1, 0.22), (1.1, -0.22), (0.85, 0.22), (0.85, -0.22)],
        *[(0.9, 0.12), (0.9, -0.12), (0.48, 0.12), (0.48, -0.12), (0.07, 0.12), (0.07, -0.12)],
    ]
)


def skeletons(stamp: int = STAMP, ids: tuple[str, ...] = ("a",), frame: str = "camera") -> Any:
    n = len(ids)
    x = SIZE[0] / 2 + 500 * BODY[:, 1] / 6
    y = SIZE[1] / 2 + 500 * (1.4 - BODY[:, 0]) / 6
    keypoints = np.stack([x, y], axis=1).astype(np.float32)
    box = [x.min() - 5, y.min() - 10, np.ptp(x) + 10, np.ptp(y) + 15]
    value = Skeletons(
        stamp=stamp,
        frame=frame,
        camera=camera_of(CAMERA, SIZE, rectified=True),
        image_size=SIZE,
        poses=Poses(
            keypoints=np.tile(keypoints, (n, 1, 1)),
            scores=np.full((n, 17), 0.9, np.float32),
            covariances=np.tile(4 * np.eye(2, dtype=np.float32), (n, 17, 1, 1)),
            valid=np.ones((n, 17), bool),
        ),
        boxes=np.tile(box, (n, 1)),
        ids=ids,
    )
    return skeletons_message(TYPES, message_types(), value, age=0.05)


def ready(settings_: PersonFusionSettings = SETTINGS) -> FusionRun:
    run = FusionRun(settings_)
    run.open(STAMP)
    assert run.take(Input.SKELETON_INFO, INFO, STAMP) == []
    assert run.take(Input.CAMERA_INFO, CAMERA, STAMP) == []
    return run


def balanced(run: FusionRun) -> None:
    for what, tally in run.account().items():
        assert tally.received == tally.used + tally.refused + tally.waiting, what


def test_a_person_from_the_camera_alone() -> None:
    run = ready()
    [output] = run.take(Input.SKELETONS, skeletons(), STAMP + 50 * MS)
    assert (output.status, output.reasons, output.stamp) == (PeopleStatus.OK, (), STAMP)
    [person] = output.people
    assert abs(person.position[0] - 6) < 0.6 and abs(person.position[1]) < 0.1
    message = person_array(TYPES, output)
    assert message.header.frame_id == "base_link" and message.status == 0
    [one] = message.people
    assert one.detection_id == "a" and one.skeleton_index == 0
    assert abs(one.height - 1.7) < 0.2 and 0 < one.height_variance < 0.1  # by ground contact
    assert np.isnan(one.radius) == np.isnan(one.radius_variance)
    assert one.covariance.shape == (36,) and not one.keypoints
    typestore().serialize_cdr(message, "hrnet_pose_ros/msg/PersonArray")
    markers = person_markers(TYPES, output)
    typestore().serialize_cdr(markers, "visualization_msgs/msg/MarkerArray")
    assert markers.markers[0].action == 3  # all that was shown is deleted
    assert {one.ns for one in markers.markers[1:]} >= {"body", "two_sigma", "label"}
    balanced(run)


def test_the_ellipse_is_two_sigma() -> None:
    corners = ellipse(np.array([3.0, 1.0, 0.0]), np.diag([0.25, 0.01]))
    assert np.ptp(corners[:, 0]) == pytest.approx(2.0, rel=0.01)
    assert np.ptp(corners[:, 1]) == pytest.approx(0.4, rel=0.01)


@pytest.mark.parametrize(
    ("left_out", "reason", "word"),
    [
        (Input.SKELETON_INFO, Refusal.NO_SKELETON_INFO, StatusReason.SKELETON_INFO_MISSING),
        (Input.CAMERA_INFO, Refusal.NO_CAMERA_INFO, StatusReason.CAMERA_INFO_MISSING),
        (None, Refusal.NO_EXTRINSICS, StatusReason.CAMERA_TRANSFORM_MISSING),
    ],
)
def test_what_is_missing_for_skeletons_is_an_error(
    left_out: Input | None, reason: Refusal, word: StatusReason
) -> None:
    extrinsics = [""] if left_out is None else EXTRINSICS
    run = FusionRun(replace(SETTINGS, extrinsics=extrinsics))
    run.open(STAMP)
    for what, message in ((Input.SKELETON_INFO, INFO), (Input.CAMERA_INFO, CAMERA)):
        if what is not left_out:
            run.take(what, message, STAMP)
    outputs = []
    for step in range(20):
        now = STAMP + step * 50 * MS
        outputs += run.take(Input.SKELETONS, skeletons(now), now) + run.tick(now)
    assert run.account()[Input.SKELETONS].reasons == {reason: 20}
    assert outputs and {output.status for output in outputs} == {PeopleStatus.ERROR}
    assert outputs[0].stamp - STAMP < 1000 * MS
    assert all(output.reasons == (word,) for output in outputs)
    assert len(outputs) == 3  # every 0.2 s


def test_an_error_ends_with_the_first_people() -> None:
    run = ready()
    assert run.tick(STAMP + 600 * MS)[0].reasons == (StatusReason.SKELETONS_SILENT,)
    now = STAMP + 700 * MS
    [output] = run.take(Input.SKELETONS, skeletons(now), now)
    assert output.status is PeopleStatus.OK
    assert run.tick(now + 400 * MS) == [] and run.tick(now + 600 * MS) != []


def test_a_sensor_that_never_was_usable_degrades() -> None:
    run = ready()
    empty = cloud(XYZ, np.zeros(0, np.uint8), 12)
    outputs = []
    for step in range(10):
        now = STAMP + step * 100 * MS
        run.take(Input.POINTS, empty, now)
        outputs += run.take(Input.SKELETONS, skeletons(now), now)
    assert outputs[0].status is PeopleStatus.OK
    assert outputs[-1].reasons == (StatusReason.LIDAR_SILENT,)
    assert run.account()[Input.POINTS].reasons == {Refusal.EMPTY: 10}
    assert "no points" in run.problems[Input.POINTS]
    balanced(run)


def test_a_sensor_whose_stamps_are_never_near_degrades() -> None:
    run = ready()
    points = np.tile(np.array([6.0, 0.0, -0.6], "<f4"), 10)
    outputs = []
    for step in range(24):
        now = STAMP + step * 100 * MS
        delay = 400 if step < 12 else 20
        message = cloud(XYZ, points.view(np.uint8), 12, header=header("lidar", now - delay * MS))
        run.take(Input.POINTS, message, now)
        outputs += run.take(Input.SKELETONS, skeletons(now), now)
    degraded = [n for n, output in enumerate(outputs) if output.reasons]
    assert degraded == list(range(6, 12))
    assert outputs[8].reasons == (StatusReason.LIDAR_SILENT,)
    assert "sensor_tolerance_ms" in run.problems[Input.POINTS]
    balanced(run)


def test_without_images_nobody_knows_whose_stamps_are_far_from_them() -> None:
    """The sensor may have recovered while the camera is silent: the error does not accuse it."""
    run = ready()
    points = np.tile(np.array([6.0, 0.0, -0.6], "<f4"), 10)
    reasons: list[tuple[int, tuple[StatusReason, ...]]] = []
    for step in range(30):
        now = STAMP + step * 100 * MS
        delay = 400 if step < 16 else 20
        message = cloud(XYZ, points.view(np.uint8), 12, header=header("lidar", now - delay * MS))
        outputs = run.take(Input.POINTS, message, now)
        if not 12 <= step < 26:
            outputs += run.take(Input.SKELETONS, skeletons(now), now)
        reasons += [(step, one.reasons) for one in [*outputs, *run.tick(now)]]
    assert (11, (StatusReason.LIDAR_SILENT,)) in reasons
    silent = [why for step, why in reasons if 18 <= step < 26]
    assert silent and set(silent) == {(StatusReason.SKELETONS_SILENT,)}
    assert [why for step, why in reasons if step > 27] == [(), ()]
    balanced(run)


def test_people_that_waited_are_not_lost_when_the_next_message_is_refused() -> None:
    run = ready(replace(SETTINGS, extrinsics=[""]))
    optical = quaternion(-0.5, 0.5, -0.5, 0.5)
    for ms in (0, 40):
        row = ("base_link", "camera", STAMP + ms * MS, (0.0, 0.0, 1.4), optical)
        if ms:
            assert run.take(Input.SKELETONS, skeletons(STAMP + 20 * MS), STAMP + 30 * MS) == []
        run._tree.add(transforms(row), static=False, now=STAMP)
    [output] = run.take(Input.SKELETONS, skeletons(STAMP + 60 * MS, frame=""), STAMP + 70 * MS)
    assert output.stamp == STAMP + 20 * MS
    balanced(run)


def test_skeletons_of_a_moving_camera_wait_for_their_transform() -> None:
    run = ready(replace(SETTINGS, extrinsics=[""]))
    optical = quaternion(-0.5, 0.5, -0.5, 0.5)

    def tf(ms: int) -> Any:
        return transforms(("base_link", "camera", STAMP + ms * MS, (0.0, 0.0, 1.4), optical))

    run.take(Input.TF, tf(0), STAMP)
    assert run.take(Input.SKELETONS, skeletons(STAMP + 20 * MS), STAMP + 30 * MS) == []
    assert run.account()[Input.SKELETONS].waiting == 1
    [output] = run.take(Input.TF, tf(40), STAMP + 60 * MS)
    assert output.stamp == STAMP + 20 * MS and abs(output.people[0].position[0] - 6) < 0.6
    # In vain: it is refused after the time that a transform may take.
    assert run.take(Input.SKELETONS, skeletons(STAMP + 80 * MS), STAMP + 90 * MS) == []
    assert run.tick(STAMP + 250 * MS) == []
    assert run.account()[Input.SKELETONS].reasons == {Refusal.NO_EXTRINSICS: 1}
    balanced(run)


def test_depth_of_another_frame_needs_its_own_camera_info() -> None:
    run = ready(replace(SETTINGS, extrinsics=[*EXTRINSICS, "depth 0 0 1.3 -90 0 -90"]))
    pixels = np.zeros((120, 160), np.uint16)
    pixels[50:90, 75:86] = 5900  # as wide and high as a person, 5.9 m away
    depth = image(pixels, "16UC1")
    run.take(Input.DEPTH, depth, STAMP + MS)
    assert run.account()[Input.DEPTH].reasons == {Refusal.NO_CAMERA_INFO: 1}
    run.take(Input.DEPTH_INFO, CAMERA, STAMP)  # of the colour camera
    run.take(Input.DEPTH, depth, STAMP + 2 * MS)
    assert "is in the frame 'depth', but its CameraInfo is of 'camera'" in run.problems[Input.DEPTH]
    run.take(Input.DEPTH_INFO, camera_info(160, 120, focal=125.0), STAMP)
    run.take(Input.DEPTH, depth, STAMP + 3 * MS)
    [output] = run.take(Input.SKELETONS, skeletons(), STAMP + 50 * MS)
    [person] = output.people
    assert person.outcomes["depth"] is None and person.keypoints is not None
    assert person.position[0] == pytest.approx(6.02, abs=0.1)  # the axis is behind the surface
    [one] = person_array(TYPES, output).people
    assert len(one.keypoints) == 17 and one.sources & 4
    bones = [m for m in person_markers(TYPES, output).markers if m.ns == "bones"]
    assert bones and len(bones[0].points) % 2 == 0


def test_inactive_and_overloaded() -> None:
    run = ready()
    run.close()
    assert run.take(Input.SKELETONS, skeletons(), STAMP) == [] and run.tick(STAMP + 10**9) == []
    assert run.account()[Input.SKELETONS].reasons == {Refusal.NOT_ACTIVE: 1}
    run.overload(Input.POINTS, 2)
    assert run.account()[Input.POINTS].reasons == {Refusal.OVERLOAD: 2}
    run.open(STAMP)
    assert run.take(Input.SKELETONS, skeletons(), STAMP)  # what was latched is kept
    balanced(run)


def test_a_sensor_that_is_gone_is_forgotten_with_the_next_activation() -> None:
    run = ready()
    run.take(Input.POINTS, cloud(XYZ, np.ones(12, np.uint8), 12), STAMP)
    run.take(Input.IMU, imu(header=header("lidar")), STAMP)
    now = STAMP + 900 * MS
    [output] = run.take(Input.SKELETONS, skeletons(now), now)
    assert output.reasons == (StatusReason.LIDAR_SILENT, StatusReason.IMU_SILENT)
    run.close()
    run.open(now)
    [output] = run.take(Input.SKELETONS, skeletons(now + MS), now + MS)
    assert output.reasons == ()


def test_a_sensor_does_not_fall_silent_for_what_was_wrong_before() -> None:
    run = ready()
    run.take(Input.POINTS, cloud(XYZ[:2], np.ones(12, np.uint8), 12), STAMP)
    run.take(Input.IMU, imu(header=header("")), STAMP)
    run.take(Input.SKELETONS, skeletons(frame="elsewhere"), STAMP)
    assert set(run.current_problems()) == {Input.POINTS, Input.IMU, Input.SKELETONS}
    points = np.array([6.0, 0.0, -1.0], "<f4").view(np.uint8)
    run.take(Input.POINTS, cloud(XYZ, points, 12), STAMP)
    run.take(Input.IMU, imu(header=header("lidar")), STAMP)
    run.take(Input.SKELETONS, skeletons(), STAMP)
    assert run.current_problems() == {} and len(run.problems) == 3
    run.take(Input.POINTS, cloud(XYZ[:2], np.ones(12, np.uint8), 12), STAMP)
    assert "no field z" in run.current_problems()[Input.POINTS]


def test_two_ultrasonic_sensors_with_one_frame() -> None:
    """A copied launch file: the second one is not where it seems to be. One topic may have many."""
    run = ready(replace(SETTINGS, extrinsics=[*EXTRINSICS, "rear -0.5 0 0.4 180 0 0"]))
    for frame, topic in (("sonar", "/front"), ("sonar", "/rear"), ("rear", "/front")):
        run.take(Input.RANGE, range_reading(2.0, header=header(frame)), STAMP, topic)
    [output] = run.take(Input.SKELETONS, skeletons(), STAMP)
    assert run.account()[Input.RANGE].reasons[Refusal.MALFORMED] == 1
    assert "'sonar' is the frame of /front as well" in run.problems[Input.RANGE]
    assert output.status is PeopleStatus.OK
    [late] = run.take(Input.SKELETONS, skeletons(STAMP + 3000 * MS), STAMP + 3000 * MS)
    assert StatusReason.ULTRASONIC_SILENT in late.reasons
    run.close()
    run.open(STAMP + 3000 * MS)
    moved = range_reading(2.0, header=header("sonar", STAMP + 3000 * MS))
    run.take(Input.RANGE, moved, STAMP + 3000 * MS, "/rear")
    assert run.account()[Input.RANGE].reasons[Refusal.MALFORMED] == 1
    balanced(run)


def test_settings_at_run_time() -> None:
    run = ready()
    far = STAMP + 400 * MS
    assert run.take(Input.SKELETONS, skeletons(), far)
    run.apply(replace(SETTINGS, max_age_ms=100.0))
    assert run.take(Input.SKELETONS, skeletons(STAMP + MS), far) == []
    assert run.account()[Input.SKELETONS].reasons == {Refusal.TOO_OLD: 1}


def test_a_jump_back_in_time_begins_anew() -> None:
    run = ready()
    [before] = run.take(Input.SKELETONS, skeletons(STAMP), STAMP + 50 * MS)
    early = STAMP - 60_000 * MS
    assert run.tick(early) == []
    [after] = run.take(Input.SKELETONS, skeletons(early), early + 50 * MS)
    assert after.people[0].id != before.people[0].id
    balanced(run)


def test_a_clock_that_goes_back_by_less_than_a_second_begins_anew() -> None:
    """A short bag in a loop: its second round is as good as its first."""
    places = [one for one in EXTRINSICS if not one.startswith("camera")]
    run = ready(replace(SETTINGS, extrinsics=[*places, "imu 0 0 0.5 0 0 0"]))
    forward = quaternion(-0.5, 0.5, -0.5, 0.5)  # of an optical frame
    ids = set()
    for _ in range(3):
        for n in range(8):
            stamp = STAMP + n * 100 * MS
            now = stamp + 50 * MS
            place = ("base_link", "camera", stamp, (0.0, 0.0, 1.4), forward)
            for what, message in (
                (Input.TF, transforms(place)),
                (Input.IMU, imu(header=header("imu", stamp))),
                (Input.ODOMETRY, odometry(stamp=stamp)),
                (Input.SCAN, scan(np.full(200, 9.0), header=header("lidar", stamp))),
                (Input.RANGE, range_reading(3.0, header=header("sonar", stamp))),
            ):
                run.take(what, message, now, what.value)
            [output] = run.take(Input.SKELETONS, skeletons(stamp), now)
            assert output.status is PeopleStatus.OK and output.people
            if n == 7:
                ids.add(output.people[0].id)
            assert run.tick(now + 20 * MS) == []
    assert len(ids) == 3, "it is not the same person"
    for what, tally in run.account().items():
        assert not {Refusal.LATE, Refusal.IN_FUTURE} & set(tally.reasons), what
    balanced(run)


def test_a_clock_that_is_set_back_a_little_keeps_the_tracks() -> None:
    run = ready()
    [before] = run.take(Input.SKELETONS, skeletons(STAMP), STAMP + 90 * MS)
    stamp = STAMP + 33 * MS
    [after] = run.take(Input.SKELETONS, skeletons(stamp), stamp + 10 * MS)
    assert after.people[0].id == before.people[0].id


@pytest.mark.parametrize("entry", ["camera", "camera 1 2 3 4 5", "camera a b c d e f"])
def test_extrinsics_that_are_none(entry: str) -> None:
    with pytest.raises(ParameterError, match="FRAME X Y Z ROLL"):
        PersonFusionSettings.of({"extrinsics": [entry]})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"extrinsics": ["cam 0 0 1 0 0 0", "/cam 0 0 2 0 0 0"]}, "a second entry for 'cam'"),
        ({"extrinsics": ["base_link 0 0 1 0 0 0"]}, "an entry for base_frame, 'base_link'"),
        ({"base_frame": "/base_link"}, "no slash before it"),
        ({"range_topics": ["front sensor"]}, "range_topics has 'front sensor', which is no name"),
        ({"range_topics": ["sonar/1"]}, "range_topics has 'sonar/1', which is no name"),
        ({"range_topics": ["range", "scan"]}, "'scan', which is another topic"),
    ],
)
def test_names_that_cannot_be(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        PersonFusionSettings.of(values)


def test_names_of_topics() -> None:
    names = ["range", "/a/b_1", "~/left", "{node}/left", ""]
    assert PersonFusionSettings.of({"range_topics": names}).ranges == tuple(names[:-1])


def test_an_imu_that_would_turn_the_world_over_is_refused() -> None:
    """Orientation in NED, or the acceleration's sign reversed: people would be anywhere."""
    places = [*EXTRINSICS, "imu 0 0 0.5 0 0 0"]
    down = quaternion(x=1.0, w=0.0)
    none = np.array([-1.0] + [0.0] * 8)
    reversed_ = {"orientation_covariance": none, "linear_acceleration": vector(z=-9.81)}
    for fields in ({"orientation": down}, reversed_):
        run = ready(replace(SETTINGS, extrinsics=places))
        assert run.take(Input.IMU, imu(**fields), STAMP + MS) == []
        assert run.account()[Input.IMU].reasons == {Refusal.MALFORMED: 1}
        assert "tilted by more than 45 degrees" in run.problems[Input.IMU]
        [output] = run.take(Input.SKELETONS, skeletons(), STAMP + 50 * MS)
        assert abs(output.people[0].position[0] - 6) < 0.6
        balanced(run)


def test_an_acceleration_in_units_of_gravity_is_refused() -> None:
    run = ready(replace(SETTINGS, extrinsics=[*EXTRINSICS, "imu 0 0 0.5 0 0 0"]))
    fields = {
        "orientation_covariance": np.array([-1.0] + [0.0] * 8),
        "linear_acceleration": vector(z=1.0),
    }
    assert run.take(Input.IMU, imu(**fields), STAMP + MS) == []
    assert run.account()[Input.IMU].reasons == {Refusal.MALFORMED: 1}
    assert "units of gravity: it has to be in m/s²" in run.problems[Input.IMU]


@pytest.mark.parametrize("what", [Input.SKELETONS, Input.DEPTH])
def test_a_camera_in_the_frame_of_its_housing_is_refused(what: Input) -> None:
    """Nobody is placed with a camera that would look straight up."""
    housing = ["camera 0 0 1.4 0 0 0", *EXTRINSICS[1:]]
    run = ready(replace(SETTINGS, extrinsics=housing))
    if what is Input.DEPTH:
        info = camera_info(*SIZE, frame="camera", focal=500.0)
        assert run.take(Input.DEPTH_INFO, info, STAMP) == []
        message: Any = image(
            np.full((SIZE[1], SIZE[0]), 6000, np.uint16), "16UC1", header=header("camera")
        )
    else:
        message = skeletons()
    outputs = run.take(what, message, STAMP + 50 * MS)
    assert all(not one.people for one in outputs)
    assert run.account()[what].reasons == {Refusal.MALFORMED: 1}
    assert "looks straight up in 'base_link'" in run.problems[what]
    balanced(run)


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -1.0, 1e30])
MESSAGES = st.one_of(
    st.tuples(st.just(Input.SCAN), st.builds(lambda r: scan(r), st.lists(NUMBERS, max_size=20))),
    st.tuples(
        st.just(Input.RANGE),
        st.builds(lambda r, f: range_reading(r, field_of_view=f), NUMBERS, NUMBERS),
    ),
    st.tuples(
        st.just(Input.IMU),
        st.builds(
            lambda w, f: imu(orientation=quaternion(w=w), header=header(f)),
            NUMBERS,
            st.sampled_from(["", "imu", "lidar"]),
        ),
    ),
    st.tuples(
        st.just(Input.ODOMETRY),
        st.builds(
            lambda x, c: odometry(c, (x, 0.0, 0.0)),
            NUMBERS,
            st.sampled_from(["", "x", "base_link"]),
        ),
    ),
    st.tuples(
        st.just(Input.POINTS),
        st.builds(
            lambda d: cloud(
                [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("t", 12, 6)],
                np.frombuffer(d, np.uint8),
                16,
            ),
            st.binary(max_size=160),
        ),
    ),
    st.tuples(
        st.just(Input.CAMERA_INFO),
        st.builds(lambda f: camera_info(*SIZE, frame="camera", focal=f), NUMBERS),
    ),
    st.tuples(
        st.just(Input.TF),
        st.builds(
            lambda x, w: transforms(("base_link", "camera", STAMP, (x, x, x), quaternion(w=w))),
            NUMBERS,
            NUMBERS,
        ),
    ),
    st.tuples(st.just(Input.SKELETONS), st.builds(lambda n: odd_skeletons(n), NUMBERS)),
    st.tuples(st.sampled_from(list(Input)), st.just(None)),  # not a message at all
)


def odd_skeletons(number: float) -> Any:
    """Skeletons with this number in some of the fields of one person."""
    message = skeletons(ids=("a", "b"))
    point = message.skeletons[0].keypoints[5]
    point.x = point.var_x = message.skeletons[0].keypoints[11].cov_xy = number
    message.skeletons[1].keypoints[3].score = message.skeletons[1].detection_score = number
    return message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(MESSAGES, st.integers(-50, 200)), max_size=15))
def test_any_messages_are_accounted_for(rows: list[tuple[tuple[Input, Any], int]]) -> None:
    run, now, taken = ready(), STAMP, 0
    for (what, message), step in rows:
        now += step * MS
        outputs = run.take(what, message, now, "a") + run.tick(now)
        taken += 1
        for output in outputs:
            typestore().serialize_cdr(person_array(TYPES, output), "hrnet_pose_ros/msg/PersonArray")
            for person in output.people:
                assert np.isfinite(person.position).all() and np.isfinite(person.covariance).all()
    balanced(run)
    assert sum(tally.received for tally in run.account().values()) == taken + 2
    run.finish()
    assert not any(tally.waiting for tally in run.account().values())
