# SPDX-License-Identifier: Apache-2.0
"""Statures of adults and children, drawn from published distributions."""

from __future__ import annotations

import numpy as np

# Adults, mean and standard deviation in m: Visscher, "Sizing up human height variation", Nature
# Genetics 40 (2008), as used for the error of monocular distances by MonoLoco (ICCV 2019).
MAN = (1.78, 0.07)
WOMAN = (1.65, 0.07)

# Children, height for age by the WHO reference 2007 (de Onis et al., Bulletin of the WHO 85):
# medians in m and coefficients of variation, normally distributed, at 5 to 17 years.
AGES = np.arange(5.0, 18.0)
BOYS = np.array(
    [1.0973, 1.1595, 1.2173, 1.2727, 1.3257, 1.3778, 1.4311, 1.4908]
    + [1.5604, 1.6318, 1.6896, 1.7290, 1.7516]
)
BOYS_VARIATION = np.array(
    [0.0416, 0.0425, 0.0434, 0.0444, 0.0454, 0.0463, 0.0470, 0.0475]
    + [0.0476, 0.0471, 0.0462, 0.0450, 0.0436]
)
GIRLS = np.array(
    [1.0907, 1.1512, 1.2081, 1.2656, 1.3249, 1.3864, 1.4499, 1.5123]
    + [1.5637, 1.5979, 1.6167, 1.6252, 1.6285]
)
GIRLS_VARIATION = np.array(
    [0.0435, 0.0445, 0.0453, 0.0458, 0.0461, 0.0461, 0.0458, 0.0452]
    + [0.0444, 0.0435, 0.0426, 0.0418, 0.0411]
)

ADULT_AGE = 18.0


def stature_distribution(age: float, male: bool) -> tuple[float, float]:
    """The mean and standard deviation (m) of the stature at an age in years, from 5 on.

    >>> stature_distribution(30.0, male=True)
    (1.78, 0.07)

    Raises ValueError for a younger age.
    """
    if not age >= AGES[0]:
        raise ValueError(f"age must be at least {AGES[0]:g} years, got {age:g}")
    if age >= ADULT_AGE:
        return MAN if male else WOMAN
    median = float(np.interp(age, AGES, BOYS if male else GIRLS))
    variation = float(np.interp(age, AGES, BOYS_VARIATION if male else GIRLS_VARIATION))
    return median, median * variation


def draw_stature(generator: np.random.Generator, age: float, male: bool) -> float:
    """A stature in m, within 2.5 standard deviations of the mean."""
    mean, deviation = stature_distribution(age, male)
    return mean + deviation * float(np.clip(generator.standard_normal(), -2.5, 2.5))
