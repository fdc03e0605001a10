# SPDX-License-Identifier: Apache-2.0
"""Proportions of the human body, and the spread of human stature.

The segment lengths are those of Drillis and Contini (1966) as printed in Winter, Biomechanics and
Motor Control of Human Movement, 4th ed. 2009, figure 4.1: fractions of the stature.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hrnet_pose_ros.fusion.joint_roles import JointRoles

# Height above the ground of a standing person's joints, as a fraction of the stature.
EYE_LEVEL = 0.936
NOSE_LEVEL = 0.910  # between eyes (0.936) and chin (0.870), a little nearer to the eyes
SHOULDER_LEVEL = 0.818
HIP_LEVEL = 0.530
KNEE_LEVEL = 0.285
ANKLE_LEVEL = 0.039
TORSO = SHOULDER_LEVEL - HIP_LEVEL
# Between the joint centres of the shoulders. The figure's 0.259 is the biacromial breadth; the
# centres, which key points mark, lie about 2 cm inside of the acromia on either side.
SHOULDER_BREADTH = 0.235
# How far the nose is in front of the line between the shoulders, as a fraction of the stature.
NOSE_FORWARD = 0.08
# Between the ears (bitragion breadth), and how far the nose is in front of them, as fractions of
# the stature: 14.5 and 11.5 cm of 175.6 cm for men (ANSUR II, 2012: head length and nose protrusion
# less tragion to back of head).
EAR_BREADTH, NOSE_BEFORE_EARS = 0.083, 0.065
# How much a joint's level varies between people of the same stature and within a stride.
LEVEL_STD = 0.012

# Stature of adults, m. Both sexes together: the spread is 5.8 % (1 sigma), the floor of every range
# from body length (docs/fusion.md). Children of about 3 to 12 years.
ADULT_STATURE, ADULT_STATURE_STD = 1.70, 0.098
CHILD_STATURE, CHILD_STATURE_STD = 1.20, 0.20
# Prior probability that a person is a child.
CHILD_PRIOR = 0.15

# From the surface that faces a sensor to the body's axis, m: 0.10 to 0.15 at the torso.
SURFACE_TO_AXIS, SURFACE_TO_AXIS_STD = 0.12, 0.04
LEG_RADIUS = 0.06
# Radius of the cylinder that contains an upright person with the arms down, m.
RADIUS, RADIUS_STD = 0.30, 0.05

# Height of the ankle joint above the ground in the middle of both feet, m: 0.039 of the stature,
# and about 3 cm more on average while walking, because the swinging foot is lifted.
ANKLE_HEIGHT, ANKLE_HEIGHT_STD = 0.08, 0.025
# Key points of heels and toes lie near the sole.
FOOT_HEIGHT, FOOT_HEIGHT_STD = 0.04, 0.025
# Middle of the feet against the middle of the hips along the ray, m; and one foot alone.
STANCE_STD, ONE_FOOT_STD = 0.06, 0.20


@lru_cache
def levels(roles: JointRoles) -> np.ndarray:
    """Return the levels of the joints, float64 ``[J]``, read-only; NaN: no fixed one."""
    result = np.full(roles.joints, np.nan)
    for joints, level in (
        (roles.nose, NOSE_LEVEL),
        (roles.eyes, EYE_LEVEL),
        (roles.ears, EYE_LEVEL),
        (roles.shoulders, SHOULDER_LEVEL),
        (roles.hips, HIP_LEVEL),
        (roles.knees, KNEE_LEVEL),
        (roles.ankles, ANKLE_LEVEL),
    ):
        result[list(joints)] = level
    result.flags.writeable = False
    return result
