# SPDX-License-Identifier: Apache-2.0
"""Which joints count, and as what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.coco.person_boxes import PersonBoxes, ground_truth_boxes
from hrnet_pose_ros.coco.uncertainty_samples import CAREFUL_LABELS, Samples, samples_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.pose.uncertainty import found_distances
from hrnet_pose_ros.skeleton import COCO17

NOSE, LEFT_WRIST, LEFT_ANKLE = 0, 9, 15


def samples(box: tuple[float, ...], labels: int, offset: float = 0.0) -> Samples:
    """Of one person in an image of 640x480, whose first ``labels`` joints are labelled.

    The nose is hidden. Every key point lies ``offset`` px right of its label, and that of joint 16
    is not valid.
    """
    x, y, width, height = box
    points = np.tile([x + width / 2, y + height / 2], (1, COCO17.joints, 1))
    visibility = np.where(np.arange(COCO17.joints) < labels, 2, 0).astype(np.uint8)[None]
    visibility[0, NOSE] = 1
    annotations = PersonAnnotations(
        *(Path("a.json"), np.array([7]), ("a.png",), np.array([[640, 480]])),
        *(np.array([1]), np.array([0]), np.array([box]), np.array([0.5 * width * height])),
        *(np.array([False]), points * (visibility > 0)[..., None], visibility),
    )
    valid = np.arange(COCO17.joints)[None] < 16
    poses = Poses(
        np.where(valid[..., None], points + (offset, 0), np.nan).astype(np.float32),
        np.where(valid, 0.5, 0).astype(np.float32),
        np.where(valid[..., None, None], np.eye(2), np.nan).astype(np.float32),
        valid,
    )
    return samples_of(annotations, DatasetPoses(ground_truth_boxes(annotations), poses, (192, 256)))


@pytest.mark.parametrize(
    ("box", "labels", "absent"),
    [
        ((200, 100, 100, 200), 12, True),  # labelled with care
        ((200, 100, 100, 200), CAREFUL_LABELS - 1, False),  # too few labels to say
        ((200, 100, 30, 60), 12, False),  # small: labels may be missing for that
        ((200, 420, 30, 60), 12, True),  # cut by the lower side of the image
        ((0, 100, 100, 200), 2, True),
    ],
)
def test_who_is_absent(box: tuple[float, ...], labels: int, absent: bool) -> None:
    found = samples(box, labels)
    assert len(found) == 16  # the joint that is not valid is left out
    assert found.labelled.sum() == labels
    assert found.absent.sum() == (16 - labels if absent else 0)
    assert not (found.absent & found.labelled).any()
    assert not found.found[~found.labelled].any()
    np.testing.assert_array_equal(found.errors[~found.labelled], 0)


def test_found_is_within_an_oks_term_of_a_half() -> None:
    """The area is the annotated person's, not the box's."""
    reach = found_distances(COCO17)[LEFT_WRIST] * np.sqrt(10_000)
    near, far = (samples((200, 100, 100, 200), 12, reach * part) for part in (0.99, 1.01))
    assert near.found[LEFT_WRIST]
    assert not far.found[LEFT_WRIST]
    assert far.errors[LEFT_WRIST, 0] == pytest.approx(1.01 * reach, rel=1e-5)


def test_weights() -> None:
    found = samples((0, 100, 100, 200), 12)
    weights = found.weights(1, 3, 0.5)
    assert weights[NOSE] == 3
    assert weights[LEFT_WRIST] == 1
    assert weights[LEFT_ANKLE] == 0.5
    assert samples((200, 100, 30, 60), 12).weights(1, 3, 0.5)[LEFT_ANKLE] == 0


def test_boxes_of_a_detector_are_refused() -> None:
    boxes = PersonBoxes(np.zeros(1, int), np.ones((1, 4)), np.ones(1), np.array([-1]))
    with pytest.raises(ValueError, match="annotated boxes"):
        samples_of(None, DatasetPoses(boxes, Poses.empty(), (192, 256)))  # type: ignore[arg-type]
