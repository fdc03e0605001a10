# SPDX-License-Identifier: Apache-2.0
"""Training crops: from a person's image patch to the network input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.training.augmentation import AugmentationConfig, change_pixels, place_crop
from hrnet_pose_ros.training.crop_cache import CropCache
from hrnet_pose_ros.training.sampling import CropSample


class Batch(NamedTuple):
    """crops uint8 ``[N, H, W, 3]`` RGB, keypoints float32 ``[N, J, 2]`` in crop pixels, weights
    float32 ``[N, J]``, 0 if not labelled."""

    crops: Tensor
    keypoints: Tensor
    weights: Tensor


@dataclass(frozen=True)
class TrainingSet:
    """One data set: its annotations, the patches of its persons, and joints to ignore."""

    annotations: PersonAnnotations
    cache: CropCache
    ignored_joints: Sequence[int] = ()


class CropDataset(torch.utils.data.Dataset[Batch]):
    """Generates the crops of a list of samples, one batch at a time.

    ``augmentation`` lists the augmentation of each epoch; later epochs use the last one. ``crop``
    is the crop rule that the network is trained with.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSet],
        input_size: tuple[int, int],
        augmentation: Sequence[AugmentationConfig],
        seed: int,
        crop: CropRule = "reference",
    ) -> None:
        # A crop is too small for several threads, and OpenCV's threads do not survive a fork.
        cv2.setNumThreads(1)
        self.sources = list(sources)
        self.input_size = input_size
        self.augmentation = list(augmentation)
        self.seed = seed
        self.crop: CropRule = crop

    def __getitem__(self, samples: Sequence[CropSample]) -> Batch:
        made = [self._crop(sample) for sample in samples]
        crops, keypoints, labelled = (np.stack(part) for part in zip(*made, strict=True))
        return Batch(
            torch.from_numpy(crops),
            torch.from_numpy(keypoints.astype(np.float32)),
            torch.from_numpy(labelled.astype(np.float32)),
        )

    def _crop(self, sample: CropSample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        random = np.random.default_rng((self.seed, sample.epoch, sample.place))
        source = self.sources[sample.source]
        person = source.cache.persons[sample.number]
        patch = source.cache[sample.number]
        keypoints = source.annotations.keypoints[person]
        labelled = source.annotations.labelled[person].copy()
        labelled[list(source.ignored_joints)] = False
        # A stage that was extended continues with the strength of its last epoch.
        augmentation = self.augmentation[min(sample.epoch, len(self.augmentation) - 1)]
        placement = place_crop(
            source.annotations.boxes[person],
            keypoints,
            labelled,
            self.input_size,
            augmentation,
            random,
            source.annotations.skeleton,
            self.crop,
        )
        to_patch = patch.image_to_patch @ square(placement.crop_to_image)
        crop = warp_crops(patch.pixels, to_patch[None], self.input_size)[0]
        crop = change_pixels(crop, augmentation, random)
        image_to_crop = np.linalg.inv(square(placement.crop_to_image))[:2]
        keypoints = keypoints @ image_to_crop[:, :2].T + image_to_crop[:, 2]
        if placement.mirrored:
            mirrored = source.annotations.skeleton.mirrored
            keypoints, labelled = keypoints[mirrored], labelled[mirrored]
        return crop, keypoints, labelled


def square(transform: np.ndarray) -> np.ndarray:
    """An affine transform ``[2, 3]`` as ``[3, 3]``."""
    return np.vstack([transform, (0.0, 0.0, 1.0)])
