# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_messages import STAMP, cloud

from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.people.message_fields import MessageRefused
from hrnet_pose_ros.pipeline.people.point_clouds import DATATYPES, point_cloud_of, seconds_after

XYZ = [("x", 0, 7), ("y", 4, 7), ("z", 8, 7)]
POINTS = np.array([[1, 2, 3], [-4, 5, 6], [7, -8, 9]], np.float32)


def packed(points: np.ndarray = POINTS) -> np.ndarray:
    return np.ascontiguousarray(points).view(np.uint8).ravel()


def refusal(message: object) -> Refusal:
    with pytest.raises(MessageRefused) as error:
        point_cloud_of(message)
    return error.value.reason


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.tuples(*[st.sampled_from(sorted(DATATYPES))] * 3),
    order=st.permutations(["x", "y", "z", "intensity"]),
    gaps=st.tuples(*[st.integers(0, 5)] * 4),
    height=st.integers(1, 3),
    padding=st.integers(0, 7),
    big=st.booleans(),
)
def test_any_layout_gives_the_same_points(
    kinds: tuple[int, ...],
    order: list[str],
    gaps: tuple[int, ...],
    height: int,
    padding: int,
    big: bool,
) -> None:
    mark = ">" if big else "<"
    datatype = dict(zip("xyz", kinds, strict=True)) | {"intensity": 2}
    offsets, end = {}, 0
    for name, gap in zip(order, gaps, strict=True):
        offsets[name] = end + gap
        end = offsets[name] + np.dtype(DATATYPES[datatype[name]]).itemsize
    record = np.dtype(
        {
            "names": order,
            "formats": [mark + DATATYPES[datatype[name]] for name in order],
            "offsets": [offsets[name] for name in order],
            "itemsize": end,
        }
    )
    points = np.arange(3 * 3 * height).reshape(-1, 3)
    table = np.zeros((height, 3), record)
    for axis, name in enumerate("xyz"):
        table[name] = points[:, axis].reshape(height, 3)
    rows = np.zeros((height, 3 * end + padding), np.uint8)
    rows[:, : 3 * end] = table.view(np.uint8).reshape(height, -1)
    message = cloud(
        [(name, offsets[name], datatype[name]) for name in order],
        rows.ravel(),
        end,
        height=height,
        width=3,
        row_step=3 * end + padding,
        is_bigendian=big,
    )
    np.testing.assert_array_equal(point_cloud_of(message).points, points)


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=200),
    fields=st.lists(
        st.tuples(
            st.sampled_from(["x", "y", "z", "time", "t", "timestamp", "ring", ""]),
            st.integers(0, 40),
            st.integers(0, 12),
        ),
        max_size=6,
    ),
    sizes=st.tuples(*[st.integers(0, 2**32 - 1) | st.integers(0, 20)] * 4),
    big=st.booleans(),
)
def test_garbage_is_refused_or_finite(
    data: bytes, fields: list[tuple[str, int, int]], sizes: tuple[int, ...], big: bool
) -> None:
    height, width, point_step, row_step = sizes
    message = cloud(
        fields,
        np.frombuffer(data, np.uint8),
        point_step,
        height=height,
        width=width,
        row_step=row_step,
        is_bigendian=big,
    )
    try:
        answer = point_cloud_of(message)
    except MessageRefused:
        return
    assert np.isfinite(answer.points).all() and len(answer.points)
    assert answer.times is None or (np.abs(answer.times) < 1).all()


def test_points_that_are_not_finite_are_left_out_with_their_times() -> None:
    points = POINTS.copy()
    points[1, 2] = np.nan
    table = np.concatenate([points, [[0.0], [0.01], [0.02]]], axis=1).astype(np.float32)
    message = cloud([*XYZ, ("time", 12, 7)], packed(table), 16, is_dense=True)
    answer = point_cloud_of(message)
    np.testing.assert_array_equal(answer.points, POINTS[[0, 2]])
    assert answer.times is not None
    np.testing.assert_allclose(answer.times, [0, 0.02], atol=1e-9)
    assert (answer.stamp, answer.frame) == (STAMP, "lidar")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("time", np.array([-0.1, 0.0, 0.05], np.float32)),  # Velodyne: s after the stamp
        ("t", np.array([0, 50_000_000, 99_000_000], np.uint32)),  # Ouster: ns after the stamp
        ("offset_time", np.array([0, 50_000_000, 99_000_000], np.uint32)),  # Livox
        ("timestamp", STAMP * 1e-9 + np.array([0, 0.05, 0.099])),  # Hesai: absolute s
        ("timestamp", STAMP + np.array([0, 5e7, 9.9e7])),  # Livox, driver 2: absolute ns
        ("timestamp", STAMP * 1e-3 + np.array([0, 5e4, 9.9e4])),  # absolute µs
        ("timestamp", STAMP + np.array([0, 50_000_000, 99_000_000], np.uint64)),
    ],
)
def test_times_of_known_drivers(name: str, values: np.ndarray) -> None:
    expected = [-0.1, 0.0, 0.05] if name == "time" else [0.0, 0.05, 0.099]
    times = seconds_after(values, name, STAMP)
    assert times is not None
    np.testing.assert_allclose(times, expected, atol=1e-6)


@pytest.mark.parametrize("values", [np.array([3.0, 4.0]), np.array([np.nan]), np.array([1e300])])
def test_times_in_an_unknown_unit_are_not_guessed(values: np.ndarray) -> None:
    assert seconds_after(values, "time", STAMP) is None


def test_zeros_are_no_returns() -> None:
    points = np.concatenate([np.zeros_like(POINTS), POINTS])
    np.testing.assert_array_equal(point_cloud_of(cloud(XYZ, packed(points), 12)).points, POINTS)
    assert refusal(cloud(XYZ, packed(np.zeros_like(POINTS)), 12)) is Refusal.EMPTY


def test_empty_clouds_and_impossible_layouts() -> None:
    assert refusal(cloud(XYZ, np.zeros(0, np.uint8), 12)) is Refusal.EMPTY
    assert refusal(cloud(XYZ, packed(np.full_like(POINTS, np.nan)), 12)) is Refusal.EMPTY
    assert refusal(cloud(XYZ[:2], packed(), 12)) is Refusal.MALFORMED
    assert refusal(cloud(XYZ, packed(), 11)) is Refusal.MALFORMED
    assert refusal(cloud(XYZ, packed(), 12, width=4)) is Refusal.MALFORMED
    assert refusal(cloud([*XYZ[:2], ("z", 8, 9)], packed(), 12)) is Refusal.MALFORMED
