# SPDX-License-Identifier: Apache-2.0
"""Drawn errors have the distribution of the table, and last as long as they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.simulation.residuals import (
    ABSENT,
    AGREEING,
    HIDDEN,
    VISIBLE,
    KeypointResiduals,
    ResidualSampler,
    person_size,
)
from hrnet_pose_ros.skeleton import COCO17

SEEN = np.full(17, VISIBLE, np.uint8)


@pytest.fixture(scope="module")
def table() -> KeypointResiduals:
    return KeypointResiduals.load()


def test_the_bundled_table_says_where_it_is_from(table: KeypointResiduals) -> None:
    assert "COCO" in table.origin
    assert "sha256" in table.origin
    assert len(table) >= 200
    assert np.isfinite(table.errors).all()
    assert ((table.scores >= 0) & (table.scores <= 1)).all()


def test_errors_are_those_of_persons_of_this_size(table: KeypointResiduals) -> None:
    """A draw of a visible joint is one of the rows like the person, with that joint visible."""
    sampler = ResidualSampler(table, np.random.default_rng(0), correlation_time=0.0)
    for size, joint in ((60.0, 0), (300.0, 15)):
        drawn = np.array([sampler.draw(k, size, SEEN).errors[joint] for k in range(400)])
        near = table.like(size, SEEN)
        own = near[table.visibility[near, joint] == VISIBLE]
        rows = np.flatnonzero(table.visibility[:, joint] == VISIBLE)
        others = table.near(size, rows)
        possible = table.errors[np.union1d(own, others), joint].astype(np.float64)
        assert all((np.abs(possible - one).sum(axis=1) < 1e-12).any() for one in drawn)
        # Heavy tails: the 95th percentile is far from the median, as in the table.
        lengths = np.linalg.norm(drawn, axis=1)
        expected = np.linalg.norm(table.errors[own, joint].astype(np.float64), axis=1)
        assert np.median(lengths) == pytest.approx(np.median(expected), rel=0.35)


def test_scores_belong_to_the_errors(table: KeypointResiduals) -> None:
    """High scores come with small errors, and with small covariances."""
    sampler = ResidualSampler(table, np.random.default_rng(2), correlation_time=0.0)
    draws = [sampler.draw(k, 150.0, SEEN) for k in range(200)]
    errors = np.linalg.norm(np.array([one.errors for one in draws]), axis=-1).ravel()
    scores = np.array([one.scores for one in draws]).ravel()
    traces = np.array([np.trace(one.covariances, axis1=1, axis2=2) for one in draws]).ravel()
    high, low = scores > 0.9, scores < 0.5
    assert np.median(errors[high]) < 0.5 * np.median(errors[low])
    assert np.median(traces[high]) < 0.5 * np.median(traces[low])
    assert (np.linalg.eigvalsh(draws[0].covariances) > 0).all()


@pytest.mark.parametrize("time", [0.1, 0.5])
def test_errors_are_correlated_over_time(table: KeypointResiduals, time: float) -> None:
    """The correlation after 0.1 s is exp(-0.1 / time): the fraction of unchanged rows."""
    sampler = ResidualSampler(table, np.random.default_rng(4), correlation_time=time)
    drawn = np.array([sampler.draw(0.1 * k, 150.0, SEEN).errors[11] for k in range(1500)])
    same = (np.diff(drawn, axis=0) == 0).all(axis=1).mean()
    # A new row may be the old one by chance, 1 in AGREEING; standard error below 0.013.
    assert same == pytest.approx(np.exp(-0.1 / time), abs=0.04 + 1 / AGREEING)
    x = drawn[:, 0] - drawn[:, 0].mean()
    measured = (x[1:] * x[:-1]).mean() / (x * x).mean()
    assert measured == pytest.approx(np.exp(-0.1 / time), abs=0.15)  # heavy tails


def test_a_joint_that_becomes_hidden_gets_the_error_of_a_hidden_one(
    table: KeypointResiduals,
) -> None:
    sampler = ResidualSampler(table, np.random.default_rng(5), correlation_time=1e9)
    before = sampler.draw(0.0, 150.0, SEEN)
    hidden = SEEN.copy()
    hidden[10], hidden[3] = HIDDEN, ABSENT
    after = sampler.draw(0.1, 150.0, hidden)
    rows = table.errors[table.visibility[:, 10] == HIDDEN, 10].astype(np.float64)
    assert (np.abs(rows - after.errors[10]).sum(axis=1) < 1e-12).any()
    others = np.array([joint not in (3, 10) for joint in range(17)])
    assert (before.errors[others] == after.errors[others]).all()


def test_the_file_round_trips_and_refuses_others(table: KeypointResiduals, tmp_path: Path) -> None:
    table.save(tmp_path / "again.npz")
    again = KeypointResiduals.load(tmp_path / "again.npz")
    assert (again.errors == table.errors).all()
    assert again.origin == table.origin
    np.savez(tmp_path / "other.npz", sizes=np.ones(3))
    with pytest.raises(ValueError, match="is not a table of residuals: it has no errors"):
        KeypointResiduals.load(tmp_path / "other.npz")


def test_the_size_of_a_person_is_that_of_the_crop() -> None:
    boxes = np.array([[0, 0, 50, 100], [0, 0, 300, 100.0]])
    assert person_size(boxes).tolist() == [100, 400]


def test_whole_persons_get_the_errors_of_whole_persons(table: KeypointResiduals) -> None:
    cut = SEEN.copy()
    cut[13:] = ABSENT  # the legs are outside of the image
    for visibility in (SEEN, cut):
        agreeing = (table.visibility[table.like(200.0, visibility)] == visibility).sum(axis=1)
        everyone = (table.visibility == visibility).sum(axis=1)
        assert agreeing.min() > np.median(everyone)


def test_joints_of_a_person_are_correlated_as_the_fusion_assumes(table: KeypointResiduals) -> None:
    x, y = table.joint_correlation()
    assert (x + y) / 2 == pytest.approx(FusionSettings().joint_correlation, abs=0.06)


def test_joints_of_a_pair_are_correlated_as_the_fusion_assumes(table: KeypointResiduals) -> None:
    vertical = table.correlations()[1]
    for left, right, alike in JointRoles.of(COCO17).pairs:
        assert vertical[left, right] == pytest.approx(alike, abs=0.15)


def test_the_correlation_of_joints_is_that_of_the_errors(table: KeypointResiduals) -> None:
    """Half of each error's variance in x is common to all joints of a person; none in y is."""
    rng = np.random.default_rng(4)
    shape = (2000, 17)
    errors = np.empty((*shape, 2))
    errors[..., 0] = (rng.standard_normal((2000, 1)) + rng.standard_normal(shape)) / np.sqrt(2)
    errors[..., 1] = rng.standard_normal(shape)
    rows = np.zeros(2000, np.int64)
    drawn = KeypointResiduals(
        sizes=table.sizes[rows],
        visibility=rng.choice([ABSENT, HIDDEN, VISIBLE], shape).astype(np.uint8),
        errors=0.1 * errors,
        scores=np.full(shape, 0.9),
        spreads=np.full((*shape, 3), 0.1),
        origin="drawn",
    )
    assert drawn.joint_correlation() == pytest.approx((0.5, 0.0), abs=0.03)
