# SPDX-License-Identifier: Apache-2.0
"""COCO key point evaluation with the maintained evaluator faster-coco-eval.

Its results are identical to those of pycocotools (test/coco/test_evaluation.py compares them).
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.coco.annotations import joints_in, labels_of
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

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


def evaluate_results(
    annotation_file: str | Path,
    results: list[dict[str, Any]],
    skeleton: SkeletonDefinition = COCO17,
) -> Scores:
    """Compare results in COCO's format with an annotation file.

    Parameters
    ----------
    annotation_file
        Key points in COCO's format, in a file that `read_annotations` accepts.
    results
        Key point results in COCO's format; may be empty. If the first has a ``bbox``, all must
        have one, and COCO's evaluators use its area as the person's area (`coco_results`).
    skeleton
        The joints of the results; labels are taken by their names, sigmas from here.

    Raises
    ------
    ImportError
        The evaluator is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise ImportError(
            f"the evaluation needs faster-coco-eval ({error}): pip install 'hrnet_pose_ros[coco]'"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):  # the evaluator prints
        truth = COCO(_complete(Path(annotation_file), skeleton))
        # loadRes does not accept an empty list; precision and recall are 0 then.
        found = truth.loadRes([dict(one) for one in results]) if results else COCO()
        evaluation = COCOeval_faster(
            truth, found, "keypoints", kpt_oks_sigmas=list(skeleton.oks_sigmas)
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


def _complete(path: Path, skeleton: SkeletonDefinition) -> dict[str, Any]:
    """The annotations of a skeleton's joints, with optional fields filled in.

    Those are the area of the box and the number of labels.
    """
    content: dict[str, Any] = json.loads(path.read_bytes())
    names, fields = joints_in(content, skeleton)
    if tuple(names) != skeleton.joint_names:
        for person in content["annotations"]:
            person["keypoints"] = labels_of(person, names, fields, skeleton)
            person.pop("num_keypoints", None)
    elif len(fields) > 1:
        for person in content["annotations"]:
            person["keypoints"] = [value for field in fields for value in person[field]]
            person.pop("num_keypoints", None)
    for person in content["annotations"]:
        person.setdefault("area", person["bbox"][2] * person["bbox"][3])
        person.setdefault("iscrowd", 0)
        person.setdefault("num_keypoints", sum(v > 0 for v in person["keypoints"][2::3]))
    return content
