# SPDX-License-Identifier: Apache-2.0
"""The state of one tracked person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hrnet_pose_ros.fusion.refusals import Source

# The order of the state: place and velocity in the levelled base frame, then the errors that stay,
# of stature (relative), of the camera's tilt (rad), of surface to axis (m), and of the camera's
# heading on the vehicle (rad).
PLACE, VELOCITY, LASTING = slice(0, 2), slice(2, 4), slice(4, 8)
TILT, YAW = 5, 7
STATES = 8
# A cue is a witness for this long after it was used.
WITNESS_NS = 2_000_000_000
# After so many images, ground contact and body length have confirmed each other; and the most that
# are counted, so that a lasting contradiction ends it.
AGREED, MOST_AGREED = 5, 20
# The cues of the camera itself.
CAMERA_CUES = frozenset({"ground", "body_length"})
# So many images in a row a sensor has to contradict a track that it has placed itself: one that
# finds the wall behind a person now and then must not throw the person there and back.
PATIENCE = 3


@dataclass
class Track:
    """One person over time.

    The errors that stay from image to image are part of the state. A filter that took them for
    noise would average them away, and report a certainty that it does not have. Where an
    independent range shows them, they are learned: after a LIDAR was there, the length of the body
    tells the range better than before.

    Attributes
    ----------
    id
        Unique while the fusion lives.
    stamp
        Of the state, ns.
    mean, covariance
        float64 ``[8]`` and ``[8, 8]``; see `PLACE`, `VELOCITY` and `LASTING`.
    existence
        Probability that the person exists.
    seen
        Stamp of the last skeleton, ns.
    detection_id
        The detector's last id for this person.
    sources
        Of the last update with a skeleton.
    heading, heading_var
        Where the chest points, rad about z, and its variance; infinite until it was seen.
    witnesses
        Names of the cues that ranged this person, each with the stamp when it did so last, ns.
    agreement
        Images in which ground contact and body length agreed, less those in which they did not.
    contradicted
        Images in a row in which a sensor was refused.
    beliefs
        What the other attributes remember, by attribute.
    """

    id: str
    stamp: int
    mean: np.ndarray
    covariance: np.ndarray
    existence: float
    seen: int
    detection_id: str = ""
    sources: Source = Source.NONE
    heading: float = 0.0
    heading_var: float = np.inf
    witnesses: dict[str, int] = field(default_factory=dict)
    agreement: int = 0
    contradicted: int = 0
    beliefs: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether other cues than the ground alone have placed the track, for some images."""
        return self.agreement >= AGREED or bool(self.witnesses.keys() - CAMERA_CUES)

    def is_witness(self, given: Collection[str]) -> bool:
        """Whether the track says more about the range than the cues that are ``given`` now.

        A track that a single cue has placed only repeats what this cue says, and gives way when it
        is contradicted for a while. Of a child, the length of the body and a track that it has led
        agree on the wrong place. So a track that only the camera has placed is a witness when
        ground contact and body length have agreed for a while, or when it has come from the ground
        alone, which is not seen now.
        """
        known = self.witnesses.keys()
        if known - CAMERA_CUES:
            return len(known) > 1 or not known <= set(given) or self.contradicted < PATIENCE
        if self.agreement >= AGREED:
            return True
        return known == {"ground"} and "ground" not in given

    def ranged(self, used: Collection[str], refused: Collection[str], stamp: int) -> None:
        """Note which cues ranged this person at a stamp; forget those of long ago."""
        for name in used:
            self.witnesses[name] = stamp
        if not CAMERA_CUES.issuperset(used):
            self.contradicted = 0
        elif not CAMERA_CUES.issuperset(refused):
            self.contradicted += 1
        oldest = stamp - WITNESS_NS
        if len(self.witnesses) > len(used):
            self.witnesses = {n: s for n, s in self.witnesses.items() if s >= oldest}
        if CAMERA_CUES.issubset(used):
            self.agreement = min(self.agreement + 1, MOST_AGREED)
        elif refused and not CAMERA_CUES.isdisjoint(refused):
            self.agreement = max(self.agreement - 1, 0)

    def distrust(self) -> None:
        """Forget who has placed the track, because it was placed anew."""
        self.witnesses.clear()
        self.agreement = self.contradicted = 0


def bearing_ranges(means: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return azimuth and inverse range of states from a point, and the derivatives by the place.

    Parameters
    ----------
    means
        float64 ``[N, 8]``.
    camera
        float64 ``[>= 2]``: x and y in the levelled base frame.

    Returns
    -------
    float64 ``[N, 2]`` (rad, 1/m) and ``[N, 2, 2]``. Nearer than 0.2 m, the distance counts as 0.2.
    """
    x, y = means[:, 0] - camera[0], means[:, 1] - camera[1]
    r = np.maximum(np.hypot(x, y), 0.2)
    seen, slopes = np.empty((len(r), 2)), np.empty((len(r), 2, 2))
    seen[:, 0], seen[:, 1] = np.arctan2(y, x), 1 / r
    slopes[:, 0, 0], slopes[:, 0, 1] = -y / r**2, x / r**2
    slopes[:, 1, 0], slopes[:, 1, 1] = -x / r**3, -y / r**3
    return seen, slopes


@dataclass(frozen=True)
class States:
    """The states of N tracks at one time as arrays; stacked once, then handed on.

    Attributes
    ----------
    means, covariances
        float64 ``[N, 8]`` and ``[N, 8, 8]``; see `Track`.
    camera
        float64 ``[>= 2]``: x and y of the camera in the levelled base frame.
    """

    means: np.ndarray
    covariances: np.ndarray
    camera: np.ndarray

    def __len__(self) -> int:
        return len(self.means)

    @classmethod
    def of(cls, tracks: Sequence[Track], camera: np.ndarray) -> States:
        """Return those of some tracks."""
        means = np.array([track.mean for track in tracks]).reshape(-1, STATES)
        covariances = np.array([t.covariance for t in tracks]).reshape(-1, STATES, STATES)
        return cls(means, covariances, camera)

    @cached_property
    def _bearing_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        return bearing_ranges(self.means, self.camera)

    @property
    def seen(self) -> np.ndarray:
        """Azimuths and inverse ranges from the camera, float64 ``[N, 2]``, rad and 1/m."""
        return self._bearing_ranges[0]

    @property
    def slopes(self) -> np.ndarray:
        """Their derivatives by the places, float64 ``[N, 2, 2]``."""
        return self._bearing_ranges[1]

    def select(self, rows: np.ndarray | list[int]) -> States:
        """Return those of some rows."""
        return States(self.means[rows], self.covariances[rows], self.camera)

    def and_those(self, other: States) -> States:
        """Return these, then the other ones."""
        if not len(other):
            return self
        means = np.concatenate([self.means, other.means])
        covariances = np.concatenate([self.covariances, other.covariances])
        return States(means, covariances, self.camera)
