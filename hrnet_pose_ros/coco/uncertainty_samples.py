# SPDX-License-Identifier: Apache-2.0
"""Estimated joints with their labels, to fit and evaluate an uncertainty calibration.

COCO labels a joint as visible (2), as hidden but guessed (1), or not at all (0). The last means
that the annotator could not locate it or, for small persons and in crowds, did not try. A joint
without a label counts as *absent*, so that no key point could be correct, if

- its person's box is cut off by the image border (`hrnet_pose_ros.pose.evidence.cut_sides`), or
- its person was labelled carefully: the square root of the box's area is at least `CAREFUL_SIDE`
  and at least `CAREFUL_LABELS` of the other joints are labelled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.pose.evidence import cut_sides, evidence_of
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration, found_distances
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

HIDDEN, VISIBLE = 1, 2  # COCO's visibility of a labelled joint

CAREFUL_SIDE = 64.0  # px
CAREFUL_LABELS = 5


@dataclass(frozen=True)
class Samples:
    """M valid key points with the model's estimates and the labels.

    Attributes
    ----------
    errors
        float64 ``[M, 2]`` px, key point minus label; 0 if there is no label.
    covariances
        float64 ``[M, 2, 2]`` px², of the heatmaps.
    peaks
        float64 ``[M]``, raw.
    evidence
        float64 ``[M, 6]``, in the order of `EVIDENCE`.
    joints, image_ids
        int64 ``[M]``.
    box_areas, person_areas
        float64 ``[M]`` px²: of the person's box, and of the person as annotated.
    visibility
        uint8 ``[M]``: 0 not labelled, 1 hidden, 2 visible.
    absent
        bool ``[M]``: not labelled and counted as absent (by the rule above).
    at_edge
        bool ``[M]``: the person's box is cut off by the image border.
    found
        bool ``[M]``: labelled, and within the joint's `found_distances` of the label.
    skeleton
        The definition of the joints.
    """

    errors: np.ndarray
    covariances: np.ndarray
    peaks: np.ndarray
    evidence: np.ndarray
    joints: np.ndarray
    image_ids: np.ndarray
    box_areas: np.ndarray
    person_areas: np.ndarray
    visibility: np.ndarray
    absent: np.ndarray
    at_edge: np.ndarray
    found: np.ndarray
    skeleton: SkeletonDefinition = COCO17

    def __len__(self) -> int:
        return len(self.errors)

    @property
    def labelled(self) -> np.ndarray:
        """bool ``[M]``: the joint is labelled."""
        return self.visibility > 0

    def select(self, chosen: np.ndarray) -> Samples:
        """A subset of the samples, by indices or mask."""
        arrays = {name: values[chosen] for name, values in vars(self).items() if name != "skeleton"}
        return Samples(**arrays, skeleton=self.skeleton)

    def weights(self, visible: float, hidden: float, absent: float) -> np.ndarray:
        """float64 ``[M]``: weights of the samples; 0 for unlabelled joints that are not absent."""
        of_labelled = np.where(self.visibility == HIDDEN, hidden, visible)
        return np.where(self.labelled, of_labelled, np.where(self.absent, absent, 0.0))

    def effective_peaks(self, calibration: UncertaintyCalibration) -> np.ndarray:
        """float64 ``[M]``, as the calibration weighs peaks and evidence."""
        return calibration.effective_peaks(self.peaks, self.evidence.T)


def samples_of(annotations: PersonAnnotations, data: DatasetPoses) -> Samples:
    """The valid joints of poses that were estimated on the annotated boxes.

    Raises ValueError if the boxes are from a detector.
    """
    persons = data.boxes.persons
    if (persons < 0).any():
        raise ValueError("uncertainty calibration needs the annotated boxes, not a detector's")
    images = annotations.image_index[persons]
    sizes = annotations.image_sizes[images]
    boxes = data.boxes.boxes
    rows, joints = np.nonzero(data.poses.valid)
    visibility = annotations.visibility[persons][rows, joints]
    labelled = visibility > 0
    errors = (data.poses.keypoints - annotations.keypoints[persons])[rows, joints]
    errors = np.where(labelled[:, None], errors, 0).astype(np.float64)
    person_areas = annotations.areas[persons][rows]
    reach = np.sqrt(person_areas) * found_distances(data.poses.skeleton)[joints]
    at_edge = np.asarray(cut_sides(boxes, sizes).any(axis=1))
    box_areas = boxes[:, 2:].prod(axis=1)
    labels = annotations.labelled[persons].sum(axis=1)
    careful = (box_areas >= CAREFUL_SIDE**2) & (labels >= CAREFUL_LABELS)
    return Samples(
        errors=errors,
        covariances=data.poses.covariances[rows, joints].astype(np.float64),
        peaks=data.poses.scores[rows, joints].astype(np.float64),
        evidence=evidence_of(data.poses, boxes, sizes)[:, rows, joints].T,
        joints=joints,
        image_ids=annotations.image_ids[images][rows],
        box_areas=box_areas[rows],
        person_areas=person_areas,
        visibility=visibility,
        absent=~labelled & (at_edge[rows] | careful[rows]),
        at_edge=at_edge[rows],
        found=labelled & (np.linalg.norm(errors, axis=1) <= reach),
        skeleton=data.poses.skeleton,
    )


def squared_distances(
    samples: Samples, heatmap: np.ndarray, box: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Squared Mahalanobis distances ``[M]`` of the errors under the calibrated covariances.

    heatmap, box: factors ``[J]``; spread: ``[M]``.
    """
    joints = samples.joints
    matrices = heatmap[joints][:, None, None] * samples.covariances
    matrices[:, [0, 1], [0, 1]] += (box[joints] * samples.box_areas)[:, None]
    return quadratic(samples.errors, matrices) / spread


def quadratic(errors: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """``eᵀ M⁻¹ e`` of errors ``[M, 2]`` and matrices ``[M, 2, 2]``."""
    solved = np.linalg.solve(matrices, errors[..., None])[..., 0]
    return (errors * solved).sum(axis=1)


def published_distances(samples: Samples, calibration: UncertaintyCalibration | None) -> np.ndarray:
    """Squared Mahalanobis distances ``[M]``; without a calibration, of the heatmap covariances."""
    if calibration is None:
        ones = np.ones(samples.skeleton.joints)
        return squared_distances(samples, ones, 0 * ones, np.ones(len(samples)))
    return squared_distances(
        samples,
        np.array(calibration.heatmap_factors),
        np.array(calibration.box_factors),
        calibration.spread_of(samples.effective_peaks(calibration)),
    )


def published_scores(samples: Samples, calibration: UncertaintyCalibration | None) -> np.ndarray:
    """Scores ``[M]`` as published: probabilities or, without a calibration, clipped peaks."""
    if calibration is None:
        return np.clip(samples.peaks, 0, 1)
    return calibration.probability_of(samples.effective_peaks(calibration), samples.joints)
