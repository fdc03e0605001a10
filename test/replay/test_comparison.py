# SPDX-License-Identifier: Apache-2.0
"""Matching of frames and persons, and what is measured on the pairs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import golden_run
import numpy as np
import pytest
from golden_run import STEP, changed, frame_at, selected
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.boxes import iou
from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame, skeleton_topic
from hrnet_pose_ros.replay.comparison import MIN_IOU, compare, match_persons

A, B, FAR = [0.0, 0, 40, 80], [10.0, 0, 40, 80], [500.0, 0, 40, 80]

side = st.integers(1, 60).map(float)
boxes = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80), side, side), max_size=6)
names = st.lists(st.sampled_from(["", "1", "2", "3", "4"]), min_size=6, max_size=6)


def frame(corners: list, ids: list[str]) -> SkeletonFrame:
    array = np.array(corners, np.float64).reshape(-1, 4)
    return frame_at(0, array, tuple(ids[: len(array)]))


@pytest.mark.parametrize(
    ("golden", "new", "pairs"),
    [
        (([A, FAR], ["1", "2"]), ([FAR, A], ["2", "1"]), [[0, 1], [1, 0]]),  # order is no matter
        (([A, B], ["1", "2"]), ([A, B], ["2", "1"]), [[0, 1], [1, 0]]),  # ids before overlap
        (([A, FAR], ["1", "2"]), ([A, FAR], ["2", "1"]), [[0, 0], [1, 1]]),  # swapped ids
        (([A, B], ["", ""]), ([A, B], ["", ""]), [[0, 0], [1, 1]]),  # no ids
        (([A, B], ["1", "1"]), ([B, A], ["1", "1"]), [[0, 1], [1, 0]]),  # ids not unique
        (([A], ["1"]), ([A], ["7"]), [[0, 0]]),  # another tracker's ids
        (([A], ["1"]), ([FAR], ["7"]), []),
        (([A], ["1"]), ([FAR], ["1"]), []),  # the same id elsewhere is no match
        (([[5.0, 5, 0, 0]], [""]), ([[5.0, 5, 0, 0]], [""]), [[0, 0]]),  # equal without an area
        (([[np.nan] * 4, A], ["", ""]), ([[np.nan] * 4, A], ["", ""]), [[1, 1]]),  # a broken box
        (([], []), ([A], ["1"]), []),
    ],
)
def test_matching(golden: tuple, new: tuple, pairs: list) -> None:
    assert match_persons(frame(*golden), frame(*new)).tolist() == pairs


@settings(deadline=None, max_examples=80)
@given(boxes, boxes, names, names)
def test_a_matching_is_one_to_one_and_leaves_nobody_over(
    golden_boxes: list, new_boxes: list, golden_ids: list[str], new_ids: list[str]
) -> None:
    golden, new = frame(golden_boxes, golden_ids), frame(new_boxes, new_ids)
    pairs = match_persons(golden, new)
    a, b = pairs.T
    assert len(set(a.tolist())) == len(set(b.tolist())) == len(pairs)
    overlaps = iou(golden.boxes, new.boxes)
    assert (overlaps[a, b] > 0).all()
    alone = np.ix_(
        np.setdiff1d(np.arange(len(golden.ids)), a), np.setdiff1d(np.arange(len(new.ids)), b)
    )
    assert (overlaps[alone] < MIN_IOU).all()


@settings(deadline=None, max_examples=80)
@given(boxes, names, st.randoms(use_true_random=False))
def test_everybody_is_found_again_in_another_order(corners: list, ids: list[str], random) -> None:
    golden = frame(corners, ids)
    order = list(range(len(golden.ids)))
    random.shuffle(order)
    new = selected(golden, np.array(order, np.int64))
    pairs = match_persons(golden, new)
    assert len(pairs) == len(order)
    assert (golden.boxes[pairs[:, 0]] == new.boxes[pairs[:, 1]]).all()


def test_a_run_is_equal_to_itself() -> None:
    run = golden_run.golden_run()
    comparison = compare(run, run)
    assert len(comparison.frames) == golden_run.FRAMES
    assert comparison.missing_frames == comparison.extra_frames == []
    assert all(one.missed == one.extra == one.oks_shortfall == 0 for one in comparison.frames)
    assert (comparison.joined("oks") == 1).all()
    assert (comparison.joined("keypoint_score_changes") == 0).all()
    # 20 frames of 3 persons; each is seen again in all frames but the first.
    assert sum(one.seen_again for one in comparison.frames) == 57
    assert sum(one.kept_ids for one in comparison.frames) == 57


def test_frames_are_matched_by_their_exact_stamps() -> None:
    run = golden_run.golden_run()
    late = changed(run, lambda one: dataclasses.replace(one, stamp=one.stamp + 1), every=5)
    comparison = compare(run, late)
    assert len(comparison.frames) == 16
    assert [stamp - golden_run.START for stamp in comparison.missing_frames] == [
        0,
        5 * STEP,
        10 * STEP,
        15 * STEP,
    ]
    assert [stamp - 1 for stamp in comparison.extra_frames] == comparison.missing_frames


def test_oks_counts_the_joints_that_the_golden_run_is_sure_of() -> None:
    golden, new = frame([A], ["1"]), frame([A], ["1"])
    golden.poses.scores[0, :10] = 0.1
    new.poses.keypoints[0, :10] += 300  # not counted
    new.poses.keypoints[0, 16] = np.nan  # counted, and lost: one of seven
    new.poses.valid[0, 16] = False
    run = [Answers(name, {0: one}) for name, one in (("golden", golden), ("new", new))]
    [compared] = compare(*run).frames
    assert compared.oks == pytest.approx([6 / 7])


def test_a_person_without_a_sure_joint_has_no_oks() -> None:
    golden = frame([A], ["1"])
    golden.poses.scores[:] = 0.1
    run = Answers("golden", {0: golden})
    [compared] = compare(run, run).frames
    assert np.isnan(compared.oks).all()
    assert compared.oks_shortfall == 0


def ids_over_time(*frames: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """``(kept, seen again)`` of frames of ``(golden id, new id)`` of persons who stand apart."""
    runs: list[dict[int, SkeletonFrame]] = [{}, {}]
    for stamp, pairs in enumerate(frames):
        for side_, run in enumerate(runs):
            corners = [[100.0 * n, 0, 40, 80] for n in range(len(pairs))]
            one = frame(corners, [pair[side_] for pair in pairs])
            run[stamp] = dataclasses.replace(one, stamp=stamp)
    compared = compare(Answers("golden", runs[0]), Answers("new", runs[1])).frames
    return [(one.kept_ids, one.seen_again) for one in compared]


@pytest.mark.parametrize(
    ("frames", "kept"),
    [
        ([[("1", "1")], [("1", "1")]], [(0, 0), (1, 1)]),
        ([[("1", "a")], [("1", "a")]], [(0, 0), (1, 1)]),  # another tracker, as steady
        ([[("1", "a")], [("1", "b")], [("1", "b")]], [(0, 0), (0, 1), (1, 1)]),  # a new id
        # two persons swap their ids: neither keeps it, once
        (
            [[("1", "1"), ("2", "2")], [("1", "2"), ("2", "1")], [("1", "2"), ("2", "1")]],
            [(0, 0), (0, 2), (2, 2)],
        ),
        ([[("1", "a")], [("2", "a")]], [(0, 0), (0, 1)]),  # one id for two persons
        ([[("1", "")], [("1", "")]], [(0, 0), (0, 1)]),  # ids lost
        ([[("", "1")], [("", "2")]], [(0, 0), (0, 0)]),  # nothing to keep
    ],
)
def test_id_continuity(frames: list, kept: list) -> None:
    assert ids_over_time(*frames) == kept


@pytest.mark.parametrize(
    ("kinds", "wanted", "found"),
    [
        ({"/a": "S", "/b": "x/msg/Y"}, "", "/a"),
        ({"/n/skeletons": "S", "/n/skeletons_smoothed": "S"}, "", "/n/skeletons"),
        ({"/n/skeletons": "S", "/n/skeletons_smoothed": "S"}, "/n/skeletons_smoothed", None),
        ({"/b": "x/msg/Y"}, "", "has no topic of .*; it has /b"),
        ({"/a": "S", "/b": "S"}, "", "several topics of .* /a, /b"),
        ({"/a": "S"}, "/b", "has no topic '/b'"),
    ],
)
def test_the_topic(kinds: dict[str, str], wanted: str, found: str | None) -> None:
    kinds = {k: v.replace("S", "hrnet_pose_ros/msg/SkeletonArray") for k, v in kinds.items()}
    if found is None or found.startswith("/"):
        assert skeleton_topic(kinds, wanted, Path("bag")) == (found or wanted)
    else:
        with pytest.raises(ValueError, match=found):
            skeleton_topic(kinds, wanted, Path("bag"))
