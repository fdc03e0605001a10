# SPDX-License-Identifier: Apache-2.0
"""Engines whose network gives heatmaps: crop, run, decode."""

from __future__ import annotations

import logging
from abc import abstractmethod
from dataclasses import replace

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError, EngineInfo, PoseEngine, check_frame_and_boxes
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import Method, poses_from_heatmaps
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.pose.uncertainty import (
    UncertaintyCalibration,
    calibration_key,
    find_calibration,
)

# On processors with AMX, one batch of 10 takes a fifth less than 8 and 2, or than 5 and 5. Larger
# ones were not found to gain, and cost memory and warming up.
DEFAULT_MAX_BATCH = 10

_log = logging.getLogger(__name__)


class HeatmapEngine(PoseEngine):
    """Three steps, usable one by one: `crops`, `heatmaps`, `decode`.

    A subclass runs the network in `_run`; the rest is the same for all of them.
    """

    def __init__(
        self, *, metadata: ModelMetadata, info: EngineInfo, decoding: Method, max_batch: int
    ) -> None:
        """``info.flip_test`` asks for the flip test; ``info.calibrated`` is found out here, and
        ``info.skeleton`` and ``info.crop`` are the model's."""
        self.metadata = metadata
        self.calibration = calibration_of(metadata, decoding, info.flip_test)
        self._info = replace(
            info,
            calibrated=self.calibration is not None,
            skeleton=metadata.skeleton,
            crop=metadata.crop,
        )
        self._decoding: Method = decoding
        self._max_batch = max_batch
        self._met: set[int] = set()  # numbers of crops that the network has run
        self._closed = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    def raw_poses(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        check_frame_and_boxes(frame, boxes)
        self._check_open()
        if len(boxes) == 0:
            return Poses.empty(self.metadata.skeleton)
        crops, transforms = self.crops(frame, boxes)
        return self.decode(self.heatmaps(crops), transforms)

    def crops(self, frame: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut the persons out: uint8 ``[N, H, W, 3]`` and the transforms ``[N, 2, 3]`` back."""
        transforms = crop_to_image(boxes, self.metadata.input_size, self.metadata.crop)
        return warp_crops(frame, transforms, self.metadata.input_size), transforms

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Run the network: uint8 ``[N, H, W, 3]`` RGB to float32 ``[N, J, H/4, W/4]``.

        The network sees at most ``max_batch`` crops at a time. In a flip test it sees each crop
        mirrored as well, and the result is the mean of both.

        Raises
        ------
        ValueError
            The crops have another shape or type.
        EngineError
            The engine is closed or fails.
        """
        self._check_open()
        width, height = self.metadata.input_size
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (height, width, 3):
            raise ValueError(
                f"crops must be uint8 (N, {height}, {width}, 3), got {crops.dtype} {crops.shape}"
            )
        if not self._info.flip_test:
            return self._in_batches(np.ascontiguousarray(crops))
        both = self._in_batches(np.concatenate([crops, crops[:, :, ::-1]]))
        heatmaps, mirrored = both[: len(crops)], both[len(crops) :]
        heatmaps += mirrored_back(
            mirrored, self.metadata.flip_shift, self.metadata.skeleton.mirrored
        )
        heatmaps *= 0.5
        return heatmaps

    def _in_batches(self, crops: np.ndarray) -> np.ndarray:
        cells_x, cells_y = self.metadata.heatmap_size
        heatmaps = np.empty(
            (len(crops), self.metadata.skeleton.joints, cells_y, cells_x), np.float32
        )
        start = 0
        for size in self._batch_sizes(len(crops)):
            heatmaps[start : start + size] = self._run(crops[start : start + size])
            self._met.add(size)
            start += size
        return heatmaps

    def _batch_sizes(self, count: int) -> list[int]:
        """Sizes of the batches that a number of crops runs in, one after the other."""
        full, rest = divmod(count, self._max_batch)
        return [self._max_batch] * full + [rest] * (rest > 0)

    def decode(self, heatmaps: np.ndarray, transforms: np.ndarray) -> Poses:
        """Heatmaps ``[N, J, h, w]`` and transforms ``[N, 2, 3]`` to poses in image pixels."""
        return poses_from_heatmaps(
            heatmaps,
            transforms,
            self.metadata.input_size,
            self._decoding,
            self.metadata.target_sigma,
            self.metadata.skeleton,
            self.metadata.crop,
        )

    def warm_up(self) -> None:
        """Run every number of crops that was not run yet, so that no live frame pays for a first
        time. The largest one goes first: the others find its memory there."""
        width, height = self.metadata.input_size
        for count in range(self._max_batch, 0, -1):
            if count not in self._met:
                self._in_batches(np.zeros((count, height, width, 3), np.uint8))

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"the engine of '{self._info.model}' is closed")

    @abstractmethod
    def _run(self, crops: np.ndarray) -> np.ndarray:
        """The network on 1 to ``max_batch`` contiguous crops; the result may be overwritten."""


def mirrored_back(heatmaps: np.ndarray, shift: bool, mirrored: np.ndarray) -> np.ndarray:
    """Heatmaps ``[N, J, h, w]`` of mirrored crops as those of the crops (HRNet reference).

    Columns are reversed and left and right joints exchanged: joint j becomes ``mirrored[j]``. With
    ``shift`` the result moves one column to the right, its column 0 staying as it is. By the
    reference's crop rule a mirrored crop's middle W/2 lies one crop pixel beside that of the crop,
    and strided convolutions do not commute with mirroring: such weights are aligned better so.
    UDP's need no shift.
    """
    back = heatmaps[:, mirrored, :, ::-1]
    return np.concatenate([back[..., :1], back[..., :-1]], axis=-1) if shift else back


def calibration_of(
    metadata: ModelMetadata, decoding: Method, flip_test: bool
) -> UncertaintyCalibration | None:
    """The model's uncertainty calibration for this decoding and flip test.

    None where it has none for them; ModelError where it is damaged.
    """
    try:
        found = find_calibration(metadata.calibrations, decoding, flip_test, metadata.skeleton)
    except ValueError as error:
        raise ModelError(
            f"model '{metadata.name}': {error}; 'hrnet_pose calibrate … --write' replaces it"
        ) from error
    if found is None and metadata.calibrations:
        _log.info(
            "'%s' has an uncertainty calibration for %s, not for %s: scores and covariances stay "
            "as they are",
            metadata.name,
            ", ".join(metadata.calibrations),
            calibration_key(decoding, flip_test),
        )
    return found
