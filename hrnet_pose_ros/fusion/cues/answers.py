# SPDX-License-Identifier: Apache-2.0
"""What a cue says about the persons of an image: an inverse range of each, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.refusals import Refusal


@dataclass(frozen=True)
class InverseRange:
    """One cue's answer for one person: 1 / (horizontal distance of the body's axis), 1/m.

    What several cues have in common is not in ``variance`` but in the derivatives, so that cues
    are fused jointly and errors that stay are not averaged away.

    Attributes
    ----------
    value
        1/m.
    variance
        Of this cue alone, 1/m²; infinite if the cue only confirms what others say.
    joints
        None, or float64 ``[J]``: derivative by the slope of each joint.
    stature
        Derivative by the relative error of the assumed stature.
    tilt
        Derivative by the error of the camera's tilt, 1/(m rad).
    height
        Derivative by the error of the camera's height, 1/m².
    axis
        Derivative by the error of the distance from the measured surface to the body's axis, 1/m².
    doubt
        Probability that this is the range of something else than the person, as far as the cue
        alone can tell.
    """

    value: float
    variance: float
    joints: np.ndarray | None = None
    stature: float = 0.0
    tilt: float = 0.0
    height: float = 0.0
    axis: float = 0.0
    doubt: float = 0.0


Answer = InverseRange | Refusal
_NUMBERS = ("value", "variance", "stature", "tilt", "height", "axis", "doubt")


class CueAnswers:
    """The answers of one cue for N persons, as arrays; each of them is an `InverseRange`.

    Attributes
    ----------
    reasons
        N reasons why a person has no range; None for those who have.
    open
        bool ``[N]``: who has not been refused.
    numbers
        float64 ``[7, N]``: the following as rows.
    value, variance, stature, tilt, height, axis, doubt
        float64 ``[N]``, as in `InverseRange`; without meaning for who is refused.
    joints
        None, or float64 ``[N, J]``.

    Examples
    --------
    >>> answers = CueAnswers(2)
    >>> answers.refuse(np.array([True, False]), Refusal.TOO_SMALL)
    >>> answers.value[:], answers.variance[:] = 0.1, 1e-4
    >>> answers[0].value, answers[1].value
    ('too_small', 0.1)
    """

    value: np.ndarray
    variance: np.ndarray
    stature: np.ndarray
    tilt: np.ndarray
    height: np.ndarray
    axis: np.ndarray
    doubt: np.ndarray

    def __init__(self, count: int) -> None:
        self.reasons: list[Refusal | None] = [None] * count
        self.open: np.ndarray = np.ones(count, bool)
        self.joints: np.ndarray | None = None
        self.numbers: np.ndarray = np.zeros((len(_NUMBERS), count))
        self.value, self.variance, self.stature, self.tilt = self.numbers[:4]
        self.height, self.axis, self.doubt = self.numbers[4:]

    def __len__(self) -> int:
        return len(self.reasons)

    def __getitem__(self, person: int) -> Answer:
        reason = self.reasons[person]
        if reason is not None:
            return reason
        numbers = {name: float(getattr(self, name)[person]) for name in _NUMBERS}
        return InverseRange(joints=None if self.joints is None else self.joints[person], **numbers)

    def __iter__(self) -> Iterator[Answer]:
        return (self[person] for person in range(len(self)))

    def refuse(self, mask: np.ndarray | bool, reason: Refusal) -> None:
        """Refuse those of a mask ``[N]`` who have not been refused before."""
        hit = self.open & mask
        if hit.any():
            for person in np.flatnonzero(hit).tolist():
                self.reasons[person] = reason
            self.open = self.open & ~hit

    def refuse_one(self, person: int, reason: Refusal) -> None:
        """Refuse one person, unless that was done before."""
        if self.reasons[person] is None:
            self.reasons[person] = reason
            self.open = self.open.copy()
            self.open[person] = False

    def take_over(self, mask: np.ndarray, other: CueAnswers) -> None:
        """Take the other answers for the persons of a mask ``[N]``; joints play no part."""
        if not mask.any():
            return
        self.open = np.where(mask, other.open, self.open)
        for person in np.flatnonzero(mask).tolist():
            self.reasons[person] = other.reasons[person]
        self.numbers[:, mask] = other.numbers[:, mask]
