# SPDX-License-Identifier: Apache-2.0
"""The inverse ranges of the persons of an image with everything that they share, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.body import (
    ADULT_STATURE,
    CHILD_PRIOR,
    CHILD_STATURE,
    CHILD_STATURE_STD,
    SURFACE_TO_AXIS_STD,
)
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.settings import FusionSettings

# The time between two images for which the correlation of key points is given, s.
CORRELATION_STEP = 0.1
# What a sensor takes for a person remains that for about so long, s.
CONFUSION_TIME = 1.0
BODY = "body_length"
# Statures of children as parts of those of adults: mean and standard deviation.
CHILD = (CHILD_STATURE / ADULT_STATURE, CHILD_STATURE_STD / ADULT_STATURE)
# Squared part of a body's length that key points are off by, where only ages are told apart.
KEYPOINT_SHARE = 0.05**2
# The numbers of `CueAnswers` for who has no range: a variance of 1, and 0 else.
_NOT_GIVEN = np.eye(1, 7, 1).T
# Further than this many standard deviations from a range, a body's length contradicts it.
CONTRADICTION = 2.5


@dataclass(frozen=True)
class ErrorModel:
    """The standard deviations of what cues share, at one image.

    Attributes
    ----------
    stature, tilt, axis, yaw
        What stays the same over time: of the relative stature, of the tilt in rad, of the distance
        from a surface to the axis in m, of the camera's heading on the vehicle in rad.
    assumed
        The mean stature of adults, m.
    stature_alone
        Of the relative stature of persons of whom only the body's length tells the range.
    tilt_jitter, height
        What changes from image to image: of the tilt in rad, of the camera's height in m.
    joint_correlation, pairs
        Of the errors of two joints of a person; and those of pairs, as in
        `hrnet_pose_ros.fusion.joint_roles.JointRoles.pairs`.
    keypoint_correlation
        Of a joint's errors 0.1 s apart.
    """

    stature: float
    assumed: float
    stature_alone: float
    tilt: float
    tilt_jitter: float
    height: float
    axis: float
    yaw: float
    joint_correlation: float
    keypoint_correlation: float
    pairs: tuple[tuple[int, int, float], ...] = ()

    @classmethod
    def of(
        cls, settings: FusionSettings, *, imu: bool, roles: JointRoles | None = None
    ) -> ErrorModel:
        """Return the model of some settings, with or without an IMU, for joints with these roles.

        Without roles, all joints are alike.
        """
        jitter = settings.tilt_jitter_std_imu if imu else settings.tilt_jitter_std
        if settings.fixed_base:  # nothing pitches it
            jitter = min(jitter, settings.tilt_jitter_std_imu)
        return cls(
            stature=settings.stature_std / settings.stature,
            assumed=settings.stature,
            stature_alone=settings.stature_std_alone / settings.stature,
            tilt=settings.tilt_std_imu if imu else settings.tilt_std,
            tilt_jitter=jitter,
            height=settings.base_height_std,
            axis=SURFACE_TO_AXIS_STD,
            yaw=settings.yaw_std,
            joint_correlation=settings.joint_correlation,
            keypoint_correlation=settings.keypoint_correlation,
            pairs=() if roles is None else roles.pairs,
        )

    @property
    def lasting(self) -> np.ndarray:
        """Standard deviations of the errors that stay, ``[4]``: stature, tilt, axis, yaw."""
        return np.array([self.stature, self.tilt, self.axis, self.yaw])

    def growth(self, since: np.ndarray) -> np.ndarray:
        """Return the factors on variances whose errors last, ``[N]``, for a filter over time.

        ``since`` are the seconds from the image before, infinite where there is none. Errors that
        are correlated by c from one image to the next are a first-order process: the first image
        tells as much as it says, and each later one (1 - c) / (1 + c) of that (the best linear
        estimate of a constant in such noise).
        """
        return _growth(self.keypoint_correlation ** (np.maximum(since, 0.0) / CORRELATION_STEP))

    def spread_growth(self, since: np.ndarray) -> np.ndarray:
        """Return the same for the doubt about what was ranged.

        What hides or resembles a person does so for as long as they stand or walk there.
        """
        return _growth(np.exp(-np.maximum(since, 0.0) / CONFUSION_TIME))


def _growth(correlation: np.ndarray) -> np.ndarray:
    return (1 + correlation) / np.maximum(1 - correlation, 1e-3)


@dataclass(frozen=True)
class RangeTable:
    """The inverse ranges of N persons from K cues, with what they share.

    Attributes
    ----------
    names
        K names of cues.
    given
        bool ``[N, K]``: whether the cue gave a range. Elsewhere, the value is 0, its variance 1,
        and it has nothing in common with others.
    values
        float64 ``[N, K]``, 1/m.
    own, joints, posture
        float64 ``[N, K, K]``: covariances of what changes from image to image, of the cues; from
        the key points and the tilt, which change more slowly; and from proportions, stance and gait
        of the person and the camera's height, which the cues that use key points depend on, and
        which last longest.
    lasting
        float64 ``[N, K, 4]``: derivatives by the errors that stay: stature, tilt, axis, and yaw,
        of which no range depends.
    stature
        float64 ``[N]``: for which the range of the body's length was computed, m.
    doubt
        float64 ``[N, K]``: probability that a range is something else's, as its cue says.
    covariance
        float64 ``[N, K, K]``: of the values with everything in it.
    tilt
        float64 ``[N]``: the error of the camera's tilt that the values are without, rad.
    """

    names: tuple[str, ...]
    given: np.ndarray
    values: np.ndarray
    own: np.ndarray
    joints: np.ndarray
    posture: np.ndarray
    lasting: np.ndarray
    stature: np.ndarray
    doubt: np.ndarray
    covariance: np.ndarray
    tilt: np.ndarray

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        answers: Mapping[str, CueAnswers],
        slope_var: np.ndarray,
        model: ErrorModel,
        tilts: np.ndarray | None = None,
    ) -> RangeTable:
        """Return the table of the answers that are ranges with a finite variance.

        Parameters
        ----------
        names
            K names of cues; the answers of others are ignored, and those that are missing too.
        answers
            Of N persons, by name of the cue.
        slope_var
            float64 ``[N, J]``: variances of the joints' slopes; NaN for joints without.
        model
            The errors that cues share.
        tilts
            None, or float64 ``[N, 2]``: what is known of the error of the camera's tilt, rad, and
            its variance, for each person. The values are those without this error.
        """
        n, k = len(slope_var), len(names)
        given, values, variance = np.zeros((n, k), bool), np.zeros((n, k)), np.ones((n, k))
        weights, shared = np.zeros((n, k, slope_var.shape[1])), np.zeros((n, k, 5))
        doubt, of_joints = np.zeros((n, k)), np.zeros(k, bool)
        for column, name in enumerate(names):
            if name not in answers:
                continue
            one = answers[name]
            some = one.open & (one.variance < np.inf)
            given[:, column] = some
            value, own, by_stature, by_tilt, by_height, by_axis, odd = np.where(
                some, one.numbers, _NOT_GIVEN
            )
            values[:, column], variance[:, column], doubt[:, column] = value, own, odd
            shared[:, column, 0], shared[:, column, 1] = by_stature, by_tilt
            shared[:, column, 2], shared[:, column, 4] = by_axis, by_height
            if one.joints is not None:
                weights[:, column] = np.where(some[:, None], one.joints, 0.0)
                of_joints[column] = True
        shared[..., 2] *= _at_common_range(values, shared[..., 2] != 0)
        stature, lasting = np.full(n, model.assumed), np.tile(model.lasting, (n, 1))
        tilt: np.ndarray = np.zeros(n)
        if tilts is not None:
            tilt, lasting[:, 1] = tilts[:, 0], np.sqrt(tilts[:, 1])
            values -= shared[..., 1] * tilt[:, None]
        if BODY in names:
            column = names.index(BODY)
            stature = _with_ages(column, given, values, variance, shared, lasting, model)
            weights[:, column] *= (model.assumed / stature)[:, None]
        weights *= np.sqrt(np.where(np.isfinite(slope_var), slope_var, 0.0))[:, None]
        common, c = weights.sum(axis=2), model.joint_correlation
        joints = (1 - c) * weights @ weights.swapaxes(1, 2) + c * outer_products(common)
        if model.pairs:
            left, right, alike = zip(*model.pairs, strict=True)
            more = np.sqrt(np.maximum(np.array(alike) - c, 0.0))
            both = (weights[..., left] * more) @ (weights[..., right] * more).swapaxes(1, 2)
            joints += both + both.swapaxes(1, 2)
        axes = np.arange(k)
        joints += model.tilt_jitter**2 * outer_products(shared[..., 1])
        posture = model.height**2 * outer_products(shared[..., 4])
        posture[:, axes, axes] += np.where(of_joints & given, variance, 0.0)
        own = np.zeros((n, k, k))
        own[:, axes, axes] = np.where(of_joints & given, 0.0, variance)
        by = shared[..., :4]
        scaled = by * lasting[:, None]
        whole = own + joints + posture + scaled @ scaled.swapaxes(1, 2)
        return cls(names, given, values, own, joints, posture, by, stature, doubt, whole, tilt)

    @property
    def variance(self) -> np.ndarray:
        """The variances of the values with everything in them, float64 ``[N, K]``."""
        return np.diagonal(self.covariance, axis1=1, axis2=2)

    @property
    def measured(self) -> np.ndarray:
        """The values with the error of the tilt that they are without, float64 ``[N, K]``."""
        return self.values + self.lasting[..., 1] * self.tilt[:, None]

    def noise(self, growth: np.ndarray, posture_growth: np.ndarray) -> np.ndarray:
        """Return the covariance of what changes, ``[N, K, K]``, what is slow grown by ``[N]``."""
        slow = growth[:, None, None] * self.joints + posture_growth[:, None, None] * self.posture
        return self.own + slow


def _at_common_range(values: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Return the factors ``[N, K]`` that bring derivatives by a length to one range of a person.

    They are as large as the inverse range squared. Taken at what each sensor has measured, they
    would differ between sensors, and the difference of two ranges would look like evidence of the
    length that both share, which it is not.
    """
    count = np.maximum(some.sum(axis=1, keepdims=True), 1)
    common = np.where(some, values, 0.0).sum(axis=1, keepdims=True) / count
    return np.where(some, (common / np.where(some, values, 1.0)) ** 2, 1.0)


def _with_ages(
    column: int,
    given: np.ndarray,
    values: np.ndarray,
    variance: np.ndarray,
    shared: np.ndarray,
    lasting: np.ndarray,
    model: ErrorModel,
) -> np.ndarray:
    """Let each person be an adult or a child; return the statures that are assumed, ``[N]`` m.

    The body's length is that of an adult or of a child, with the prior of a child. What the other
    cues say makes one of them more probable; the mean and the variance of the mixture replace those
    of adults, in place: the ``column`` of the body in the other arguments of `RangeTable.of`.
    """
    own = variance + ((shared[..., :4] * lasting[:, None]) ** 2).sum(axis=-1)
    own += (model.tilt_jitter * shared[..., 1]) ** 2
    others = given.copy()
    others[:, column] = False
    information = np.where(others, 1 / own, 0.0)
    known = information.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = (information * values).sum(axis=1) / known
        spread = np.where(known > 0, 1 / known, np.inf)
    noise = variance[:, column] + KEYPOINT_SHARE * values[:, column] ** 2
    # A child who is c times as tall as assumed is c times as near as the body's length says.
    kinds = np.array([(1.0, model.stature), CHILD]).T  # means, deviations
    at = values[:, column, None] / kinds[0]
    total = (at * kinds[1] / kinds[0]) ** 2 + noise[:, None] + spread[:, None]
    with np.errstate(invalid="ignore"):
        apart = np.where(known[:, None] > 0, (at - expected[:, None]) ** 2 / total, 0.0)
        log = np.where(known[:, None] > 0, -0.5 * (apart + np.log(total)), 0.0)
    chances = np.array([1 - CHILD_PRIOR, CHILD_PRIOR]) * np.exp(
        log - log.max(axis=1, keepdims=True)
    )
    chances /= chances.sum(axis=1, keepdims=True)
    # What fits neither is no person of another age, but a wrong range: it is judged as an adult's;
    # and where the other ranges contradict each other, they tell no age.
    odd = (information * (values - expected[:, None]) ** 2).sum(axis=1) > CONTRADICTION**2
    chances[(apart > CONTRADICTION**2).all(axis=1) | odd] = (1.0, 0.0)
    mean = chances @ kinds[0]
    deviation = np.sqrt(chances @ (kinds[1] ** 2 + kinds[0] ** 2) - mean**2)
    mean = np.where(known > 0, mean, 1.0)
    deviation = np.where(known > 0, deviation, model.stature_alone)
    column_given = given[:, column] & (shared[:, column, 0] != 0)
    mean = np.where(column_given, mean, 1.0)
    values[:, column] /= mean
    variance[:, column] /= mean**2
    shared[:, column] /= mean[:, None]
    shared[:, column, 0] *= np.where(column_given, deviation / mean / model.stature, 1.0)
    return model.assumed * mean


def outer_products(vectors: np.ndarray) -> np.ndarray:
    """Return the product of each vector with itself, ``[..., K, K]`` of ``[..., K]``."""
    return vectors[..., :, None] * vectors[..., None, :]
