# SPDX-License-Identifier: Apache-2.0
"""Fuses the ranges of one person jointly, and refuses those that the others contradict.

Each cue gives an inverse range and how it depends on what cues share: the slopes of joints, the
stature, the tilt and height of the camera, the distance from the surface to the axis. So the cues
have a full covariance C, and the fused inverse range is the best linear unbiased estimate
``1'C⁻¹z / 1'C⁻¹1`` (Bar-Shalom, Li and Kirubarajan 2001, section 3.4). It has the smallest
variance although the cues are correlated.

If the cues do not fit together (chi-square beyond the gate), some are wrong: an occluder in front,
a wall behind, a child taken for an adult, a jump of the pitch. Every subset is a hypothesis: its
cues are right, the others are anywhere. The consistent subset with the highest posterior is used;
the rest is refused. A range is never averaged with one that contradicts it; but where another
subset is nearly as probable, the variance grows by the squared distance to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.stats import chi2

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.cues.cue import InverseRange
from hrnet_pose_ros.fusion.settings import FusionSettings

# A wrong range is anywhere between these inverse ranges, 1/m (uniform density).
_WIDTH = 2.0


@dataclass(frozen=True)
class ErrorModel:
    """The standard deviations of what cues share, at one image.

    Attributes
    ----------
    stature, tilt, axis
        What stays the same over time: of the relative stature, of the tilt in rad, of the distance
        from a surface to the axis in m.
    tilt_jitter, height
        What changes from image to image: of the tilt in rad, of the camera's height in m.
    joint_correlation
        Of the errors of two joints of a person.
    joint_growth
        Factor on key point variances for a filter over time.
    """

    stature: float
    tilt: float
    tilt_jitter: float
    height: float
    axis: float
    joint_correlation: float
    joint_growth: float

    @classmethod
    def of(cls, settings: FusionSettings, *, imu: bool) -> ErrorModel:
        """Return the model of some settings, with or without an IMU."""
        c = settings.keypoint_correlation
        return cls(
            stature=settings.stature_std / settings.stature,
            tilt=settings.tilt_std_imu if imu else settings.tilt_std,
            tilt_jitter=settings.tilt_jitter_std_imu if imu else settings.tilt_jitter_std,
            height=settings.base_height_std,
            axis=SURFACE_TO_AXIS_STD,
            joint_correlation=settings.joint_correlation,
            joint_growth=(1 + c) / (1 - c),
        )

    @property
    def lasting(self) -> np.ndarray:
        """Standard deviations of the errors that stay, ``[3]``: stature, tilt, axis."""
        return np.array([self.stature, self.tilt, self.axis])


@dataclass(frozen=True)
class RangeStack:
    """The inverse ranges of one person's cues, with what they share.

    Attributes
    ----------
    names
        K names of cues.
    values
        float64 ``[K]``, 1/m.
    noise
        float64 ``[K, K]``: the covariance of what changes from image to image.
    lasting
        float64 ``[K, 3]``: derivatives by the errors that stay: stature, tilt, axis.
    """

    names: tuple[str, ...]
    values: np.ndarray
    noise: np.ndarray
    lasting: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def covariance(self, model: ErrorModel) -> np.ndarray:
        """Return the covariance of the values with everything in it, ``[K, K]``."""
        scaled = self.lasting * model.lasting
        return self.noise + scaled @ scaled.T

    def select(self, keep: Sequence[int]) -> RangeStack:
        """Return the stack of some of the cues."""
        use = list(keep)
        return RangeStack(
            tuple(self.names[k] for k in use),
            self.values[use],
            self.noise[np.ix_(use, use)],
            self.lasting[use],
        )


def stack_of(
    answers: dict[str, InverseRange], slope_var: np.ndarray, model: ErrorModel, *, over_time: bool
) -> RangeStack:
    """Return the stack of the cues that gave a range, of one person.

    Parameters
    ----------
    answers
        K answers by name of the cue.
    slope_var
        float64 ``[J]``: variances of the joints' slopes; NaN for joints without.
    model
        The errors that cues share.
    over_time
        Whether the stack is for a filter over time: key point variances are then grown.
    """
    count = len(answers)
    growth = model.joint_growth if over_time else 1.0
    noise = np.diag([one.variance for one in answers.values()]).reshape(count, count)
    std = np.sqrt(np.nan_to_num(slope_var) * growth)
    none = np.zeros(len(std))
    weights = [none if one.joints is None else one.joints for one in answers.values()]
    joints = np.array(weights).reshape(count, len(std)) * std
    common = joints.sum(axis=1)
    c = model.joint_correlation
    noise = noise + (1 - c) * joints @ joints.T + c * np.outer(common, common)
    shared = [[one.stature, one.tilt, one.axis, one.height] for one in answers.values()]
    loads = np.array(shared).reshape(count, 4)
    noise = noise + model.tilt_jitter**2 * np.outer(loads[:, 1], loads[:, 1])
    noise = noise + model.height**2 * np.outer(loads[:, 3], loads[:, 3])
    values = np.array([one.value for one in answers.values()])
    return RangeStack(tuple(answers), values, noise, loads[:, :3])


@dataclass(frozen=True)
class FusedRange:
    """The fused inverse range of one person.

    Attributes
    ----------
    value, variance
        1/m and 1/m².
    used, refused
        Names of the cues.
    """

    value: float
    variance: float
    used: tuple[str, ...]
    refused: tuple[str, ...]

    def with_bound(self, name: str, bound: InverseRange) -> FusedRange:
        """Return this with an independent range; an infinite variance changes nothing."""
        information = 1 / self.variance + 1 / bound.variance
        value = (self.value / self.variance + bound.value / bound.variance) / information
        return FusedRange(value, 1 / information, (*self.used, name), self.refused)


def fuse(
    stack: RangeStack,
    model: ErrorModel,
    outlier: dict[str, float],
    gate: float,
    track: tuple[float, float] | None = None,
) -> FusedRange | None:
    """Fuse the ranges of one person; None if there are none.

    Parameters
    ----------
    stack
        The ranges.
    model
        The errors that they share.
    outlier
        Prior probability that a range is wrong, by name of the cue, and of ``track``.
    gate
        The quantile of chi-square that consistent ranges stay within.
    track
        Inverse range and variance that a track predicts. It helps to decide which cues are right,
        but is not averaged with them: the filter does that.
    """
    count = len(stack)
    if not count:
        return None
    values, covariance = stack.values, stack.covariance(model)
    names = stack.names
    if track is not None:
        values = np.append(values, track[0])
        grown = np.zeros((count + 1, count + 1))
        grown[:count, :count], grown[count, count] = covariance, track[1]
        covariance, names = grown, (*names, "track")
    whole = np.ones((1, len(names)), bool)
    best, rivals = _Subsets(values, covariance, whole), None
    kept = whole[0]
    if best.chi_square[0] > _quantile(gate, len(names) - 1):
        rivals = _Subsets(values, covariance, _all_subsets(len(names)))
        score = rivals.log_posterior(np.array([outlier.get(n, 0.05) for n in names]))
        sizes = rivals.kept.sum(axis=1)
        limits = np.array([_quantile(gate, n) for n in range(len(names))])
        score[rivals.chi_square > limits[sizes - 1]] = -np.inf
        score[~rivals.kept[:, :count].any(axis=1)] = -np.inf  # a track alone is no measurement
        kept = rivals.kept[int(np.argmax(score))]
    use = np.flatnonzero(kept[:count])
    part = stack.select(use.tolist())
    one = _Subsets(part.values, part.covariance(model), np.ones((1, len(use)), bool))
    value, variance = float(one.mean[0]), float(one.variance[0])
    if rivals is not None:
        weight = np.exp(score - score.max())
        with np.errstate(invalid="ignore"):
            apart = np.where(weight > 0, (rivals.mean - value) ** 2, 0.0)
        variance += float(weight @ apart) / float(weight.sum())
    return FusedRange(
        value,
        variance,
        part.names,
        tuple(n for n, k in zip(names, kept, strict=True) if not k),
    )


class _Subsets:
    """Best linear unbiased estimates of S subsets of K values, all at once."""

    def __init__(self, values: np.ndarray, covariance: np.ndarray, kept: np.ndarray) -> None:
        self.kept = kept  # bool [S, K]
        both = kept[:, :, None] & kept[:, None, :]
        # Values that are left out have variance 1 and no weight.
        blocks = np.where(both, covariance, 0.0)
        axes = np.arange(len(values))
        blocks[:, axes, axes] += ~kept
        inverse = np.linalg.inv(blocks) * both
        weights = inverse.sum(axis=2)
        information = weights.sum(axis=1)
        self.mean = weights @ values / information
        self.variance = 1 / information
        self.chi_square = np.maximum((inverse @ values) @ values - information * self.mean**2, 0.0)
        self._log_det = np.linalg.slogdet(blocks)[1]

    def log_posterior(self, outlier: np.ndarray) -> np.ndarray:
        """Return the logarithm of each subset's posterior, ``[S]``, up to a constant.

        The true inverse range is uniform over the width, and so is each wrong one.
        """
        sizes = self.kept.sum(axis=1)
        right = -0.5 * (self.chi_square + self._log_det + sizes * np.log(2 * np.pi))
        right += 0.5 * np.log(2 * np.pi * self.variance) - np.log(_WIDTH)
        prior = np.where(self.kept, np.log1p(-outlier), np.log(outlier / _WIDTH)).sum(axis=1)
        return right + prior


@lru_cache
def _all_subsets(count: int) -> np.ndarray:
    """Return all subsets but the empty one, bool ``[2^count - 1, count]``."""
    return np.array(list(product([False, True], repeat=count))[1:])


@lru_cache
def _quantile(gate: float, freedom: int) -> float:
    return float(chi2.ppf(gate, freedom)) if freedom else np.inf
