# SPDX-License-Identifier: Apache-2.0
"""A model's uncertainty calibration: it corrects covariances and turns scores into probabilities.

It is fitted in coco/uncertainty_fit.py. A calibration belongs to a model, a decoding and a flip
test, because each of them changes the errors. It is stored in the model's metadata. It is unrelated
to the calibration of the camera (pose/camera.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from hrnet_pose_ros.pose.evidence import EVIDENCE, evidence_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

_TABLES = (
    *("heatmap_factors", "box_factors", "spread_peaks", "spread"),
    *("peaks", "probabilities", "probability_shifts", "evidence_weights"),
)

# Minimum distance between two knots; a smaller one would not define a slope.
_MIN_KNOT_DISTANCE = 1e-9

# Probabilities are clipped to this distance from 0 and 1 before their log odds are taken.
_PROBABILITY_MARGIN = 1e-3


@dataclass(frozen=True)
class UncertaintyCalibration:
    """Two functions, applied to the poses that an engine decodes.

    Both depend on the *effective peak* q of a key point: its raw peak p plus the weighted evidence
    for or against it (`hrnet_pose_ros.pose.evidence`)::

        q = p + sum(evidence_weights · evidence)

    The covariance of joint j in a box of area A (px², as given to the engine) is::

        S' = spread(q) · (heatmap_factors[j] · S + box_factors[j] · A · I)

    and its score, the probability that the key point lies within its joint's `found_distances` of
    the true position, is ``probability(q)`` with ``probability_shifts[j]`` added to its log odds.
    All else equal, a higher peak never lowers the score and never enlarges the covariance.

    Attributes
    ----------
    heatmap_factors, box_factors
        One number per joint each, not negative, and not both 0 for the same joint.
    spread_peaks, spread
        The knots of ``spread``, with increasing effective peaks: the logarithm of ``spread`` is
        interpolated linearly, and constant beyond the knots; above 0 and non-increasing.
    peaks, probabilities
        The knots of ``probability``, interpolated linearly; in [0, 1] and non-decreasing.
    probability_shifts
        One number per joint.
    evidence_weights
        One number for each of `EVIDENCE`, in units of the peak. If all are 0, as in files that
        were written before evidence was introduced, the effective peak is the raw peak.
    origin
        A text about the data of the fit.

    Raises ValueError for other values.
    """

    heatmap_factors: tuple[float, ...]
    box_factors: tuple[float, ...]
    spread_peaks: tuple[float, ...]
    spread: tuple[float, ...]
    peaks: tuple[float, ...]
    probabilities: tuple[float, ...]
    probability_shifts: tuple[float, ...]
    evidence_weights: tuple[float, ...] = (0.0,) * len(EVIDENCE)
    origin: str = ""

    def __post_init__(self) -> None:
        def demand(holds: bool, name: str, rule: str) -> None:
            if not holds:
                raise ValueError(
                    f"uncertainty calibration: {name} must {rule}, got {getattr(self, name)}"
                )

        for name in _TABLES:
            demand(bool(np.isfinite(getattr(self, name)).all()), name, "be finite")
        for name in ("box_factors", "probability_shifts"):
            rule = f"have as many numbers as heatmap_factors ({self.joints})"
            demand(len(getattr(self, name)) == self.joints, name, rule)
        demand(self.joints > 0, "heatmap_factors", "have a number for each joint")
        weights = len(self.evidence_weights)
        demand(weights == len(EVIDENCE), "evidence_weights", f"have {len(EVIDENCE)} numbers")
        for name in ("heatmap_factors", "box_factors"):
            demand(min(getattr(self, name)) >= 0, name, "not be negative")
        both = np.add(self.heatmap_factors, self.box_factors)
        demand(bool((both > 0).all()), "box_factors", "be above 0 where heatmap_factors is 0")
        for name, places in (("spread", "spread_peaks"), ("probabilities", "peaks")):
            knots = getattr(self, places)
            rising = all(b - a > _MIN_KNOT_DISTANCE for a, b in pairwise(knots))
            demand(len(knots) > 0 and rising, places, "be increasing")
            same_length = len(getattr(self, name)) == len(knots)
            demand(same_length, name, f"have as many numbers as {places}")
        falls = all(a >= b for a, b in pairwise(self.spread))
        demand(min(self.spread) > 0 and falls, "spread", "be above 0 and never increase")
        rises = all(a <= b for a, b in pairwise(self.probabilities))
        inside = self.probabilities[0] >= 0 and self.probabilities[-1] <= 1
        demand(rises and inside, "probabilities", "be in [0, 1] and never decrease")

    @property
    def joints(self) -> int:
        """The number of joints that it is for."""
        return len(self.heatmap_factors)

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        """The tables as float64 arrays, converted once because they are used for every image."""
        arrays = {name: np.array(getattr(self, name)) for name in _TABLES}
        return arrays | {"log_spread": np.log(arrays["spread"])}

    def effective_peaks(self, peaks: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Return raw peaks plus the weighted `EVIDENCE`, float64 in the shape of ``peaks``.

        The first axis of ``evidence`` is that of `EVIDENCE`: ``[6, *peaks.shape]``.
        """
        weighed = self._arrays["evidence_weights"] @ evidence.reshape(len(EVIDENCE), -1)
        return peaks + weighed.reshape(peaks.shape)

    def spread_of(self, effective_peaks: np.ndarray) -> np.ndarray:
        """Return the factor ``spread(q)`` of each effective peak, float64 in the same shape."""
        arrays = self._arrays
        return np.exp(np.interp(effective_peaks, arrays["spread_peaks"], arrays["log_spread"]))

    def probability_of(self, effective_peaks: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 in (0, 1), for effective peaks of joints (broadcast)."""
        arrays = self._arrays
        common = np.interp(effective_peaks, arrays["peaks"], arrays["probabilities"])
        return shift_log_odds(common, arrays["probability_shifts"][joints])

    def covariances_of(
        self, covariances: np.ndarray, effective_peaks: np.ndarray, box_areas: np.ndarray
    ) -> np.ndarray:
        """Return calibrated covariances, float64 ``[N, J, 2, 2]`` px².

        Parameters
        ----------
        covariances
            float ``[N, J, 2, 2]`` px², of the heatmaps.
        effective_peaks
            float ``[N, J]``.
        box_areas
            float ``[N]`` px², the areas of the boxes as given to the engine.
        """
        spread = self.spread_of(effective_peaks)
        grown = (spread * self._arrays["heatmap_factors"])[..., None, None] * covariances
        added = spread * self._arrays["box_factors"] * np.asarray(box_areas)[:, None]
        grown[..., 0, 0] += added
        grown[..., 1, 1] += added
        return grown

    def apply(self, poses: Poses, boxes: np.ndarray, image_size: tuple[int, int]) -> Poses:
        """Return poses with calibrated covariances, and probabilities as scores.

        Parameters
        ----------
        poses
            N poses as decoded: scores are raw peaks.
        boxes
            float ``[N, 4]``: the boxes of the poses; x, y, width, height in pixels.
        image_size
            (width, height) of the image in pixels.
        """
        evidence = evidence_of(poses, boxes, np.asarray(image_size))
        effective = self.effective_peaks(poses.scores.astype(np.float64), evidence)
        areas = np.multiply(boxes[:, 2], boxes[:, 3], dtype=np.float64)
        covariances = self.covariances_of(poses.covariances, effective, areas)
        scores = np.where(poses.valid, self.probability_of(effective, np.arange(self.joints)), 0.0)
        return replace(
            poses,
            scores=scores.astype(np.float32),
            covariances=covariances.astype(np.float32),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the calibration in JSON types; `from_json` restores it."""
        return {name: list(getattr(self, name)) for name in _TABLES} | {"origin": self.origin}

    @classmethod
    def from_json(cls, values: Any) -> UncertaintyCalibration:
        """Restore what `to_json` returned; ValueError if it is something else."""
        wanted = {*_TABLES, "origin"}
        known = [wanted, wanted - {"evidence_weights"}]  # the latter in files without evidence
        if not isinstance(values, Mapping) or set(values) not in known:
            found = sorted(values) if isinstance(values, Mapping) else values
            raise ValueError(
                f"an uncertainty calibration must contain {sorted(wanted)}, but this one contains "
                f"{found!r}"
            )
        try:
            tables = {n: tuple(float(v) for v in values[n]) for n in _TABLES if n in values}
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"an uncertainty calibration's tables must be lists of numbers: {error}"
            ) from None
        return cls(**tables, origin=str(values["origin"]))


def found_distances(skeleton: SkeletonDefinition) -> np.ndarray:
    """Return float64 ``[J]``: how near to the true position a key point counts as found.

    In units of sqrt(object area): the distance at which the OKS term exp(-d² / (2·area·k²)) is 0.5,
    with k twice the joint's sigma.
    """
    return 2 * skeleton.sigmas * np.sqrt(2 * np.log(2))


def shift_log_odds(probabilities: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return probabilities with ``shifts`` added to their log odds."""
    clipped = np.clip(probabilities, _PROBABILITY_MARGIN, 1 - _PROBABILITY_MARGIN)
    return 1 / (1 + (1 - clipped) / clipped * np.exp(-shifts))


def calibration_key(decoding: str, flip_test: bool) -> str:
    """Return the name of a calibration in a model's metadata: ``quarter``, ``dark+flip``, …"""
    return decoding + ("+flip" if flip_test else "")


def find_calibration(
    calibrations: Mapping[str, Any],
    decoding: str,
    flip_test: bool,
    skeleton: SkeletonDefinition,
) -> UncertaintyCalibration | None:
    """Return the calibration for a decoding and flip test, or None.

    Raises ValueError if it is damaged, or for another number of joints than the skeleton's.
    """
    found = calibrations.get(calibration_key(decoding, flip_test))
    if found is None:
        return None
    calibration = UncertaintyCalibration.from_json(found)
    if calibration.joints != skeleton.joints:
        raise ValueError(
            f"an uncertainty calibration of {calibration.joints} joints, but '{skeleton.name}' has "
            f"{skeleton.joints}"
        )
    return calibration
