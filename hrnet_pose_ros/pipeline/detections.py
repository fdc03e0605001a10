# SPDX-License-Identifier: Apache-2.0
"""The persons in a Detection2DArray, as boxes in image pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.drop_reasons import Drops, Reason, Subject
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pose.boxes import boxes_from_detector_size, rotated_box_bounds, usable_boxes

EVERY_CLASS = "*"


@dataclass(frozen=True)
class Persons:
    """The persons of one image for which a skeleton is estimated.

    Attributes
    ----------
    detections
        N Detection2D messages; None for a person without a detection (the whole image).
    indices
        N indices into the detection array.
    ids
        N ids; from the detector until `PersonIds` has assigned those that are missing ("").
    class_ids, scores
        Class and score of each detection's best accepted hypothesis.
    boxes
        float64 ``[N, 4]``: x, y, width, height in image pixels.
    omitted
        Number of accepted persons that were left out: degenerate box, or over ``max_persons``.
    drops
        Number of detections that were left out, by reason.
    other_classes
        The classes of the detections that were left out because of their class.
    """

    detections: list[Any]
    indices: list[int]
    ids: list[str]
    class_ids: list[str]
    scores: list[float]
    boxes: np.ndarray
    omitted: int
    drops: dict[Reason, int]
    other_classes: set[str] = field(default_factory=set)


def whole_image(image_size: tuple[int, int]) -> Persons:
    """Return one person that fills the image."""
    box = np.array([[0.0, 0.0, *image_size]])
    return Persons([None], [], [""], [""], [0.0], box, 0, {})


def select_persons(
    message: Any | None, image_size: tuple[int, int], settings: Settings, drops: Drops
) -> Persons:
    """Select the persons of a Detection2DArray and count the others in ``drops``.

    Without a message, the whole image is the only person.
    """
    if message is None:
        return whole_image(image_size)
    persons = persons_of(message, image_size, settings)
    for reason, count in persons.drops.items():
        drops.add(Subject.PERSON, reason, count)
    return persons


def persons_of(message: Any, image_size: tuple[int, int], settings: Settings) -> Persons:
    """Select the persons of a Detection2DArray and convert their boxes to image pixels.

    A box whose ``theta`` is not 0 is replaced by its axis-aligned bounding box. If there are more
    than ``max_persons``, the largest boxes are kept. The order of the detections does not change.
    """
    wanted = {class_id.lower() for class_id in settings.class_ids}
    drops = dict.fromkeys(Reason, 0)
    other_classes: set[str] = set()
    indices: list[int] = []
    hypotheses: list[tuple[str, float]] = []
    for index, detection in enumerate(message.detections):
        best = _best_accepted(detection.results, wanted)
        if best is None:
            drops[Reason.CLASS_NOT_WANTED] += 1
            other_classes.update(result.hypothesis.class_id for result in detection.results)
        elif not best[1] >= settings.min_detection_score:  # NaN counts as too low
            drops[Reason.SCORE_TOO_LOW] += 1
        else:
            indices.append(index)
            hypotheses.append(best)

    boxes = _boxes([message.detections[index].bbox for index in indices])
    if settings.detector_size[0]:
        width, height = settings.detector_size
        boxes = boxes_from_detector_size(
            boxes, (width, height), image_size, settings.detector_letterbox
        )
    chosen = usable_boxes(boxes, image_size)
    drops[Reason.DEGENERATE_BOX] = int((~chosen).sum())
    if chosen.sum() > settings.max_persons:
        areas = np.full(len(boxes), -1.0)  # the area of an unusable box could overflow
        areas[chosen] = boxes[chosen, 2] * boxes[chosen, 3]
        largest = np.argsort(-areas, kind="stable")[: settings.max_persons]
        drops[Reason.OVER_MAX_PERSONS] = int(chosen.sum()) - settings.max_persons
        chosen = np.zeros(len(boxes), bool)
        chosen[largest] = True
    places = np.flatnonzero(chosen).tolist()
    return Persons(
        detections=[message.detections[indices[place]] for place in places],
        indices=[indices[place] for place in places],
        ids=[message.detections[indices[place]].id for place in places],
        class_ids=[hypotheses[place][0] for place in places],
        scores=[hypotheses[place][1] for place in places],
        boxes=boxes[chosen],
        omitted=len(boxes) - len(places),
        drops={reason: count for reason, count in drops.items() if count},
        other_classes=other_classes,
    )


def _best_accepted(results: Iterable[Any], wanted: set[str]) -> tuple[str, float] | None:
    """Return class and score of the best hypothesis whose class is accepted."""
    accepted = [
        (result.hypothesis.class_id, float(result.hypothesis.score))
        for result in results
        if EVERY_CLASS in wanted or result.hypothesis.class_id.lower() in wanted
    ]
    if not accepted:
        return None
    return max(accepted, key=lambda one: -math.inf if math.isnan(one[1]) else one[1])


def _boxes(messages: list[Any]) -> np.ndarray:
    """Return float64 ``[N, 4]``: the axis-aligned bounding boxes of BoundingBox2D messages."""
    fields = [
        (b.center.position.x, b.center.position.y, b.size_x, b.size_y, b.center.theta)
        for b in messages
    ]
    return rotated_box_bounds(np.array(fields, np.float64).reshape(-1, 5))
