# SPDX-License-Identifier: Apache-2.0
"""Two runs over the same images, frame by frame and person by person.

Frames match if their stamps are equal. Persons of a frame match

1. if they have the same id, which must be unique in the frame of both bags, and their boxes
   overlap at all: an id on the box of another person is an id switch, not a match;
2. otherwise by the overlap of their boxes: greedily, largest IoU first, down to `MIN_IOU`. Boxes
   of one replay come from the same detections, so the IoU of the correct pair is 1 and the greedy
   choice is optimal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hrnet_pose_ros.pose.boxes import iou
from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD
from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame

# Minimum overlap (IoU) of the boxes of the same person in the two runs.
MIN_IOU = 0.3


@dataclass(frozen=True)
class FrameComparison:
    """One image that both runs answered, with M matched persons.

    Attributes
    ----------
    pairs
        int ``[M, 2]``: indices in the golden and in the new frame, in the golden order.
    oks
        float64 ``[M]``: similarity over the joints that the golden run scores above 0.2; the
        person's area is half of the golden box. NaN if there is no such joint.
    person_score_changes
        float64 ``[M]``: new minus golden.
    keypoint_score_changes
        float64 ``[M, J]``: new minus golden; a joint that is not valid has score 0.
    kept_ids, seen_again
        Among the matched persons whose golden or new id was matched before: how many still have
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
    def oks_shortfall(self) -> float:
        """1 minus the lowest OKS of the frame; 0 if the frame has no OKS."""
        return float((1 - self.oks[np.isfinite(self.oks)]).max(initial=0.0))


@dataclass(frozen=True)
class RunComparison:
    """All images of two runs: what comparisons of skeletons and of people have in common."""

    golden: Any
    new: Any
    frames: list[Any]

    @cached_property
    def missing_frames(self) -> list[int]:
        """Stamps (ns) that only the golden bag has."""
        return [stamp for stamp in self.golden.frames if stamp not in self.new.frames]

    @cached_property
    def extra_frames(self) -> list[int]:
        """Stamps (ns) that only the new bag has."""
        return [stamp for stamp in self.new.frames if stamp not in self.golden.frames]

    def joined(self, name: str) -> np.ndarray:
        """One array attribute of all frames, flattened and concatenated."""
        parts = [getattr(frame, name).ravel() for frame in self.frames]
        return np.concatenate(parts) if parts else np.zeros(0)


@dataclass(frozen=True)
class Comparison(RunComparison):
    """All images of two runs with skeletons."""

    golden: Answers
    new: Answers
    frames: list[FrameComparison]

    @property
    def golden_persons(self) -> int:
        """Golden persons in the frames that both bags have."""
        return sum(len(frame.golden.poses) for frame in self.frames)


def compare(golden: Answers, new: Answers) -> Comparison:
    """Compare two runs; frames that exist in only one of them are listed, not compared.

    Raises ValueError if the runs have different skeletons: their joints cannot be compared.
    """
    if different := golden.skeleton.differences(new.skeleton):
        raise ValueError(
            f"{golden.name} has the skeleton '{golden.skeleton.name}' and {new.name} has "
            f"'{new.skeleton.name}', which cannot be compared: {different}"
        )
    partners = IdMatches()
    frames = []
    for stamp, frame in golden.frames.items():
        if stamp in new.frames:
            frames.append(_compared(frame, new.frames[stamp], partners))
    return Comparison(golden, new, frames)


def match_persons(golden: SkeletonFrame, new: SkeletonFrame) -> np.ndarray:
    """Match the persons of two frames by the rule in the module docstring.

    Returns
    -------
    int64 ``[M, 2]``: indices in ``golden`` and in ``new``, each at most once, sorted by the first.
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


class IdMatches:
    """The id of the other bag with which each id was last matched."""

    def __init__(self) -> None:
        self._new_of: dict[str, str] = {}
        self._golden_of: dict[str, str] = {}

    def kept(self, pairs: list[tuple[str, str]]) -> tuple[int, int]:
        """Record the id pairs of a frame; returns ``(kept, seen again)`` of `FrameComparison`."""
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


def _compared(golden: SkeletonFrame, new: SkeletonFrame, partners: IdMatches) -> FrameComparison:
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
        oks=oks(
            golden.poses.keypoints[a],
            new.poses.keypoints[b],
            areas,
            counted,
            golden.poses.skeleton,
        ),
        person_score_changes=new.person_scores[b] - golden.person_scores[a],
        keypoint_score_changes=new.poses.scores[b] - scores,
        kept_ids=kept,
        seen_again=again,
    )
