# SPDX-License-Identifier: Apache-2.0
"""Where the returns of persons are looked for, and the clusters that are found there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.returns import Returns
from hrnet_pose_ros.fusion.cues.segments import Segments


@dataclass(frozen=True)
class Lines:
    """A line along each of N bodies in the image.

    Attributes
    ----------
    top, bottom
        float64 ``[N, 2]``: the ends, each an azimuth and a slope.
    half_width
        float64 ``[N]``, rad.
    """

    top: np.ndarray
    bottom: np.ndarray
    half_width: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """The azimuths of the middles, ``[N]``."""
        return (self.top[:, 0] + self.bottom[:, 0]) / 2

    def turned(self, azimuth: float) -> Lines:
        """Return the lines as seen by a sensor whose returns are so far beside, rad."""
        aside = np.array([azimuth, 0.0])
        return Lines(self.top + aside, self.bottom + aside, self.half_width)

    def share(self, margin: float) -> np.ndarray:
        """Return the part that a strip about each line has of one that is wider, ``[N]``."""
        length = np.hypot(*(self.bottom - self.top).T)
        whole = (self.half_width + margin) * (length + 2 * margin)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(whole > 0, self.half_width * length / whole, 1.0)


def torso_lines(scene: Scene) -> Lines:
    """Return the line from shoulders to hips of each person; from the box where they are unseen."""
    views, stance = scene.views, scene.stance
    top = np.stack([stance.shoulders.azimuth, stance.shoulders.slope], axis=1)
    bottom = np.stack([stance.hips.azimuth, stance.hips.slope], axis=1)
    # Seen from the side, half a torso's depth: 0.11 m of 0.49 m.
    half = 0.22 * np.hypot(*(top - bottom).T)
    for left, right in (one for one in (scene.roles.shoulders, scene.roles.hips) if one):
        breadth = np.abs(views.azimuth[:, left] - views.azimuth[:, right]) / 2
        both = views.seen[:, left] & views.seen[:, right]
        half = np.where(both, np.fmax(half, breadth), half)
    half = 0.9 * half
    seen = np.isfinite(top).all(axis=1) & np.isfinite(bottom).all(axis=1)
    left, right, low, high = views.box.T
    middle, height = (left + right) / 2, high - low
    top = np.where(seen[:, None], top, np.stack([middle, high - 0.25 * height], axis=1))
    bottom = np.where(seen[:, None], bottom, np.stack([middle, high - 0.55 * height], axis=1))
    return Lines(top, bottom, np.where(seen, half, 0.2 * np.abs(left - right)))


@dataclass(frozen=True)
class Regions:
    """The returns among which some of N persons are looked for, and what one has to know of them.

    Attributes
    ----------
    of
        The persons as groups; who is not looked for has an empty one.
    indices
        int64 ``[E]``: the returns of each person, by azimuth. One may be in several regions.
    least
        A cluster has so many returns at least.
    share
        float64 ``[N]``: the part of the region that a body fills. Returns beyond that part tell
        nothing, and a wall around the person has more of them than the person.
    noise
        Standard deviation of the middle of the returns against the person, m, which is another in
        each image: of swinging legs.
    """

    of: Segments
    indices: np.ndarray
    least: int
    share: np.ndarray
    noise: float = 0.0

    @classmethod
    def strips(
        cls,
        returns: Returns,
        lines: Lines,
        asked: np.ndarray,
        margin: float,
        *,
        least: int,
        noise: float = 0.0,
    ) -> Regions:
        """Return the regions about lines, for the persons that are ``asked``, bool ``[N]``.

        ``margin`` is added to the strips on all sides, rad.
        """
        wide = lines.half_width + margin
        azimuths = np.stack([lines.top[:, 0], lines.bottom[:, 0]])
        first = np.searchsorted(returns.azimuth, azimuths.min(axis=0) - wide)
        last = np.searchsorted(returns.azimuth, azimuths.max(axis=0) + wide)
        along = lines.bottom - lines.top
        length = np.hypot(*along.T)
        near, indices = Segments.between(first, np.where(asked & (length > 0), last, first))
        person = near.group
        with np.errstate(invalid="ignore", divide="ignore"):
            dx, dy = (along / length[:, None])[person].T
        azimuth = returns.azimuth[indices] - lines.top[person, 0]
        slope = returns.slope[indices] - lines.top[person, 1]
        done = azimuth * dx + slope * dy
        inside = np.abs(azimuth * dy - slope * dx) <= wide[person]
        inside &= (done >= -margin) & (done <= length[person] + margin)
        whole = cls(near, indices, least, lines.share(margin), noise)
        return whole.only(inside)

    def only(self, mask: np.ndarray) -> Regions:
        """Return the regions with the returns of a mask ``[E]``."""
        sizes = np.bincount(self.of.group[mask], minlength=len(self.of.sizes))
        return Regions(Segments(sizes), self.indices[mask], self.least, self.share, self.noise)


@dataclass(frozen=True)
class Clusters:
    """C groups of returns without a gap in their ranges; those of a person are nearest first.

    Attributes
    ----------
    of
        The clusters as groups.
    members
        int64 ``[E]``: their returns, each cluster's in the order of the ranges.
    person
        int64 ``[C]``.
    noise, body
        float64 ``[C]``: `Regions.noise`, and how many returns of the region a body fills.
    around
        int64 ``[R]``: the returns of all regions.
    first, last
        int64 ``[C]``: the cluster's region is ``around[first:last]``.
    """

    of: Segments
    members: np.ndarray
    person: np.ndarray
    noise: np.ndarray
    body: np.ndarray
    around: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.person)

    def __getitem__(self, cluster: int) -> np.ndarray:
        """Return the members of one."""
        start = int(self.of.starts[cluster])
        return self.members[start : start + int(self.of.sizes[cluster])]

    def element(self, place: np.ndarray) -> np.ndarray:
        """Return the member at a place within each cluster, ``[C]``."""
        return self.members[self.of.starts + place]

    def median(self, values: np.ndarray) -> np.ndarray:
        """Return the medians of values of returns that have the order of ranges, ``[C]``."""
        low = values[self.element((self.of.sizes - 1) // 2)].astype(np.float64)
        return (low + values[self.element(self.of.sizes // 2)]) / 2

    @classmethod
    def of_regions(
        cls, regions: Regions, ranges: np.ndarray, gap: float, *, small: bool = False
    ) -> Clusters:
        """Return the clusters of each region that are not too small.

        Parameters
        ----------
        ranges
            float ``[M]``: of all returns, m.
        gap
            Ranges in order that differ by more are of different clusters, m.
        small
            Return those that are too small as well, of the regions that have a larger one.

        Examples
        --------
        >>> two = Regions(Segments(np.array([4])), np.arange(4), 2, np.ones(1))
        >>> found = Clusters.of_regions(two, np.array([5.0, 2.0, 5.1, 2.1]), 0.35)
        >>> [found[n].tolist() for n in range(len(found))]
        [[1, 3], [0, 2]]
        """
        person, own = regions.of.group, ranges[regions.indices]
        order = np.lexsort((own, person))
        person, own, members = person[order], own[order], regions.indices[order]
        begins = np.ones(len(own), bool)
        begins[1:] = (person[1:] != person[:-1]) | (own[1:] - own[:-1] > gap)
        starts = np.flatnonzero(begins)
        sizes = np.diff(starts, append=len(own))
        large = sizes >= max(regions.least, 1)
        if small:
            large = np.isin(person[starts], person[starts[large]])
        kept = np.repeat(large, sizes)
        whose = person[starts[large]]
        first, count = regions.of.starts[whose], regions.of.sizes[whose]
        return cls(
            of=Segments(sizes[large]),
            members=members[kept],
            person=whose,
            noise=np.full(len(whose), regions.noise),
            body=np.maximum(regions.share[whose] * count, 1.0),
            around=regions.indices,
            first=first,
            last=first + count,
        )

    def and_those(self, other: Clusters) -> Clusters:
        """Return these, then those of other persons in other regions."""

        def both(name: str) -> np.ndarray:
            return np.concatenate([getattr(self, name), getattr(other, name)])

        before = len(self.around)
        return Clusters(
            of=Segments(np.concatenate([self.of.sizes, other.of.sizes])),
            members=both("members"),
            person=both("person"),
            noise=both("noise"),
            body=both("body"),
            around=both("around"),
            first=np.concatenate([self.first, other.first + before]),
            last=np.concatenate([self.last, other.last + before]),
        )
