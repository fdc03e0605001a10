# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera in plain numbers: pixels to rays, a skeleton to points in space.

The frame is the optical one: x right, y down, z forward. Meaning of the calibration's fields:
``sensor_msgs/CameraInfo``; rules for binning and region of interest: ROS's ``image_geometry``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

# Numbers of distortion coefficients that each model may come with (CameraInfo; OpenCV).
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}

# A ray must project back to its pixel this closely, or the pixel lies where the distortion model
# cannot be inverted (far outside the image the polynomials fold back).
REPROJECTION_PX = 0.1


@dataclass(frozen=True)
class Camera:
    """The projection of one image: focal lengths and principal point in its own pixels.

    Attributes
    ----------
    fx, fy, cx, cy
        Pixels of the image that the key points are in, after binning, ROI and resizing.
    distortion_model
        ``plumb_bob``, ``rational_polynomial`` or ``equidistant``; empty for a rectified image.
    coefficients
        The model's coefficients in OpenCV's order; empty for no distortion.
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
            raise ValueError(f"camera numbers must be finite and fx, fy above 0, got {numbers}")
        if not self.coefficients:
            return
        counts = DISTORTION_MODELS.get(self.distortion_model)
        if counts is None:
            raise ValueError(
                f"distortion_model must be one of {tuple(DISTORTION_MODELS)}, got "
                f"{self.distortion_model!r}; rectify the image otherwise"
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

        Binning and resizing scale ``cx`` like ``fx`` (``image_geometry``, ``image_proc``); counting
        from the corners of pixels instead would differ by less than half a pixel.

        Parameters
        ----------
        k, p, d
            The 9 numbers of K, the 12 of P (row-major), the distortion coefficients.
        distortion_model
            As in CameraInfo; not used when rectified or when ``d`` is empty or all zero.
        size
            ``(width, height)`` of the full sensor that the calibration is for.
        image_size
            ``(width, height)`` of the image at hand. Where it is not what size, ROI and binning
            give, the image is taken to have been resized from that.
        rectified
            True: the image is rectified, P applies; False: K and D apply.
        binning
            ``(binning_x, binning_y)``; 0 means 1.
        roi
            ``(x_offset, y_offset, width, height)`` in pixels of the full sensor; width or height
            0 means the whole.

        Raises
        ------
        ValueError
            The camera is not calibrated (``K[0]`` is 0), a field has a wrong length or value, or
            the distortion model is not known.
        """
        for name, values, length in (("k", k, 9), ("p", p, 12)):
            if len(values) != length:
                raise ValueError(f"{name} must have {length} numbers, got {len(values)}")
        if k[0] == 0:
            raise ValueError("camera is not calibrated: K[0] is 0; publish a calibration")
        if rectified and p[0] == 0:
            raise ValueError("camera has no rectified projection: P[0] is 0; use the raw image")
        for name, pair in (("size", size), ("image_size", image_size)):
            if len(pair) != 2 or min(pair) <= 0:
                raise ValueError(f"{name} must be a positive (width, height), got {pair}")
        if min(binning) < 0 or min(roi) < 0:
            raise ValueError(f"binning and roi must not be negative, got {binning} and {roi}")

        fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if rectified else (k[0], k[4], k[2], k[5])
        x_offset, y_offset, roi_width, roi_height = roi
        # Image pixels for one pixel of the full sensor; binning and resizing together.
        scale_x = image_size[0] / _seen("width", size[0], roi_width, x_offset, binning[0])
        scale_y = image_size[1] / _seen("height", size[1], roi_height, y_offset, binning[1])
        distorted = not rectified and any(value != 0 for value in d)
        return cls(
            fx=float(fx * scale_x),
            fy=float(fy * scale_y),
            cx=float((cx - x_offset) * scale_x),
            cy=float((cy - y_offset) * scale_y),
            distortion_model=distortion_model if distorted else "",
            coefficients=tuple(float(value) for value in d) if distorted else (),
        )

    def rays(self, points: ArrayLike) -> np.ndarray:
        """Directions of pixels in the optical frame, scaled to z = 1.

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
            The last axis is not 2.
        """
        pixels = np.asarray(points, np.float64)
        if pixels.ndim < 1 or pixels.shape[-1] != 2:
            raise ValueError(f"points must have shape (..., 2), got {pixels.shape}")
        focal, centre = np.array([self.fx, self.fy]), np.array([self.cx, self.cy])
        plane = ((pixels - centre) / focal).reshape(-1, 2)
        if self.coefficients:
            plane = self._undistorted(plane)
        finite = np.isfinite(plane).all(axis=1)
        rays = np.full((len(plane), 3), np.nan)
        rays[finite, :2] = plane[finite]
        rays[finite, 2] = 1.0
        return rays.reshape(*pixels.shape[:-1], 3)

    def skeleton_points(
        self, points: ArrayLike, height_px: ArrayLike, person_height: float = 1.7
    ) -> np.ndarray:
        """Key points in space, all of a person's on the plane at its estimated distance.

        The distance is ``Z = fy * person_height / height_px``: right for an upright person of that
        height seen whole, a rough guess otherwise.

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
        float64 ``[..., J, 3]`` in metres; NaN where a point is NaN or a height is not finite and
        above 0.

        Raises
        ------
        ValueError
            The shapes do not fit, or ``person_height`` is not above 0.
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
        """Undo the distortion of points ``[M, 2]`` at z = 1; NaN where that has no answer."""
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
    """Full-sensor pixels that the image shows on one axis, as the camera driver delivered it."""
    seen = roi or full - offset
    if seen <= 0 or offset + seen > full:
        raise ValueError(f"roi lies outside the sensor: offset {offset}, {axis} {roi} of {full}")
    # The driver drops what does not fill a whole binned pixel.
    binning = max(binning, 1)
    return max(seen // binning, 1) * binning
