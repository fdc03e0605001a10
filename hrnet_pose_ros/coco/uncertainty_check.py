# SPDX-License-Identifier: Apache-2.0
"""What a calibration says of persons, and what a fit says of persons that it has not seen."""

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
class Judged:
    """Samples beside what is published of them: M scores in [0, 1] and squared Mahalanobis
    distances, the latter of use for labelled joints only."""

    samples: Samples
    scores: np.ndarray
    squared: np.ndarray

    def select(self, chosen: np.ndarray) -> Judged:
        """These of the samples: indices or a mask."""
        return Judged(self.samples.select(chosen), self.scores[chosen], self.squared[chosen])


def judged(samples: Samples, calibration: UncertaintyCalibration | None) -> Judged:
    """The samples under one calibration, or as decoded."""
    return Judged(
        samples, published_scores(samples, calibration), published_distances(samples, calibration)
    )


def cross_validated(samples: Samples, folds: int = FOLDS) -> Judged:
    """Every sample under a calibration that was fitted without its part of the images.

    The images are parted by their ids, in order: neighbouring frames of a video stay together.

    Raises
    ------
    ValueError
        There are fewer than two images, or too few labelled joints in the others of a part.
    """
    parts = image_parts(samples.image_ids, folds)
    scores, squared = np.empty(len(samples)), np.empty(len(samples))
    for part in range(int(parts.max()) + 1):
        inside = parts == part
        try:
            calibration = fit_uncertainty(samples.select(~inside), "")
        except ValueError as error:
            raise ValueError(f"cross-validation, part {part + 1} left out: {error}") from error
        told = judged(samples.select(inside), calibration)
        scores[inside], squared[inside] = told.scores, told.squared
    return Judged(samples, scores, squared)


def image_parts(image_ids: np.ndarray, folds: int = FOLDS) -> np.ndarray:
    """int ``[M]``: which part each sample's image is in; as many parts as images at most."""
    images, index = np.unique(image_ids, return_inverse=True)
    if len(images) < 2:
        raise ValueError(f"cross-validation needs at least 2 images, there are {len(images)}")
    folds = min(folds, len(images))
    return (np.arange(len(images)) * folds // len(images))[index]
