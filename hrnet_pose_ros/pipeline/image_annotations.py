# SPDX-License-Identifier: Apache-2.0
"""Skeletons as foxglove_msgs/ImageAnnotations: vectors that Foxglove draws over the camera's image.

Unlike the overlay they need no pixels: they cost little to make and to send.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pose.drawing import BOX_COLOUR, LABEL_LENGTH, TEXT_COLOUR, side_colours
from hrnet_pose_ros.pose.poses import Poses

# Constants of foxglove_msgs/PointsAnnotation.
POINTS, LINE_LOOP, LINE_LIST = 1, 2, 4
# Foxglove counts from the corner of the first pixel, key points from its centre, px.
CORNER = 0.5
# Thickness of limbs as a part of the longer side of a person's box, and at least, px.
LIMB, THINNEST = 0.012, 1.5
FONT_SIZE = 14.0  # px


def image_annotations(
    types: MessageClasses,
    stamp: Any,
    poses: Poses,
    boxes: np.ndarray,
    labels: Sequence[str],
    min_score: float = 0.2,
) -> Any:
    """Return the ImageAnnotations of the persons of an image: box, limbs, joints and label each.

    Parameters
    ----------
    stamp
        builtin_interfaces/Time of the image, by which Foxglove finds it.
    poses, boxes, labels
        N persons; boxes ``[N, 4]``: x, y, width, height, in image pixels like the key points.
    min_score
        Minimum score of a joint that is drawn.
    """
    maker = _AnnotationMaker(types, stamp)
    points, texts = [], []
    joint_colours, limb_colours = side_colours(poses.skeleton)
    details = frozenset(poses.skeleton.details)
    shown = poses.valid & (poses.scores >= min_score) & np.isfinite(poses.keypoints).all(axis=2)
    for person in range(len(poses)):
        places = poses.keypoints[person].astype(np.float64) + CORNER
        box = np.asarray(boxes[person], np.float64)
        thickness = THINNEST
        if np.isfinite(box).all():
            x, y, width, height = box.tolist()
            x, y = x + CORNER, y + CORNER
            thickness = max(LIMB * max(width, height), THINNEST)
            corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
            points.append(maker.lines(LINE_LOOP, corners, [BOX_COLOUR], 1.0))
            if labels[person].strip():
                texts.append(maker.text((x, y), labels[person].strip()[:LABEL_LENGTH]))
        seen = shown[person]
        limbs = [
            (limb, a, b)
            for limb, (a, b) in enumerate(poses.skeleton.limbs)
            if seen[a] and seen[b] and not details.issuperset((a, b))
        ]
        if limbs:
            ends = [places[joint] for _, a, b in limbs for joint in (a, b)]
            colours = [limb_colours[limb] for limb, _, _ in limbs]
            points.append(maker.lines(LINE_LIST, ends, colours, thickness))
        for fine in (False, True):
            joints = [int(j) for j in np.flatnonzero(seen) if (int(j) in details) is fine]
            if joints:
                size = THINNEST if fine else 2 * thickness
                colours = [joint_colours[joint] for joint in joints]
                points.append(maker.lines(POINTS, [places[j] for j in joints], colours, size))
    return types["foxglove_msgs/msg/ImageAnnotations"](circles=[], points=points, texts=texts)


class _AnnotationMaker:
    def __init__(self, types: MessageClasses, stamp: Any) -> None:
        self._types, self._stamp = types, stamp

    def lines(
        self,
        kind: int,
        places: Sequence[Any],
        colours: Sequence[tuple[int, int, int]],
        thickness: float,
    ) -> Any:
        """Return a PointsAnnotation; one colour is for the whole, several are for its parts."""
        return self._types["foxglove_msgs/msg/PointsAnnotation"](
            timestamp=self._stamp,
            type=kind,
            points=[self._point(place) for place in places],
            outline_color=self._colour(colours[0]),
            outline_colors=[self._colour(one) for one in colours] if len(colours) > 1 else [],
            fill_color=self._colour((0, 0, 0), opacity=0.0),
            thickness=float(thickness),
        )

    def text(self, place: tuple[float, float], text: str) -> Any:
        return self._types["foxglove_msgs/msg/TextAnnotation"](
            timestamp=self._stamp,
            position=self._point(place),
            text=text,
            font_size=FONT_SIZE,
            text_color=self._colour(TEXT_COLOUR),
            background_color=self._colour((0, 0, 0), opacity=0.5),
        )

    def _point(self, place: Any) -> Any:
        x, y = place
        return self._types["foxglove_msgs/msg/Point2"](x=float(x), y=float(y))

    def _colour(self, rgb: tuple[int, int, int], opacity: float = 1.0) -> Any:
        r, g, b = (channel / 255 for channel in rgb)
        return self._types["foxglove_msgs/msg/Color"](r=r, g=g, b=b, a=opacity)
