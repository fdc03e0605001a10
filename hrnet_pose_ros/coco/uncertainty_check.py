# SPDX-License-Identifier: Apache-2.0
"""Applies uncertainty calibrations to samples, and cross-validates the fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.coco.uncertainty_fit import fit_uncertainty
from hrnet_pose_ros.coco.uncertainty_samples import (
    Samples,
    published_distances,
    published_scores,
)
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration

FOLDS = 5


@dataclass(frozen=True)
class ScoredSamples:
    """Samples with their published values: M scores in [0, 1] and squared Mahalanobis distances,
    which are meaningful for labelled joints only."""

    samples: Samples
    scores: np.ndarray
    squared: np.ndarray

    def select(self, chosen: np.ndarray) -> ScoredSamples:
        """A subset of the samples, by indices or mask."""
        return ScoredSamples(self.samples.select(chosen), self.scores[chosen], self.squared[chosen])


def score_samples(samples: Samples, calibration: UncertaintyCalibration | None) -> ScoredSamples:
    """Apply a calibration to the samples; None leaves them as decoded."""
    return ScoredSamples(
        samples, published_scores(samples, calibration), published_distances(samples, calibration)
    )


def cross_validated(samples: Samples, folds: int = FOLDS) -> ScoredSamples:
    """Score every sample with a calibration that was fitted without its fold of the images.

    The images are split into folds in order of their ids, so neighbouring frames of a video stay
    together.

    Raises
    ------
    ValueError
        There are fewer than two images, or too few labelled joints outside of a fold.
    """
    fold_of = image_folds(samples.image_ids, folds)
    scores, squared = np.empty(len(samples)), np.empty(len(samples))
    for part in range(int(fold_of.max()) + 1):
        inside = fold_of == part
        try:
            calibration = fit_uncertainty(samples.select(~inside), "")
        except ValueError as error:
            raise ValueError(f"cross-validation without fold {part + 1}: {error}") from error
        scored = score_samples(samples.select(inside), calibration)
        scores[inside], squared[inside] = scored.scores, scored.squared
    return ScoredSamples(samples, scores, squared)


def image_folds(image_ids: np.ndarray, folds: int = FOLDS) -> np.ndarray:
    """int ``[M]``: the fold of each sample's image; there are at most as many folds as images."""
    images, index = np.unique(image_ids, return_inverse=True)
    if len(images) < 2:
        raise ValueError(f"cross-validation needs at least 2 images, got {len(images)}")
    folds = min(folds, len(images))
    return (np.arange(len(images)) * folds // len(images))[index]
