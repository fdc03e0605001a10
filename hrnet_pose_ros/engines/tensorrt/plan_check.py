# SPDX-License-Identifier: Apache-2.0
"""No plan serves before it has found the bundled persons where the processor finds them.

Some versions of TensorRT compute wrong numbers without an error, in half precision and on single
kinds of GPUs. So a plan that is new to a machine runs on the bundled crops, and OpenVINO runs the
very graph that the plan was built from, in float32. What came out is kept beside the plan, for this
GPU and driver.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.openvino_network import import_openvino
from hrnet_pose_ros.engines.precision_check import LEAST_OKS, load_check_crops
from hrnet_pose_ros.engines.tensorrt.plan_files import MODE, PlanRefused, read_file
from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.model_files.metadata import STRIDE, End2EndGraphMetadata
from hrnet_pose_ros.model_files.quantized import LEAST_OKS as LEAST_OKS_OF_INT8
from hrnet_pose_ros.pose.boxes import PADDING, crop_to_image
from hrnet_pose_ros.pose.oks import mean_crop_oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD

CHECKED = ".checked"  # suffix of the file beside a plan
# Where the model sees nobody on the bundled crops there is no OKS: then the peaks must agree, by
# their mean difference as a part of the largest one. Float16 moves heatmaps by 0.25 % of it.
PEAK_TOLERANCE = 0.02
# A heatmap with two peaks of the same height has either of them as its key point, whoever computes
# it: this share of the joints may be elsewhere at a peak that agrees. A wrong plan moves them all.
RIVALS = 0.05
# Level of the background around the persons.
_GREY = 114

# Outputs of a graph for a frame and float32 transforms: keypoints, scores, by name.
Run = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]

_log = logging.getLogger(__name__)


class PlanWrong(EngineError):
    """A plan runs and gives other key points than the processor."""


@dataclass(frozen=True)
class PlanVerdict:
    """How a plan did against the processor.

    Attributes
    ----------
    oks
        Mean OKS on the bundled crops, in [0, 1]; NaN where the model sees nobody on them.
    peaks
        Mean difference of the heatmaps' peaks, as a part of the largest one.
    least
        What the OKS has to reach.
    """

    oks: float
    peaks: float
    least: float

    @property
    def good(self) -> bool:
        """Whether the plan may serve."""
        if np.isnan(self.oks):
            return self.peaks <= PEAK_TOLERANCE
        return self.oks >= self.least

    def __str__(self) -> str:
        if np.isnan(self.oks):
            return (
                f"the model sees nobody on the bundled crops; peaks differ by {self.peaks:.2%}, "
                f"allowed are {PEAK_TOLERANCE:.0%}"
            )
        return f"mean OKS {self.oks:.4f} against the processor, at least {self.least:.3f} is needed"


def check_scene(image_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The bundled crops in one image of (width, height), and a box for each person.

    Returns
    -------
    uint8 ``[H, W, 3]`` RGB, and float64 boxes ``[N, 4]``; the crops are scaled down where they do
    not fit.
    """
    crops = load_check_crops()
    width, height = image_size
    count, tall, wide = crops.shape[:3]
    columns = max(
        range(1, count + 1),
        key=lambda n: min(1.0, width / (n * wide), height / (-(-count // n) * tall)),
    )
    rows = -(-count // columns)
    scale = min(1.0, width / (columns * wide), height / (rows * tall))
    cell = (max(1, int(wide * scale)), max(1, int(tall * scale)))
    image = np.full((height, width, 3), _GREY, np.uint8)
    boxes = np.empty((count, 4))
    for place, crop in enumerate(crops):
        x, y = place % columns * cell[0], place // columns * cell[1]
        image[y : y + cell[1], x : x + cell[0]] = cv2.resize(
            crop, cell, interpolation=cv2.INTER_AREA
        )
        size = np.array(cell) / PADDING
        boxes[place, :2] = np.array([x, y]) + (cell - size) / 2
        boxes[place, 2:] = size
    return image, boxes


def check_plan(
    run: Run, reference: Run, metadata: End2EndGraphMetadata, image_size: tuple[int, int]
) -> PlanVerdict:
    """Compare a plan with the processor on the bundled crops.

    Parameters
    ----------
    run, reference
        The plan, and the processor (`ProcessorReference`).
    metadata
        The graph's.
    image_size
        (width, height) of the plan's images.
    """
    frame, boxes = check_scene(image_size)
    model = metadata.model
    transforms = crop_to_image(boxes, model.input_size, model.crop).astype(np.float32)
    ours, theirs = run(frame, transforms), reference(frame, transforms)
    counted = theirs["scores"] > PERSON_SCORE_THRESHOLD
    found, expected = (_in_crops(side["keypoints"], transforms) for side in (ours, theirs))
    # A joint that only the processor finds counts as 0.
    found = np.where((ours["scores"] > 0)[..., None], found, np.nan)
    largest = float(np.abs(theirs["scores"]).max())
    apart = np.abs(ours["scores"] - theirs["scores"]) / max(largest, 1e-6)
    peaks = float(apart.mean())
    moved = np.linalg.norm(found - expected, axis=-1) > STRIDE  # a cell; NaN has not moved
    rivals = counted & moved & (apart <= PEAK_TOLERANCE)
    if rivals.sum() <= RIVALS * counted.sum():
        counted = counted & ~rivals
    return PlanVerdict(
        oks=mean_crop_oks(found, expected, model.input_size, counted, model.skeleton),
        peaks=peaks if np.isfinite(peaks) else float("inf"),
        least=LEAST_OKS_OF_INT8 if metadata.precision == "int8" else LEAST_OKS,
    )


def _in_crops(keypoints: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Key points ``[N, J, 2]`` of the image in pixels of their crops."""
    inverse = np.linalg.inv(transforms[:, None, :, :2].astype(np.float64))
    shifted = keypoints.astype(np.float64) - transforms[:, None, :, 2]
    return np.asarray((inverse @ shifted[..., None])[..., 0])


class ProcessorReference:
    """An end-to-end graph's file on the processor, by OpenVINO in float32."""

    def __init__(self, path: Path) -> None:
        """EngineError where OpenVINO is not installed or cannot read the file."""
        openvino = import_openvino()
        hint = openvino.properties.hint
        settings = {hint.inference_precision: openvino.Type.f32, hint.num_requests: 1}
        try:
            self._compiled = openvino.Core().compile_model(path, "CPU", settings)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot run '{path}': {error}") from error

    def __call__(self, frame: np.ndarray, transforms: np.ndarray) -> dict[str, np.ndarray]:
        channels = np.arange(3, dtype=np.int32)
        results = self._compiled([frame, transforms.astype(np.float32), channels])
        return {name: results[name] for name in ("keypoints", "scores")}


def known_verdict(plan: Path | None, plan_sha256: str, machine: str) -> bool:
    """Whether a plan proved itself on this machine before; ``machine`` empty: not known."""
    if plan is None or not machine:
        return False
    try:
        values = json.loads(read_file(plan.with_suffix(CHECKED)))
        return bool(values["plan_sha256"] == plan_sha256 and machine in values["machines"])
    except (PlanRefused, ValueError, KeyError, TypeError):
        return False


def keep_verdict(plan: Path | None, plan_sha256: str, machine: str, verdict: PlanVerdict) -> None:
    """Note that a plan proved itself here. Where that cannot be written, it is checked again."""
    if plan is None or not machine:
        return
    path = plan.with_suffix(CHECKED)
    machines: dict[str, Any] = {}
    try:
        values = json.loads(read_file(path))
        if values["plan_sha256"] == plan_sha256:
            machines = dict(values["machines"])
    except (PlanRefused, ValueError, KeyError, TypeError):
        pass  # no such file, or nothing in it that could be kept
    machines[machine] = {"oks": None if np.isnan(verdict.oks) else verdict.oks}
    try:
        write_file(path, json.dumps({"plan_sha256": plan_sha256, "machines": machines}), mode=MODE)
    except OSError as error:
        _log.info("'%s' cannot be written (%s): checked at every start", path, error.strerror)
