# SPDX-License-Identifier: Apache-2.0
"""Does a model keep its key points in a shorter number format? Asked at every start.

The answer depends on the weights, the CPU and the inference library, and takes a fraction of a
second for the bundled model, so it is never stored.
"""

from __future__ import annotations

import cv2
import numpy as np

from hrnet_pose_ros.engines.heatmap_engine import HeatmapEngine
from hrnet_pose_ros.model_files.find import find_bundled_file
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.pose.oks import mean_crop_oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD

# Mean OKS against float32 that float16 and bfloat16 must keep (docs/architecture.md).
LEAST_OKS = 0.995

CHECK_CROPS = "check_crops.png"
CHECK_CROP_SIZE = (192, 256)  # width, height


def load_check_crops() -> np.ndarray:
    """The bundled crops of real persons: uint8 ``[8, 256, 192, 3]`` RGB.

    Raises ModelError where the file is missing or damaged.
    """
    path = find_bundled_file(CHECK_CROPS)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    width, height = CHECK_CROP_SIZE
    if image is None or image.shape[0] != height or image.shape[1] % width:
        raise ModelError(f"'{path}' is damaged: install the package again")
    crops = image[:, :, ::-1].reshape(height, -1, width, 3).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(crops)


def mean_oks(engine: HeatmapEngine, reference: HeatmapEngine, crops: np.ndarray) -> float:
    """How near an engine's key points are to a reference's on the same crops.

    Parameters
    ----------
    engine, reference
        Two engines of the same model.
    crops
        uint8 ``[N, H, W, 3]`` RGB; resized to the model's input.

    Returns
    -------
    Mean OKS in [0, 1] over the persons, joints with a reference score above 0.2 counted; NaN
    where there are none.
    """
    width, height = reference.metadata.input_size
    resized = np.stack([cv2.resize(crop, (width, height)) for crop in crops])
    as_images = np.tile(np.eye(2, 3), (len(crops), 1, 1))  # the crop itself is the image
    ours, theirs = (e.decode(e.heatmaps(resized), as_images) for e in (engine, reference))
    counted = theirs.valid & (theirs.scores > PERSON_SCORE_THRESHOLD)
    return mean_crop_oks(ours.keypoints, theirs.keypoints, (width, height), counted)
