# SPDX-License-Identifier: Apache-2.0
"""Assigns ids to the boxes of a detector without ids, from frame to frame by overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# Minimum overlap (IoU) of the boxes of the same person in consecutive frames; a person 25 px wide
# may move 13 px sideways between two frames.
MIN_IOU = 0.3
# A person who has not been seen for longer than this gets a new id.
MEMORY_NS = 1_000_000_000


class BoxIds:
    """Gives each box the id of the remembered box that it overlaps most, or a new id.

    There is no model of motion or appearance: this tells persons apart in a demo, but it is not a
    tracker. Ids are "1", "2", …; one object never uses an id twice. Not thread-safe.
    """

    def __init__(self, min_iou: float = MIN_IOU, memory_ns: int = MEMORY_NS) -> None:
        if not 0 < min_iou <= 1:
            raise ValueError(f"min_iou must be in (0, 1], got {min_iou}")
        if memory_ns < 0:
            raise ValueError(f"memory_ns must be at least 0, got {memory_ns}")
        self._min_iou = min_iou
        self._memory_ns = memory_ns
        self._next = 1
        self._boxes: np.ndarray = np.zeros((0, 4))
        self._ids: np.ndarray = np.zeros(0, np.int64)
        self._stamps: np.ndarray = np.zeros(0, np.int64)

    def assign(self, boxes: ArrayLike, stamp_ns: int) -> list[str]:
        """Return the ids of the boxes of one frame.

        Parameters
        ----------
        boxes
            float ``[N, 4]``: x, y, width, height in pixels.
        stamp_ns
            The frame's stamp in nanoseconds. If it goes back (a bag that restarts), all remembered
            boxes are forgotten.

        Returns
        -------
        N different ids, in the order of the boxes.

        Raises
        ------
        ValueError
            ``boxes`` is not ``[N, 4]``.
        """
        array = np.asarray(boxes, np.float64)
        if array.ndim != 2 or array.shape[1] != 4:
            raise ValueError(f"boxes must have shape (N, 4), got {array.shape}")
        if len(self._stamps) and stamp_ns < self._stamps.max():
            self._keep(np.zeros(len(self._stamps), bool))
        recent = stamp_ns - self._stamps <= self._memory_ns
        self._keep(recent)

        ids = np.zeros(len(array), np.int64)
        overlaps = iou(array, self._boxes)
        while overlaps.size and overlaps.max() >= self._min_iou:
            box, known = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
            ids[box] = self._ids[known]
            overlaps[box], overlaps[:, known] = -1, -1
        new = ids == 0
        ids[new] = np.arange(self._next, self._next + new.sum())
        self._next += int(new.sum())

        self._keep(~np.isin(self._ids, ids))
        self._boxes = np.concatenate([self._boxes, array])
        self._ids = np.concatenate([self._ids, ids])
        self._stamps = np.concatenate([self._stamps, np.full(len(ids), stamp_ns, np.int64)])
        return [str(one) for one in ids]

    def _keep(self, kept: np.ndarray) -> None:
        self._boxes, self._ids = self._boxes[kept], self._ids[kept]
        self._stamps = self._stamps[kept]


def iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the IoU ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]`` (xywh); 0 for empty boxes."""
    low = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    ends_a, ends_b = boxes_a[:, :2] + boxes_a[:, 2:], boxes_b[:, :2] + boxes_b[:, 2:]
    high = np.minimum(ends_a[:, None], ends_b[None])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas_a, areas_b = np.prod(boxes_a[:, 2:], axis=1), np.prod(boxes_b[:, 2:], axis=1)
    union = areas_a[:, None] + areas_b[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
