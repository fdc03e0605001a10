# SPDX-License-Identifier: Apache-2.0
"""The people of a run against those of a golden run, or against the truth of a simulation.

Frames match if their stamps are equal. Persons of a frame match

1. if they have the same skeleton of the image and are near enough,
2. otherwise by their distance: the assignment of the most pairs that are near enough, with the
   least sum of distances.

A golden person of whom it is not likely that it exists (``existence`` below 0.5), and one without a
skeleton, need not be found: of a simulation's truth, those whom the camera does not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hrnet_pose_ros.replay.comparison import IdMatches, RunComparison
from hrnet_pose_ros.replay.people_answers import PeopleAnswers, PeopleFrame

LIKELY = 0.5
# The squared 2 sigma.
TWO_SIGMA = 4.0


@dataclass(frozen=True)
class PeopleFrameComparison:
    """One image that both runs have people of, with M matched persons.

    Attributes
    ----------
    pairs
        int ``[M, 2]``: indices in the golden and in the new frame.
    errors, distances
        float64 ``[M]`` m: between the two positions, and the golden person's distance.
    inside
        bool ``[M]``: the golden position is inside of the new 2 sigma ellipse.
    missed, extra
        Golden persons who had to be found and were not, and new ones with a skeleton who match
        nobody.
    kept_ids, seen_again
        As in `FrameComparison`.
    """

    golden: PeopleFrame
    new: PeopleFrame
    pairs: np.ndarray
    errors: np.ndarray
    distances: np.ndarray
    inside: np.ndarray
    missed: int
    extra: int
    kept_ids: int
    seen_again: int

    @property
    def stamp(self) -> int:
        """Of both frames, ns."""
        return self.golden.stamp


@dataclass(frozen=True)
class PeopleComparison(RunComparison):
    """All images of two runs with people."""

    golden: PeopleAnswers
    new: PeopleAnswers
    frames: list[PeopleFrameComparison]

    @property
    def wanted_persons(self) -> int:
        """Golden persons who have to be found, in the frames that both bags have."""
        return sum(int(_wanted(frame.golden).sum()) for frame in self.frames)


def compare_people(
    golden: PeopleAnswers, new: PeopleAnswers, *, within: float, within_part: float
) -> PeopleComparison:
    """Compare two runs.

    Persons are near enough if they are at most ``within`` m plus ``within_part`` of the golden
    person's distance apart. Raises ValueError if the two are in different frames.
    """
    if golden.frame_id and new.frame_id and golden.frame_id != new.frame_id:
        raise ValueError(
            f"the people of {golden.name} are in the frame '{golden.frame_id}', those of {new.name}"
            f" in '{new.frame_id}': places cannot be compared; set the same base_frame for both"
        )
    partners = IdMatches()
    frames = []
    for stamp, one in golden.frames.items():
        if stamp in new.frames:
            limits = within + within_part * one.distances
            frames.append(_compared(one, new.frames[stamp], limits, partners))
    return PeopleComparison(golden, new, frames)


def match_people(golden: PeopleFrame, new: PeopleFrame, limits: np.ndarray) -> np.ndarray:
    """Match the people of two frames; see the module.

    Parameters
    ----------
    limits
        float64 ``[N]`` m: how far from each golden person a match may be.

    Returns
    -------
    int64 ``[M, 2]``: indices in ``golden`` and in ``new``, sorted by the first.
    """
    apart = np.linalg.norm(golden.positions[:, None] - new.positions[None], axis=2)
    near = apart <= limits[:, None]  # not for NaN
    same = (golden.indices[:, None] == new.indices[None]) & (golden.indices[:, None] >= 0) & near
    pairs = [(int(a), int(b)) for a, b in np.argwhere(same)]
    for a, b in pairs:
        near[a], near[:, b] = False, False
    # A pair that is not near enough costs more than all that are.
    far = 1.0 + np.where(near, apart, 0.0).sum()
    rows, columns = linear_sum_assignment(np.where(near, apart, far))
    pairs += [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if near[a, b]]
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _wanted(golden: PeopleFrame) -> np.ndarray:
    return (golden.existence >= LIKELY) & (golden.indices >= 0)


def _compared(
    golden: PeopleFrame, new: PeopleFrame, limits: np.ndarray, partners: IdMatches
) -> PeopleFrameComparison:
    pairs = match_people(golden, new, limits)
    a, b = pairs[:, 0], pairs[:, 1]
    difference = golden.positions[a] - new.positions[b]
    kept, again = partners.kept([(golden.ids[i], new.ids[j]) for i, j in pairs.tolist()])
    wanted, alone = _wanted(golden), new.indices >= 0
    wanted[a], alone[b] = False, False
    return PeopleFrameComparison(
        golden=golden,
        new=new,
        pairs=pairs,
        errors=np.linalg.norm(difference, axis=1),
        distances=golden.distances[a],
        inside=_squared_sigmas(difference, new.covariances[b]) <= TWO_SIGMA,
        missed=int(wanted.sum()),
        extra=int(alone.sum()),
        kept_ids=kept,
        seen_again=again,
    )


def _squared_sigmas(difference: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return the squared Mahalanobis distances ``[M]``; infinite where there is no covariance."""
    result = np.full(len(difference), np.inf)
    for n, (d, covariance) in enumerate(zip(difference, covariances, strict=True)):
        if np.isfinite(covariance).all() and np.linalg.det(covariance) > 0:
            result[n] = d @ np.linalg.solve(covariance, d)
        elif not d.any():
            result[n] = 0.0
    return result
