# SPDX-License-Identifier: Apache-2.0
"""The separation distance, term by term.

``S = S_human + S_reaction + S_braking + C + Z`` of ISO/TS 15066, section 5.5.4.2.3, with the
approach speed K of ISO 13855 where a person's velocity is not known, and a margin for children,
whom neither standard covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.guard.settings import GuardSettings


@dataclass(frozen=True)
class Separation:
    """The terms of the separation distance to a person, m.

    Attributes
    ----------
    human
        What the person may come nearer while the vehicle reacts and brakes, and since the image.
    reaction
        What the vehicle covers before it brakes.
    braking
        What it covers while it brakes.
    intrusion
        C.
    uncertainty
        Z.
    child
        The margin for a probable child.
    """

    human: float
    reaction: float
    braking: float
    intrusion: float
    uncertainty: float
    child: float

    @property
    def total(self) -> float:
        """S, m.

        >>> Separation(0.5, 0.3, 0.4, 0.1, 0.2, 0.0).total
        1.5
        """
        return (
            self.human
            + self.reaction
            + self.braking
            + self.intrusion
            + self.uncertainty
            + self.child
        )


def reaction_distance(speed: float, settings: GuardSettings) -> float:
    """What the vehicle covers before it brakes, m, at a speed in m/s."""
    return speed * settings.reaction_time


def braking_distance(speed: float, settings: GuardSettings) -> float:
    """What the vehicle covers while it brakes, m.

    >>> braking_distance(2.0, GuardSettings(braking_deceleration=1.0))
    2.0
    """
    return speed**2 / (2 * settings.braking_deceleration)


def stopping_time(speed: float, settings: GuardSettings) -> float:
    """From the decision until the vehicle stands, s."""
    return settings.reaction_time + speed / settings.braking_deceleration


def stopping_speeds(distances: np.ndarray, settings: GuardSettings) -> np.ndarray:
    """The speeds from which the vehicle stands after distances ``[K]`` in m, m/s; 0 where none is.

    >>> settings = GuardSettings(reaction_time=0.5, braking_deceleration=1.0)
    >>> stopping_speeds(np.array([1.0 * 0.5 + 0.5, -1.0]), settings).tolist()
    [1.0, 0.0]
    """
    lost = settings.braking_deceleration * settings.reaction_time
    squares = lost**2 + 2 * settings.braking_deceleration * np.maximum(distances, 0.0)
    return np.sqrt(squares) - lost


def human_distance(approach: float, speed: float, age: float, settings: GuardSettings) -> float:
    """What a person may come nearer until the vehicle stands, m.

    Parameters
    ----------
    approach
        Speed towards the vehicle's way, m/s, 0 or more.
    speed
        Of the vehicle, m/s.
    age
        Of the person's position, s.
    """
    return approach * (age + stopping_time(speed, settings))


def intrusion_distance(settings: GuardSettings, *, holding: bool) -> float:
    """C, m; larger by ``release_margin`` for a person for whom the vehicle stands already."""
    return settings.intrusion + (settings.release_margin if holding else 0.0)


def child_distance(child_probability: float, settings: GuardSettings) -> float:
    """The margin for a person who is a child with a probability; 0 where it is unknown (NaN)."""
    known = child_probability == child_probability
    return settings.child_margin * min(max(child_probability, 0.0), 1.0) if known else 0.0
