# SPDX-License-Identifier: Apache-2.0
"""Training crops: from a person's picture to a network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.skeleton import MIRRORED
from hrnet_pose_ros.training.augmentation import AugmentationConfig, change_pixels, place_crop
from hrnet_pose_ros.training.crop_cache import CropCache
from hrnet_pose_ros.training.sampling import Draw


class Batch(NamedTuple):
    """crops uint8 ``[N, H, W, 3]`` RGB, keypoints float32 ``[N, 17, 2]`` in crop pixels, weights
    float32 ``[N, 17]``, 0 where not labelled."""

    crops: Tensor
    keypoints: Tensor
    weights: Tensor


@dataclass(frozen=True)
class TrainingSet:
    """One data set: its annotations, the pictures of its persons, joints not to learn from."""

    annotations: PersonAnnotations
    cache: CropCache
    ignored_joints: Sequence[int] = ()


class CropDataset(torch.utils.data.Dataset[Batch]):
    """Makes the crops of a list of draws; a batch at a time.

    ``augmentation`` holds what is changed in each epoch; later ones are like the last.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSet],
        input_size: tuple[int, int],
        augmentation: Sequence[AugmentationConfig],
        seed: int,
    ) -> None:
        # One crop is too small to share, and OpenCV's threads do not live on in a forked worker.
        cv2.setNumThreads(1)
        self.sources = list(sources)
        self.input_size = input_size
        self.augmentation = list(augmentation)
        self.seed = seed

    def __getitem__(self, draws: Sequence[Draw]) -> Batch:
        made = [self._crop(draw) for draw in draws]
        crops, keypoints, labelled = (np.stack(part) for part in zip(*made, strict=True))
        return Batch(
            torch.from_numpy(crops),
            torch.from_numpy(keypoints.astype(np.float32)),
            torch.from_numpy(labelled.astype(np.float32)),
        )

    def _crop(self, draw: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        random = np.random.default_rng((self.seed, draw.epoch, draw.place))
        source = self.sources[draw.source]
        person = source.cache.persons[draw.number]
        picture = source.cache[draw.number]
        keypoints = source.annotations.keypoints[person]
        labelled = source.annotations.labelled[person].copy()
        labelled[list(source.ignored_joints)] = False
        # A stage that was made longer goes on with the strength of its last epoch.
        augmentation = self.augmentation[min(draw.epoch, len(self.augmentation) - 1)]
        placement = place_crop(
            source.annotations.boxes[person],
            keypoints,
            labelled,
            self.input_size,
            augmentation,
            random,
        )
        to_picture = picture.image_to_picture @ square(placement.crop_to_image)
        crop = warp_crops(picture.pixels, to_picture[None], self.input_size)[0]
        crop = change_pixels(crop, augmentation, random)
        image_to_crop = np.linalg.inv(square(placement.crop_to_image))[:2]
        keypoints = keypoints @ image_to_crop[:, :2].T + image_to_crop[:, 2]
        if placement.mirrored:
            keypoints, labelled = keypoints[MIRRORED], labelled[MIRRORED]
        return crop, keypoints, labelled


def square(transform: np.ndarray) -> np.ndarray:
    """An affine transform ``[2, 3]`` as ``[3, 3]``."""
    return np.vstack([transform, (0.0, 0.0, 1.0)])
