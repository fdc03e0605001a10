# SPDX-License-Identifier: Apache-2.0
"""How far a sensor's returns are beside the camera's directions: learned while people are seen."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_pose_ros.fusion.settings import FusionSettings

# A part of the prior's variance that remains: mounts move.
LEAST_ALIGNMENT = 0.02


@dataclass(frozen=True)
class Alignment:
    """How far a sensor's returns are beside the camera's directions, for all persons alike.

    It is the difference of two mounts, and learned from persons with returns that cannot be
    another's.

    Attributes
    ----------
    azimuth, variance
        rad, rad².
    least
        It does not become more certain than this, rad²: mounts move.
    """

    azimuth: float
    variance: float
    least: float

    @classmethod
    def of(cls, settings: FusionSettings) -> Alignment:
        """Return what is known before anything is measured: nothing but the mounts' errors."""
        variance = settings.yaw_std**2 + settings.sensor_mount_std**2
        return cls(0.0, variance, LEAST_ALIGNMENT * variance)

    def updated(self, measured: list[tuple[float, float]]) -> Alignment:
        """Return it after measurements, each with its variance; those beyond 3 sigma are left out.

        >>> start = Alignment(0.0, 1.0, 0.01)
        >>> start.updated([(1.0, 1.0)])
        Alignment(azimuth=0.5, variance=0.5, least=0.01)
        """
        azimuth, variance = self.azimuth, self.variance
        for value, noise in measured:
            if (value - azimuth) ** 2 > 9 * (variance + noise):
                continue
            gain = variance / (variance + noise)
            azimuth += gain * (value - azimuth)
            variance *= 1 - gain
        return Alignment(azimuth, max(variance, self.least), self.least)
