# SPDX-License-Identifier: Apache-2.0
"""Errors of key points, drawn from residuals that were measured on labelled images.

A row of the table is one labelled person with the estimates of all joints, so that the errors of
the joints keep their correlation, and each error keeps the score and the covariance that the model
gave with it. A draw takes a person of about the same size in the image, with about the same joints
visible, hidden and absent.

A single image cannot tell how long an error lasts. `ResidualSampler` therefore keeps the row of a
simulated person from one image to the next and draws a new one with probability
``1 - exp(-dt / correlation_time)``: the errors are correlated over time like a first-order process,
and their distribution is exactly that of the table at every time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.installed import installed_folders
from hrnet_pose_ros.simulation.body import JOINTS

TABLE = "keypoint_residuals.npz"

# Visibility of a joint, as COCO labels it; UNUSED: not labelled, for an unknown reason.
ABSENT, HIDDEN, VISIBLE, UNUSED = 0, 1, 2, 3

# A draw takes, of the persons whose size in the image is nearest, one of those that agree in most
# joints about what is visible.
NEAREST, AGREEING = 60, 20

# The aspect ratio of the model's input, width over height. The size of a person is the height of
# the crop before padding: the scale of the network's heatmap.
ASPECT = 0.75


def person_size(boxes: np.ndarray) -> np.ndarray:
    """Sizes in px ``[N]`` of persons with boxes ``[N, 4]`` (x, y, width, height).

    It is the height of the box, or 4/3 of its width where that is more.

    >>> person_size(np.array([[0, 0, 30, 100], [0, 0, 90, 100]])).tolist()
    [100.0, 120.0]
    """
    return np.maximum(boxes[:, 3], boxes[:, 2] / ASPECT).astype(np.float64)


@dataclass(frozen=True)
class KeypointResiduals:
    """The table: N persons with the errors of 17 joints.

    Attributes
    ----------
    sizes
        float ``[N]`` px, as in `person_size`.
    visibility
        uint8 ``[N, 17]``: `ABSENT`, `HIDDEN`, `VISIBLE` or `UNUSED`.
    errors
        float ``[N, 17, 2]``: key point minus label, in sizes of the person. For an absent joint,
        which has no true position: where in the box the model placed it, 0 to 1 in x and y.
    scores
        float ``[N, 17]`` as published, 0 to 1.
    spreads
        float ``[N, 17, 3]``: standard deviations in x and y as published, in sizes, and their
        correlation.
    origin
        A text about the model and the images.
    """

    sizes: np.ndarray
    visibility: np.ndarray
    errors: np.ndarray
    scores: np.ndarray
    spreads: np.ndarray
    origin: str

    def __post_init__(self) -> None:
        n = len(self.sizes)
        for name, shape in (
            ("visibility", (n, JOINTS)),
            ("errors", (n, JOINTS, 2)),
            ("scores", (n, JOINTS)),
            ("spreads", (n, JOINTS, 3)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {getattr(self, name).shape}")
        if not (self.sizes > 0).all():
            raise ValueError("the sizes of a table of residuals must be above 0")
        for state in (ABSENT, HIDDEN, VISIBLE):
            if not (self.visibility == state).any(axis=0).all():
                raise ValueError(
                    f"a table of residuals must have each joint with visibility {state}; "
                    "measure it on more images"
                )

    def __len__(self) -> int:
        return len(self.sizes)

    def covariances(self, rows: np.ndarray) -> np.ndarray:
        """Covariances ``[17, 2, 2]`` in squared sizes, joint j from row ``rows[j]``."""
        x, y, correlation = self.spreads[rows, np.arange(JOINTS)].astype(np.float64).T
        matrices = np.empty((JOINTS, 2, 2))
        matrices[:, 0, 0], matrices[:, 1, 1] = x**2, y**2
        matrices[:, 0, 1] = matrices[:, 1, 0] = correlation * x * y
        return matrices

    def joint_correlation(self, least_score: float = 0.3) -> tuple[float, float]:
        """The mean correlation of two joints' errors of a person, in x and in y.

        Of all pairs of joints, as in `correlations`. It is ``joint_correlation`` of
        `hrnet_pose_ros.fusion.settings.FusionSettings`.
        """
        found = self.correlations(least_score)
        pairs = ~np.eye(JOINTS, dtype=bool)
        x, y = (float(np.nanmean(one[pairs])) for one in found)
        return x, y

    def correlations(self, least_score: float = 0.3) -> np.ndarray:
        """The correlations of two joints' errors of a person, in x and in y: ``[2, 17, 17]``.

        Of labelled joints whose scores are at least ``least_score``; errors are in their own
        standard deviations, up to 3: the tails would tell of single persons. NaN where no two
        persons have both joints. Those in y of the joints of a pair are the figures of
        `hrnet_pose_ros.fusion.joint_roles`.
        """
        labelled = (self.visibility == HIDDEN) | (self.visibility == VISIBLE)
        use = labelled & (self.scores >= least_score)
        errors = self.errors.astype(np.float64) / self.spreads[..., :2].astype(np.float64)
        errors = np.where(use[..., None], np.clip(errors, -3, 3), 0.0)
        both = use.astype(np.float64).T @ use  # [17, 17]: how many persons have both
        found = []
        for one in (errors[..., 0], errors[..., 1]):
            squares = (one**2).T @ use  # of the first joint, where both are known
            with np.errstate(invalid="ignore", divide="ignore"):
                found.append(np.where(both > 1, one.T @ one / np.sqrt(squares * squares.T), np.nan))
        return np.array(found)

    @cached_property
    def log_sizes(self) -> np.ndarray:
        return np.log(self.sizes.astype(np.float64))

    def near(self, size: float, rows: np.ndarray | None = None) -> np.ndarray:
        """The `NEAREST` rows by the ratio of sizes, of all or of some ``rows``."""
        among = np.arange(len(self)) if rows is None else rows
        distance = np.abs(self.log_sizes[among] - math.log(max(size, 1.0)))
        return among[np.argsort(distance, kind="stable")[:NEAREST]]

    def like(self, size: float, visibility: np.ndarray) -> np.ndarray:
        """The `AGREEING` rows of a person of this size with this visibility ``[17]``."""
        near = self.near(size)
        agreeing = (self.visibility[near] == visibility).sum(axis=1)
        return near[np.argsort(-agreeing, kind="stable")[:AGREEING]]

    def save(self, path: Path) -> None:
        """Write the table; numbers as float16."""
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                sizes=self.sizes.astype(np.float32),
                visibility=self.visibility.astype(np.uint8),
                errors=self.errors.astype(np.float16),
                scores=self.scores.astype(np.float16),
                spreads=self.spreads.astype(np.float16),
                origin=np.array(self.origin),
            )

    @classmethod
    def load(cls, path: Path | None = None) -> KeypointResiduals:
        """Read a table, by default the bundled one; ValueError if it is something else."""
        if path is None:
            folders = installed_folders("config/simulation", "simulation_data")
            found = [folder / TABLE for folder in folders if (folder / TABLE).is_file()]
            if not found:
                raise FileNotFoundError(f"{TABLE} is not installed; install hrnet_pose_ros again")
            path = found[0]
        names = ("sizes", "visibility", "errors", "scores", "spreads")
        with np.load(path, allow_pickle=False) as table:
            missing = sorted({*names, "origin"} - set(table.files))
            if missing:
                raise ValueError(f"'{path}' is not a table of residuals: it has no {missing[0]}")
            return cls(**{name: table[name] for name in names}, origin=str(table["origin"]))


@dataclass(frozen=True)
class DrawnErrors:
    """The drawn estimates of one person's joints.

    ``errors`` float64 ``[17, 2]`` in sizes (for absent joints the place in the box), ``scores``
    ``[17]``, ``covariances`` ``[17, 2, 2]`` in squared sizes.
    """

    errors: np.ndarray
    scores: np.ndarray
    covariances: np.ndarray


class ResidualSampler:
    """Draws the errors of one simulated person, image after image.

    Parameters
    ----------
    residuals
        The table.
    generator
        The source of all randomness.
    correlation_time
        Seconds after which the correlation of two errors has fallen to 1/e; 0: independent.
    """

    def __init__(
        self,
        residuals: KeypointResiduals,
        generator: np.random.Generator,
        correlation_time: float,
    ) -> None:
        self._residuals = residuals
        self._generator = generator
        self._correlation_time = correlation_time
        self._rows = np.full(JOINTS, -1)
        self._states = np.full(JOINTS, UNUSED, np.uint8)
        self._time = -math.inf

    def draw(self, time: float, size: float, visibility: np.ndarray) -> DrawnErrors:
        """The errors at ``time`` (s) of a person of this size (px).

        ``visibility`` uint8 ``[17]``: `ABSENT`, `HIDDEN` or `VISIBLE`. A joint whose visibility
        differs from the drawn person's, or has changed, gets the error of another person.
        """
        table = self._residuals
        elapsed = time - self._time
        kept = math.exp(-elapsed / self._correlation_time) if self._correlation_time > 0 else 0.0
        if self._generator.random() >= kept:
            row = int(self._generator.choice(table.like(size, visibility)))
            self._rows[:] = row
            fits = table.visibility[row] == visibility
        else:
            fits = self._states == visibility
        for joint in np.flatnonzero(~fits):
            rows = np.flatnonzero(table.visibility[:, joint] == visibility[joint])
            self._rows[joint] = self._generator.choice(table.near(size, rows))
        self._states, self._time = visibility.copy(), time
        joints = np.arange(JOINTS)
        return DrawnErrors(
            errors=table.errors[self._rows, joints].astype(np.float64),
            scores=table.scores[self._rows, joints].astype(np.float64),
            covariances=table.covariances(self._rows),
        )
