# SPDX-License-Identifier: Apache-2.0
"""The inverse ranges of the persons of an image with everything that they share, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS_STD
from hrnet_pose_ros.fusion.cues.cue import InverseRange
from hrnet_pose_ros.fusion.settings import FusionSettings

# The time between two images for which the correlation of key points is given, s.
CORRELATION_STEP = 0.1


@dataclass(frozen=True)
class ErrorModel:
    """The standard deviations of what cues share, at one image.

    Attributes
    ----------
    stature, tilt, axis, yaw
        What stays the same over time: of the relative stature, of the tilt in rad, of the distance
        from a surface to the axis in m, of the camera's heading on the vehicle in rad.
    stature_alone
        Of the relative stature of persons of whom only the body's length tells the range.
    tilt_jitter, height
        What changes from image to image: of the tilt in rad, of the camera's height in m.
    joint_correlation
        Of the errors of two joints of a person.
    keypoint_correlation
        Of a joint's errors 0.1 s apart.
    """

    stature: float
    stature_alone: float
    tilt: float
    tilt_jitter: float
    height: float
    axis: float
    yaw: float
    joint_correlation: float
    keypoint_correlation: float

    @classmethod
    def of(cls, settings: FusionSettings, *, imu: bool) -> ErrorModel:
        """Return the model of some settings, with or without an IMU."""
        jitter = settings.tilt_jitter_std_imu if imu else settings.tilt_jitter_std
        if settings.fixed_base:  # nothing pitches it
            jitter = min(jitter, settings.tilt_jitter_std_imu)
        return cls(
            stature=settings.stature_std / settings.stature,
            stature_alone=settings.stature_std_alone / settings.stature,
            tilt=settings.tilt_std_imu if imu else settings.tilt_std,
            tilt_jitter=jitter,
            height=settings.base_height_std,
            axis=SURFACE_TO_AXIS_STD,
            yaw=settings.yaw_std,
            joint_correlation=settings.joint_correlation,
            keypoint_correlation=settings.keypoint_correlation,
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
        c = self.keypoint_correlation ** (np.maximum(since, 0.0) / CORRELATION_STEP)
        return (1 + c) / np.maximum(1 - c, 1e-3)


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
    own, joints
        float64 ``[N, K, K]``: covariances of what changes from image to image, of the cues; and
        from the key points and the tilt, which change more slowly.
    lasting
        float64 ``[N, K, 4]``: derivatives by the errors that stay: stature, tilt, axis, and yaw,
        of which no range depends.
    """

    names: tuple[str, ...]
    given: np.ndarray
    values: np.ndarray
    own: np.ndarray
    joints: np.ndarray
    lasting: np.ndarray

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        answers: Sequence[Mapping[str, object]],
        slope_var: np.ndarray,
        model: ErrorModel,
    ) -> RangeTable:
        """Return the table of the answers that are ranges with a finite variance.

        Parameters
        ----------
        names
            K names of cues; the answers of others are ignored.
        answers
            Of N persons, by name of the cue.
        slope_var
            float64 ``[N, J]``: variances of the joints' slopes; NaN for joints without.
        model
            The errors that cues share.
        """
        n, k = len(answers), len(names)
        given, values, variance = np.zeros((n, k), bool), np.zeros((n, k)), np.ones((n, k))
        weights, shared = np.zeros((n, k, slope_var.shape[1])), np.zeros((n, k, 5))
        for person, own in enumerate(answers):
            for column, name in enumerate(names):
                one = own.get(name)
                if isinstance(one, InverseRange) and one.variance < np.inf:
                    given[person, column] = True
                    values[person, column], variance[person, column] = one.value, one.variance
                    shared[person, column] = one.stature, one.tilt, one.axis, 0.0, one.height
                    if one.joints is not None:
                        weights[person, column] = one.joints
        # Whoever nothing else tells about may be a child.
        column = names.index("body_length") if "body_length" in names else -1
        alone = (given.sum(axis=1) == 1) & (given[:, column] if column >= 0 else False)
        shared[alone, column, 0] *= model.stature_alone / model.stature
        weights *= np.sqrt(np.nan_to_num(slope_var))[:, None]
        common, c = weights.sum(axis=2), model.joint_correlation
        joints = (1 - c) * weights @ weights.swapaxes(1, 2) + c * outer_products(common)
        axes = np.arange(k)
        joints += model.tilt_jitter**2 * outer_products(shared[..., 1])
        noise = model.height**2 * outer_products(shared[..., 4])
        noise[:, axes, axes] += variance
        return cls(names, given, values, noise, joints, shared[..., :4])

    def noise(self, growth: np.ndarray) -> np.ndarray:
        """Return the covariance of what changes, ``[N, K, K]``, what is slow grown by ``[N]``."""
        return self.own + growth[:, None, None] * self.joints

    def covariance(self, model: ErrorModel) -> np.ndarray:
        """Return the covariance of the values with everything in it, ``[N, K, K]``."""
        scaled = self.lasting * model.lasting
        return self.own + self.joints + scaled @ scaled.swapaxes(1, 2)


def outer_products(vectors: np.ndarray) -> np.ndarray:
    """Return the product of each vector with itself, ``[..., K, K]`` of ``[..., K]``."""
    return vectors[..., :, None] * vectors[..., None, :]
