# SPDX-License-Identifier: Apache-2.0
"""A model's uncertainty calibration: ellipses that hold their share, scores that are probabilities.

How one is fitted: coco/uncertainty_fit.py. It belongs to a model, a decoding and a flip test,
because each of them changes the errors, and travels in the model's metadata. It has nothing to do
with the camera's calibration (pose/camera.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from hrnet_pose_ros.pose.evidence import EVIDENCE, evidence_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINTS, OKS_SIGMAS

# A key point counts as found when it lies within this distance, in units of sqrt(object area) and
# for each joint: where its OKS term exp(-d² / (2·area·k²)) is 0.5, with k twice the joint's sigma.
FOUND_DISTANCES: np.ndarray = 2 * OKS_SIGMAS * np.sqrt(2 * np.log(2))

_TABLES = (
    *("heatmap_factors", "box_factors", "spread_peaks", "spread"),
    *("peaks", "probabilities", "probability_shifts", "evidence_weights"),
)

# Knots that are nearer have no slope between them.
_APART = 1e-9

# A probability is held this far from 0 and 1 before its log odds are taken.
_CERTAIN = 1e-3


@dataclass(frozen=True)
class UncertaintyCalibration:
    """Two maps, applied to the poses that an engine decodes.

    Both start from the *effective peak* q of a key point: its raw peak p plus what else speaks for
    or against it (`hrnet_pose_ros.pose.evidence`), weighted::

        q = p + sum(evidence_weights · evidence)

    The covariance of joint j in a box of area A (px², as given to the engine) is::

        S' = spread(q) · (heatmap_factors[j] · S + box_factors[j] · A · I)

    and its score, how likely the key point lies within its joint's `FOUND_DISTANCES` of the true
    place, is ``probability(q)`` with ``probability_shifts[j]`` added to its log odds. All else
    equal, a higher peak never lowers the score and never widens the covariance.

    Attributes
    ----------
    heatmap_factors, box_factors
        17 numbers each, not negative, and not both 0 for a joint.
    spread_peaks, spread
        ``spread`` is interpolated between rising effective peaks, linearly in its logarithm, and
        constant beyond them; above 0, never rising.
    peaks, probabilities
        The same for ``probability``, linearly; in [0, 1], never falling.
    probability_shifts
        17 numbers.
    evidence_weights
        One number for each of `EVIDENCE`, in units of the peak. All 0: the effective peak is the
        raw one, which is what files of before the evidence hold.
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
        for name in ("heatmap_factors", "box_factors", "probability_shifts"):
            demand(len(getattr(self, name)) == JOINTS, name, f"be {JOINTS} numbers")
        weights = len(self.evidence_weights)
        demand(weights == len(EVIDENCE), "evidence_weights", f"be {len(EVIDENCE)} numbers")
        for name in ("heatmap_factors", "box_factors"):
            demand(min(getattr(self, name)) >= 0, name, "not be negative")
        both = np.add(self.heatmap_factors, self.box_factors)
        demand(bool((both > 0).all()), "box_factors", "be above 0 where heatmap_factors is 0")
        for name, places in (("spread", "spread_peaks"), ("probabilities", "peaks")):
            knots = getattr(self, places)
            rising = all(b - a > _APART for a, b in pairwise(knots))
            demand(len(knots) > 0 and rising, places, "rise")
            demand(len(getattr(self, name)) == len(knots), name, f"be as many as {places}")
        falls = all(a >= b for a, b in pairwise(self.spread))
        demand(min(self.spread) > 0 and falls, "spread", "be above 0 and never rise")
        rises = all(a <= b for a, b in pairwise(self.probabilities))
        inside = self.probabilities[0] >= 0 and self.probabilities[-1] <= 1
        demand(rises and inside, "probabilities", "be in [0, 1] and never fall")

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        """The tables as float64 arrays, made once: an engine applies them to every image."""
        arrays = {name: np.array(getattr(self, name)) for name in _TABLES}
        return arrays | {"log_spread": np.log(arrays["spread"])}

    def effective_peaks(self, peaks: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Raw peaks with the weighted `EVIDENCE` added, float64 in the shape of ``peaks``.

        ``evidence`` has the pieces on its first axis: ``[6, *peaks.shape]``.
        """
        weighed = self._arrays["evidence_weights"] @ evidence.reshape(len(EVIDENCE), -1)
        return peaks + weighed.reshape(peaks.shape)

    def spread_of(self, effective_peaks: np.ndarray) -> np.ndarray:
        """The factor ``spread(q)`` of each effective peak, float64 in the same shape."""
        arrays = self._arrays
        return np.exp(np.interp(effective_peaks, arrays["spread_peaks"], arrays["log_spread"]))

    def probability_of(self, effective_peaks: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Probabilities, float64 in (0, 1), of effective peaks of these joints (broadcast)."""
        arrays = self._arrays
        common = np.interp(effective_peaks, arrays["peaks"], arrays["probabilities"])
        return shifted(common, arrays["probability_shifts"][joints])

    def covariances_of(
        self, covariances: np.ndarray, effective_peaks: np.ndarray, box_areas: np.ndarray
    ) -> np.ndarray:
        """Calibrated covariances, float64 ``[N, 17, 2, 2]`` px².

        Parameters
        ----------
        covariances
            float ``[N, 17, 2, 2]`` px², of the heatmaps.
        effective_peaks
            float ``[N, 17]``.
        box_areas
            float ``[N]`` px², of the boxes as given to the engine.
        """
        spread = self.spread_of(effective_peaks)
        grown = (spread * self._arrays["heatmap_factors"])[..., None, None] * covariances
        added = spread * self._arrays["box_factors"] * np.asarray(box_areas)[:, None]
        grown[..., 0, 0] += added
        grown[..., 1, 1] += added
        return grown

    def apply(self, poses: Poses, boxes: np.ndarray, image_size: tuple[int, int]) -> Poses:
        """Poses with calibrated covariances and probabilities for scores.

        Parameters
        ----------
        poses
            N poses as decoded: scores are raw peaks.
        boxes
            float ``[N, 4]``: the boxes they came from; x, y, width, height in pixels.
        image_size
            (width, height) of the image in pixels.
        """
        evidence = evidence_of(poses, boxes, np.asarray(image_size))
        effective = self.effective_peaks(poses.scores.astype(np.float64), evidence)
        areas = np.multiply(boxes[:, 2], boxes[:, 3], dtype=np.float64)
        covariances = self.covariances_of(poses.covariances, effective, areas)
        scores = np.where(poses.valid, self.probability_of(effective, np.arange(JOINTS)), 0.0)
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
    def from_json(cls, values: Any) -> UncertaintyCalibration:
        """Read back what `to_json` gave; ValueError where it is something else."""
        wanted = {*_TABLES, "origin"}
        known = [wanted, wanted - {"evidence_weights"}]  # the latter of before the evidence
        if not isinstance(values, Mapping) or set(values) not in known:
            found = sorted(values) if isinstance(values, Mapping) else values
            raise ValueError(
                f"an uncertainty calibration holds {sorted(wanted)}, this one holds {found!r}"
            )
        try:
            tables = {n: tuple(float(v) for v in values[n]) for n in _TABLES if n in values}
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"an uncertainty calibration's tables must be lists of numbers: {error}"
            ) from None
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
) -> UncertaintyCalibration | None:
    """The one for this decoding and flip test, or None; ValueError where it is damaged."""
    found = calibrations.get(calibration_key(decoding, flip_test))
    return None if found is None else UncertaintyCalibration.from_json(found)
