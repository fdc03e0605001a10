# SPDX-License-Identifier: Apache-2.0
"""The contract between whatever runs the network and everything that uses poses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition


class EngineError(RuntimeError):
    """An engine cannot be made or used on this machine; the message names the way out."""


@dataclass(frozen=True)
class EngineInfo:
    """What produced the poses, for messages, logs and comparisons.

    Attributes
    ----------
    model
        The model's name (``hrnet_w32_256x192``).
    engine
        ``tensorrt``, ``openvino`` or ``torch``.
    device
        The hardware's name as the engine gives it.
    precision
        ``float32``, ``bfloat16``, ``float16`` or ``int8``: what the network computes with.
    decoding
        ``quarter`` or ``dark``.
    checksum
        SHA-256 of the model file, hexadecimal.
    input_width, input_height
        Size of a crop in pixels.
    flip_test
        Whether every crop is also run mirrored.
    calibrated
        Whether scores are calibrated probabilities and covariances calibrated.
    skeleton
        The definition of the joints.
    crop
        ``reference`` or ``udp``: the crop rule of the model (`hrnet_pose_ros.pose.boxes.CropRule`).
    """

    model: str
    engine: str
    device: str
    precision: str
    decoding: str
    checksum: str
    input_width: int
    input_height: int
    flip_test: bool = False
    calibrated: bool = False
    skeleton: SkeletonDefinition = COCO17
    crop: CropRule = "reference"


class PoseEngine(ABC):
    """Estimates the poses of all persons of a frame from their boxes.

    An engine belongs to the thread that made it: make, use and close it there. A subclass gives
    `raw_poses`; the model's uncertainty calibration is applied here, for all engines alike.
    """

    # What the model's file brings for this decoding and flip test; `info.calibrated` says so.
    calibration: UncertaintyCalibration | None = None

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What this engine is."""

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        """Estimate one pose for each box, calibrated where the model is.

        Arguments and errors are those of `raw_poses`.

        Examples
        --------
        >>> import numpy as np
        >>> from hrnet_pose_ros.engines.make_engine import make_engine
        >>> from hrnet_pose_ros.engines.precision_check import load_check_crops
        >>> engine = make_engine("hrnetv2_w24_small", engine="openvino", precision="float32")
        >>> frame = load_check_crops()[0]  # in your code: cv2.imread(path)[..., ::-1]
        >>> boxes = np.array([[20.0, 26.0, 153.0, 204.0]])  # x, y, width, height of each person
        >>> poses = engine.estimate(np.ascontiguousarray(frame), boxes)
        >>> nose = poses.skeleton.roles["nose"]
        >>> x, y = poses.keypoints[0, nose]  # pixels of the frame
        >>> bool(20 < x < 173 and 26 < y < 128)  # in the upper half of the box
        True
        >>> variance_x = poses.covariances[0, nose, 0, 0]  # px²
        >>> bool(variance_x > 0)
        True

        A frame without persons is normal:

        >>> len(engine.estimate(frame, np.zeros((0, 4))))
        0
        >>> engine.close()
        """
        poses = self.raw_poses(frame, boxes)
        if self.calibration is None:
            return poses
        return self.calibration.apply(poses, boxes, (frame.shape[1], frame.shape[0]))

    @abstractmethod
    def raw_poses(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        """Estimate one pose for each box: scores are heatmap peaks, nothing is calibrated.

        Parameters
        ----------
        frame
            uint8 ``[H, W, 3]``, RGB.
        boxes
            float ``[N, 4]``: x, y, width, height in image pixels, unclipped. N = 0 is normal.

        Returns
        -------
        Poses of N persons in the order of the boxes, key points in image pixels with pixel
        centres at integers.

        Raises
        ------
        ValueError
            The frame or the boxes have another shape or type, or a box has no crop.
        EngineError
            The engine is closed or fails.
        """

    def frame_buffer(self, height: int, width: int) -> np.ndarray | None:
        """Memory that a frame of this size is best decoded into, in RGB: a copy less.

        uint8 ``[H, W, 3]``, to be passed to `estimate`; None where any memory is as good. Its
        content is free to be overwritten after the next `estimate`, and the array is gone when the
        engine is closed.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Free the model and its memory. Closing twice is harmless."""


def check_frame_and_boxes(frame: np.ndarray, boxes: np.ndarray) -> None:
    """Raise ValueError unless shapes and types are those of `PoseEngine.estimate`."""
    for name, array in (("frame", frame), ("boxes", boxes)):
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"frame must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
    if boxes.dtype.kind != "f" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be float (N, 4), got {boxes.dtype} {boxes.shape}")
