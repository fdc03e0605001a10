# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_messages import STAMP, quaternion, transforms

from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.pipeline.people.transform_tree import MOST_FRAMES, Coverage, TransformTree

HALF = math.sqrt(0.5)
LEFT = quaternion(z=HALF, w=HALF)  # 90° about z
MS = 1_000_000


def test_a_chain_of_static_frames_up_and_down() -> None:
    tree = TransformTree("base_link")
    rows = [
        ("base_footprint", "base_link", 0, (0.0, 0.0, 0.3), quaternion()),
        ("/base_footprint", "/mast", 0, (1.0, 0.0, 0.0), LEFT),
        ("mast", "camera", 0, (2.0, 0.0, 1.0), quaternion()),
    ]
    assert tree.add(transforms(*rows), static=True, now=STAMP) == []
    place = tree.sensor_to_base("camera", STAMP)
    assert place is not None
    np.testing.assert_allclose(place.apply([1.0, 0, 0]), [1, 3, 0.7], atol=1e-12)
    base = tree.sensor_to_base("base_link", STAMP)
    assert base is not None and np.array_equal(base.translation, np.zeros(3))
    # A newer static transform replaces the old one.
    tree.add(
        transforms(("mast", "camera", 0, (0.0, 0.0, 5.0), quaternion())), static=True, now=STAMP
    )
    place = tree.sensor_to_base("camera", STAMP)
    assert place is not None and place.translation[2] == 4.7


def test_moving_transforms_are_interpolated_and_never_extrapolated() -> None:
    tree = TransformTree("base_link")
    for ms, x, turn in ((0, 0.0, quaternion()), (100, 1.0, LEFT)):
        row = ("base_link", "camera", STAMP + ms * MS, (x, 0.0, 0.0), turn)
        tree.add(transforms(row), static=False, now=STAMP)
    middle = tree.sensor_to_base("camera", STAMP + 50 * MS)
    assert middle is not None
    assert math.isclose(middle.translation[0], 0.5)
    np.testing.assert_allclose(middle.rotation[:2, 0], [HALF, HALF], atol=1e-12)
    late, early = STAMP + 101 * MS, STAMP - MS
    assert tree.sensor_to_base("camera", late) is tree.sensor_to_base("camera", early) is None
    assert tree.coverage("camera", late, 0.1) is Coverage.NOT_YET
    assert tree.coverage("camera", late + 200 * MS, 0.1) is Coverage.UNKNOWN
    assert tree.coverage("camera", early, 0.1) is Coverage.UNKNOWN
    assert tree.coverage("elsewhere", STAMP, 0.1) is Coverage.UNKNOWN


def test_a_long_gap_is_not_bridged_and_a_jump_back_begins_anew() -> None:
    tree = TransformTree("base_link")

    def at(seconds: float) -> None:
        row = ("base_link", "camera", STAMP + int(seconds * 1000) * MS, (seconds, 0.0, 0.0), LEFT)
        tree.add(transforms(row), static=False, now=STAMP)

    at(10.0)
    at(12.0)
    assert tree.sensor_to_base("camera", STAMP + 11_000 * MS) is None
    at(3.0)
    at(3.5)
    assert tree.sensor_to_base("camera", STAMP + 12_000 * MS) is None
    place = tree.sensor_to_base("camera", STAMP + 3_250 * MS)
    assert place is not None and math.isclose(place.translation[0], 3.25)


def test_parameters_win_over_tf() -> None:
    tree = TransformTree("base_link", {"camera": Transform(np.eye(3), np.array([9.0, 0, 0]))})
    tree.add(transforms(("base_link", "camera", 0, (1.0, 0, 0), LEFT)), static=True, now=STAMP)
    place = tree.sensor_to_base("camera", 0)
    assert place is not None and place.translation[0] == 9


def test_transforms_that_are_none_are_refused_with_a_text() -> None:
    tree = TransformTree("base_link")
    rows = [
        ("base_link", "base_link", 0, (0.0, 0, 0), LEFT),
        ("base_link", "", 0, (0.0, 0, 0), LEFT),
        ("base_link", "a", 0, (math.nan, 0, 0), LEFT),
        ("base_link", "b", 0, (0.0, 0, 0), quaternion(w=0.0)),
        ("base_link", "good", 0, (0.0, 0, 0), LEFT),
    ]
    problems = tree.add(transforms(*rows), static=True, now=STAMP)
    assert len(problems) == tree.refused == 4
    assert "'a' to 'base_link'" in problems[2]
    assert tree.sensor_to_base("good", 0) is not None
    assert set(tree.unusable) == {"base_link", "", "a", "b"}


@pytest.mark.parametrize("static", [True, False])
def test_a_frame_is_usable_again_with_a_good_transform(static: bool) -> None:
    tree = TransformTree("base_link")
    tree.add(transforms(("base_link", "a", 0, (math.nan, 0, 0), LEFT)), static=static, now=STAMP)
    assert "'a' to 'base_link'" in tree.unusable["a"]
    tree.add(transforms(("base_link", "a", 1, (0.0, 0, 0), LEFT)), static=static, now=STAMP)
    assert not tree.unusable and tree.refused == 1


def test_frames_that_have_gone_make_room_for_others() -> None:
    """The frame of each body has a new name, and a day has more of them than the tree has room."""
    tree = TransformTree("base_link")
    tree.add(transforms(("base_link", "mast", 0, (1.0, 0.0, 0.0), LEFT)), static=True, now=STAMP)
    for number in range(MOST_FRAMES + 1):
        stamp = STAMP + number * 1000 * MS
        moving = (f"body_b{number}", "pan_head")
        rows = [("base_link", name, stamp, (3.0, 0.0, 1.0), LEFT) for name in moving]
        assert tree.add(transforms(*rows), static=False, now=stamp) == []
    # The clock of somebody who sends new frames is wrong: nobody else is forgotten.
    other = ("base_link", "body_of_another", stamp + 3_600_000 * MS, (3.0, 0.0, 1.0), LEFT)
    assert tree.add(transforms(other), static=False, now=stamp) == []
    arm = ("base_link", "arm_camera", stamp, (0.5, 0.0, 1.0), LEFT)
    assert tree.add(transforms(arm), static=False, now=stamp) == []
    known = [tree.sensor_to_base(name, stamp) for name in ("mast", "pan_head", "arm_camera")]
    assert None not in known and tree.refused == 0
    assert tree.sensor_to_base("pan_head", stamp - 9000 * MS) is not None  # 10 s are kept


NAMES = st.sampled_from(["base_link", "a", "b", "c", "d"])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, NAMES, st.integers(0, 5), st.floats(-5, 5), st.booleans()), max_size=12
    )
)
def test_any_graph_gives_an_answer(rows: list[tuple[str, str, int, float, bool]]) -> None:
    """Also circles and frames that change their parent."""
    tree = TransformTree("base_link")
    for parent, child, step, x, static in rows:
        message = transforms((parent, child, STAMP + step * 100 * MS, (x, 0.0, 0.0), LEFT))
        tree.add(message, static=static, now=STAMP)
    for name in ("a", "b", "c", "d"):
        place = tree.sensor_to_base(name, STAMP + 250 * MS)
        assert place is None or np.isfinite(place.translation).all()
        tree.coverage(name, STAMP + 250 * MS, 0.1)
