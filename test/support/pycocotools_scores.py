# SPDX-License-Identifier: Apache-2.0
"""The figures of pycocotools, which the evaluator's have to equal."""

from __future__ import annotations

import contextlib
import copy
import io
from pathlib import Path
from typing import Any


def by_pycocotools(path: Path, results: list[dict[str, Any]]) -> list[float]:
    """The ten figures in the order of `METRICS`, for results as a file holds them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]
