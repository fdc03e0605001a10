# SPDX-License-Identifier: Apache-2.0
"""A Kalman filter with a constant-velocity model, for many independent points at once.

The model is that of Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and
Navigation, 2001: white-noise acceleration in section 6.2.2, the update in Joseph form in section
5.2. D is the dimension of the points: 2 in an image, 3 in space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Motion:
    """Positions and velocities of independent points, with their covariance, at one time.

    Each point may have its own time; the caller keeps track of times. The caller also chooses the
    units, for example px and px/s, or m and m/s. ``...`` stands for any number of leading axes.

    Attributes
    ----------
    mean
        float64 ``[..., 2 D]``: position, then velocity.
    covariance
        float64 ``[..., 2 D, 2 D]``, symmetric and positive definite.
    """

    mean: np.ndarray
    covariance: np.ndarray

    def __post_init__(self) -> None:
        size = self.mean.shape[-1] if self.mean.ndim else 1
        if size == 0 or size % 2:
            raise ValueError(f"Motion.mean must have shape [..., 2 D], got {self.mean.shape}")
        _check("Motion.covariance", self.covariance, (*self.mean.shape, size))

    @classmethod
    def begin(cls, position: ArrayLike, covariance: ArrayLike, speed_std: ArrayLike) -> Motion:
        """Return the state of points after their first measurement, with unknown velocities.

        Parameters
        ----------
        position, covariance
            ``[..., D]`` and ``[..., D, D]``: the first measurement.
        speed_std
            ``[...]`` or a number: standard deviation of each component of the velocity, above 0.
        """
        at, spread = np.asarray(position, np.float64), np.asarray(covariance, np.float64)
        d = at.shape[-1]
        _check("covariance", spread, (*at.shape, d))
        whole = np.zeros((*at.shape[:-1], 2 * d, 2 * d))
        whole[..., :d, :d] = spread
        axes = np.arange(d, 2 * d)
        whole[..., axes, axes] = np.square(np.asarray(speed_std, np.float64))[..., None]
        return cls(np.concatenate([at, np.zeros_like(at)], axis=-1), whole)

    @property
    def dimension(self) -> int:
        """The dimension D of the points."""
        return self.mean.shape[-1] // 2

    @property
    def position(self) -> np.ndarray:
        """The positions, float64 ``[..., D]``."""
        return self.mean[..., : self.dimension]

    @property
    def velocity(self) -> np.ndarray:
        """The velocities per second, float64 ``[..., D]``."""
        return self.mean[..., self.dimension :]

    @property
    def position_covariance(self) -> np.ndarray:
        """The covariances of the positions, float64 ``[..., D, D]``."""
        return self.covariance[..., : self.dimension, : self.dimension]

    def predicted(self, dt: ArrayLike, density: ArrayLike) -> Motion:
        """Return the prediction for ``dt`` seconds later.

        Two steps are equivalent to one long step, so points without measurements need not be
        predicted in between.

        Parameters
        ----------
        dt
            Seconds, ``[...]`` or a number, 0 or more.
        density
            Spectral density of the acceleration, ``[...]`` or a number, 0 or more, in squared
            length per s³ (px²/s³, m²/s³). Each velocity component follows a random walk whose
            variance grows by this amount per second.

        Raises
        ------
        ValueError
            ``dt`` or the density is negative or NaN.
        """
        points = self.mean.shape[:-1]
        t = np.broadcast_to(np.asarray(dt, np.float64), points)
        q = np.broadcast_to(np.asarray(density, np.float64), points)
        for name, values in (("dt", t), ("density", q)):
            if not (values >= 0).all():
                raise ValueError(f"{name} must be 0 or more, got {np.min(values)}")
        d = self.dimension
        place, speed = np.arange(d), np.arange(d, 2 * d)
        transition = np.zeros(self.covariance.shape)
        transition[...] = np.eye(2 * d)
        transition[..., place, speed] = t[..., None]
        noise = np.zeros(self.covariance.shape)
        noise[..., place, place] = (q * t**3 / 3)[..., None]
        noise[..., place, speed] = noise[..., speed, place] = (q * t**2 / 2)[..., None]
        noise[..., speed, speed] = (q * t)[..., None]
        covariance = transition @ self.covariance @ _transposed(transition) + noise
        mean = (transition @ self.mean[..., None])[..., 0]
        return Motion(mean, _symmetric(covariance))

    def distance(self, measurement: ArrayLike, covariance: ArrayLike) -> np.ndarray:
        """Return the squared Mahalanobis distance of measured positions from these, ``[...]``.

        For consistent measurements it has a chi-square distribution with D degrees of freedom.
        ``measurement`` is ``[..., D]``; ``covariance``, ``[..., D, D]``, is that of its noise.
        """
        z, noise = self._measured(measurement, covariance)
        residual = z - self.position
        weighted = np.linalg.solve(self.position_covariance + noise, residual[..., None])[..., 0]
        return (residual * weighted).sum(axis=-1)

    def updated(self, measurement: ArrayLike, covariance: ArrayLike, mask: ArrayLike) -> Motion:
        """Return the points after an update with measured positions.

        The update uses the Joseph form, a sum of two positive definite terms, so the covariance
        remains positive definite.

        Parameters
        ----------
        measurement, covariance
            ``[..., D]`` and ``[..., D, D]``, symmetric and positive definite; values where ``mask``
            is false are ignored.
        mask
            bool ``[...]``: the points with a measurement; the others do not change.
        """
        chosen = np.broadcast_to(np.asarray(mask, bool), self.mean.shape[:-1])
        z, noise = self._measured(measurement, covariance)
        d = self.dimension
        z = np.where(chosen[..., None], z, 0.0)
        noise = np.where(chosen[..., None, None], noise, np.eye(d))
        gain = _transposed(
            np.linalg.solve(self.position_covariance + noise, self.covariance[..., :d, :])
        )
        rest = np.zeros(self.covariance.shape)
        rest[...] = np.eye(2 * d)
        rest[..., :, :d] -= gain
        mean = self.mean + (gain @ (z - self.position)[..., None])[..., 0]
        after = rest @ self.covariance @ _transposed(rest) + gain @ noise @ _transposed(gain)
        return Motion(mean, _symmetric(after)).where(chosen, self)

    def where(self, mask: np.ndarray, other: Motion) -> Motion:
        """Return these points where the mask ``[...]`` is true, those of ``other`` elsewhere."""
        return Motion(
            np.where(mask[..., None], self.mean, other.mean),
            np.where(mask[..., None, None], self.covariance, other.covariance),
        )

    def _measured(self, position: ArrayLike, noise: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        z, r = np.asarray(position, np.float64), np.asarray(noise, np.float64)
        _check("measurement", z, self.position.shape)
        _check("covariance", r, self.position_covariance.shape)
        return z, r


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")


def _transposed(matrices: np.ndarray) -> np.ndarray:
    return np.swapaxes(matrices, -1, -2)


def _symmetric(matrices: np.ndarray) -> np.ndarray:
    return (matrices + _transposed(matrices)) / 2
