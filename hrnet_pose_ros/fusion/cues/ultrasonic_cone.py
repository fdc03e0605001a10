# SPDX-License-Identifier: Apache-2.0
"""Ultrasonic cone: the nearest echo bounds the range of everybody in the cone from below."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from hrnet_pose_ros.fusion.cues.cue import Answer, InverseRange, Scene, SensorCue
from hrnet_pose_ros.fusion.inputs import UltrasonicRange
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.transforms import Transform

# The body's axis is not nearer than the echo minus this, m: the sensor's error.
SLACK = 0.1
# A bound that the estimate exceeds by more standard deviations contradicts it.
CONTRADICTION = 3.0


class UltrasonicCone(SensorCue[UltrasonicRange]):
    """Cuts off an estimate, which must come from other cues, at the distance of the echo.

    No echo (+inf) is no bound: clothes absorb ultrasound. Something nearer than ``min_range``
    (-inf) is none either.
    """

    name = "ultrasonic"
    source = Source.ULTRASONIC

    def _sound(self, measurement: UltrasonicRange) -> bool:
        m = measurement
        return 0 < m.field_of_view < 2 * np.pi and 0 <= m.min_range <= m.max_range < np.inf

    def _prepare(self, scene: Scene, measurement: UltrasonicRange, place: Transform) -> None:
        motion = scene.ego.between(measurement.stamp, scene.stamp)
        self._tip = motion.apply(place.translation)
        axis = place.rotation[:2, 0] @ motion.rotation.T
        self._heading = float(np.arctan2(axis[1], axis[0]))

    def _measure(self, scene: Scene, person: int, priors: list[tuple[float, float]]) -> Answer:
        assert self.measured is not None
        echo = self.measured
        if not priors:
            return Refusal.NO_MEASUREMENT
        value, variance = priors[-1]
        left, right = scene.views.box[person, :2].tolist()
        middle = (left + right) / 2 + scene.views.heading
        towards = np.array([np.cos(middle), np.sin(middle)])
        offset = (scene.views.camera_position - self._tip)[:2]
        to_person = offset + towards / max(value, 1e-3)
        off = np.arctan2(to_person[1], to_person[0]) - self._heading
        if abs((off + np.pi) % (2 * np.pi) - np.pi) > echo.field_of_view / 2:
            return Refusal.OUT_OF_VIEW
        if not np.isfinite(echo.range):
            return Refusal.NO_RETURN
        if not echo.min_range <= echo.range <= echo.max_range:
            return Refusal.OUT_OF_RANGE
        # Where the bearing leaves the circle of the echo about the sensor.
        nearest = echo.range - SLACK - float(np.sqrt(self.waiting_variance(scene)))
        b = -float(offset @ towards)
        under = b * b - float(offset @ offset) + nearest * nearest
        bound = b + np.sqrt(under) if nearest > 0 and under > 0 else 0.0
        if bound <= 0.05:
            return Refusal.OUT_OF_RANGE
        return cut_off(value, variance, 1 / bound)


def cut_off(value: float, variance: float, limit: float) -> InverseRange | Refusal:
    """Return the measurement that turns a normal distribution into the one cut off at a limit.

    The moments of the truncated normal distribution (Johnson, Kotz and Balakrishnan, Continuous
    Univariate Distributions 1, 1994, section 10.1) are matched. An estimate far below the limit is
    confirmed and not changed: the variance is then infinite. One more than 3 standard deviations
    above is contradicted.
    """
    std = np.sqrt(variance)
    alpha = (limit - value) / std
    if alpha < -CONTRADICTION:
        return Refusal.DISAGREES
    if alpha > CONTRADICTION:
        return InverseRange(value, np.inf)
    hazard = float(np.exp(-alpha * alpha / 2 - log_ndtr(alpha)) / np.sqrt(2 * np.pi))
    mean, after = value - std * hazard, variance * (1 - alpha * hazard - hazard * hazard)
    information = 1 / after - 1 / variance
    return InverseRange((mean / after - value / variance) / information, 1 / information)
