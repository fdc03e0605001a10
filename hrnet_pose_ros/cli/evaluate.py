# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose evaluate``: a model, or two of them, on a COCO data set."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_pose_ros.cli.arguments import Verbs, write_json
from hrnet_pose_ros.cli.engine_options import EngineChoice, add_engine_options

if TYPE_CHECKING:
    from hrnet_pose_ros.coco.annotations import PersonAnnotations
    from hrnet_pose_ros.coco.measurement import Measurement
    from hrnet_pose_ros.coco.person_boxes import PersonBoxes
    from hrnet_pose_ros.engines.engine import EngineInfo
    from hrnet_pose_ros.skeleton import SkeletonDefinition

    EvaluationData = tuple[PersonAnnotations, PersonBoxes, str]


def add_evaluate(verbs: Verbs) -> None:
    """``hrnet_pose evaluate MODEL --annotations FILE.json --images DIR``"""
    parser = verbs.add_parser(
        "evaluate",
        help="measure a model, or compare two, on a COCO data set",
        description="COCO AP and AR by the same crop, engine and decoding code as on the vehicle, "
        "in a table beside the HRNet paper's, the kinds of errors by joint, and whether left and "
        "right are told apart. With --against: what another model, precision, engine, decoding or "
        "the flip test changes. Needs pip install 'hrnet_pose_ros[coco]'.",
    )
    add_engine_options(parser)
    add_data_options(parser)
    parser.add_argument(
        "--against",
        metavar="[MODEL][,NAME=VALUE...]",
        help="also run this and compare: another model, or the same with engine=, precision=, "
        "decoding= or flip-test=yes|no changed, for example precision=bfloat16",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write COCO results")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write plots, and worst persons")
    parser.set_defaults(run=_evaluate)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """``--annotations``, ``--images`` and where the boxes come from."""
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument(
        "--boxes", type=Path, metavar="FILE.json", help="a detector's boxes in COCO's result format"
    )
    boxes.add_argument(
        "--ground-truth-boxes", action="store_true", help="the annotated boxes (default)"
    )


def read_data(options: argparse.Namespace, skeleton: SkeletonDefinition) -> EvaluationData:
    """Annotations of a model's joints, boxes, and in words where the boxes are from."""
    from hrnet_pose_ros.coco.annotations import read_annotations
    from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes, read_detections

    annotations = read_annotations(options.annotations, skeleton)
    if not options.images.is_dir():
        raise ValueError(f"--images '{options.images}' is not a folder")
    if options.boxes is not None:
        boxes = read_detections(options.boxes, annotations)
        return annotations, boxes, f"boxes of {options.boxes.name}"
    return annotations, ground_truth_boxes(annotations), "ground-truth boxes"


def _evaluate(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.coco.difference import pose_difference
    from hrnet_pose_ros.coco.error_tables import error_tables, errors_for_json
    from hrnet_pose_ros.coco.table import markdown_tables, measured_row

    choice = EngineChoice.of(options)
    other = choice.changed(options.against) if options.against is not None else None
    read = lru_cache(lambda skeleton: read_data(options, skeleton))  # once for both models
    first = _measured(choice, options, read)
    annotations, boxes, box_source = read(first.info.skeleton)
    images = len(set(boxes.image_index.tolist()))
    data_words = f"{options.annotations.name} ({images} images, {len(boxes)} boxes; {box_source})"

    measured = [first]
    report: dict[str, Any] = {
        "engine": _engine_json(first.info),
        "annotations": str(options.annotations),
        "boxes": box_source,
        "images": images,
        "persons": len(boxes),
        "scores": first.scores.values,
        **errors_for_json(first),
    }
    words = []
    if other is not None:
        second = _measured(other, options, read)
        measured.append(second)
        difference = pose_difference(first.data, second.data)
        change = {n: second.scores.values[n] - value for n, value in first.scores.values.items()}
        report["against"] = {
            "engine": _engine_json(second.info),
            "scores": second.scores.values,
            "change": change,
            "difference": difference,
            **errors_for_json(second),
        }
        words = _difference_in_words(first.title, second.title, change, difference)

    write_json(options.json, report)
    write_json(options.results, first.data.results(annotations) if options.results else None)
    if options.plots is not None:
        from hrnet_pose_ros.coco.evaluation_plots import write_plots

        write_plots(options.plots, measured, annotations, options.images)
    rows = [
        measured_row(
            one.title, f"{one.info.input_height}x{one.info.input_width}", one.scores.values
        )
        for one in measured
    ]
    print("\n\n".join([markdown_tables(rows, data_words), error_tables(measured)]))
    if words:
        print("\n" + "\n".join(words))


def _measured(
    choice: EngineChoice,
    options: argparse.Namespace,
    read: Callable[[SkeletonDefinition], EvaluationData],
) -> Measurement:
    from hrnet_pose_ros.coco.measurement import measure

    if (skeleton := choice.skeleton()) is not None:
        read(skeleton)  # what is wrong with the data is said before the engine is made
    engine = choice.make()
    try:
        annotations, boxes, _ = read(engine.info.skeleton)
        return measure(engine, annotations, options.images, boxes)
    finally:
        engine.close()


def _engine_json(info: EngineInfo) -> dict[str, Any]:
    return asdict(info) | {"skeleton": info.skeleton.name}


def _difference_in_words(
    a: str, b: str, change: dict[str, float], difference: dict[str, Any]
) -> list[str]:
    if not difference["joints"]:
        return [f"{a} and {b} have no joint in common"]
    fractions = difference["fraction_within_cells"]
    lines = [
        f"from {a} to {b}: AP {100 * change['AP']:+.2f}, AP50 {100 * change['AP50']:+.2f}, "
        f"AP75 {100 * change['AP75']:+.2f}, AR {100 * change['AR']:+.2f} (percent)",
        f"{difference['joints']} joints valid in both, {difference['valid_in_one_only']} in one; "
        + ", ".join(f"{fraction:.2%} within {limit} cell" for limit, fraction in fractions.items()),
    ]
    for name, unit in (("px", "px"), ("cells", "cells"), ("oks", "of the persons")):
        values = difference[name]
        figures = ", ".join(
            f"{p if p == 'mean' else p + ' %'} {value:.4g}"
            for p, value in values.items()
            if value is not None
        )
        what = "OKS, reached by" if name == "oks" else "distance"
        lines.append(f"  {what}: {figures} {unit}")
    return lines
