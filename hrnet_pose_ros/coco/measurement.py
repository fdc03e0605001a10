# SPDX-License-Identifier: Apache-2.0
"""The complete evaluation of one engine on a data set, as used by `hrnet_pose evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.error_diagnosis import Matches, match_results
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses, estimate_dataset
from hrnet_pose_ros.coco.evaluation import Scores, evaluate_results
from hrnet_pose_ros.coco.left_right import LeftRight, left_right
from hrnet_pose_ros.coco.person_boxes import PersonBoxes
from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine


@dataclass(frozen=True)
class Measurement:
    """The poses that one engine estimated on a data set, and their evaluation."""

    info: EngineInfo
    data: DatasetPoses
    scores: Scores
    matches: Matches
    left_right: LeftRight

    @property
    def title(self) -> str:
        """Model, engine, precision and decoding as text."""
        flip = ", flip test" if self.info.flip_test else ""
        info = self.info
        return f"{info.model}, {info.engine} {info.precision}, {info.decoding}{flip}"


def measure(
    engine: PoseEngine, annotations: PersonAnnotations, images: Path, boxes: PersonBoxes
) -> Measurement:
    """Run an engine on a data set and compare it with the labels.

    Raises
    ------
    ValueError
        See `estimate_dataset`.
    ImportError
        The evaluator is not installed.
    """
    data = estimate_dataset(engine, annotations, images, boxes)
    matches = match_results(annotations, data)
    return Measurement(
        info=engine.info,
        data=data,
        scores=evaluate_results(annotations, data.results(annotations)),
        matches=matches,
        left_right=left_right(annotations, data, matches),
    )
