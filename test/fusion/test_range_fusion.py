# SPDX-License-Identifier: Apache-2.0
"""Joint fusion in inverse range: its algebra, and which cue is refused when they contradict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.cues.answers import CueAnswers, InverseRange
from hrnet_pose_ros.fusion.range_fusion import FusedRanges, estimate, fuse
from hrnet_pose_ros.fusion.range_table import ErrorModel, RangeTable
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings

SETTINGS = FusionSettings()
MODEL = ErrorModel.of(SETTINGS, imu=False)
NAMES = ("ground", "body_length", "depth", "lidar")
JOINTS = 17
SLOPE_VAR = np.full((1, JOINTS), 1e-6)


def column(answers: list[InverseRange | None]) -> CueAnswers:
    """The answers of one cue; None is NO_MEASUREMENT."""
    result = CueAnswers(len(answers))
    result.joints = np.zeros((len(answers), JOINTS))
    for person, one in enumerate(answers):
        if one is None:
            result.refuse_one(person, Refusal.NO_MEASUREMENT)
            continue
        for name, value in vars(one).items():
            if value is not None:
                getattr(result, name)[person] = value
    return result


def table(answers: list[dict[str, InverseRange]], names: tuple[str, ...] = NAMES) -> RangeTable:
    columns = {
        name: column([one.get(name) for one in answers])
        for name in sorted({name for one in answers for name in one})
    }
    return RangeTable.of(names, columns, np.tile(SLOPE_VAR, (len(answers), 1)), MODEL)


def fused(
    answers: dict[str, InverseRange], expected: tuple[float, float] | None = None
) -> FusedRanges:
    track = None if expected is None else np.array([expected])
    return fuse(table([answers]), SETTINGS.outlier, SETTINGS.gate, track)


def used(result: FusedRanges, person: int = 0) -> set[str]:
    return {n for n, u in zip(NAMES, result.used[person], strict=True) if u}


def at(r: float, relative: float) -> InverseRange:
    """A range with a relative standard deviation, independent of others."""
    return InverseRange(1 / r, (relative / r) ** 2)


def test_independent_ranges_are_weighted_by_their_information() -> None:
    result = fused({"depth": InverseRange(0.20, 1e-4), "lidar": InverseRange(0.21, 4e-4)})
    assert result.value[0] == pytest.approx((0.20 / 1e-4 + 0.21 / 4e-4) / (1 / 1e-4 + 1 / 4e-4))
    assert result.variance[0] == pytest.approx(1 / (1 / 1e-4 + 1 / 4e-4))


def test_what_ground_and_body_share_is_not_counted_twice() -> None:
    """Two cues that depend on the same joint alone know no more than one."""
    weights = np.zeros(JOINTS)
    weights[15] = 5.0
    one = InverseRange(0.1, 1e-12, joints=weights)
    alone, both = fused({"ground": one}), fused({"ground": one, "body_length": one})
    assert alone.variance[0] == pytest.approx(25e-6, rel=1e-5)
    assert both.variance[0] == pytest.approx(alone.variance[0], rel=1e-5)
    independent = fused({"depth": at(10, 0.05), "lidar": at(10, 0.05)})
    assert independent.variance[0] == pytest.approx((0.005) ** 2 / 2)


def test_lasting_errors_add_to_the_variance() -> None:
    axis = InverseRange(0.1, 0.0, axis=-0.01)
    assert np.sqrt(fused({"lidar": axis}).variance[0]) == pytest.approx(0.01 * 0.04)
    tilt = InverseRange(0.1, 1e-6, tilt=-0.7)
    both = MODEL.tilt**2 + MODEL.tilt_jitter**2
    assert fused({"ground": tilt}).variance[0] == pytest.approx(1e-6 + 0.49 * both)


def test_whoever_only_the_body_tells_about_may_be_a_child() -> None:
    body = InverseRange(0.1, 1e-12, stature=-0.1)
    alone = fused({"body_length": body})
    assert np.sqrt(alone.variance[0]) == pytest.approx(0.1 * 0.215 / 1.7, rel=1e-3)


def test_the_other_ranges_tell_adults_from_children() -> None:
    """The body's length is an adult's where the ground says so, else a child's, who is nearer."""
    body = InverseRange(0.1, 1e-12, stature=-0.1)
    adult = fused({"body_length": body, "ground": InverseRange(0.1, 1e-6)})
    assert adult.value[0] == pytest.approx(0.1, rel=0.01)
    child = table([{"body_length": body, "ground": InverseRange(0.1 * 1.7 / 1.2, 1e-6)}])
    assert child.stature[0] == pytest.approx(1.2, abs=0.05)
    assert child.values[0, 1] == pytest.approx(0.1 * 1.7 / 1.2, rel=0.05)
    # Ranges that contradict each other, and those that fit no age, tell none.
    odd = {"ground": InverseRange(0.1, 1e-6), "lidar": InverseRange(0.3, 1e-6)}
    assert table([{"body_length": body, **odd}]).stature[0] == pytest.approx(1.7)
    giant = {"ground": InverseRange(0.05, 1e-6)}
    assert table([{"body_length": body, **giant}]).stature[0] == pytest.approx(1.7)


def test_errors_that_last_weigh_less_in_each_later_image() -> None:
    """(1 + c) / (1 - c) for a correlation c 0.1 s apart; the first image counts in full."""
    c = SETTINGS.keypoint_correlation
    first, next_, later = MODEL.growth(np.array([np.inf, 0.1, 0.2]))
    assert first == pytest.approx(1.0)
    assert next_ == pytest.approx((1 + c) / (1 - c))
    assert later == pytest.approx((1 + c**2) / (1 - c**2))


def test_nobody_and_nothing() -> None:
    result = fuse(table([]), SETTINGS.outlier, SETTINGS.gate)
    assert result.used.shape == (0, 4)
    result = fused({})
    assert np.isnan(result.value[0])
    assert not result.used.any()
    assert not fused({}, (0.1, 1e-6)).track_refused[0]


PERSON = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.floats(0.02, 1.0), st.floats(0.01, 0.3)),
    max_size=4,
)


def made(persons: list[dict[str, tuple[float, float]]]) -> list[dict[str, InverseRange]]:
    return [
        {name: InverseRange(v, (s * v) ** 2) for name, (v, s) in one.items()} for one in persons
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(PERSON, max_size=5), st.randoms())
def test_persons_do_not_depend_on_each_other_or_on_their_order(persons: list, random) -> None:
    order = list(range(len(persons)))
    random.shuffle(order)
    answers = made(persons)
    whole = fuse(table(answers), SETTINGS.outlier, SETTINGS.gate)
    mixed = fuse(table([answers[n] for n in order]), SETTINGS.outlier, SETTINGS.gate)
    np.testing.assert_allclose(mixed.value, whole.value[order], rtol=1e-9)
    np.testing.assert_allclose(mixed.variance, whole.variance[order], rtol=1e-9)
    np.testing.assert_array_equal(mixed.used, whole.used[order])
    np.testing.assert_array_equal(np.isfinite(whole.value), [len(one) > 0 for one in persons])


@settings(max_examples=100, deadline=None)
@given(PERSON.filter(len), st.permutations(NAMES))
def test_the_order_of_cues_does_not_matter(person: dict, names: list[str]) -> None:
    answers = made([person])
    first = fuse(table(answers), SETTINGS.outlier, SETTINGS.gate)
    second = fuse(table(answers, tuple(names)), SETTINGS.outlier, SETTINGS.gate)
    assert second.value[0] == pytest.approx(first.value[0], rel=1e-9)
    assert second.variance[0] == pytest.approx(first.variance[0], rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(PERSON.filter(len))
def test_what_is_used_is_consistent_and_never_averaged_with_what_is_refused(person: dict) -> None:
    (answers,) = made([person])
    result = fused(answers)
    kept = used(result)
    assert kept
    assert kept <= set(answers)
    values = np.array([answers[n].value for n in kept])
    information = np.array([1 / answers[n].variance for n in kept])
    assert result.value[0] == pytest.approx(values @ information / information.sum(), rel=1e-9)
    assert result.variance[0] >= (1 / information.sum()) * (1 - 1e-9)


def test_the_estimate_is_the_generalised_least_squares_one() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    covariance, values = root @ root.T + np.eye(4), rng.normal(size=4)
    found = estimate(values[None], covariance[None], np.array([[True, True, False, True]]))
    use = [0, 1, 3]
    inverse = np.linalg.inv(covariance[np.ix_(use, use)])
    assert found.variance[0] == pytest.approx(1 / inverse.sum())
    mean = inverse.sum(axis=0) @ values[use] / inverse.sum()
    assert found.mean[0] == pytest.approx(mean)
    residual = values[use] - mean
    assert found.chi_square[0] == pytest.approx(residual @ inverse @ residual)


def test_the_worst_value_is_the_one_furthest_from_the_others() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    covariance, values = root @ root.T + np.eye(4), rng.normal(size=4)
    distances = []
    for left in range(4):
        rest = [n for n in range(4) if n != left]
        inverse = np.linalg.inv(covariance[np.ix_(rest, rest)])
        # The best prediction of a value from the others, with which it is correlated.
        mean = inverse.sum(axis=0) @ values[rest] / inverse.sum()
        gain = covariance[left, rest] @ inverse
        residual = values[left] - mean - gain @ (values[rest] - mean)
        variance = covariance[left, left] - gain @ covariance[rest, left]
        variance += (1 - gain.sum()) ** 2 / inverse.sum()
        distances.append(residual**2 / variance)
    found = estimate(values[None], covariance[None], np.ones((1, 4), bool))
    assert found.worst[0] == pytest.approx(max(distances))
    alone = estimate(values[None], covariance[None], np.array([[True, False, False, False]]))
    assert alone.worst[0] == 0


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        # an occluder in front, which the LIDAR hit
        (dict(ground=at(10, 0.08), body_length=at(10.5, 0.06), lidar=at(4, 0.01)), "lidar"),
        # the wall behind
        (dict(ground=at(5, 0.05), body_length=at(5, 0.06), depth=at(9, 0.02)), "depth"),
        # a jump of the pitch
        (dict(ground=at(20, 0.05), body_length=at(10, 0.06), lidar=at(10, 0.01)), "ground"),
        # a child, taken for an adult
        (dict(ground=at(6, 0.05), body_length=at(9, 0.06), lidar=at(6, 0.01)), "body_length"),
        (dict(depth=at(6, 0.02), lidar=at(3, 0.01), body_length=at(6, 0.06)), "lidar"),
    ],
)
def test_the_cue_that_the_others_contradict_is_refused(
    answers: dict[str, InverseRange], wrong: str
) -> None:
    result = fused(answers)
    assert used(result) == set(answers) - {wrong}


def test_a_track_helps_to_decide_but_is_outvoted_by_two() -> None:
    track = (1 / 6, (0.03 / 6) ** 2)
    result = fused({"ground": at(6, 0.1), "lidar": at(3, 0.01)}, track)
    assert used(result) == {"ground"}
    assert not result.track_refused[0]
    moved = fused({"depth": at(3, 0.02), "lidar": at(3, 0.01)}, track)
    assert used(moved) == {"depth", "lidar"}
    assert moved.track_refused[0]
    # It is not averaged: the value is that of the cues alone.
    assert moved.value[0] == pytest.approx(
        fused({"depth": at(3, 0.02), "lidar": at(3, 0.01)}).value[0]
    )


def test_a_nearly_equal_rival_widens_the_variance_instead_of_moving_the_mean() -> None:
    one, other = at(5, 0.02), at(8, 0.02)
    result = fused({"depth": one, "lidar": other})
    (kept,) = used(result)
    chosen, rival = (one, other) if kept == "depth" else (other, one)
    assert result.value[0] == pytest.approx(chosen.value)
    # Both are as probable, so the rival lies within two standard deviations.
    assert abs(rival.value - chosen.value) < 2 * np.sqrt(result.variance[0])


def bounded(answers: dict[str, InverseRange], least: float) -> FusedRanges:
    return fuse(table([answers]), SETTINGS.outlier, SETTINGS.gate, least=np.array([least]))


def test_nobody_is_further_away_than_the_height_of_the_box_allows() -> None:
    """The box is 2.1 m high at 4 m: a range of 12 m is refused, also where it is the only one."""
    far, near = at(12.0, 0.2), at(3.0, 0.2)
    assert used(bounded({"ground": far}, 1 / 4)) == set()
    assert used(bounded({"ground": far, "body_length": near}, 1 / 4)) == {"body_length"}
    assert used(bounded({"ground": near}, 1 / 4)) == {"ground"}
    # A track where the bound allows it is not refused by a range that is itself impossible.
    impossible = table([{"ground": at(40.0, 0.01)}])
    track, least = np.array([[1 / 20, 1e-3]]), np.array([1 / 10])
    result = fuse(impossible, SETTINGS.outlier, SETTINGS.gate, track, least)
    assert not result.used.any()
    assert not result.track_refused.any()
    # What the bound makes improbable, but not impossible, loses against what it allows.
    wide = InverseRange(1 / 12, 0.05**2)
    assert used(bounded({"ground": wide, "body_length": at(3.0, 0.05)}, 1 / 4)) == {"body_length"}


def test_a_single_range_gives_way_to_a_track_that_it_contradicts() -> None:
    good, bad = at(10.0, 0.03), InverseRange(1 / 40, 0.02**2)
    track = (0.1, 0.003**2)
    assert used(fused({"ground": bad}, track)) == set()
    assert not fused({"ground": bad}, track).track_refused[0]
    assert used(fused({"ground": good}, track)) == {"ground"}


def test_a_doubted_range_has_the_variance_of_the_mixture() -> None:
    lidar = InverseRange(0.1, 1e-8, doubt=0.01)
    ground = InverseRange(0.11, 1e-4)
    both = fused({"lidar": lidar, "ground": ground})
    certain = fused({"lidar": InverseRange(0.1, 1e-8), "ground": ground})
    apart = 0.11 - certain.value[0]
    assert both.value[0] == pytest.approx(certain.value[0])
    assert both.spread[0] == pytest.approx(0.01 * (1e-4 + apart**2))
    assert both.variance[0] == pytest.approx(certain.variance[0] + both.spread[0])
    alone = fused({"lidar": lidar})  # a quarter of the range, where nothing else is known
    assert alone.spread[0] == pytest.approx(0.01 * 0.025**2)


def test_the_difference_of_two_sensors_is_no_evidence_of_the_axis() -> None:
    """Somebody crouches: surface to axis is hardly known, for both alike. What is fused lies
    between the two ranges, not beyond them."""
    near, far = (InverseRange(1 / r, 4e-5, axis=-5.5 / r**2) for r in (4.0, 4.2))
    result = fused({"depth": near, "lidar": far})
    assert 4.05 < 1 / result.value[0] < 4.15
    assert np.sqrt(result.variance[0]) == pytest.approx(5.5 * 0.04 / 4.1**2, rel=0.1)
