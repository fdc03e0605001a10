# SPDX-License-Identifier: Apache-2.0
"""Engines agree: OpenVINO against PyTorch, on the bundled crops, by the project's rules.

Argmax and the quarter offset's sign are discontinuous, so equality is stated for heatmaps, and for
key points as a share within a distance.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from structured_weights import w32_with_structure
from udp_model import udp_model

from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.openvino_network import cpu_has_bfloat16
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.export import export_onnx
from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks
from hrnet_pose_ros.pose.poses import Poses

MODELS = Path(__file__).resolve().parents[2] / "models"
SMALL = ModelFile.read(MODELS / "hrnetv2_w24_small.onnx")
SMALL_CHECKPOINT = ModelFile.read(MODELS / "hrnetv2_w24_small.pth")
STRIDE = 4  # image pixels per heatmap cell where the box makes a crop of scale 1

needs_bfloat16 = pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16")


def boxes_on_the_crops() -> tuple[np.ndarray, np.ndarray]:
    """The strip of crops as one frame, and three boxes around every person."""
    crops = load_check_crops()
    n, height, width, _ = crops.shape
    frame = np.ascontiguousarray(crops.transpose(1, 0, 2, 3).reshape(height, n * width, 3))
    centres = np.stack([(np.arange(n) + 0.5) * width, np.full(n, height / 2)], axis=1)
    size = np.array([width, height]) / 1.25  # of this box, the crop is the crop again
    shifts, scales = np.array([[0, 0], [5.3, -3.1], [-4.7, 6.2]]), np.array([1, 0.93, 1.08])
    boxes = np.concatenate(
        [
            np.concatenate([centres + s - size * k / 2, np.tile(size * k, (n, 1))], axis=1)
            for s, k in zip(shifts, scales, strict=True)
        ]
    )
    return frame, boxes.astype(np.float32)


class Reference(NamedTuple):
    """PyTorch's results for boxes on the crops; the poses by both decodings.

    ``boxes`` are the places of those in `boxes_on_the_crops`: of W32, every third.
    """

    boxes: np.ndarray
    crops: np.ndarray
    heatmaps: np.ndarray
    quarter: Poses
    dark: Poses


@pytest.fixture(scope="module", params=["hrnetv2_w24_small", "hrnet_w32", "udp"])
def model(request, tmp_path_factory) -> tuple[Path, Path]:
    """Checkpoint and ONNX file of a model."""
    if request.param == "hrnetv2_w24_small":
        return MODELS / "hrnetv2_w24_small.pth", MODELS / "hrnetv2_w24_small.onnx"
    if request.param == "udp":
        return udp_model(tmp_path_factory.mktemp("udp"))
    folder = tmp_path_factory.mktemp("w32")
    torch.save(w32_with_structure(), folder / "hrnet_w32.pth")
    export_onnx(folder / "hrnet_w32.pth", folder / "hrnet_w32.onnx", crops=load_check_crops()[:2])
    return folder / "hrnet_w32.pth", folder / "hrnet_w32.onnx"


@pytest.fixture(scope="module")
def reference(model: tuple[Path, Path]) -> Reference:
    """What PyTorch says: run once, because W32 takes seconds."""
    engine = TorchEngine(ModelFile.read(model[0]))
    frame, boxes = boxes_on_the_crops()
    chosen = np.arange(0, len(boxes), 3 if model[0].stem == "hrnet_w32" else 1)
    crops, transforms = engine.crops(frame, boxes[chosen])
    heatmaps = engine.heatmaps(crops)
    dark = TorchEngine(ModelFile.read(model[0]), decoding="dark").decode(heatmaps, transforms)
    return Reference(chosen, crops, heatmaps, engine.decode(heatmaps, transforms), dark)


@pytest.fixture(scope="module")
def float32(model: tuple[Path, Path]) -> OpenVinoEngine:
    return OpenVinoEngine(ModelFile.read(model[1]), precision="float32")


def share_within(a: Poses, b: Poses, cells: float, counted: np.ndarray, sizes: np.ndarray) -> float:
    """Share of the counted key points that are at most so many heatmap cells apart."""
    distances = np.linalg.norm(a.keypoints - b.keypoints, axis=-1) / (STRIDE * sizes[:, None])
    return float((distances[counted] <= cells).mean())


def cell_sizes() -> np.ndarray:
    return np.repeat([1, 0.93, 1.08], 8)


def person_oks(a: Poses, b: Poses, counted: np.ndarray, chosen: np.ndarray) -> float:
    areas = PERSON_TO_BOX * np.prod(boxes_on_the_crops()[1][chosen, 2:], axis=1)
    return float(oks(a.keypoints, b.keypoints, areas, counted).mean())


def test_the_maps_have_structure(reference: Reference) -> None:
    """Without it, the tests below would compare noise."""
    poses = reference.quarter
    assert poses.valid.mean() > 0.99
    assert np.median(poses.scores) > 0.4
    flat = (48 * STRIDE) ** 2 / 12  # variance over x of a flat map, px²
    assert np.median(poses.covariances[..., 0, 0]) < flat / 5


def test_float32_heatmaps_are_equal(float32: OpenVinoEngine, reference: Reference) -> None:
    heatmaps = float32.heatmaps(reference.crops)
    np.testing.assert_allclose(heatmaps, reference.heatmaps, rtol=0, atol=1e-4)


def test_flip_tests_are_equal() -> None:
    """On the bundled model; the flip test itself is the same code for all of these engines."""
    crops = load_check_crops()[:3]
    ours, reference = (
        OpenVinoEngine(SMALL, precision="float32", flip_test=True),
        TorchEngine(SMALL_CHECKPOINT, flip_test=True),
    )
    np.testing.assert_allclose(ours.heatmaps(crops), reference.heatmaps(crops), rtol=0, atol=1e-4)


def test_float32_key_points_are_equal(float32: OpenVinoEngine, reference: Reference) -> None:
    (frame, boxes), chosen = boxes_on_the_crops(), reference.boxes
    poses, expected = float32.estimate(frame, boxes[chosen]), reference.quarter
    np.testing.assert_array_equal(poses.valid, expected.valid)
    assert share_within(poses, expected, 0.05, expected.valid, cell_sizes()[chosen]) >= 0.99
    assert person_oks(poses, expected, expected.valid, chosen) >= 0.999


@needs_bfloat16
def test_bfloat16_key_points_are_near(model: tuple[Path, Path], reference: Reference) -> None:
    """By DARK, which has no sign to jump, on maps with one peak.

    The compact model is often torn between two places, left and right above all; which one wins
    is then a matter of the last digit and not of the engine.
    """
    clear = one_peak(reference.heatmaps)
    assert clear.mean() > 0.5
    engine = OpenVinoEngine(ModelFile.read(model[1]), precision="bfloat16", decoding="dark")
    (frame, boxes), chosen = boxes_on_the_crops(), reference.boxes
    poses = engine.estimate(frame, boxes[chosen])
    assert share_within(poses, reference.dark, 0.25, clear, cell_sizes()[chosen]) >= 0.99
    assert person_oks(poses, reference.dark, clear, chosen) >= 0.995


def one_peak(heatmaps: np.ndarray) -> np.ndarray:
    """Maps whose values farther than 4 cells (2 sigma) from the peak stay below 80 % of it."""
    n, joints, h, w = heatmaps.shape
    best = heatmaps.reshape(n, joints, -1).argmax(axis=-1)
    x, y = best % w, best // w
    far = (
        np.hypot(np.arange(w) - x[..., None, None], np.arange(h)[:, None] - y[..., None, None]) > 4
    )
    peaks = heatmaps.max(axis=(2, 3))
    return np.where(far, heatmaps, -np.inf).max(axis=(2, 3)) < 0.8 * peaks


def test_splitting_changes_nothing() -> None:
    """5 crops by 2 as in one call; sums in another order allow float32's rounding, no more."""
    frame, boxes = boxes_on_the_crops()
    whole, split = (OpenVinoEngine(SMALL, precision="float32", max_batch=size) for size in (5, 2))
    crops, _ = whole.crops(frame, boxes[:5])
    np.testing.assert_allclose(split.heatmaps(crops), whole.heatmaps(crops), rtol=0, atol=1e-5)
    a, b = split.estimate(frame, boxes[:5]), whole.estimate(frame, boxes[:5])
    assert share_within(a, b, 0.05, a.valid & b.valid, cell_sizes()[:5]) >= 0.99
    np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=1e-5)
