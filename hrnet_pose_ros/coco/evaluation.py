# SPDX-License-Identifier: Apache-2.0
"""COCO key point evaluation with the maintained evaluator faster-coco-eval.

Its results are identical to those of pycocotools (test/coco/test_evaluation.py compares them).
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations

# In the order in which COCO's evaluators return them.
METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


@dataclass(frozen=True)
class Scores:
    """The result of a COCO evaluation.

    Attributes
    ----------
    values
        By `METRICS`: average precision and recall over OKS 0.50:0.05:0.95, at one OKS, or of
        medium and large persons; in [0, 1], -1 if there are no such persons.
    thresholds
        float ``[10]``: the OKS thresholds.
    recalls
        float ``[101]``: the recalls of the curves.
    precisions
        float ``[10, 101]``: precision at threshold and recall; -1 if there are no persons.
    """

    values: dict[str, float]
    thresholds: np.ndarray
    recalls: np.ndarray
    precisions: np.ndarray


def evaluate_results(annotations: PersonAnnotations, results: list[dict[str, Any]]) -> Scores:
    """Compare results in COCO's format with the annotations of a data set.

    Parameters
    ----------
    annotations
        The persons as `read_annotations` read them; the results have the joints of their skeleton.
    results
        Key point results in COCO's format; may be empty. If the first has a ``bbox``, all must
        have one, and COCO's evaluators use its area as the person's area (`coco_results`).

    Raises
    ------
    ValueError
        A result is of another category or image than the annotations have.
    ImportError
        The evaluator is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise ImportError(
            f"the evaluation needs faster-coco-eval ({error}): pip install 'hrnet_pose_ros[coco]'"
        ) from error
    _check(annotations, results)
    with contextlib.redirect_stdout(io.StringIO()):  # the evaluator prints
        truth = COCO(_truth(annotations))
        # loadRes does not accept an empty list; precision and recall are 0 then.
        found = truth.loadRes([dict(one) for one in results]) if results else COCO()
        evaluation = COCOeval_faster(
            truth, found, "keypoints", kpt_oks_sigmas=list(annotations.skeleton.oks_sigmas)
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precisions = np.asarray(evaluation.eval["precision"])  # [T, R, category, area, max. results]
    return Scores(
        values={n: float(v) for n, v in zip(METRICS, evaluation.stats[:10], strict=True)},
        thresholds=np.asarray(evaluation.params.iouThrs),
        recalls=np.asarray(evaluation.params.recThrs),
        precisions=precisions[:, :, 0, 0, -1],
    )


def _check(annotations: PersonAnnotations, results: list[dict[str, Any]]) -> None:
    """The evaluators ignore results of another category in silence."""
    images = {*annotations.image_ids.tolist()}
    for number, one in enumerate(results):
        if one["category_id"] != annotations.category_id or one["image_id"] not in images:
            raise ValueError(
                f"result number {number} has category_id {one['category_id']} and image_id "
                f"{one['image_id']}; the persons of '{annotations.path}' have category_id "
                f"{annotations.category_id}, and {len(images)} images are listed"
            )


def _truth(annotations: PersonAnnotations) -> dict[str, Any]:
    """The persons in COCO's format.

    They are numbered anew, from 1: the evaluators take an id of 0 for no match, and of two persons
    with the same id they count one.
    """
    image_ids = annotations.image_ids
    keypoints = np.concatenate([annotations.keypoints, annotations.visibility[..., None]], axis=2)
    return {
        "images": [{"id": image_id} for image_id in image_ids.tolist()],
        "categories": [{"id": annotations.category_id, "name": "person"}],
        "annotations": [
            {
                "id": person + 1,
                "image_id": int(image_ids[annotations.image_index[person]]),
                "category_id": annotations.category_id,
                "bbox": annotations.boxes[person].tolist(),
                "area": float(annotations.areas[person]),
                "iscrowd": int(annotations.crowd[person]),
                "keypoints": keypoints[person].ravel().tolist(),
                "num_keypoints": int(annotations.labelled[person].sum()),
            }
            for person in range(len(annotations))
        ],
    }
