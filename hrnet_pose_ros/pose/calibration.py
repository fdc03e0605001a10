# SPDX-License-Identifier: Apache-2.0
"""A model's calibration: covariances that hold what they promise, scores that are probabilities.

How one is fitted: coco/calibration_fit.py. It belongs to a model, a decoding and a flip test,
because each of them changes the errors, and travels in the model's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINTS, OKS_SIGMAS

# A key point counts as found when it lies within this distance, in units of sqrt(object area) and
# for each joint: where its OKS term exp(-d² / (2·area·k²)) is 0.5, with k twice the joint's sigma.
FOUND_DISTANCES: np.ndarray = 2 * OKS_SIGMAS * np.sqrt(2 * np.log(2))

_TABLES = (
    *("heatmap_factors", "box_factors", "spread_peaks", "spread"),
    *("peaks", "probabilities", "probability_shifts"),
)

# A probability is held this far from 0 and 1 before its log odds are taken.
_CERTAIN = 1e-3


@dataclass(frozen=True)
class Calibration:
    """Two maps, applied to the poses that an engine decodes.

    The covariance of joint j with peak p, in a box of area A (px², as given to the engine)::

        S' = spread(p) · (heatmap_factors[j] · S + box_factors[j] · A · I)

    and its score, how likely the key point lies within its joint's `FOUND_DISTANCES` of the true
    place, is ``probability(p)`` with ``probability_shifts[j]`` added to its log odds.

    Attributes
    ----------
    heatmap_factors, box_factors
        17 numbers each, not negative, and not both 0 for a joint.
    spread_peaks, spread
        ``spread`` is interpolated between rising peaks, linearly in its logarithm, and constant
        beyond them; above 0, never rising.
    peaks, probabilities
        The same for ``probability``, linearly; in [0, 1], never falling.
    probability_shifts
        17 numbers.
    origin
        What it was fitted on, in words.

    Raises ValueError when made of other values.
    """

    heatmap_factors: tuple[float, ...]
    box_factors: tuple[float, ...]
    spread_peaks: tuple[float, ...]
    spread: tuple[float, ...]
    peaks: tuple[float, ...]
    probabilities: tuple[float, ...]
    probability_shifts: tuple[float, ...]
    origin: str = ""

    def __post_init__(self) -> None:
        def demand(holds: bool, name: str, rule: str) -> None:
            if not holds:
                raise ValueError(f"calibration: {name} must {rule}, got {getattr(self, name)}")

        for name in _TABLES:
            demand(bool(np.isfinite(getattr(self, name)).all()), name, "be finite")
        for name in ("heatmap_factors", "box_factors", "probability_shifts"):
            demand(len(getattr(self, name)) == JOINTS, name, f"be {JOINTS} numbers")
        for name in ("heatmap_factors", "box_factors"):
            demand(min(getattr(self, name)) >= 0, name, "not be negative")
        both = np.add(self.heatmap_factors, self.box_factors)
        demand(bool((both > 0).all()), "box_factors", "be above 0 where heatmap_factors is 0")
        for name, places in (("spread", "spread_peaks"), ("probabilities", "peaks")):
            knots = getattr(self, places)
            rising = all(a < b for a, b in pairwise(knots))
            demand(len(knots) > 0 and rising, places, "rise")
            demand(len(getattr(self, name)) == len(knots), name, f"be as many as {places}")
        falls = all(a >= b for a, b in pairwise(self.spread))
        demand(min(self.spread) > 0 and falls, "spread", "be above 0 and never rise")
        rises = all(a <= b for a, b in pairwise(self.probabilities))
        inside = self.probabilities[0] >= 0 and self.probabilities[-1] <= 1
        demand(rises and inside, "probabilities", "be in [0, 1] and never fall")

    def spread_of(self, peaks: np.ndarray) -> np.ndarray:
        """The factor ``spread(p)`` of each peak, float64 in the shape of ``peaks``."""
        return np.exp(np.interp(peaks, self.spread_peaks, np.log(self.spread)))

    def probability_of(self, peaks: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Probabilities, float64 in (0, 1), of peaks of these joints (broadcast together)."""
        common = np.interp(peaks, self.peaks, self.probabilities)
        return shifted(common, np.asarray(self.probability_shifts)[joints])

    def covariances_of(
        self, covariances: np.ndarray, peaks: np.ndarray, box_areas: np.ndarray
    ) -> np.ndarray:
        """Calibrated covariances, float64 ``[N, 17, 2, 2]`` px².

        Parameters
        ----------
        covariances
            float ``[N, 17, 2, 2]`` px², of the heatmaps.
        peaks
            float ``[N, 17]``, raw.
        box_areas
            float ``[N]`` px², of the boxes as given to the engine.
        """
        grown = np.asarray(self.heatmap_factors)[:, None, None] * covariances.astype(np.float64)
        areas = np.asarray(box_areas, np.float64)[:, None]
        grown[..., [0, 1], [0, 1]] += (np.asarray(self.box_factors) * areas)[..., None]
        return self.spread_of(peaks)[..., None, None] * grown

    def apply(self, poses: Poses, boxes: np.ndarray) -> Poses:
        """Poses with calibrated covariances and probabilities for scores.

        Parameters
        ----------
        poses
            N poses as decoded: scores are raw peaks.
        boxes
            float ``[N, 4]``: the boxes they came from; x, y, width, height in pixels.
        """
        sides = np.asarray(boxes, np.float64)[:, 2:]
        covariances = self.covariances_of(poses.covariances, poses.scores, sides.prod(axis=1))
        scores = np.where(poses.valid, self.probability_of(poses.scores, np.arange(JOINTS)), 0.0)
        return Poses(
            keypoints=poses.keypoints,
            scores=scores.astype(np.float32),
            covariances=covariances.astype(np.float32),
            valid=poses.valid,
        )

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; `from_json` gives back an equal calibration."""
        return {name: list(getattr(self, name)) for name in _TABLES} | {"origin": self.origin}

    @classmethod
    def from_json(cls, values: Any) -> Calibration:
        """Read back what `to_json` gave; ValueError where it is something else."""
        wanted = {*_TABLES, "origin"}
        if not isinstance(values, Mapping) or set(values) != wanted:
            found = sorted(values) if isinstance(values, Mapping) else values
            raise ValueError(f"a calibration holds {sorted(wanted)}, this one holds {found!r}")
        try:
            tables = {name: tuple(float(v) for v in values[name]) for name in _TABLES}
        except (TypeError, ValueError) as error:
            raise ValueError(f"a calibration's tables must be lists of numbers: {error}") from None
        return cls(**tables, origin=str(values["origin"]))


def shifted(probabilities: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Probabilities with something added to their log odds."""
    held = np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)
    return 1 / (1 + (1 - held) / held * np.exp(-shifts))


def calibration_key(decoding: str, flip_test: bool) -> str:
    """The name of a calibration in a model's metadata: ``quarter``, ``dark+flip``, …"""
    return decoding + ("+flip" if flip_test else "")


def find_calibration(
    calibrations: Mapping[str, Any], decoding: str, flip_test: bool
) -> Calibration | None:
    """The one for this decoding and flip test, or None; ValueError where it is damaged."""
    found = calibrations.get(calibration_key(decoding, flip_test))
    return None if found is None else Calibration.from_json(found)
