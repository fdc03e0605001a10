# SPDX-License-Identifier: Apache-2.0
"""Plots of an evaluation: curves, joints, error types, and drawings of the worst persons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.error_diagnosis import (
    ERROR_TYPES,
    NEAR_SIMILARITY,
    Matches,
    error_fractions,
)
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.coco.evaluation import Scores
from hrnet_pose_ros.coco.left_right import OUTCOMES, pair_names
from hrnet_pose_ros.coco.measurement import Measurement
from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.image_files import read_annotated_image, write_image_file
from hrnet_pose_ros.pose.drawing import OUTLINE_COLOUR, TEXT_COLOUR, draw_close_up
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

WORST_PERSONS = 12
CLOSE_UP = (420, 560)  # width, height
MARGIN = 1.3  # size of a close-up relative to the box
ERROR_COLOURS = ("#4c9f50", "#b9d77a", "#e8a33d", "#b5509c", "#c0392b")
OUTCOME_COLOURS = ("#4c9f50", "#c0392b", "#e8a33d", "#9a9a9a")


def pyplot() -> Any:
    """matplotlib.pyplot without a display; ImportError says what to install."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"plots need matplotlib ({error}): pip install 'hrnet_pose_ros[coco]'"
        ) from error
    return plt


def write_plots(
    folder: Path,
    measured: Sequence[Measurement],
    annotations: PersonAnnotations,
    images: Path,
) -> list[Path]:
    """Write ``precision_recall.png``, ``joints.png``, ``errors.png``, ``left_right.png`` and
    ``worst_01.jpg`` ….

    Parameters
    ----------
    measured
        One or two measurements. Error types and left-right confusion are shown for both side by
        side, everything else for the first.

    Returns
    -------
    The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plt = pyplot()
    first = measured[0]
    skeleton = annotations.skeleton
    written = [
        _precision_recall(plt, folder / "precision_recall.png", first.title, first.scores),
        _joints(plt, folder / "joints.png", first.title, first.matches, skeleton),
        _stacked(
            plt,
            folder / "errors.png",
            [name.replace("_", " ") for name in skeleton.joint_names],
            dict(zip(ERROR_TYPES, ERROR_COLOURS, strict=True)),
            [(one.title, error_fractions(one.matches)) for one in measured],
            "fraction of labelled joints",
        ),
        _stacked(
            plt,
            folder / "left_right.png",
            pair_names(skeleton),
            dict(zip(OUTCOMES, OUTCOME_COLOURS, strict=True)),
            [(one.title, np.nan_to_num(one.left_right.fractions)) for one in measured],
            "fraction of evaluated persons",
        ),
    ]
    return written + _worst(folder, first.matches, annotations, first.data, images)


def _precision_recall(plt: Any, path: Path, title: str, scores: Scores) -> Path:
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for place, (threshold, precision) in enumerate(
        zip(scores.thresholds, scores.precisions, strict=True)
    ):
        label = f"OKS {threshold:.2f}: AP {max(precision.mean(), 0):.3f}"
        colour = plt.get_cmap("viridis")(place / len(scores.thresholds))
        axes.plot(scores.recalls, np.maximum(precision, 0), color=colour, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=title)
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return _saved(plt, figure, path)


def _joints(
    plt: Any, path: Path, title: str, matches: Matches, skeleton: SkeletonDefinition
) -> Path:
    labelled = np.isfinite(matches.similarities)
    counts = np.maximum(labelled.sum(axis=0), 1)
    mean = np.where(labelled, matches.similarities, 0).sum(axis=0) / counts
    near = (labelled & (matches.similarities >= NEAR_SIMILARITY)).sum(axis=0) / counts
    figure, axes = plt.subplots(figsize=(_plot_width(skeleton.joints), 4.5), layout="constrained")
    places = np.arange(skeleton.joints)
    axes.bar(places - 0.2, mean, 0.4, label="mean OKS term", color="#3b7dd8")
    axes.bar(
        places + 0.2, near, 0.4, label=f"fraction with at least {NEAR_SIMILARITY}", color="#9cc3f0"
    )
    axes.set_xticks(places, [name.replace("_", " ") for name in skeleton.joint_names], rotation=60)
    axes.set(ylim=(0, 1), title=f"{title}: labelled joints of matched persons")
    axes.legend()
    axes.grid(axis="y", alpha=0.3)
    return _saved(plt, figure, path)


def _stacked(
    plt: Any,
    path: Path,
    names: Sequence[str],
    colours: dict[str, str],
    panels: Sequence[tuple[str, np.ndarray]],
    what: str,
) -> Path:
    """Stacked bars of fractions ``[names, kinds]`` with one panel per (title, fractions)."""
    figure, all_axes = plt.subplots(
        1,
        len(panels),
        figsize=(_plot_width(len(names)) * len(panels), 4.5),
        layout="constrained",
        squeeze=False,
    )
    places = np.arange(len(names))
    for axes, (title, fractions) in zip(all_axes[0], panels, strict=True):
        floor = np.zeros(len(names))
        for (kind, colour), fraction in zip(colours.items(), fractions.T, strict=True):
            axes.bar(places, fraction, 0.8, bottom=floor, label=kind, color=colour)
            floor += fraction
        axes.set_xticks(places, names, rotation=60)
        axes.set(ylim=(0, 1), ylabel=what, title=title)
        axes.legend(ncols=len(colours), loc="lower center")
    return _saved(plt, figure, path)


def _plot_width(bars: int) -> float:
    """Width of a plot in inches: names of 17 joints fit into 9, others need as much room each."""
    return max(9.0, bars * 9 / 25)


def _saved(plt: Any, figure: Any, path: Path) -> Path:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)
    return path


def _worst(
    folder: Path,
    matches: Matches,
    annotations: PersonAnnotations,
    data: DatasetPoses,
    images: Path,
) -> list[Path]:
    """Draw the persons with the lowest OKS: labels on the left, results on the right."""
    written = []
    for number, row in enumerate(np.argsort(matches.oks, kind="stable")[:WORST_PERSONS], 1):
        person, pose = int(matches.persons[row]), int(matches.poses[row])
        index = annotations.image_index[person]
        image = read_annotated_image(
            images / annotations.image_files[index], annotations.image_sizes[index]
        )
        label = _labels(annotations, person)
        estimate = data.poses.select(np.array([pose]))
        panels_drawn = [
            draw_close_up(image, data.boxes.boxes[pose], one, CLOSE_UP, MARGIN)
            for one in (label, estimate)
        ]
        drawn = np.concatenate(panels_drawn, axis=1)
        text = f"image {annotations.image_ids[index]}, OKS {matches.oks[row]:.2f}"
        for colour, width in ((OUTLINE_COLOUR, 3), (TEXT_COLOUR, 1)):
            cv2.putText(drawn, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width)
        path = folder / f"worst_{number:02d}.jpg"
        write_image_file(path, drawn)
        written.append(path)
    return written


def _labels(annotations: PersonAnnotations, person: int) -> Poses:
    """Labelled positions as a pose with score 1 and almost no covariance."""
    labelled = annotations.labelled[person][None]
    return Poses(
        keypoints=np.where(labelled[..., None], annotations.keypoints[person], np.nan).astype(
            np.float32
        ),
        scores=labelled.astype(np.float32),
        covariances=np.tile(
            np.float32(1e-6) * np.eye(2, dtype=np.float32), (1, labelled.shape[1], 1, 1)
        ),
        valid=labelled,
        skeleton=annotations.skeleton,
    )
