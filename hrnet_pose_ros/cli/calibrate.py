# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose calibrate``: make a model's covariances and scores mean what they say."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_pose_ros.cli.arguments import Verbs, write_json
from hrnet_pose_ros.cli.engine_options import EngineChoice, add_engine_options

if TYPE_CHECKING:
    from hrnet_pose_ros.coco.annotations import PersonAnnotations
    from hrnet_pose_ros.coco.uncertainty_check import ScoredSamples
    from hrnet_pose_ros.coco.uncertainty_samples import Samples
    from hrnet_pose_ros.engines.engine import EngineInfo
    from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration
    from hrnet_pose_ros.skeleton import SkeletonDefinition

AS_DECODED, CROSS_VALIDATED, SHIPPED = "as decoded", "cross-validated", "shipped"


def add_calibrate(verbs: Verbs) -> None:
    """``hrnet_pose calibrate MODEL --annotations FILE.json --images DIR``"""
    parser = verbs.add_parser(
        "calibrate",
        help="fit a model's uncertainty, covariances and scores, to the errors it makes",
        description="Uncertainty calibration (not the camera's): fit a model's covariances and "
        "scores to the errors that it makes on labelled persons, and report, by cross-validation "
        "over the images, how well they hold on persons that were not fitted. With --write the "
        "fit to all images goes into the model's files, where every engine applies it for this "
        "decoding and flip test. Uses the annotated boxes.",
    )
    add_engine_options(parser)
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--write", action="store_true", help="into MODEL.onnx and the graphs of it beside it"
    )
    what.add_argument(
        "--check",
        action="store_true",
        help="fit nothing: report on the calibration that the model's file holds",
    )
    parser.add_argument(
        "--all-settings",
        action="store_true",
        help="for both decodings, each with and without flip test, one after the other",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write calibrations and reports")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write reliability plots")
    parser.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.coco.uncertainty_report import report_lines, uncertainty_report
    from hrnet_pose_ros.coco.uncertainty_write import model_files, write_calibrations
    from hrnet_pose_ros.pose.uncertainty import calibration_key

    _annotations.cache_clear()
    settings = _settings(options)
    keys = [calibration_key(choice.decoding, choice.flip_test) for choice in settings]
    files = model_files(options.model) if options.write else []  # before an engine takes its time
    _drop_damaged(files, keys)
    found: dict[str, UncertaintyCalibration] = {}
    written: dict[str, Any] = {}
    for key, choice in zip(keys, settings, strict=True):
        result = _of_setting(options, choice, key)
        if result is None:
            continue
        info, found[key], cases = result
        reports = {name: uncertainty_report(scored) for name, scored in cases.items()}
        words = "uncertainty calibration" if options.check else "uncertainty calibration, fitted"
        print(f"{info.model}, {key}: {words} on {found[key].origin}")
        print("\n".join(report_lines(reports)), flush=True)
        written[key] = {"calibration": found[key].to_json(), **_as_keys(reports)}
        if options.plots is not None:
            from hrnet_pose_ros.coco.uncertainty_plots import write_uncertainty_plots

            labelled = reports[AS_DECODED]["all"]["samples"]
            title = f"{info.model}, {key}: {labelled} labelled joints"
            write_uncertainty_plots(options.plots / key, title, cases)
    if not found:
        raise ValueError(f"'{options.model}' contains no uncertainty calibration to check")
    write_json(options.json, written)
    for path in files:
        write_calibrations(path, found)
        print(f"wrote the calibrations for {', '.join(found)} into {path}", file=sys.stderr)


def _settings(options: argparse.Namespace) -> list[EngineChoice]:
    from hrnet_pose_ros.engines.choose_engine import DECODINGS

    choice = EngineChoice.of(options)
    if not options.all_settings:
        return [choice]
    if choice.flip_test or choice.decoding != DECODINGS[0]:
        raise ValueError("--all-settings takes every decoding and flip test: name none beside it")
    return [replace(choice, decoding=d, flip_test=f) for d in DECODINGS for f in (False, True)]


@lru_cache(maxsize=1)  # for all settings of a model
def _annotations(path: Path, skeleton: SkeletonDefinition) -> PersonAnnotations:
    from hrnet_pose_ros.coco.annotations import read_annotations

    return read_annotations(path, skeleton)


def _of_setting(
    options: argparse.Namespace, choice: EngineChoice, key: str
) -> tuple[EngineInfo, UncertaintyCalibration, dict[str, ScoredSamples]] | None:
    """The engine, its calibration, new or shipped, and the samples judged; None: none shipped."""
    from hrnet_pose_ros.coco.estimate_dataset import estimate_dataset
    from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes
    from hrnet_pose_ros.coco.uncertainty_check import cross_validated, score_samples
    from hrnet_pose_ros.coco.uncertainty_fit import fit_uncertainty
    from hrnet_pose_ros.coco.uncertainty_samples import samples_of

    if (skeleton := choice.skeleton()) is not None:
        # What is wrong with the data is said before the engine is made.
        _annotations(options.annotations, skeleton)
    engine = choice.make()
    try:
        if options.check and engine.calibration is None:
            message = f"'{options.model}' contains no uncertainty calibration for '{key}'"
            if options.all_settings:
                print(message, file=sys.stderr)
                return None
            raise ValueError(f"{message}: fit one with hrnet_pose calibrate … --write")
        annotations = _annotations(options.annotations, engine.info.skeleton)
        boxes = ground_truth_boxes(annotations)
        samples = samples_of(
            annotations, estimate_dataset(engine, annotations, options.images, boxes)
        )
        info, shipped = engine.info, engine.calibration
    finally:
        engine.close()
    cases = {AS_DECODED: score_samples(samples, None)}
    if options.check:
        assert shipped is not None
        return info, shipped, cases | {SHIPPED: score_samples(samples, shipped)}
    cases[CROSS_VALIDATED] = cross_validated(samples)
    return info, fit_uncertainty(samples, _origin(options.annotations, samples, info)), cases


def _origin(annotations: Path, samples: Samples, info: EngineInfo) -> str:
    return (
        f"{annotations.name}, {len(set(samples.image_ids.tolist()))} images, "
        f"{int(samples.labelled.sum())} labelled and {int(samples.absent.sum())} absent joints; "
        f"{info.engine} {info.precision}"
    )


def _drop_damaged(files: list[Path], keys: list[str]) -> None:
    """Take calibrations that cannot be read, and are fitted anew, out of files to be written: no
    engine starts with them."""
    from hrnet_pose_ros.coco.uncertainty_write import damaged_calibrations, write_calibrations

    for path in files:
        damaged = [key for key in damaged_calibrations(path) if key in keys]
        if damaged:
            write_calibrations(path, {}, without=damaged)
            print(
                f"took the calibrations for {', '.join(damaged)}, which cannot be read, out of "
                f"{path}",
                file=sys.stderr,
            )


def _as_keys(reports: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Reports under JSON's kind of names: ``as_decoded``, ``cross_validated``, ``shipped``."""
    return {name.replace(" ", "_").replace("-", "_"): report for name, report in reports.items()}
