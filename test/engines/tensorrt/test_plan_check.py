# SPDX-License-Identifier: Apache-2.0
"""What may differ between a plan and the processor, and what may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.engines.tensorrt.plan_check import LEAST_OKS, PlanVerdict, check_plan
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile

GRAPH = Path(__file__).resolve().parents[3] / "models" / "hrnetv2_w24_small_end2end_float32.onnx"


@pytest.fixture(scope="module")
def metadata() -> End2EndGraphMetadata:
    return ModelFile.read(GRAPH).end2end()


def verdict(
    metadata: End2EndGraphMetadata, moved: np.ndarray, px: float, score: float = 0.8
) -> PlanVerdict:
    """Of a plan with the ``moved`` joints ``px`` away, at a peak of ``score``; others have 0.8."""

    def answer(
        away: np.ndarray, frame: np.ndarray, transforms: np.ndarray
    ) -> dict[str, np.ndarray]:
        centre = transforms @ np.array([96.0, 128.0, 1.0])
        keypoints = np.repeat(centre[:, None, :2], 17, axis=1)
        keypoints[..., 0] += np.where(
            away, px * np.linalg.norm(transforms[:, :, 0], axis=1)[:, None], 0
        )
        return {"keypoints": keypoints, "scores": np.where(away, score, 0.8)}

    def run(frame: np.ndarray, transforms: np.ndarray) -> dict[str, np.ndarray]:
        return answer(moved, frame, transforms)

    def reference(frame: np.ndarray, transforms: np.ndarray) -> dict[str, np.ndarray]:
        return answer(np.zeros_like(moved), frame, transforms)

    return check_plan(run, reference, metadata, (1280, 720))


def joints(count: int) -> np.ndarray:
    """That many of the 8 x 17 joints, spread over the persons."""
    chosen = np.zeros(8 * 17, bool)
    chosen[np.linspace(0, 8 * 17 - 1, count).astype(int)] = True
    return chosen.reshape(8, 17)


def test_a_plan_that_agrees(metadata: End2EndGraphMetadata) -> None:
    found = verdict(metadata, joints(0), 0)
    assert found.good and found.oks == 1


def test_a_peak_of_the_same_height_may_be_the_other_one(metadata: End2EndGraphMetadata) -> None:
    assert verdict(metadata, joints(6), 60).oks == 1  # of 136
    assert verdict(metadata, joints(6), 60, score=0.79).oks == 1


@pytest.mark.parametrize(
    ("count", "px", "score"),
    [(6, 60, 0.6), (14, 60, 0.8), (136, 6, 0.8), (136, 12, 0.8)],
    ids=["another peak", "too many", "all a little", "all"],
)
def test_wrong_positions(
    count: int, px: float, score: float, metadata: End2EndGraphMetadata
) -> None:
    found = verdict(metadata, joints(count), px, score)
    assert not found.good and found.oks < LEAST_OKS
