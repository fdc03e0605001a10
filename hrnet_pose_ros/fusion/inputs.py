# SPDX-License-Identifier: Apache-2.0
"""What the fusion of people takes: plain values with stamps, made from messages or simulated.

Stamps are nanoseconds of the sensor's own clock as in the message's header. ``frame`` is the id of
the frame that the values are in; `Extrinsics` says where it is on the vehicle. Every constructor
checks shapes and raises ValueError; values inside the arrays may be NaN or infinite where noted,
because sensors send such values for "nothing here".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.pose.poses import Poses


@dataclass(frozen=True)
class Skeletons:
    """The skeletons of one image, in the order of the SkeletonArray.

    Attributes
    ----------
    stamp, frame
        Of the image; the frame is an optical one (x right, y down, z forward).
    camera
        The projection of this image.
    image_size
        (width, height) in pixels.
    poses
        N poses with their covariances in px².
    boxes
        float ``[N, 4]``: x, y, width, height of the detector's boxes, px.
    ids
        N ids of the detector; empty strings where it gives none.
    detection_scores
        float ``[N]``, 0 to 1: the detector's confidence in each person.
    """

    stamp: int
    frame: str
    camera: Camera
    image_size: tuple[int, int]
    poses: Poses
    boxes: np.ndarray
    ids: tuple[str, ...] = ()
    detection_scores: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.poses)
        _shape("Skeletons.boxes", self.boxes, (n, 4))
        if not self.ids:
            object.__setattr__(self, "ids", ("",) * n)
        if not len(self.detection_scores):
            object.__setattr__(self, "detection_scores", np.ones(n))
        if len(self.ids) != n or len(self.detection_scores) != n:
            raise ValueError(
                f"{n} poses, {len(self.ids)} ids and {len(self.detection_scores)} scores differ"
            )

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True)
class DepthImage:
    """A depth image with intrinsics of its own; it need not be registered to the colour image.

    Attributes
    ----------
    stamp, frame
        Of the image; the frame is the depth camera's optical frame.
    camera
        The projection of the depth image (of the colour camera if the depth is registered).
    depth
        float32 ``[H, W]``, metres along the optical axis (REP 118); 0, NaN and infinite are holes.
    """

    stamp: int
    frame: str
    camera: Camera
    depth: np.ndarray

    def __post_init__(self) -> None:
        if self.depth.ndim != 2:
            raise ValueError(f"DepthImage.depth must have shape [H, W], got {self.depth.shape}")


@dataclass(frozen=True)
class PointCloud:
    """The points of one sweep of a LIDAR, or of any sensor that gives points.

    Attributes
    ----------
    stamp, frame
        Of the sweep, in the sensor's frame.
    points
        float32 ``[N, 3]``, metres; not finite where a beam had no return.
    times
        None, or float ``[N]``: seconds from ``stamp`` to each point, negative for earlier points.
    """

    stamp: int
    frame: str
    points: np.ndarray
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise ValueError(f"PointCloud.points must have shape [N, 3], got {self.points.shape}")
        if self.times is not None:
            _shape("PointCloud.times", self.times, (len(self.points),))


@dataclass(frozen=True)
class LaserScan:
    """One turn of a planar laser scanner, as in ``sensor_msgs/LaserScan``.

    Attributes
    ----------
    stamp, frame
        Time of the first beam; the beams lie in the frame's xy plane, angles about z from x.
    angle_min, angle_increment
        Angle of the first beam and between two beams, rad.
    ranges
        float32 ``[N]``, metres; +inf: no return, -inf: too near, NaN: invalid (REP 117).
    range_min, range_max
        Metres: values outside of these limits are no measurements.
    time_increment
        Seconds between two beams; 0 if not known.
    """

    stamp: int
    frame: str
    angle_min: float
    angle_increment: float
    ranges: np.ndarray
    range_min: float = 0.0
    range_max: float = np.inf
    time_increment: float = 0.0

    def __post_init__(self) -> None:
        if self.ranges.ndim != 1:
            raise ValueError(f"LaserScan.ranges must have shape [N], got {self.ranges.shape}")


@dataclass(frozen=True)
class UltrasonicRange:
    """One echo of an ultrasonic sensor, as in ``sensor_msgs/Range``.

    Attributes
    ----------
    stamp, frame
        Of the echo; the cone's axis is the frame's x axis, its tip the frame's origin.
    field_of_view
        The whole angle of the cone, rad.
    range
        Metres to the nearest echo; +inf: nothing within ``max_range``, -inf: something nearer than
        ``min_range``, NaN: invalid (REP 117).
    min_range, max_range
        Metres.
    """

    stamp: int
    frame: str
    field_of_view: float
    range: float
    min_range: float
    max_range: float


@dataclass(frozen=True)
class ImuSample:
    """One sample of an IMU, in the IMU's frame, as in ``sensor_msgs/Imu``.

    Attributes
    ----------
    stamp, frame
        Of the sample.
    angular_velocity
        float ``[3]``, rad/s.
    linear_acceleration
        float ``[3]``, m/s², or None if the IMU has none. At rest it points up, with 9.81 (the
        convention of REP 145).
    orientation
        None if the IMU estimates none (covariance[0] = -1 in the message), or a quaternion
        x, y, z, w from the IMU's frame to a world frame with z up; its yaw is not used.
    """

    stamp: int
    frame: str
    angular_velocity: np.ndarray
    linear_acceleration: np.ndarray | None = None
    orientation: np.ndarray | None = None

    def __post_init__(self) -> None:
        _shape("ImuSample.angular_velocity", np.asarray(self.angular_velocity), (3,))
        if self.linear_acceleration is not None:
            _shape("ImuSample.linear_acceleration", np.asarray(self.linear_acceleration), (3,))
        if self.orientation is not None:
            _shape("ImuSample.orientation", np.asarray(self.orientation), (4,))


@dataclass(frozen=True)
class OdometrySample:
    """One sample of the odometry, as in ``nav_msgs/Odometry`` with ``base_frame`` as its child.

    Attributes
    ----------
    stamp
        Of the sample.
    position
        float ``[3]``, metres: of the base frame in the odometry's frame.
    orientation
        Quaternion x, y, z, w from the base frame to the odometry's frame.
    linear, angular
        float ``[3]`` each, m/s and rad/s, in the base frame.
    """

    stamp: int
    position: np.ndarray
    orientation: np.ndarray
    linear: np.ndarray
    angular: np.ndarray

    def __post_init__(self) -> None:
        for name, length in (("position", 3), ("orientation", 4), ("linear", 3), ("angular", 3)):
            _shape(f"OdometrySample.{name}", np.asarray(getattr(self, name)), (length,))


def _shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
