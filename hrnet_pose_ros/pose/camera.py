# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera without ROS: maps pixels to rays, and a skeleton to points in 3D.

The frame is the optical frame: x right, y down, z forward. The fields of the calibration are those
of ``sensor_msgs/CameraInfo``; binning and region of interest follow ``image_geometry``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

# Allowed numbers of distortion coefficients for each model (CameraInfo; OpenCV). Drivers pad with
# zeros, or leave zeros out: such a calibration means the same.
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
# Names that drivers and calibration tools use for them, in lower case and with underscores.
DISTORTION_NAMES = {
    "": "plumb_bob",
    "brown": "plumb_bob",
    "brown_conrady": "plumb_bob",
    "pinhole": "plumb_bob",
    "plumbbob": "plumb_bob",
    "radtan": "plumb_bob",
    "rational": "rational_polynomial",
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
    "kannala_brandt4": "equidistant",
    "equi": "equidistant",
}

# A ray must project back to its pixel within this distance. Otherwise the pixel lies where the
# distortion model cannot be inverted (far outside the image the polynomials fold back).
REPROJECTION_PX = 0.1


@dataclass(frozen=True)
class Camera:
    """The projection of one image: focal lengths and principal point in pixels of that image.

    Attributes
    ----------
    fx, fy, cx, cy
        Pixels of the image that the key points are in, after binning, ROI and resizing.
    distortion_model
        ``plumb_bob``, ``rational_polynomial`` or ``equidistant``; empty for a rectified image.
    coefficients
        The coefficients of the model in OpenCV's order; empty if there is no distortion.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ""
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.coefficients)
        if not np.isfinite(numbers).all() or self.fx <= 0 or self.fy <= 0:
            raise ValueError(
                "fx, fy, cx, cy and the coefficients must be finite, and fx and fy above 0, got "
                f"{numbers}"
            )
        if not self.coefficients:
            return
        counts = DISTORTION_MODELS.get(self.distortion_model)
        if counts is None:
            raise ValueError(
                f"distortion_model must be one of {tuple(DISTORTION_MODELS)}, got "
                f"{self.distortion_model!r}; for other models, use rectified images"
            )
        if len(self.coefficients) not in counts:
            raise ValueError(
                f"{self.distortion_model} has {' or '.join(map(str, counts))} coefficients, got "
                f"{len(self.coefficients)}"
            )

    @classmethod
    def from_calibration(
        cls,
        *,
        k: Sequence[float],
        p: Sequence[float],
        d: Sequence[float],
        distortion_model: str,
        size: tuple[int, int],
        image_size: tuple[int, int],
        rectified: bool,
        binning: tuple[int, int] = (1, 1),
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Camera:
        """Make the camera of an image from the fields of a ``sensor_msgs/CameraInfo``.

        Binning and resizing scale ``cx`` like ``fx`` (as in ``image_geometry`` and ``image_proc``).
        With pixel corners as the origin, the result would differ by less than half a pixel.

        Parameters
        ----------
        k, p, d
            The 9 numbers of K and the 12 of P (row-major), and the distortion coefficients.
        distortion_model
            As in CameraInfo, or one of `DISTORTION_NAMES`, in any case; not used if the image is
            rectified or ``d`` is empty or all zero.
        size
            ``(width, height)`` of the full sensor to which the calibration refers.
        image_size
            ``(width, height)`` of the actual image. If it differs from what size, ROI and binning
            give, the image is assumed to be resized.
        rectified
            Whether the image is rectified: if so, P applies, otherwise K and D.
        binning
            ``(binning_x, binning_y)``; 0 means 1.
        roi
            ``(x_offset, y_offset, width, height)`` in pixels of the full sensor; a width or height
            of 0 means the full width or height.

        Raises
        ------
        ValueError
            The camera is not calibrated (``K[0]`` is 0), a field has a wrong length or value, or
            the distortion model is unknown.
        """
        for name, values, length in (("k", k, 9), ("p", p, 12)):
            if len(values) != length:
                raise ValueError(f"{name} must have {length} numbers, got {len(values)}")
        if k[0] == 0:
            raise ValueError("the camera is not calibrated: K[0] is 0; publish a calibration")
        if rectified and p[0] == 0:
            raise ValueError("the camera has no rectified projection: P[0] is 0; use the raw image")
        for name, pair in (("size", size), ("image_size", image_size)):
            if len(pair) != 2 or min(pair) <= 0:
                raise ValueError(f"{name} must be a positive (width, height), got {pair}")
        if min(binning) < 0 or min(roi) < 0:
            raise ValueError(f"binning and roi must not be negative, got {binning} and {roi}")

        fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if rectified else (k[0], k[4], k[2], k[5])
        x_offset, y_offset, roi_width, roi_height = roi
        # Image pixels per pixel of the full sensor, from binning and resizing.
        scale_x = image_size[0] / _seen("width", size[0], roi_width, x_offset, binning[0])
        scale_y = image_size[1] / _seen("height", size[1], roi_height, y_offset, binning[1])
        distorted = not rectified and any(value != 0 for value in d)
        return cls(
            fx=float(fx * scale_x),
            fy=float(fy * scale_y),
            cx=float((cx - x_offset) * scale_x),
            cy=float((cy - y_offset) * scale_y),
            **(_distortion(distortion_model, d) if distorted else {}),
        )

    def rays(self, points: ArrayLike) -> np.ndarray:
        """Return the directions of pixels in the optical frame, scaled to z = 1.

        Parameters
        ----------
        points
            float ``[..., 2]``: x and y in image pixels.

        Returns
        -------
        float64 ``[..., 3]``; NaN where the pixel is NaN or cannot be undistorted.

        Raises
        ------
        ValueError
            The last axis does not have length 2.
        """
        pixels = np.asarray(points, np.float64)
        if pixels.ndim < 1 or pixels.shape[-1] != 2:
            raise ValueError(f"points must have shape (..., 2), got {pixels.shape}")
        focal, centre = np.array([self.fx, self.fy]), np.array([self.cx, self.cy])
        plane = ((pixels - centre) / focal).reshape(-1, 2)
        if self.coefficients:
            plane = self._undistorted(plane)
        rays = np.empty((len(plane), 3))
        rays[:, :2], rays[:, 2] = plane, 1.0
        rays[~np.isfinite(plane).all(axis=1)] = np.nan
        return rays.reshape(*pixels.shape[:-1], 3)

    def skeleton_points(
        self, points: ArrayLike, height_px: ArrayLike, person_height: float = 1.7
    ) -> np.ndarray:
        """Return key points in 3D, those of each person in a plane at the estimated distance.

        The distance is ``Z = fy * person_height / height_px``, which is correct for an upright,
        fully visible person of that height, and a rough estimate otherwise.

        Parameters
        ----------
        points
            float ``[..., J, 2]``: x and y in image pixels.
        height_px
            float ``[...]``: the persons' heights in the image, in pixels.
        person_height
            Height of a person in metres, above 0.

        Returns
        -------
        float64 ``[..., J, 3]`` in metres; NaN where a point is NaN, or a height is not finite or
        not above 0.

        Raises
        ------
        ValueError
            The shapes do not match, or ``person_height`` is not above 0.
        """
        pixels, heights = np.asarray(points, np.float64), np.asarray(height_px, np.float64)
        if pixels.ndim < 2 or pixels.shape[-1] != 2:
            raise ValueError(f"points must have shape (..., J, 2), got {pixels.shape}")
        if heights.shape != pixels.shape[:-2]:
            raise ValueError(f"height_px must have shape {pixels.shape[:-2]}, got {heights.shape}")
        if not 0 < person_height < np.inf:
            raise ValueError(f"person_height must be above 0 m, got {person_height}")
        seen = np.where((heights > 0) & (heights < np.inf), heights, np.nan)
        distance = self.fy * person_height / seen
        return self.rays(pixels) * distance[..., None, None]

    def _undistorted(self, plane: np.ndarray) -> np.ndarray:
        """Undistort points ``[M, 2]`` at z = 1; NaN where that is not possible."""
        unit, d = np.eye(3), np.array(self.coefficients)
        result = np.full(plane.shape, np.nan)
        finite = np.flatnonzero(np.isfinite(plane).all(axis=1))
        if not finite.size:
            return result
        distorted = plane[finite][:, None]
        fisheye = self.distortion_model == "equidistant"
        if fisheye:
            straight = cv2.fisheye.undistortPoints(distorted, unit, d)
        else:
            until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
            straight = cv2.undistortPointsIter(distorted, unit, d, unit, unit, until)
        space = cv2.convertPointsToHomogeneous(straight)
        project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
        again = project(space, np.zeros(3), np.zeros(3), unit, d)[0]
        error = np.hypot(*((again - distorted)[:, 0] * (self.fx, self.fy)).T)
        kept = error <= REPROJECTION_PX
        result[finite[kept]] = straight[kept, 0]
        return result


def _seen(axis: str, full: int, roi: int, offset: int, binning: int) -> float:
    """Return how many full-sensor pixels the driver's image covers on one axis."""
    seen = roi or full - offset
    if seen <= 0 or offset + seen > full:
        raise ValueError(
            f"the roi lies outside of the sensor: offset {offset}, {axis} {roi} of {full}"
        )
    # The driver drops pixels that do not fill a whole binned pixel.
    binning = max(binning, 1)
    return max(seen // binning, 1) * binning


def _distortion(name: str, d: Sequence[float]) -> dict[str, Any]:
    """Return the model and its coefficients, with zeros added or removed to their usual number."""
    plain = "_".join(re.findall("[a-z0-9]+", name.lower()))
    model = DISTORTION_NAMES.get(plain, plain)
    if model not in DISTORTION_MODELS:
        return {"distortion_model": name, "coefficients": tuple(map(float, d))}  # refused by name
    used = max((place for place, value in enumerate(d, 1) if value != 0), default=0)
    counts = DISTORTION_MODELS[model]
    if model == "plumb_bob" and used > counts[-1]:
        # OpenCV, and so image_geometry, takes all coefficients, whatever the model is called.
        model, counts = "rational_polynomial", DISTORTION_MODELS["rational_polynomial"]
    count = next((count for count in counts if count >= max(used, min(len(d), counts[0]))), used)
    coefficients = [*map(float, d[:count]), *[0.0] * (count - len(d))]
    return {"distortion_model": model, "coefficients": tuple(coefficients)}
