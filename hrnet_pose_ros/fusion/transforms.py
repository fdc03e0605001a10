# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, quaternions, angles, and where the extrinsics of the sensors come from.

Quaternions are x, y, z, w, as in ``geometry_msgs/Quaternion``. Frames follow REP 103: a body frame
has x forward, y left and z up; an optical frame has x right, y down and z forward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

# The rotation from an optical frame to a body frame that looks the same way (REP 103).
OPTICAL_TO_BODY = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])

# The sine of an elevation at which no camera that looks for people on the ground is mounted.
_UPWARDS = 0.87

# A rotation matrix or quaternion may differ from a proper one by this much (float32 on the wire).
_TOLERANCE = 1e-3
_IDENTITY = np.eye(3)

Angle = TypeVar("Angle", float, np.ndarray)


def rotation_of(quaternion: ArrayLike) -> np.ndarray:
    """Return the rotation matrix ``[3, 3]`` of a quaternion x, y, z, w of about unit length.

    Raises ValueError if it is not finite or its length is not about 1.
    """
    q = np.asarray(quaternion, np.float64)
    length = np.sqrt((q * q).sum()) if q.shape == (4,) else np.nan
    if not abs(length - 1) < 0.1:  # also for NaN
        raise ValueError(f"quaternion must be x, y, z, w of length 1, got {quaternion!r}")
    x, y, z, w = q / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_rpy(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Return the rotation matrix of roll, pitch and yaw in rad about fixed axes (REP 103)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def yaw_of(rotation: np.ndarray) -> float:
    """Return the yaw of a rotation matrix, rad in (-pi, pi]."""
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def wrap(angle: Angle) -> Angle:
    """Return an angle, or an array of angles, in [-pi, pi) rad."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def rotation_vector(vector: ArrayLike) -> np.ndarray:
    """Return the rotation matrix of a rotation vector in rad (Rodrigues' formula)."""
    x, y, z = np.asarray(vector, np.float64).tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # sin(a) / a and sin(a / 2) / (a / 2), which are 1 at 0.
    whole = math.sin(angle) / angle if angle > 1e-8 else 1.0
    half = math.sin(angle / 2) / (angle / 2) if angle > 1e-8 else 1.0
    return _IDENTITY + whole * cross + half * half / 2 * cross @ cross


@dataclass(frozen=True)
class Transform:
    """A rigid transform: ``points @ rotation.T + translation``, from one frame to another.

    Attributes
    ----------
    rotation
        float64 ``[3, 3]``, a proper rotation.
    translation
        float64 ``[3]``, metres: where the origin of the first frame is in the second.

    Examples
    --------
    A camera 1.5 m above ``base_link`` that looks forward; a point 4 m in front of it:

    >>> import numpy as np
    >>> from hrnet_pose_ros.fusion.transforms import OPTICAL_TO_BODY, Transform
    >>> Transform(OPTICAL_TO_BODY, np.array([0.0, 0.0, 1.5])).apply([0.0, 0.0, 4.0]).tolist()
    [4.0, 0.0, 1.5]
    """

    rotation: np.ndarray
    translation: np.ndarray

    def __post_init__(self) -> None:
        r, t = np.asarray(self.rotation, np.float64), np.asarray(self.translation, np.float64)
        if r.shape != (3, 3) or t.shape != (3,) or not np.isfinite(t).all():
            raise ValueError(f"a transform is a rotation [3, 3] and a finite [3], got {r} and {t}")
        if not np.abs(r @ r.T - _IDENTITY).max() < _TOLERANCE or not _right_handed(r):
            raise ValueError(f"the rotation of a transform must be orthonormal, got {r.tolist()}")
        object.__setattr__(self, "rotation", r)
        object.__setattr__(self, "translation", t)

    @classmethod
    def identity(cls) -> Transform:
        """Return the transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_quaternion(cls, quaternion: ArrayLike, translation: ArrayLike) -> Transform:
        """Return a transform from a quaternion x, y, z, w and a translation in metres."""
        return cls(rotation_of(quaternion), np.asarray(translation, np.float64))

    def apply(self, points: ArrayLike) -> np.ndarray:
        """Return points ``[..., 3]`` in the second frame."""
        return np.asarray(points) @ self.rotation.T + self.translation

    def inverse(self) -> Transform:
        """Return the transform from the second frame to the first."""
        return Transform(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, first: Transform) -> Transform:
        """Return the transform that applies ``first`` and then this one."""
        return Transform(
            self.rotation @ first.rotation, self.rotation @ first.translation + self.translation
        )


def looks_up(place: Transform) -> bool:
    """Whether a camera with this place of its optical frame looks straight up.

    It does if the frame is not the optical one, but that of its housing.

    >>> looks_up(Transform(OPTICAL_TO_BODY, np.zeros(3))), looks_up(Transform.identity())
    (False, True)
    """
    return bool(place.rotation[2, 2] > _UPWARDS)


def _right_handed(rotation: np.ndarray) -> bool:
    """Return whether the determinant is positive: in plain numbers, for it is asked often."""
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    return bool(a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g) > 0)


class Extrinsics(Protocol):
    """Where the sensors are: TF and parameters both answer this question."""

    def sensor_to_base(self, frame: str, stamp: int) -> Transform | None:
        """Return the transform from a sensor's frame to ``base_frame`` at a stamp in ns.

        None if it is not known at that stamp. The latest transform is never used for an older one.
        """
        ...


class FixedExtrinsics:
    """Extrinsics that do not change, by frame id: from parameters or from a calibration file."""

    def __init__(self, transforms: Mapping[str, Transform]) -> None:
        self._transforms = dict(transforms)

    def sensor_to_base(self, frame: str, stamp: int) -> Transform | None:
        """Return the transform of that frame; None if the frame is not known."""
        return self._transforms.get(frame)
