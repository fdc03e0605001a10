# SPDX-License-Identifier: Apache-2.0
"""The persons of one image in directions: where each joint is seen from, against the vertical.

A direction from the camera is an azimuth and a slope. The azimuth is the angle about z in the
levelled base frame, rad, from the camera's heading. The slope is the height of a point above the
camera per metre of horizontal distance. With these two, the geometry of people who stand on the
ground is linear in the inverse range: a point at height h is seen from a camera at height H at the
horizontal distance R with the slope (h - H) / R, whichever way the camera is tilted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.pose.camera import Camera

# The middles of the left, right, lower and upper side of a box, in its width and height.
_SIDES = np.array([[0.0, 0.5], [1.0, 0.5], [0.5, 1.0], [0.5, 0.0]])
# Step for the numerical derivative of directions by pixels, px.
_STEP = 0.5
# Key points nearer to the image's border than this fraction of the image's width are not used where
# a cue needs the whole limb: joints outside of the image are drawn to the border.
BORDER = 0.01
# A detector's box ends this much too early, in heights (at the sides in widths) of the box.
BOX_ERROR = 0.03
# Key points of joints that somebody nearer hides: how much larger the variance is than the network
# says. Squared errors of hidden joints over their variances, those above 9 counted as 9, are 1.6
# for hips, 2.3 for knees and 2.5 for ankles (labelled persons of the residuals' table).
HIDDEN_VARIANCE = 2.5
# For pixels that the camera's distortion cannot be inverted for, the direction without distortion
# with this standard deviation is used, rad.
FOLDED_STD = 0.17


@dataclass(frozen=True)
class PersonViews:
    """N persons with J joints as seen from the camera at the image's stamp.

    Attributes
    ----------
    camera_position
        float64 ``[3]``, m, in the levelled base frame.
    heading
        Of the camera in the levelled base frame, rad: azimuths count from it, so that those of a
        camera that looks back have no jump.
    camera_height
        Of the camera above the ground, m.
    azimuth, slope
        float64 ``[N, J]``: directions; NaN where the joint was not found.
    azimuth_var, slope_var
        float64 ``[N, J]``: their variances.
    seen
        bool ``[N, J]``: joints to be used.
    inside
        bool ``[N, J]``: joints that do not lie at the image's border.
    cut_below
        bool ``[N]``: the box reaches the image's lower border. The feet may be outside, and a
        network puts their key points somewhere inside of the box.
    cut_above
        bool ``[N]``: the box reaches the image's upper border.
    outward
        float64 ``[N]``: 1 where the box reaches the image's left border, -1 where it reaches the
        right one, 0 where it reaches neither or both: the sign of the azimuth towards what is
        outside of the image.
    at_side
        bool ``[N, J]``: joints that lie at the image's left or right border.
    box
        float64 ``[N, 4]``: azimuth of the box's left and right side, slope of its lower and upper
        side.
    size_px
        float64 ``[N]``: the longer side of the person's box, px.
    folded
        bool ``[N]``: the bearing is that of a pixel whose distortion cannot be inverted.
    """

    camera_position: np.ndarray
    heading: float
    camera_height: float
    azimuth: np.ndarray
    slope: np.ndarray
    azimuth_var: np.ndarray
    slope_var: np.ndarray
    seen: np.ndarray
    inside: np.ndarray
    cut_below: np.ndarray
    cut_above: np.ndarray
    outward: np.ndarray
    at_side: np.ndarray
    box: np.ndarray
    size_px: np.ndarray
    folded: np.ndarray

    def __len__(self) -> int:
        return len(self.azimuth)


def views_of(
    skeletons: Skeletons, camera_to_level: Transform, ground: float, min_score: float
) -> PersonViews:
    """Return the views of the persons of one image.

    Parameters
    ----------
    skeletons
        N persons.
    camera_to_level
        From the camera's optical frame to the levelled base frame.
    ground
        z of the ground in the levelled base frame, m.
    min_score
        Joints with a lower score are not used.
    """
    poses, camera = skeletons.poses, skeletons.camera
    points = np.asarray(poses.keypoints, np.float64)
    rotation = camera_to_level.rotation
    seen = poses.valid & (poses.scores >= min_score) & np.isfinite(points).all(axis=2)
    seen &= np.isfinite(poses.covariances).all(axis=(2, 3))
    points = np.where(seen[..., None], points, np.nan)
    heading = _heading(rotation)
    steps = np.array([[0.0, 0.0], [_STEP, 0.0], [0.0, _STEP]])
    directions = _directions(camera.rays(points[None] + steps[:, None, None]), rotation, heading)
    seen &= np.isfinite(directions).all(axis=(0, -1))
    # J = d(azimuth, slope) / d(x, y); the variances are the diagonal of J S J'.
    change = (directions[1:] - directions[:1]) / _STEP
    covariances = np.where(seen[..., None, None], poses.covariances, 0.0)
    by_x, by_y = change
    variances = (
        covariances[..., 0, 0, None] * by_x**2
        + (covariances[..., 0, 1] + covariances[..., 1, 0])[..., None] * (by_x * by_y)
        + covariances[..., 1, 1, None] * by_y**2
    )

    boxes = np.asarray(skeletons.boxes, np.float64)
    hidden = _behind_others(points, boxes, skeletons.image_size[1])
    variances = np.where(hidden[..., None], HIDDEN_VARIANCE * variances, variances)
    box, folded = _box_directions(boxes, camera, rotation, heading)
    width, height = skeletons.image_size
    margin = BORDER * width
    x, y = points[..., 0], points[..., 1]
    at_side = (x <= margin) | (x >= width - 1 - margin)
    inside = ~at_side & (y > margin) & (y < height - 1 - margin)
    ends_early = BOX_ERROR * boxes[:, 2]
    cut_left = boxes[:, 0] - ends_early < margin
    cut_right = boxes[:, 0] + boxes[:, 2] + ends_early > width - 1 - margin
    return PersonViews(
        camera_position=camera_to_level.translation,
        heading=heading,
        camera_height=float(camera_to_level.translation[2] - ground),
        azimuth=np.where(seen, directions[0, ..., 0], np.nan),
        slope=np.where(seen, directions[0, ..., 1], np.nan),
        azimuth_var=np.where(seen, variances[..., 0], np.nan),
        slope_var=np.where(seen, variances[..., 1], np.nan),
        seen=seen,
        inside=seen & inside,
        cut_below=boxes[:, 1] + boxes[:, 3] * (1 + BOX_ERROR) > height - 1 - margin,
        cut_above=boxes[:, 1] - boxes[:, 3] * BOX_ERROR < margin,
        outward=cut_left.astype(float) - cut_right,
        at_side=at_side,
        box=box,
        size_px=boxes[:, 2:].max(axis=1),
        folded=folded,
    )


def _behind_others(points: np.ndarray, boxes: np.ndarray, height: float) -> np.ndarray:
    """Return which joints ``[N, J]`` lie in the box of somebody nearer, who may hide them.

    Of two persons on the ground, the nearer one is lower in the image. Boxes that the image's lower
    border cuts off are those of people close by.
    """
    lowest = boxes[:, 1] + boxes[:, 3]
    margin = BOX_ERROR * boxes[:, 3]
    nearer = lowest[None] > (lowest + margin)[:, None]
    cut = lowest + margin > height - 1
    nearer |= cut[None] & ~cut[:, None]
    pairs = np.argwhere(nearer)
    hidden = np.zeros(points.shape[:2], bool)
    if len(pairs):
        own, other = pairs.T
        at = points[own] - boxes[other, None, :2]
        inside = ((at > 0) & (at < boxes[other, None, 2:])).all(axis=2)
        np.logical_or.at(hidden, own, inside)
    return hidden


def _heading(rotation: np.ndarray) -> float:
    """Return the heading of the optical axis; of the image's upper side if it looks up or down."""
    axis = rotation[:, 2] if np.hypot(*rotation[:2, 2]) > 0.1 else -rotation[:, 1]
    return float(np.arctan2(axis[1], axis[0]))


def _directions(rays: np.ndarray, rotation: np.ndarray, heading: float) -> np.ndarray:
    """Return azimuth and slope ``[..., 2]`` of rays ``[..., 3]`` in the optical frame."""
    d = rays @ rotation.T
    across = np.hypot(d[..., 0], d[..., 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(across > 1e-9, d[..., 2] / across, np.nan)
    c, s = np.cos(heading), np.sin(heading)
    found = np.empty((*across.shape, 2))
    found[..., 0] = np.arctan2(c * d[..., 1] - s * d[..., 0], c * d[..., 0] + s * d[..., 1])
    found[..., 1] = slope
    return found


def _box_directions(
    boxes: np.ndarray, camera: Camera, rotation: np.ndarray, heading: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sides of boxes as directions ``[N, 4]``, and which could not be undistorted."""
    first, size = boxes[:, None, :2], boxes[:, None, 2:]
    sides = first + size * _SIDES  # [N, 4, 2]
    found = _directions(camera.rays(sides), rotation, heading)
    folded = ~np.isfinite(found).all(axis=(1, 2))
    if folded.any():
        plain = Camera(camera.fx, camera.fy, camera.cx, camera.cy)
        found[folded] = np.nan_to_num(_directions(plain.rays(sides[folded]), rotation, heading))
    return np.concatenate([found[:, :2, 0], found[:, 2:, 1]], axis=1), folded


def mean_variance(variances: np.ndarray, correlation: float) -> np.ndarray:
    """Return the variance of the mean over the last axis of equally correlated values; NaN is none.

    >>> float(mean_variance(np.array([4.0, 4.0]), 0.5))
    3.0
    """
    known = np.isfinite(variances)
    some = np.where(known, variances, 0.0)
    both = np.sqrt(some).sum(axis=-1) ** 2
    count = np.maximum(known.sum(axis=-1), 1)
    return np.asarray(((1 - correlation) * some.sum(axis=-1) + correlation * both) / count**2)
