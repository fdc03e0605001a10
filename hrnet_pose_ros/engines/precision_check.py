# SPDX-License-Identifier: Apache-2.0
"""Does a model keep its key points in a shorter number format? Asked at every start.

The answer depends on the weights, the CPU and the inference library, and takes a fraction of a
second for the bundled model, so it is never stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypeVar

import cv2
import numpy as np

from hrnet_pose_ros.engines.heatmap_engine import HeatmapEngine
from hrnet_pose_ros.model_files.folders import find_bundled_file
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.pose.oks import mean_crop_oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD

# Mean OKS against float32 that float16 and bfloat16 must keep (docs/architecture.md).
LEAST_OKS = 0.995

CHECK_CROPS = "check_crops.png"
CHECK_CROP_SIZE = (192, 256)  # width, height

_Engine = TypeVar("_Engine", bound=HeatmapEngine)

_log = logging.getLogger(__name__)


def in_shorter_precision(
    compiled: Callable[[Literal["float32", "bfloat16"]], _Engine],
    cpu_has_bfloat16: bool,
    similarity: Callable[[_Engine, _Engine], float] | None = None,
) -> _Engine:
    """The model's engine in bfloat16 where the CPU has it and the key points stay, else float32.

    Parameters
    ----------
    compiled
        Makes the engine in a precision; the one that is not taken is closed.
    cpu_has_bfloat16
        Whether the CPU computes with it in hardware.
    similarity
        Mean OKS of an engine against a reference, NaN where nobody is seen; None takes `mean_oks`
        on the bundled crops.
    """
    reference = compiled("float32")
    if not cpu_has_bfloat16:
        _log.info("precision float32: this CPU has no bfloat16")
        return reference
    shorter = compiled("bfloat16")
    if similarity is None:
        kept = mean_oks(shorter, reference, load_check_crops())
    else:
        kept = similarity(shorter, reference)
    if kept >= LEAST_OKS:
        _log.info("precision bfloat16: mean OKS against float32 is %.4f", kept)
        reference.close()
        return shorter
    # NaN: the model sees nobody on the bundled crops, so nothing speaks for bfloat16.
    _log.info(
        "precision float32: in bfloat16 the mean OKS of '%s' on the bundled crops is %.4f, "
        "at least %.3f is needed",
        shorter.info.model,
        kept,
        LEAST_OKS,
    )
    shorter.close()
    return reference


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
    return mean_crop_oks(
        ours.keypoints, theirs.keypoints, (width, height), counted, theirs.skeleton
    )
