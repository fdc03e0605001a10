# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose calibrate``: make a model's covariances and scores mean what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from hrnet_pose_ros.cli.arguments import Verbs, write_json
from hrnet_pose_ros.cli.engine_options import EngineChoice, add_engine_options


def add_calibrate(verbs: Verbs) -> None:
    """``hrnet_pose calibrate MODEL --annotations FILE.json --images DIR``"""
    parser = verbs.add_parser(
        "calibrate",
        help="fit a model's covariances and scores to the errors it makes",
        description="Fit on the images with an even id, report on those with an odd id, and with "
        "--write put the calibration into the model's files, where every engine applies it for "
        "this decoding and flip test. Uses the annotated boxes.",
    )
    add_engine_options(parser)
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--write", action="store_true", help="into MODEL.onnx and the end-to-end graphs beside it"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write calibration and report")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write reliability plots")
    parser.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.coco.annotations import read_annotations
    from hrnet_pose_ros.coco.calibration_fit import fit_calibration, samples_of
    from hrnet_pose_ros.coco.calibration_report import calibration_report, write_calibration_plots
    from hrnet_pose_ros.coco.calibration_write import model_files, write_calibration
    from hrnet_pose_ros.coco.estimate_dataset import estimate_dataset
    from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes
    from hrnet_pose_ros.pose.calibration import calibration_key

    choice = EngineChoice.of(options)
    files = model_files(choice.model) if options.write else []  # before the engine takes its time
    annotations = read_annotations(options.annotations)
    engine = choice.make()
    try:
        data = estimate_dataset(
            engine, annotations, options.images, ground_truth_boxes(annotations)
        )
    finally:
        engine.close()
    samples = samples_of(annotations, data)
    even = samples.image_ids % 2 == 0
    origin = (
        f"{options.annotations.name}, images with an even id, {int(even.sum())} labelled joints; "
        f"{engine.info.engine} {engine.info.precision}"
    )
    calibration = fit_calibration(samples.select(even), origin)
    others = samples.select(~even)
    if not len(others):
        raise ValueError(f"'{options.annotations}' has no image with an odd id to report on")
    key = calibration_key(choice.decoding, choice.flip_test)
    report = {
        "key": key,
        "calibration": calibration.to_json(),
        "before": calibration_report(others, None),
        "after": calibration_report(others, calibration),
    }
    write_json(options.json, report)
    if options.plots is not None:
        title = f"{engine.info.model}, {key}\n{len(others)} joints of images with an odd id"
        write_calibration_plots(options.plots, title, others, calibration)
    print("\n".join(_in_words(key, origin, report)))
    for path in files:
        write_calibration(path, key, calibration)
        print(f"wrote the calibration '{key}' into {path}", file=sys.stderr)


def _in_words(key: str, origin: str, report: dict[str, Any]) -> list[str]:
    before, after = report["before"], report["after"]
    lines = [
        f"calibration '{key}', fitted on {origin}",
        f"on {after['samples']} labelled joints of images with an odd id:",
        f"  {'':<16}{'inside 50 %':>12}{'inside 90 %':>12}{'joints':>8}{'score':>8}{'found':>8}",
        _row("as decoded", before),
        _row("calibrated", after),
    ]
    lines += [_row("  " + name, joint) for name, joint in after["joints"].items()]
    lines += [_row(f"  peaks, {n}/6", part) for n, part in enumerate(after["peak_sixths"], 1)]
    quantiles = ", ".join(f"{q} % {value:.2f}" for q, value in after["quantiles"].items())
    lines += [
        "  * not within 50 ± 5 and 90 ± 4 %",
        f"  expected calibration error of the scores: {before['ece']:.3f} as decoded, "
        f"{after['ece']:.3f} calibrated{'' if after['ece_ok'] else ' * not below 0.05'}",
        f"  squared Mahalanobis distance, quantiles: {quantiles} "
        "(of a Gaussian 1.39, 4.61, 5.99, 9.21)",
    ]
    return lines


def _row(name: str, part: dict[str, Any]) -> str:
    if not part["samples"]:
        return f"  {name:<16}{'none':>12}"
    inside = "".join(f"{100 * share:>12.1f}" for share in part["inside"].values())
    row = f"  {name:<16}{inside}{part['samples']:>8}"
    if "mean_score" in part:
        row += f"{part['mean_score']:>8.2f}{part['found']:>8.2f}"
    return row + ("" if part["ok"] else " *")
