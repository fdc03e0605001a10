# SPDX-License-Identifier: Apache-2.0
"""COCO AP of a network during training, on ground-truth boxes without flip test."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.evaluation import evaluate_results
from hrnet_pose_ros.coco.results import coco_results
from hrnet_pose_ros.image_files import ImageFileError, UnfitImageError, read_annotated_image
from hrnet_pose_ros.pose.boxes import CropRule, crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import poses_from_heatmaps
from hrnet_pose_ros.training.crop_cache import trainable_persons

log = logging.getLogger(__name__)


class ValidationCrops:
    """The crops of the persons of a data set, generated as on the vehicle and kept in memory.

    Every process keeps its part of them: those at ``rank``, ``rank + processes``, and so on.

    Attributes
    ----------
    persons
        int64 ``[M]``: indices of the persons in the annotations.
    crops
        uint8 ``[M, H, W, 3]``.
    """

    def __init__(
        self,
        annotations: PersonAnnotations,
        images: Path,
        input_size: tuple[int, int],
        rank: int = 0,
        processes: int = 1,
        crop: CropRule = "reference",
    ) -> None:
        self.annotations = annotations
        self.input_size = input_size
        self.crop: CropRule = crop
        persons = trainable_persons(annotations)
        order = np.argsort(annotations.image_index[persons], kind="stable")
        found, crops = [], []
        last, image = -1, None
        for person in persons[order][rank::processes].tolist():
            index = int(annotations.image_index[person])
            if index != last:
                path = images / annotations.image_files[index]
                last, image = index, None
                try:
                    image = read_annotated_image(path, annotations.image_sizes[index])
                except UnfitImageError:
                    raise
                except ImageFileError as error:
                    log.warning("%s; its persons are left out of the validation", error)
            if image is not None:
                box = annotations.boxes[person][None]
                crops += list(warp_crops(image, crop_to_image(box, input_size, crop), input_size))
                found.append(person)
        if not found:
            raise ValueError(
                f"'{annotations.path}' with images in '{images}' has no person to validate on"
            )
        self.persons = np.array(found, np.int64)
        self.crops = np.stack(crops)

    def results(self, network: nn.Module, fabric: Fabric, batch: int) -> list[dict]:
        """COCO key point results of ``network`` (uint8 crops to heatmaps)."""
        results = []
        boxes = self.annotations.boxes[self.persons]
        images = self.annotations.image_ids[self.annotations.image_index[self.persons]]
        for start in range(0, len(self.crops), batch):
            part = slice(start, start + batch)
            with torch.inference_mode(), fabric.autocast():
                heatmaps = network(torch.from_numpy(self.crops[part]).to(fabric.device))
            poses = poses_from_heatmaps(
                heatmaps.float().cpu().numpy(),
                crop_to_image(boxes[part], self.input_size, self.crop),
                self.input_size,
                "quarter",
                skeleton=self.annotations.skeleton,
                crop=self.crop,
            )
            records = coco_results(poses, np.ones(len(poses)), self.annotations.category_id)
            results += [
                {"image_id": int(image), **record}
                for image, record in zip(images[part], records, strict=True)
            ]
        return results


def validate(
    network: nn.Module, data: ValidationCrops, fabric: Fabric, batch: int
) -> dict[str, float]:
    """AP, AP50 and AP75 over the data of all processes; the result is the same in each of them.

    Raises ValueError if the annotations have no labelled person, for which there is no AP.
    """
    results = data.results(network, fabric, batch)
    if fabric.world_size > 1:
        parts: list[list[dict]] = [[] for _ in range(fabric.world_size)]
        torch.distributed.all_gather_object(parts, results)
        results = [record for part in parts for record in part]
    scores = evaluate_results(data.annotations, results)
    found = {name: scores.values[name] for name in ("AP", "AP50", "AP75")}
    if found["AP"] < 0:
        raise ValueError(f"'{data.annotations.path}' has no person to validate on: there is no AP")
    return found
