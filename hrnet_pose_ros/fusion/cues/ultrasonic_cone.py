# SPDX-License-Identifier: Apache-2.0
"""Ultrasonic cone: the nearest echo bounds the range of everybody in the cone from below."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr

from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cue import Scene, SensorCue
from hrnet_pose_ros.fusion.cues.priors import Priors, last_known
from hrnet_pose_ros.fusion.inputs import UltrasonicRange
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.transforms import Transform, wrap

# The body's axis is not nearer than the echo minus this, m: the sensor's error.
SLACK = 0.1
# A bound that the estimate exceeds by more standard deviations contradicts it.
CONTRADICTION = 3.0


class UltrasonicCone(SensorCue[UltrasonicRange]):
    """Cuts off an estimate, which must come from other cues, at the distance of the echo.

    No echo (+inf) is no bound: clothes absorb ultrasound. Something nearer than ``min_range``
    (-inf) is none either, nor is exactly ``max_range``, which drivers that do not follow REP 117
    send without an echo: it would move away somebody who absorbs it.
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

    def _measure(self, scene: Scene, priors: Priors, answers: CueAnswers) -> None:
        assert self.measured is not None
        echo, views = self.measured, scene.views
        value, variance = last_known(priors).T
        answers.refuse(np.isnan(value), Refusal.NO_MEASUREMENT)
        middle = views.box[:, :2].mean(axis=1) + views.heading
        towards = np.stack([np.cos(middle), np.sin(middle)], axis=1)
        offset = (views.camera_position - self._tip)[:2]
        to_person = offset + towards / np.maximum(value, 1e-3)[:, None]
        off = np.arctan2(to_person[:, 1], to_person[:, 0]) - self._heading
        answers.refuse(np.abs(wrap(off)) > echo.field_of_view / 2, Refusal.OUT_OF_VIEW)
        if not np.isfinite(echo.range) or echo.range == echo.max_range:
            answers.refuse(True, Refusal.NO_RETURN)
        elif not echo.min_range <= echo.range <= echo.max_range:
            answers.refuse(True, Refusal.OUT_OF_RANGE)
        if not answers.open.any():
            return
        # Where the bearing leaves the circle of the echo about the sensor.
        nearest = echo.range - SLACK - float(np.sqrt(self.waiting_variance(scene)))
        b = -(towards @ offset)
        under = b * b - float(offset @ offset) + nearest * nearest
        bound = np.where(under > 0, b + np.sqrt(np.maximum(under, 0.0)), 0.0)
        answers.refuse((bound <= 0.05) | (nearest <= 0), Refusal.OUT_OF_RANGE)
        for person in np.flatnonzero(answers.open).tolist():
            cut = cut_off(float(value[person]), float(variance[person]), 1 / float(bound[person]))
            if cut is None:
                answers.refuse_one(person, Refusal.DISAGREES)
            else:
                answers.value[person], answers.variance[person] = cut


def cut_off(value: float, variance: float, limit: float) -> tuple[float, float] | None:
    """Return the measurement that turns a normal distribution into the one cut off at a limit.

    The moments of the truncated normal distribution (Johnson, Kotz and Balakrishnan, Continuous
    Univariate Distributions 1, 1994, section 10.1) are matched. An estimate far below the limit is
    confirmed and not changed: the variance is then infinite. One more than 3 standard deviations
    above is contradicted: None.
    """
    std = math.sqrt(variance)
    alpha = (limit - value) / std
    if alpha < -CONTRADICTION:
        return None
    if alpha > CONTRADICTION:
        return value, math.inf
    hazard = math.exp(-alpha * alpha / 2 - float(log_ndtr(alpha))) / math.sqrt(2 * math.pi)
    mean, after = value - std * hazard, variance * (1 - alpha * hazard - hazard * hazard)
    information = 1 / after - 1 / variance
    return (mean / after - value / variance) / information, 1 / information
