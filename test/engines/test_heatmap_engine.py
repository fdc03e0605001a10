# SPDX-License-Identifier: Apache-2.0
"""The engines' contract, on an engine whose network is a known function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hrnet_pose_ros.engines.engine import EngineError, EngineInfo
from hrnet_pose_ros.engines.heatmap_engine import HeatmapEngine
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration
from hrnet_pose_ros.skeleton import COCO17

FRAME = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
BOXES = np.array([[100, 50, 80, 200], [300, 100, 60, 220], [-20, 300, 90, 250]], np.float32)


class BrightCellEngine(HeatmapEngine):
    """Its joint j peaks where red is brightest, in steps of one cell; it remembers its batches."""

    def __init__(self, max_batch: int = 8, calibrations: dict[str, Any] | None = None) -> None:
        metadata = ModelMetadata(
            *("bright", "hrnet_w32", 192, 256, 2.0, True, "", "0"),
            calibrations=calibrations or {},
        )
        info = EngineInfo("bright", "test", "none", "float32", "quarter", "", 192, 256)
        super().__init__(metadata=metadata, info=info, decoding="quarter", max_batch=max_batch)
        self.batches: list[int] = []

    def _run(self, crops: np.ndarray) -> np.ndarray:
        assert crops.flags.c_contiguous
        self.batches.append(len(crops))
        cells = crops[:, ::4, ::4, 0].astype(np.float32) / 255
        return np.repeat(cells[:, None], COCO17.joints, axis=1)


@pytest.mark.parametrize(
    ("persons", "max_batch", "batches"),
    [
        (0, 8, []),  # nothing runs
        (3, 8, [3]),  # all persons of a frame in one call
        (3, 3, [3]),
        (3, 2, [2, 1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_batches(persons: int, max_batch: int, batches: list[int]) -> None:
    engine = BrightCellEngine(max_batch)
    poses = engine.estimate(FRAME, BOXES[:persons])
    assert engine.batches == batches
    assert len(poses) == persons
    whole = BrightCellEngine().estimate(FRAME, BOXES[:persons])
    np.testing.assert_array_equal(poses.keypoints, whole.keypoints)
    np.testing.assert_array_equal(poses.scores, whole.scores)


def test_steps_are_estimate() -> None:
    engine = BrightCellEngine()
    crops, transforms = engine.crops(FRAME, BOXES)
    assert (crops.shape, crops.dtype) == ((3, 256, 192, 3), np.uint8)
    assert transforms.shape == (3, 2, 3)
    heatmaps = engine.heatmaps(crops)
    assert (heatmaps.shape, heatmaps.dtype) == ((3, 17, 64, 48), np.float32)
    in_steps, at_once = engine.decode(heatmaps, transforms), engine.estimate(FRAME, BOXES)
    np.testing.assert_array_equal(in_steps.keypoints, at_once.keypoints)


def test_key_points_are_in_image_pixels() -> None:
    """One bright spot in a dark image is found where it is, through crop and back."""
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[198:203, 138:143] = 255
    poses = BrightCellEngine().estimate(frame, BOXES[:1])
    cell = 4 * 200 * 1.25 / 256  # of this box, in image pixels
    assert np.abs(poses.keypoints - [140, 200]).max() < 1.5 * cell


def test_any_boxes_and_frame_layouts() -> None:
    expected = BrightCellEngine().estimate(FRAME, BOXES).keypoints
    mirrored_twice = FRAME[:, ::-1].copy()[:, ::-1]  # a view with negative strides
    for frame, boxes in (
        (FRAME, BOXES.astype(np.float64)),
        (FRAME, np.asfortranarray(BOXES)),
        (mirrored_twice, BOXES),
    ):
        keypoints = BrightCellEngine().estimate(frame, boxes).keypoints
        np.testing.assert_allclose(keypoints, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("frame", "boxes", "words"),
    [
        (FRAME[..., 0], BOXES, r"frame must be uint8 \(H, W, 3\), got uint8 \(480, 640\)"),
        (FRAME.astype(np.float32), BOXES, "frame must be uint8.*got float32"),
        (FRAME[:0], BOXES, r"got uint8 \(0, 640, 3\)"),
        (FRAME.tolist(), BOXES, "frame must be a NumPy array, got list"),
        (FRAME, BOXES[0], r"boxes must be float \(N, 4\), got float32 \(4,\)"),
        (FRAME, BOXES[:, :3], r"got float32 \(3, 3\)"),
        (FRAME, BOXES.astype(int), "boxes must be float.*got int64"),
        (FRAME, [], "boxes must be a NumPy array, got list"),
        (FRAME, np.array([[0, 0, 10, np.nan]], np.float32), "box 0"),
        (FRAME, np.array([[0, 0, 10, 0]], np.float32), "box 0"),
        (FRAME[..., 0], BOXES[:0], "frame"),  # checked also where nobody is there
    ],
)
def test_wrong_arguments_are_named(frame: np.ndarray, boxes: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BrightCellEngine().estimate(frame, boxes)


def test_wrong_crops_are_named() -> None:
    with pytest.raises(ValueError, match=r"crops must be uint8 \(N, 256, 192, 3\), got.*128, 96"):
        BrightCellEngine().heatmaps(np.zeros((1, 128, 96, 3), np.uint8))


def test_warm_up_runs_every_batch_size() -> None:
    engine = BrightCellEngine(max_batch=3)
    engine.warm_up()
    assert engine.batches == [3, 2, 1]
    engine.warm_up()
    assert engine.batches == [3, 2, 1]  # nothing is left to be warmed


def test_warm_up_leaves_out_what_has_run() -> None:
    engine = BrightCellEngine(max_batch=3)
    engine.heatmaps(np.zeros((2, 256, 192, 3), np.uint8))
    engine.warm_up()
    assert engine.batches == [2, 3, 1]


def test_closed_engine_says_so() -> None:
    engine = BrightCellEngine()
    engine.close()
    engine.close()
    for boxes in (BOXES, BOXES[:0]):
        with pytest.raises(EngineError, match="'bright' is closed"):
            engine.estimate(FRAME, boxes)


def test_a_calibration_is_for_one_decoding_and_flip_test() -> None:
    """`BrightCellEngine` decodes by quarter offset and without flip test."""
    calibration = UncertaintyCalibration(
        heatmap_factors=(0.5,) * COCO17.joints,
        box_factors=(0.1,) * COCO17.joints,
        spread_peaks=(0.5,),
        spread=(1.0,),
        peaks=(0.5,),
        probabilities=(0.25,),
        probability_shifts=(0.0,) * COCO17.joints,
    )
    for key, applies in (("quarter", True), ("quarter+flip", False), ("dark", False)):
        engine = BrightCellEngine(calibrations={key: calibration.to_json()})
        assert engine.info.calibrated is applies
        poses, raw = engine.estimate(FRAME, BOXES), engine.raw_poses(FRAME, BOXES)
        assert not (raw.scores == 0.25).any()
        expected = calibration.apply(raw, BOXES, FRAME.shape[1::-1]) if applies else raw
        np.testing.assert_array_equal(poses.scores, expected.scores)
        np.testing.assert_array_equal(poses.covariances, expected.covariances)


def test_a_damaged_calibration_is_named() -> None:
    with pytest.raises(ModelError, match="model 'bright': an uncertainty calibration must contain"):
        BrightCellEngine(calibrations={"quarter": {"peaks": [1]}})
