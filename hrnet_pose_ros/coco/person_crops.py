# SPDX-License-Identifier: Apache-2.0
"""Crops of the labelled persons of a data set, cropped as on the vehicle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.estimate_dataset import read_images
from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes
from hrnet_pose_ros.pose.boxes import CropRule, crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.progress import progress


def person_crops(
    annotations: PersonAnnotations,
    images: Path,
    input_size: tuple[int, int],
    most: int,
    crop: CropRule = "reference",
) -> tuple[np.ndarray, np.ndarray]:
    """Crops of the annotated boxes (`ground_truth_boxes`), image by image.

    Parameters
    ----------
    annotations, images
        The data set: the result of `read_annotations` and the folder of its images.
    input_size
        (width, height) of a crop in pixels.
    most
        Limit on the number of persons: from a larger data set, images spread evenly over it are
        used until the limit is reached.
    crop
        The crop rule of the model that the crops are for.

    Returns
    -------
    crops
        uint8 ``[N, height, width, 3]`` RGB.
    image_index
        int64 ``[N]``: index of the image of each crop in the annotations.

    Raises
    ------
    ValueError
        An image is missing, unreadable, or not of the annotated size.
    """
    boxes = ground_truth_boxes(annotations)
    found, counts = np.unique(boxes.image_index, return_counts=True)
    every = max(1, -(-len(boxes) // most))
    spread = np.argsort(np.arange(len(found)) % every, kind="stable")  # each every-th image first
    enough = int(np.searchsorted(counts[spread].cumsum(), most)) + 1
    taken = np.sort(found[spread[:enough]])
    crops = [np.zeros((0, *input_size[::-1], 3), np.uint8)]
    frames = read_images(annotations, images, taken)
    for image, frame in zip(taken, progress("cropping", "image", len(taken), frames), strict=True):
        transforms = crop_to_image(boxes.boxes[boxes.image_index == image], input_size, crop)
        crops.append(warp_crops(frame, transforms, input_size))
    return np.concatenate(crops), boxes.image_index[np.isin(boxes.image_index, taken)]
