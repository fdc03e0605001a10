#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Correct the key points of a data set whose labels differ from COCO's, by MoveNet MultiPose.

For Leeds Sports Pose Extended: its hips lie elsewhere than COCO's (5.8 % of the person's size
away at the median), part of its face points are another model's, and in 4 % of the persons left
and right are mixed up. The teacher sees each person in three square crops; the median counts.

- face points and hips: the teacher's, or none where it is not sure;
- shoulders: the teacher's where it is sure, else the label;
- elbows, wrists, knees, ankles: the label, unless the teacher is sure of another place;
- persons whose labels fit the teacher much better with left and right exchanged: the teacher's
  alone, where it is sure.

    PYTHONPATH=. python dev/relabel_with_teacher.py movenet.tflite LSPET/person_keypoints.json \
        LSPET/images relabelled.json

MODEL is MoveNet MultiPose Lightning (Apache-2.0) with an input of any size and 6 persons of 56
numbers; one annotation an image or several.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from hrnet_pose_ros.image_files import read_image_file
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.skeleton import COCO17

SIDE = 192  # of the teacher's crop in pixels
GROWTHS = (1.1, 1.25, 1.45)  # of the box, for the three crops
FACE, SHOULDERS, HIPS = slice(0, 5), slice(5, 7), slice(11, 13)
SURE_OF_FACE, SURE, SURE_AGAINST_A_LABEL = 0.35, 0.4, 0.5  # the teacher's scores
FAR = 0.15  # root of the box's area: a label this far from the teacher is wrong
# Mixed up: this much nearer when mirrored, and this far when not, over at least four joints.
NEARER, NOT_NEAR, FEWEST = 0.6, 0.12, 4
FEWEST_LABELS = 4  # persons with fewer are left out

Teacher = Callable[[np.ndarray], np.ndarray]


def load_teacher(model: Path) -> Teacher:
    """A function from RGB uint8 ``[192, 192, 3]`` to float ``[6, 56]``, by OpenVINO."""
    import openvino

    core = openvino.Core()
    network = core.read_model(model)
    network.reshape([1, SIDE, SIDE, 3])
    request = core.compile_model(network, "CPU").create_infer_request()

    def found(crop: np.ndarray) -> np.ndarray:
        return next(iter(request.infer({0: np.ascontiguousarray(crop[None])}).values()))[0]

    return found


def teach(teacher: Teacher, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """float ``[17, 3]``: x, y in image pixels and score of the person who fills ``box``."""
    centre, sides = box[:2] + box[2:] / 2, box[2:]
    seen = []
    for growth in GROWTHS:
        pixel = sides.max() * growth / SIDE  # image pixels per crop pixel
        to_crop = np.column_stack([np.eye(2) / pixel, SIDE / 2 - centre / pixel])
        found = teacher(cv2.warpAffine(image, to_crop, (SIDE, SIDE)))
        boxes = found[:, [52, 51, 54, 53]] * SIDE  # y, x, y, x in the file
        wanted = np.concatenate([SIDE / 2 - sides / pixel / 2, SIDE / 2 + sides / pixel / 2])
        overlap = _overlap(boxes, wanted) * (found[:, 55] > 0.1)
        best = int(overlap.argmax())
        points = found[best, :51].reshape(17, 3)
        places = (points[:, 1::-1] * SIDE - SIDE / 2) * pixel + centre
        score = points[:, 2] * (overlap[best] > 0.3)
        seen.append(np.column_stack([places, score]))
    return np.median(seen, axis=0)


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """IoU of corners ``[N, 4]`` with corners ``[4]``."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return common / (areas - common + 1e-6)


def corrected(label: np.ndarray, taught: np.ndarray, size: float) -> np.ndarray:
    """Key points ``[17, 3]`` in COCO's form (x, y, visibility) from a label and the teacher's.

    ``size`` is the root of the box's area in pixels.
    """
    labelled: np.ndarray = label[:, 2] > 0
    score = taught[:, 2]
    apart = np.linalg.norm(label[:, :2] - taught[:, :2], axis=1) / size
    crosswise = np.linalg.norm(label[COCO17.mirrored, :2] - taught[:, :2], axis=1) / size
    both = labelled & (score > SURE)
    both[FACE] = False
    straight = apart[both].mean() if both.sum() >= FEWEST else 0.0
    mixed_up = bool(straight > NOT_NEAR and crosswise[both].mean() < NEARER * straight)

    kept = labelled & ~(mixed_up | ((score > SURE_AGAINST_A_LABEL) & (apart > FAR)))
    kept[SHOULDERS] = labelled[SHOULDERS] & (not mixed_up)
    kept[FACE] = kept[HIPS] = False
    sure = np.where(mixed_up, score > SURE_AGAINST_A_LABEL, False)
    sure[FACE] = score[FACE] > SURE_OF_FACE
    sure[SHOULDERS], sure[HIPS] = score[SHOULDERS] > SURE, score[HIPS] > SURE
    points = np.where(sure[:, None], taught[:, :2], label[:, :2])
    known = kept | sure
    return np.column_stack([points, 2.0 * known]) * known[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the teacher's .tflite file")
    parser.add_argument("annotations", type=Path, help="key points in COCO's format")
    parser.add_argument("images", type=Path, help="folder of the images")
    parser.add_argument("output", type=Path, help="where the corrected annotations go")
    options = parser.parse_args()

    teacher = load_teacher(options.model)
    data = json.loads(options.annotations.read_text())
    files = {image["id"]: image for image in data["images"]}
    kept = []
    persons = data["annotations"]
    for person in progress("relabelling", "person", len(persons), persons):
        file = files[person["image_id"]]
        image = read_image_file(options.images / file["file_name"])
        box = np.array(person["bbox"], float)
        label = np.array(person["keypoints"], float).reshape(17, 3)
        points = corrected(label, teach(teacher, image, box), float(np.sqrt(box[2:].prod())))
        size = (file["width"], file["height"])
        inside = np.logical_and(points[:, :2] >= 0, points[:, :2] < size).all(axis=1)
        points[~inside] = 0
        person["keypoints"] = [round(float(value), 1) for value in points.ravel()]
        person["num_keypoints"] = int((points[:, 2] > 0).sum())
        if person["num_keypoints"] >= FEWEST_LABELS:
            kept.append(person)
    data["annotations"] = kept
    options.output.write_text(json.dumps(data))
    print(f"{len(kept)} of {len(persons)} persons are in '{options.output}'")


if __name__ == "__main__":
    main()
