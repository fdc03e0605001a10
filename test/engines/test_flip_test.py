# SPDX-License-Identifier: Apache-2.0
"""The flip test against its definition (HRNet reference)."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.engines.heatmap_engine import HeatmapEngine, mirrored_back
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.folders import find_bundled_file
from hrnet_pose_ros.model_files.metadata import ModelMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.export import export_onnx
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.skeleton import COCO17

ORDER = COCO17.mirrored

CROPS = np.random.default_rng(0).integers(0, 256, (5, 64, 32, 3), np.uint8)


class WeightedEngine(HeatmapEngine):
    """Its heatmaps depend on the pixel, the joint and the column, so that nothing is symmetric."""

    def __init__(self, *, flip_test: bool, shift: bool = True, max_batch: int = 8) -> None:
        metadata = ModelMetadata("weighted", "hrnet_w32", 32, 64, 2.0, shift, "", "0")
        info = EngineInfo(
            *("weighted", "test", "none", "float32", "quarter", "", 32, 64), flip_test=flip_test
        )
        super().__init__(metadata=metadata, info=info, decoding="quarter", max_batch=max_batch)
        self.batches: list[int] = []

    def _run(self, crops: np.ndarray) -> np.ndarray:
        assert crops.flags.c_contiguous
        self.batches.append(len(crops))
        cells = crops[:, None, ::4, ::4, 0].astype(np.float32)
        columns = np.arange(cells.shape[-1], dtype=np.float32)
        return cells * (1 + np.arange(COCO17.joints, dtype=np.float32))[:, None, None] + columns


def by_definition(crops: np.ndarray, shift: bool) -> np.ndarray:
    """Cell by cell: mirror the input, mirror the output, swap, shift, average."""
    engine = WeightedEngine(flip_test=False)
    plain = engine.heatmaps(crops)
    mirrored = engine.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
    partner = dict(COCO17.mirror_pairs) | {right: left for left, right in COCO17.mirror_pairs}
    expected = np.empty_like(plain)
    joints, columns = plain.shape[1], plain.shape[3]
    for joint in range(joints):
        for column in range(columns):
            source = max(column - 1, 0) if shift else column  # column 0 keeps its value
            other = mirrored[:, partner.get(joint, joint), :, columns - 1 - source]
            expected[:, joint, :, column] = (plain[:, joint, :, column] + other) / 2
    return expected


@pytest.mark.parametrize("shift", [True, False])
def test_as_defined(shift: bool) -> None:
    heatmaps = WeightedEngine(flip_test=True, shift=shift).heatmaps(CROPS)
    assert heatmaps.dtype == np.float32
    np.testing.assert_allclose(heatmaps, by_definition(CROPS, shift), rtol=1e-6)


@pytest.mark.parametrize(
    ("persons", "max_batch", "batches"),
    [(0, 8, []), (1, 8, [2]), (4, 8, [8]), (5, 8, [8, 2]), (3, 1, [1] * 6), (2, 3, [3, 1])],
)
def test_mirrored_crops_share_the_batches(persons: int, max_batch: int, batches: list[int]) -> None:
    engine = WeightedEngine(flip_test=True, max_batch=max_batch)
    heatmaps = engine.heatmaps(CROPS[:persons])
    assert engine.batches == batches
    whole = WeightedEngine(flip_test=True).heatmaps(CROPS)
    np.testing.assert_array_equal(heatmaps, whole[:persons])


def test_warm_up_meets_every_batch() -> None:
    """Whatever the number of persons, no live batch has a size that was never run."""
    for max_batch in (1, 3, 8):
        warm = WeightedEngine(flip_test=True, max_batch=max_batch)
        warm.warm_up()
        live = WeightedEngine(flip_test=True, max_batch=max_batch)
        for persons in range(1, 20):
            live.heatmaps(np.zeros((persons, 64, 32, 3), np.uint8))
        assert set(live.batches) <= set(warm.batches)


def test_info_says_so() -> None:
    assert WeightedEngine(flip_test=True).info.flip_test
    assert not WeightedEngine(flip_test=False).info.flip_test


def test_mirroring_twice_is_nothing() -> None:
    heatmaps = np.random.default_rng(0).normal(size=(2, COCO17.joints, 6, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        mirrored_back(mirrored_back(heatmaps, False, ORDER), False, ORDER), heatmaps
    )
    shifted = mirrored_back(heatmaps, True, ORDER)
    np.testing.assert_array_equal(shifted[..., 0], shifted[..., 1])  # column 0 keeps its value


def test_openvino_runs_both_sides() -> None:
    """The bundled model: the mean of two plain runs. Sums in other batches: float32's rounding."""
    file = ModelFile.read(find_bundled_file("hrnetv2_w24_small.onnx"))
    plain, flip = (
        OpenVinoEngine(file, precision="float32", flip_test=flip) for flip in (False, True)
    )
    crops = load_check_crops()[:3]
    mirrored = plain.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
    expected = (plain.heatmaps(crops) + mirrored_back(mirrored, True, ORDER)) / 2
    np.testing.assert_allclose(flip.heatmaps(crops), expected, rtol=0, atol=1e-5)
    assert np.abs(expected - plain.heatmaps(crops)).max() > 0.01  # it makes a difference


def symmetric_frame() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A person, the mirrored picture, and the boxes in both.

    One crop pixel of UDP's crop is half a pixel wide: crops are sampled on the grid of 1/32 px.
    """
    crop = load_check_crops()[0]
    frame = np.ascontiguousarray(crop[40:200, 20:180])
    box = np.array([[0.0, 0.0, 191 / 2 / 1.25, 60.0]])
    box[:, 0] = 79.25 - box[:, 2] / 2
    box[:, 1] = 60.0
    other = box.copy()
    other[:, 0] = frame.shape[1] - 1 - 79.25 - box[:, 2] / 2
    return frame, np.ascontiguousarray(frame[:, ::-1]), box, other


@pytest.mark.parametrize("crop", get_args(CropRule))
def test_a_mirrored_picture_gives_mirrored_heatmaps_by_udp_alone(
    crop: CropRule, tmp_path: Path
) -> None:
    """The real network with a flip test: exactly symmetric by UDP's rule, not by the reference's,
    whose mirrored crop is one crop pixel beside the crop."""
    path = tmp_path / "model.onnx"
    export_onnx(
        find_bundled_file("hrnetv2_w24_small.pth"), path, crops=load_check_crops()[:1], crop=crop
    )
    engine = OpenVinoEngine(ModelFile.read(path), precision="float32", flip_test=True)
    frame, turned, box, other = symmetric_frame()
    heatmaps = engine.heatmaps(engine.crops(frame, box)[0])
    mirrored = mirrored_back(engine.heatmaps(engine.crops(turned, other)[0]), False, ORDER)
    difference = np.abs(heatmaps - mirrored).max()
    if crop == "reference":
        assert difference > 0.02
        return
    assert difference < 1e-5  # float32's rounding of the sums
    poses, swapped = engine.raw_poses(frame, box), engine.raw_poses(turned, other)
    points = swapped.keypoints[:, ORDER] * (-1, 1) + (frame.shape[1] - 1, 0)
    np.testing.assert_allclose(points, poses.keypoints, rtol=0, atol=1e-3)
