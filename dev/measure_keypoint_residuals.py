#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the errors of a model's key points on labelled images, for the simulator.

The engine estimates the annotated persons of a data set in COCO's format, from the annotated boxes,
as on the vehicle: scores and covariances are calibrated. Of the persons with at least 6 labelled
joints, some are taken, evenly over their size in the image, and written as the table from which
`hrnet_pose simulate` draws (`hrnet_pose_ros/simulation/residuals.py`).

    PYTHONPATH=. python dev/measure_keypoint_residuals.py person_keypoints.json images \
        [--model hrnetv2_w24_small] [--persons 256] [--out config/simulation/keypoint_residuals.npz]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations, read_annotations
from hrnet_pose_ros.coco.estimate_dataset import read_images
from hrnet_pose_ros.coco.person_boxes import PersonBoxes, ground_truth_boxes
from hrnet_pose_ros.coco.uncertainty_samples import CAREFUL_LABELS, CAREFUL_SIDE
from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.pose.evidence import cut_sides
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.simulation.residuals import (
    ABSENT,
    TABLE,
    UNUSED,
    KeypointResiduals,
    person_size,
)

ROOT = Path(__file__).resolve().parents[1]
FEWEST_LABELS = 6
ERROR_LIMIT = 2.0  # sizes; float16 holds it to 0.001


def published_poses(
    engine: PoseEngine, annotations: PersonAnnotations, images: Path, boxes: PersonBoxes
) -> Poses:
    """The poses of the boxes, as the node publishes them."""
    found, places = np.unique(boxes.image_index, return_index=True)
    frames = progress(
        engine.info.model, "image", len(found), read_images(annotations, images, found)
    )
    return Poses.concatenate(
        [
            engine.estimate(frame, boxes.boxes[start:end])
            for frame, start, end in zip(frames, places, [*places[1:], len(boxes)], strict=True)
        ]
    )


def residuals_of(
    annotations: PersonAnnotations,
    poses: Poses,
    person_boxes: PersonBoxes,
    origin: str,
) -> KeypointResiduals:
    """The residuals of all persons with enough labels."""
    boxes, persons = person_boxes.boxes, person_boxes.persons
    visibility = annotations.visibility[persons].copy()
    labelled = visibility > 0
    sizes = person_size(boxes)
    errors = (poses.keypoints - annotations.keypoints[persons]) / sizes[:, None, None]
    in_box = (poses.keypoints - boxes[:, None, :2]) / boxes[:, None, 2:]
    errors = np.where(labelled[..., None], errors, in_box)
    # The rule of coco/uncertainty_samples.py for a joint that is not there.
    at_edge = cut_sides(boxes, annotations.image_sizes[annotations.image_index[persons]]).any(1)
    careful = (boxes[:, 2:].prod(axis=1) >= CAREFUL_SIDE**2) & (labelled.sum(1) >= CAREFUL_LABELS)
    absent = ~labelled & (at_edge | careful)[:, None]
    visibility = np.where(labelled, visibility, np.where(absent, ABSENT, UNUSED))
    usable = poses.valid & (np.abs(errors) <= ERROR_LIMIT).all(axis=2)
    visibility = np.where(usable, visibility, UNUSED)
    deviations = np.sqrt(poses.covariances[..., [0, 1], [0, 1]])
    correlations = poses.covariances[..., 0, 1] / deviations.prod(axis=2)
    spreads = np.concatenate([deviations / sizes[:, None, None], correlations[..., None]], axis=2)
    keep = labelled.sum(axis=1) >= FEWEST_LABELS
    return KeypointResiduals(
        sizes=sizes[keep],
        visibility=visibility[keep].astype(np.uint8),
        errors=np.nan_to_num(errors[keep]),
        scores=np.nan_to_num(poses.scores[keep]),
        spreads=np.nan_to_num(spreads[keep]),
        origin=origin,
    )


def spread_over_sizes(table: KeypointResiduals, most: int) -> KeypointResiduals:
    """At most this many persons, evenly over the order of their sizes."""
    order = np.argsort(table.sizes, kind="stable")
    rows = order[
        np.unique(np.linspace(0, len(table) - 1, min(most, len(table))).round().astype(int))
    ]
    arrays = {name: value for name, value in vars(table).items() if isinstance(value, np.ndarray)}
    arrays.pop("log_sizes", None)
    return KeypointResiduals(**{n: v[rows] for n, v in arrays.items()}, origin=table.origin)


def main() -> None:
    """Read the command line, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="hrnetv2_w24_small")
    parser.add_argument("--name", default="COCO val2017", help="of the images, for the origin")
    parser.add_argument("--persons", type=int, default=256)
    parser.add_argument("--out", type=Path, default=ROOT / "config" / "simulation" / TABLE)
    options = parser.parse_args()

    annotations = read_annotations(options.annotations)
    engine = make_engine(options.model, engine="openvino", precision="float32")
    info = engine.info
    if not info.calibrated:
        parser.error(f"model '{options.model}' is not calibrated; run 'hrnet_pose calibrate'")
    boxes = ground_truth_boxes(annotations)
    poses = published_poses(engine, annotations, options.images, boxes)
    engine.close()
    origin = (
        f"{options.model} (sha256 {info.checksum[:12]}, {info.decoding} decoding) on "
        f"{len(boxes)} persons in {len(annotations.image_ids)} images of {options.name}, "
        "annotated boxes"
    )
    table = residuals_of(annotations, poses, boxes, origin)
    taken = spread_over_sizes(table, options.persons)
    taken.save(options.out)
    print(f"{options.out}: {len(taken)} of {len(table)} persons, {options.out.stat().st_size} B")
    print(taken.origin)


if __name__ == "__main__":
    main()
