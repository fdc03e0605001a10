# SPDX-License-Identifier: Apache-2.0
"""How probable it is that a track is a person: initiation, growth with each skeleton, deletion.

The probability follows Bayes' rule as in the integrated probabilistic data association filter
(Musicki, Evans and Stankovic, Integrated probabilistic data association, IEEE TAC 39, 1994).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking.track import Track
from hrnet_pose_ros.fusion.transforms import wrap

# A person in the image has a skeleton with this probability, and one who is hidden by another.
DETECTION = 0.9
DETECTION_HIDDEN = 0.2
# A track exists one second later with this probability.
SURVIVAL = 0.9
# No number of skeletons makes a track certain, and none has a probability of 0.
LIMITS = (0.001, 0.999)


class Existence:
    """Initiates, confirms, doubts and deletes tracks."""

    def __init__(self, settings: FusionSettings) -> None:
        self._settings = settings

    def begin(self, scores: ArrayLike) -> np.ndarray:
        """Return the probabilities ``[...]`` of new tracks: the detector's scores, 0 to 1."""
        return np.where(np.isnan(scores), 0.5, np.clip(scores, 0.05, 0.95))

    def predicted(self, existence: float, dt: float) -> float:
        """Return the probability ``dt`` seconds later, before anything is seen."""
        return existence * SURVIVAL ** max(dt, 0.0)

    def seen(self, existence: ArrayLike, scores: ArrayLike) -> np.ndarray:
        """Return the probabilities ``[...]`` after skeletons with a detector's scores, 0 to 1.

        The score's odds are the ratio of true to false detections; a false one is as probable at
        the track's place as anywhere, hence the factor of 2.
        """
        s = self.begin(scores)
        before = np.asarray(existence, np.float64)
        odds = before / (1 - before) * 2 * s / (1 - s)
        return np.clip(odds / (1 + odds), *LIMITS)

    def missed(self, existence: float, detection: float) -> float:
        """Return the probability after an image without a skeleton, which was expected so much."""
        after = existence * (1 - detection) / (1 - existence * detection)
        return min(max(after, LIMITS[0]), LIMITS[1])

    def expected(self, at: np.ndarray, others: np.ndarray, *, in_view: bool) -> float:
        """Return the probability that an existing person would have had a skeleton.

        0 outside of the camera's view; small behind another person. ``at`` ``[2]`` and ``others``
        ``[M, 2]`` are azimuth and inverse range.
        """
        if not in_view:
            return 0.0
        beside = np.abs(wrap(at[0] - others[:, 0]))
        # Within 0.3 m of somebody nearer.
        hidden = (others[:, 1] > at[1]) & (beside < 0.3 * others[:, 1])
        return DETECTION_HIDDEN if hidden.any() else DETECTION

    def over(self, track: Track, stamp: int) -> bool:
        """Whether a track is to be deleted."""
        coasting = (stamp - track.seen) / NS
        unlikely = track.existence < self._settings.min_existence
        return coasting > self._settings.max_coast or (coasting > 0 and unlikely)
