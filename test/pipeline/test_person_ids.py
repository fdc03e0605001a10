# SPDX-License-Identifier: Apache-2.0
"""The ids of persons: the detector's are kept, missing ones are assigned."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pipeline.person_ids import PREFIX, PersonIds

SECOND = 10**9
BOXES = np.array([[100.0, 50, 30, 90], [300, 50, 30, 90], [500, 60, 30, 80]])

names = st.sampled_from(["", "", "1", "2", "hrnet_1", "hrnet_2", "hrnet_3", "hrnet_07", "hrnet_"])
sequences = st.lists(
    st.tuples(st.lists(st.tuples(names, st.floats(0, 600)), max_size=5), st.booleans()),
    max_size=12,
)


def boxes_at(count: int, n: int) -> np.ndarray:
    return BOXES[:count] + [3.0 * n, 0, 0, 0]


@settings(deadline=None, max_examples=50)
@given(sequences)
def test_ids_of_the_detector_are_kept_and_assigned_ones_are_nobody_elses(sequence: list) -> None:
    ids, epoch, detectors, assigned = PersonIds(), 0, set(), set()
    for n, (persons, jump) in enumerate(sequence):
        given_ids = [name for name, _ in persons]
        boxes = np.array([[x, 50, 30, 90] for _, x in persons]).reshape(-1, 4)
        if jump:  # nobody is recognised, so every assigned id must be new
            epoch += 1
        found = ids.assign(n * SECOND // 10, epoch, given_ids, boxes)
        detectors |= set(given_ids) - {""}
        own = [one for one, name in zip(found, given_ids, strict=True) if not name]
        assert all(name in ("", one) for one, name in zip(found, given_ids, strict=True))
        assert all(one.startswith(PREFIX) for one in own)
        assert max(Counter(own).values(), default=1) == 1
        assert not set(own) & detectors  # not even with an id of the detector's past
        if jump:
            assert not set(own) & assigned
        assigned |= set(own)


def test_while_everybody_has_an_id_nothing_is_tracked() -> None:
    ids = PersonIds()
    assert ids.assign(0, 0, ["a", "a"], BOXES[:2]) == ["a", "a"]
    assert ids._tracker.numbers == set()
    assert ids.assign(SECOND // 10, 0, ["a", ""], BOXES[:2]) == ["a", "hrnet_1"]


def test_a_detector_that_loses_its_ids() -> None:
    """Its tracker confirms persons late and loses them at times."""
    ids, found = PersonIds(), []
    for n, own in enumerate([["", ""], ["7", ""], ["7", "8"], ["7", ""], ["", ""], ["7", "9"]]):
        found.append(ids.assign(n * SECOND // 10, 0, own, boxes_at(2, n)))
    first, second = "hrnet_1", "hrnet_2"
    assert found == [
        [first, second],
        ["7", second],
        ["7", "8"],
        ["7", second],
        [first, second],
        ["7", "9"],
    ]


def test_a_detector_that_uses_the_form_of_assigned_ids() -> None:
    ids = PersonIds()
    assert ids.assign(0, 0, ["", ""], BOXES[:2]) == ["hrnet_1", "hrnet_2"]
    now = ids.assign(SECOND // 10, 0, ["", "", "hrnet_2"], BOXES)
    assert now == ["hrnet_1", "hrnet_3", "hrnet_2"]

    ids = PersonIds()  # also before anybody had to be tracked
    assert ids.assign(0, 0, ["hrnet_1", "hrnet_" + 5000 * "9"], BOXES[:2])[0] == "hrnet_1"
    assert ids.assign(SECOND // 10, 0, ["", "a"], BOXES[:2]) == ["hrnet_2", "a"]


def test_after_a_time_jump_nobody_is_recognised() -> None:
    ids = PersonIds()
    assert ids.assign(9 * SECOND, 0, [""], BOXES[:1]) == ["hrnet_1"]
    assert ids.assign(9 * SECOND + 1, 1, [""], BOXES[:1]) == ["hrnet_2"]
    assert ids.assign(0, 2, [""], BOXES[:1]) == ["hrnet_3"]


def test_images_without_persons() -> None:
    ids = PersonIds()
    ids.assign(0, 0, [""], BOXES[:1])
    assert ids.assign(SECOND // 10, 0, [], np.zeros((0, 4))) == []
    assert ids.assign(SECOND // 5, 0, [""], BOXES[:1]) == ["hrnet_1"]
