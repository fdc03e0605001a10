# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fleet-compare``: where a fleet got worse."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs, positive, whole_number
from hrnet_pose_ros.cli.compare import print_verdict


def add_fleet_compare(verbs: Verbs) -> None:
    """``hrnet_pose fleet-compare BASELINE CANDIDATE -o REPORT``"""
    parser = verbs.add_parser(
        "fleet-compare",
        help="judge the results of a fleet by those of another",
        description="Compare two folders of `hrnet_pose fleet`, bag by bag, and write a page, "
        "tables and a JUnit file. Exit code: 0 pass, 1 fail, 2 bad input. Without a scenario, only "
        "whether the candidate has every bag of the baseline is judged.",
    )
    parser.add_argument("baseline", type=Path, metavar="BASELINE")
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="REPORT")
    parser.add_argument("--scenario", type=Path, metavar="YAML", help="as for compare")
    parser.add_argument(
        "--judge",
        choices=("all", "slices", "bags"),
        default="slices",
        help="what has to meet the scenario: all bags together; each slice too; each bag too "
        "(default slices)",
    )
    parser.add_argument(
        "--slices", metavar="TAG,...", help="tags to slice by (default: all that there are)"
    )
    parser.add_argument(
        "--moved-below",
        type=_fraction,
        metavar="OKS",
        help="a matched person with a lower OKS is a finding (default 0.5)",
    )
    parser.add_argument(
        "--pictures",
        type=whole_number,
        default=12,
        metavar="N",
        help="findings that are drawn, each with a clip (default 12)",
    )
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--bags-url", default="", metavar="URL", help="where the bags are served, for the links"
    )
    parser.add_argument(
        "--viewer", metavar="URL", help="what the links open: Foxglove, or your Lichtblick"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="for copies of remote bags (default: TMPDIR)"
    )
    parser.set_defaults(run=_fleet_compare)


def _fleet_compare(options: argparse.Namespace) -> int:
    from hrnet_pose_ros.files import write_file
    from hrnet_pose_ros.fleet.comparison.page import REPORT, fleet_page
    from hrnet_pose_ros.fleet.comparison.run import CompareOptions, compare_fleets
    from hrnet_pose_ros.fleet.comparison.tables import why_no_parquet
    from hrnet_pose_ros.fleet.folder import FleetFolder
    from hrnet_pose_ros.replay.scenario import read_scenario

    chosen = {"moved_below": options.moved_below, "viewer": options.viewer}
    report = compare_fleets(
        options.baseline,
        options.candidate,
        options.output,
        CompareOptions(
            scenario=read_scenario(options.scenario) if options.scenario else None,
            judge=options.judge,
            slices=options.slices.split(",") if options.slices else None,
            jobs=options.jobs,
            pictures=options.pictures,
            bags_url=options.bags_url,
            cache=options.cache,
            **{name: value for name, value in chosen.items() if value is not None},
        ),
    )
    notes = [] if options.scenario else ["No scenario was given: no figure has a limit."]
    if report.other_bags:
        notes.append(
            f"{report.other_bags} bags have other files in the two fleets (sizes or times): "
            "they may not be the same recording."
        )
    if why := why_no_parquet():
        notes.append(f"There are {why}.")
    facts = {
        name: FleetFolder(path).facts()
        for name, path in (("baseline", options.baseline), ("candidate", options.candidate))
    }
    page = options.output / REPORT
    write_file(page, fleet_page(report, facts, notes))
    for note in notes:
        print(note, file=sys.stderr)
    whole = report.slices.whole.row()
    counts = f"{whole.lost} lost, {whole.gained} gained, {whole.moved} moved"
    return print_verdict(report.verdict, counts, page)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text!r}")
    return value
