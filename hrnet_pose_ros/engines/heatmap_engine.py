# SPDX-License-Identifier: Apache-2.0
"""Engines whose network gives heatmaps: crop, run, decode."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError, EngineInfo, PoseEngine, check_frame_and_boxes
from hrnet_pose_ros.model_metadata import ModelMetadata
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import Method, poses_from_heatmaps
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINTS

# Throughput is flat from 4 crops a call on; 8 keep memory and the number of warmed shapes small.
DEFAULT_MAX_BATCH = 8


class HeatmapEngine(PoseEngine):
    """Three steps, usable one by one: `crops`, `heatmaps`, `decode`.

    A subclass runs the network in `_run`; the rest is the same for all of them.
    """

    def __init__(
        self, *, metadata: ModelMetadata, info: EngineInfo, decoding: Method, max_batch: int
    ) -> None:
        self.metadata = metadata
        self._info = info
        self._decoding: Method = decoding
        self._max_batch = max_batch
        self._closed = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        check_frame_and_boxes(frame, boxes)
        self._check_open()
        if len(boxes) == 0:
            return Poses.empty()
        crops, transforms = self.crops(frame, boxes)
        return self.decode(self.heatmaps(crops), transforms)

    def crops(self, frame: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut the persons out: uint8 ``[N, H, W, 3]`` and the transforms ``[N, 2, 3]`` back."""
        transforms = crop_to_image(boxes, self.metadata.input_size)
        return warp_crops(frame, transforms, self.metadata.input_size), transforms

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Run the network: uint8 ``[N, H, W, 3]`` RGB to float32 ``[N, 17, H/4, W/4]``.

        The network sees at most ``max_batch`` crops at a time.

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
        crops = np.ascontiguousarray(crops)
        cells_x, cells_y = self.metadata.heatmap_size
        heatmaps = np.empty((len(crops), JOINTS, cells_y, cells_x), np.float32)
        for start in range(0, len(crops), self._max_batch):
            batch = slice(start, start + self._max_batch)
            heatmaps[batch] = self._run(crops[batch])
        return heatmaps

    def decode(self, heatmaps: np.ndarray, transforms: np.ndarray) -> Poses:
        """Heatmaps ``[N, 17, h, w]`` and transforms ``[N, 2, 3]`` to poses in image pixels."""
        return poses_from_heatmaps(
            heatmaps,
            transforms,
            self.metadata.input_size,
            self._decoding,
            self.metadata.target_sigma,
        )

    def warm_up(self) -> None:
        """Run every number of crops once, so that no live frame pays for a first time."""
        width, height = self.metadata.input_size
        for count in range(1, self._max_batch + 1):
            self.heatmaps(np.zeros((count, height, width, 3), np.uint8))

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"the engine of '{self._info.model}' is closed")

    @abstractmethod
    def _run(self, crops: np.ndarray) -> np.ndarray:
        """The network on 1 to ``max_batch`` contiguous crops; the result may be overwritten."""
