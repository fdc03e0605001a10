# SPDX-License-Identifier: Apache-2.0
"""The space that a person takes up: the radius and height of an upright cylinder, always known.

The functions take a `Person` of the fusion or a Person message: both have the same fields.
"""

from __future__ import annotations

import math
from typing import Any

from hrnet_pose_ros.fusion.body import HIP_LEVEL
from hrnet_pose_ros.fusion.person import Posture

# Of a person of whom they are not known, m.
USUAL_HEIGHT, USUAL_RADIUS = 1.7, 0.3
# Of somebody who lies, with the knees drawn up, m.
LYING_HEIGHT = 0.6


def radius_of(person: Any) -> float:
    """Return the radius about the hips that the body does not leave, m.

    Whoever lies reaches as far as the feet, which are further from the hips than the head; in which
    direction is not known.
    """
    radius = _known(person.radius, USUAL_RADIUS)
    lying = person.posture == Posture.LYING
    return max(radius, HIP_LEVEL * stature_of(person)) if lying else radius


def height_of(person: Any) -> float:
    """Return the height above the ground that the body does not exceed, m: the stature, usually."""
    return LYING_HEIGHT if person.posture == Posture.LYING else stature_of(person)


def stature_of(person: Any) -> float:
    """Return the length of the body, m, in whatever posture."""
    return _known(person.height, USUAL_HEIGHT)


def _known(length: float, usual: float) -> float:
    """Return a length, or the usual one where it is not known, or none that a person can have."""
    return float(length) if math.isfinite(length) and length > 0 else usual
