# SPDX-License-Identifier: Apache-2.0
"""Rays against the shapes of a scene: the ground, boxes, and capsules, on arrays.

All functions return the distance along each ray to the nearest hit, in lengths of its direction
(metres for unit directions), and infinity where there is none. A ray that starts inside of a shape
does not see it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Boxes:
    """B upright boxes: ``centres`` and ``halves`` ``[B, 3]`` m, ``headings`` ``[B]`` rad."""

    centres: np.ndarray
    halves: np.ndarray
    headings: np.ndarray

    def __len__(self) -> int:
        return len(self.centres)


@dataclass(frozen=True)
class Bodies:
    """N groups of C capsules at K instants: ends ``[K, N, C, 3]`` m, radii ``[N, C]`` m."""

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray

    @property
    def count(self) -> int:
        """N."""
        return len(self.radii)

    def spheres(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres ``[K, N, 3]`` and radii ``[K, N]`` of spheres about each group."""
        both = np.concatenate([self.starts, self.ends], axis=2)
        low, high = both.min(axis=2), both.max(axis=2)
        radii = np.linalg.norm(high - low, axis=2) / 2 + self.radii.max(axis=1)
        return (low + high) / 2, radii


def ground_distances(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distances ``[R]`` of rays ``[R, 3]`` to the plane z = 0.

    >>> float(ground_distances(np.array([[0, 0, 2.0]]), np.array([[0.6, 0, -0.8]]))[0])
    2.5
    """
    down = directions[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = -origins[:, 2] / down
    return np.where((down < 0) & (distance > 0), distance, np.inf)


def box_distances(origins: np.ndarray, directions: np.ndarray, boxes: Boxes) -> np.ndarray:
    """Distances ``[R]`` of rays ``[R, 3]`` to the nearest box."""
    nearest = np.full(len(origins), np.inf)
    for centre, half, heading in zip(boxes.centres, boxes.halves, boxes.headings, strict=True):
        near = np.flatnonzero(_towards(origins, directions, centre, float(np.linalg.norm(half))))
        if not near.size:
            continue
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        origin, direction = (origins[near] - centre) @ turn.T, directions[near] @ turn.T
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / direction
            a, b = (-half - origin) * inverse, (half - origin) * inverse
        # A ray along a slab: outside of it there is no hit, inside the slab sets no limit.
        outside = np.abs(origin) > half
        flat = direction == 0
        enter = np.where(flat, np.where(outside, np.inf, -np.inf), np.minimum(a, b)).max(axis=1)
        leave = np.where(flat, np.where(outside, -np.inf, np.inf), np.maximum(a, b)).min(axis=1)
        hit = (enter <= leave) & (enter > 0)
        nearest[near] = np.minimum(nearest[near], np.where(hit, enter, np.inf))
    return nearest


def _towards(
    origins: np.ndarray, directions: np.ndarray, centres: np.ndarray, radii: np.ndarray | float
) -> np.ndarray:
    """bool ``[R]``: whether rays with unit directions meet spheres, ``[R, 3]`` or one for all."""
    offset = centres - origins
    along = np.einsum("ri,ri->r", offset, directions)
    apart = np.einsum("ri,ri->r", offset, offset) - along**2
    return np.asarray((apart <= np.square(radii)) & (along >= -np.asarray(radii)))


def capsule_distances(
    origins: np.ndarray,
    directions: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    radii: np.ndarray,
) -> np.ndarray:
    """Distances ``[R, C]`` of rays ``[R, 3]`` with unit directions to capsules.

    ``starts`` and ``ends`` ``[R, C, 3]`` or ``[C, 3]``, ``radii`` ``[C]`` or ``[R, C]``.
    """
    axis = ends - starts
    aa = np.einsum("...ci,...ci->...c", axis, axis)
    if starts.ndim == 2:
        to_origin = origins[:, None] - starts
        ad, ds = directions @ axis.T, directions @ starts.T
        do = np.einsum("ri,ri->r", directions, origins)[:, None] - ds
        ao = origins @ axis.T - np.einsum("ci,ci->c", axis, starts)
    else:
        to_origin = origins[:, None] - starts
        ad = np.einsum("rci,ri->rc", axis, directions)
        do = np.einsum("rci,ri->rc", to_origin, directions)
        ao = np.einsum("rci,rci->rc", axis, to_origin)
    oo = np.einsum("rci,rci->rc", to_origin, to_origin)
    square = np.square(radii)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The side: a quadratic in the distance t, for the part of the ray across the axis.
        a = aa - ad * ad
        b = aa * do - ao * ad
        root = b * b - a * (aa * oo - ao * ao - square * aa)
        t = (-b - np.sqrt(root)) / a
        along = ao + t * ad
        hit = (root >= 0) & (a > 1e-12) & (along > 0) & (along < aa) & (t > 0)
        distance = np.where(hit, t, np.inf)
        # The two ends, as spheres.
        for half, apart in ((do, oo), (do - ad, oo - 2 * ao + aa)):
            root = half * half - apart + square
            t = -half - np.sqrt(root)
            distance = np.minimum(distance, np.where((root >= 0) & (t > 0), t, np.inf))
        inside = np.clip(ao / np.maximum(aa, 1e-12), 0, 1)
    outside = oo - 2 * inside * ao + inside**2 * aa > square
    return np.where(outside, distance, np.inf)


def body_distances(
    origins: np.ndarray, directions: np.ndarray, bodies: Bodies, instants: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Distances ``[R]`` of rays to the nearest body, and its index ``[R]``; -1 where there is none.

    ``instants`` ``[R]`` says at which of the K instants each ray is cast; all at the first without.
    """
    rays = len(origins)
    nearest, which = np.full(rays, np.inf), np.full(rays, -1)
    if not bodies.count or not rays:
        return nearest, which
    at = np.zeros(rays, int) if instants is None else instants
    centres, radii = bodies.spheres()
    for body in range(bodies.count):
        near = np.flatnonzero(_towards(origins, directions, centres[at, body], radii[at, body]))
        if not near.size:
            continue
        k = 0 if instants is None else at[near]
        distance = capsule_distances(
            origins[near],
            directions[near],
            bodies.starts[k, body],
            bodies.ends[k, body],
            bodies.radii[body],
        ).min(axis=1)
        closer = distance < nearest[near]
        nearest[near[closer]] = distance[closer]
        which[near[closer]] = body
    return nearest, which
