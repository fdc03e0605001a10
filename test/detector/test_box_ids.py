# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from hrnet_pose_ros.detector.box_ids import BoxIds, iou

SECOND = 10**9
PERSON = [100, 50, 30, 90]
OTHER = [300, 50, 30, 90]
NOBODY = np.zeros((0, 4))


def moved(box, dx):
    return [box[0] + dx, *box[1:]]


def test_ids_follow_the_boxes_whatever_their_order():
    ids = BoxIds()
    assert ids.assign([PERSON, OTHER], 0) == ["1", "2"]
    assert ids.assign([moved(OTHER, 5), moved(PERSON, -5)], SECOND // 10) == ["2", "1"]


def test_the_largest_overlap_wins_and_no_id_is_given_twice():
    ids = BoxIds()
    ids.assign([PERSON], 0)
    assert ids.assign([moved(PERSON, 8), moved(PERSON, 2)], SECOND // 10) == ["2", "1"]


@pytest.mark.parametrize(
    ("pause_ns", "expected"),
    [
        (SECOND, "1"),  # remembered for one second
        (SECOND + 1, "2"),  # and not longer
        (-1, "2"),  # stamps go back: a bag starts again
        (0, "1"),  # the same frame once more
    ],
)
def test_a_person_is_remembered_for_a_second(pause_ns, expected):
    ids = BoxIds()
    start = 5 * SECOND
    ids.assign([PERSON], start)
    if pause_ns > 0:
        ids.assign(NOBODY, start + pause_ns // 2)
    assert ids.assign([PERSON], start + pause_ns) == [expected]


def test_a_box_far_away_is_somebody_else():
    ids = BoxIds()
    ids.assign([PERSON], 0)
    assert ids.assign([moved(PERSON, 20)], SECOND // 10) == ["2"]  # IoU 0.2


def test_a_frame_without_persons_has_no_ids():
    assert BoxIds().assign(NOBODY, 0) == []


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], np.zeros((2, 5)), []])
def test_boxes_of_another_shape_are_refused(boxes):
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        BoxIds().assign(boxes, 0)


@pytest.mark.parametrize("arguments", [{"min_iou": 0}, {"min_iou": 1.1}, {"memory_ns": -1}])
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        BoxIds(**arguments)


def test_iou_of_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 0, 0]], float)
    third = 50 / 150
    expected = [[1, third, 0], [third, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(iou(boxes, boxes), expected)
