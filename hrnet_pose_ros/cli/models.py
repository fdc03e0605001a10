# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose models``: the models that are known by name."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from hrnet_pose_ros.cli.arguments import Verbs

COLUMNS = (
    *("model", "skeleton", "input", "params", "GFLOPs", "GMAC", "AP", "colours", "sigma", "crop"),
    *("flip shift", "decoding", "sha256", "source", "present"),
)
LEGEND = (
    "input: height x width. params: millions. GFLOPs: the paper's rule, multiply-adds / 1024³ with "
    "deconvolutions counted at their output. GMAC: plain multiply-adds / 1e9. AP: published, COCO "
    "val2017, flip test."
)


def add_models(verbs: Verbs) -> None:
    """``hrnet_pose models``"""
    parser = verbs.add_parser(
        "models",
        help="list the models that are known by name, and which are present",
        description="List the zoo: what each model is, what it costs, and which of its files are "
        "in the models folders.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.model_files.zoo import read_zoo

    entries = list(read_zoo().values())
    if options.json:
        print(json.dumps({entry.name: as_json(entry) for entry in entries}, indent=1))
        return
    rows = [COLUMNS, *(_row(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print(f"\n{LEGEND}")
    for entry in entries:
        if entry.figures:
            print(f"{entry.name}: published {entry.figures}")
    for source in dict.fromkeys(entry.source for entry in entries):
        address = f"; files from {source.address}" if source.address else ""
        print(f"{source.name}: {source.title}, {source.page}; {source.licence}{address}")


def as_json(entry: Any) -> dict[str, Any]:
    """A zoo entry in JSON's types: its attributes, its address, and the paths of its files."""
    from hrnet_pose_ros.model_files.folders import files_of

    base = entry.source.address
    values = dataclasses.asdict(entry)
    width, height = values.pop("input_size")
    return {
        **values,
        "input_width": width,
        "input_height": height,
        "address": base + entry.file if base else None,
        "present": [str(path) for path in files_of(entry.name)],
    }


def _row(entry: Any) -> tuple[str, ...]:
    from hrnet_pose_ros.model_files.folders import files_of

    present = [path.name.removeprefix(entry.name) for path in files_of(entry.name)]
    return (
        entry.name,
        entry.skeleton,
        entry.size_text,
        f"{entry.parameters / 1e6:.1f}",
        f"{entry.paper_gflops:.2f}",
        f"{entry.giga_multiply_adds:.2f}",
        "-" if entry.ap is None else f"{entry.ap:.3f}",
        entry.colour_order,
        f"{entry.target_sigma:g}",
        entry.crop,
        "yes" if entry.flip_shift else "no",
        entry.decoding,
        entry.sha256 or "-",
        entry.source.name,
        " ".join(dict.fromkeys(present)) or "-",
    )
