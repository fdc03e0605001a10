# SPDX-License-Identifier: Apache-2.0
"""Two runs over the same images, frame by frame and person by person.

Frames belong together when their stamps are equal. Persons of a frame belong together

1. when they have the same id, which no other person of the frame has in either bag, and their
   boxes overlap at all: an id that stands on another person's box is a swap, not a match;
2. of those that are left, by the overlap of their boxes: greedily, the largest IoU first, down
   to `MIN_IOU`. Boxes of one replay come from the same detections, so that the IoU of the right
   pair is 1, and a greedy choice is the optimal one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hrnet_pose_ros.detector.box_ids import MIN_IOU, iou
from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD
from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame


@dataclass(frozen=True)
class FrameComparison:
    """One image that both runs answered; M persons belong together.

    Attributes
    ----------
    pairs
        int ``[M, 2]``: places in the golden and in the new frame, in the golden order.
    oks
        float64 ``[M]``: similarity over the joints that the golden run scores above 0.2; the
        person's area is half of the golden box. NaN where there is no such joint.
    person_score_changes
        float64 ``[M]``: new minus golden.
    keypoint_score_changes
        float64 ``[M, 17]``: new minus golden; a joint that is not valid has score 0.
    kept_ids, seen_again
        Of the matched persons that were matched before, by golden or new id: how many still have
        the same partner id, and how many there are. Without golden ids both are 0.
    """

    golden: SkeletonFrame
    new: SkeletonFrame
    pairs: np.ndarray
    oks: np.ndarray
    person_score_changes: np.ndarray
    keypoint_score_changes: np.ndarray
    kept_ids: int
    seen_again: int

    @property
    def stamp(self) -> int:
        """The stamp of both frames, nanoseconds."""
        return self.golden.stamp

    @property
    def missed(self) -> int:
        """Golden persons without a partner."""
        return len(self.golden.poses) - len(self.pairs)

    @property
    def extra(self) -> int:
        """New persons without a partner."""
        return len(self.new.poses) - len(self.pairs)

    @property
    def lacking(self) -> float:
        """What the lowest OKS of the frame lacks to 1; 0 without one."""
        return float((1 - self.oks[np.isfinite(self.oks)]).max(initial=0.0))


@dataclass(frozen=True)
class Comparison:
    """All images of two runs."""

    golden: Answers
    new: Answers
    frames: list[FrameComparison]

    @cached_property
    def missing_frames(self) -> list[int]:
        """Stamps (ns) that only the golden bag has."""
        return [stamp for stamp in self.golden.frames if stamp not in self.new.frames]

    @cached_property
    def extra_frames(self) -> list[int]:
        """Stamps (ns) that only the new bag has."""
        return [stamp for stamp in self.new.frames if stamp not in self.golden.frames]

    @property
    def golden_persons(self) -> int:
        """Golden persons in the frames that both bags have."""
        return sum(len(frame.golden.poses) for frame in self.frames)

    def joined(self, name: str) -> np.ndarray:
        """One array attribute of all frames, flat."""
        parts = [getattr(frame, name).ravel() for frame in self.frames]
        return np.concatenate(parts) if parts else np.zeros(0)


def compare(golden: Answers, new: Answers) -> Comparison:
    """Compare two runs; frames that only one of them has are listed, not compared."""
    partners = _Partners()
    frames = []
    for stamp, frame in golden.frames.items():
        if stamp in new.frames:
            frames.append(_compared(frame, new.frames[stamp], partners))
    return Comparison(golden, new, frames)


def match_persons(golden: SkeletonFrame, new: SkeletonFrame) -> np.ndarray:
    """Which persons of two frames belong together; the rule is in the module's docstring.

    Returns
    -------
    int64 ``[M, 2]``: places in ``golden`` and in ``new``, each at most once, the first rising.
    """
    overlaps = np.nan_to_num(iou(golden.boxes, new.boxes))  # a box that is not finite: 0
    overlaps[(golden.boxes[:, None] == new.boxes[None]).all(axis=2)] = 1  # also without an area
    pairs = []
    golden_places, new_places = _unique_places(golden.ids), _unique_places(new.ids)
    for one in golden_places.keys() & new_places.keys():
        pair = golden_places[one], new_places[one]
        if overlaps[pair] > 0:
            pairs.append(pair)
    for a, b in pairs:
        overlaps[a], overlaps[:, b] = -1, -1
    while overlaps.size and overlaps.max() >= MIN_IOU:
        a, b = divmod(int(overlaps.argmax()), overlaps.shape[1])
        pairs.append((a, b))
        overlaps[a], overlaps[:, b] = -1, -1
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _unique_places(ids: tuple[str, ...]) -> dict[str, int]:
    counts = Counter(ids)
    return {one: place for place, one in enumerate(ids) if one and counts[one] == 1}


class _Partners:
    """With which id of the other bag each id was last matched."""

    def __init__(self) -> None:
        self._new_of: dict[str, str] = {}
        self._golden_of: dict[str, str] = {}

    def kept(self, pairs: list[tuple[str, str]]) -> tuple[int, int]:
        """Note the id pairs of a frame; ``(kept, seen again)`` of `FrameComparison`."""
        kept = again = 0
        for golden, new in pairs:
            known = self._new_of.get(golden), self._golden_of.get(new)
            if known != (None, None):
                again += 1
                kept += known == (new, golden)
        for golden, new in pairs:
            self._new_of[golden] = new
            if new:
                self._golden_of[new] = golden
        return kept, again


def _compared(golden: SkeletonFrame, new: SkeletonFrame, partners: _Partners) -> FrameComparison:
    pairs = match_persons(golden, new)
    a, b = pairs[:, 0], pairs[:, 1]
    scores = golden.poses.scores[a].astype(np.float64)
    counted = golden.poses.valid[a] & (scores > PERSON_SCORE_THRESHOLD)
    areas = np.maximum(PERSON_TO_BOX * np.prod(golden.boxes[a, 2:], axis=1), 1)
    ids = [(golden.ids[i], new.ids[j]) for i, j in pairs.tolist() if golden.ids[i]]
    kept, again = partners.kept(ids)
    return FrameComparison(
        golden=golden,
        new=new,
        pairs=pairs,
        oks=oks(golden.poses.keypoints[a], new.poses.keypoints[b], areas, counted),
        person_score_changes=new.person_scores[b] - golden.person_scores[a],
        keypoint_score_changes=new.poses.scores[b] - scores,
        kept_ids=kept,
        seen_again=again,
    )
