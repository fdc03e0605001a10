# SPDX-License-Identifier: Apache-2.0
"""The verbs ``models`` and ``fetch`` of the command ``hrnet_pose``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

Verbs = argparse._SubParsersAction  # argparse has no public name for what add_parser belongs to

COLUMNS = (
    *("model", "input", "params", "GFLOPs", "GMAC", "AP", "colours", "sigma", "flip shift"),
    *("decoding", "sha256", "source", "present"),
)
LEGEND = (
    "input: height x width. params: millions. GFLOPs: the paper's rule, multiply-adds / 1024³ with "
    "deconvolutions counted at their output. GMAC: plain multiply-adds / 1e9. AP: published, COCO "
    "val2017, flip test."
)


def add_models(verbs: Verbs[argparse.ArgumentParser]) -> None:
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
        entry.size_text,
        f"{entry.parameters / 1e6:.1f}",
        f"{entry.paper_gflops:.2f}",
        f"{entry.giga_multiply_adds:.2f}",
        "-" if entry.ap is None else f"{entry.ap:.3f}",
        entry.colour_order,
        f"{entry.target_sigma:g}",
        "yes" if entry.flip_shift else "no",
        entry.decoding,
        entry.sha256 or "-",
        entry.source.name,
        " ".join(dict.fromkeys(present)) or "-",
    )


def add_fetch(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose fetch NAME``"""
    parser = verbs.add_parser(
        "fetch",
        help="download a published checkpoint",
        description="Download a checkpoint of the zoo and check its SHA-256. Needs pooch: "
        "pip install 'hrnet_pose_ros[fetch]'.",
    )
    parser.add_argument("name", metavar="NAME", help="see 'hrnet_pose models'")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="default: the user's models folder, where models are found by name",
    )
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--from", dest="local", type=Path, metavar="FILE", help="copy this file instead"
    )
    origin.add_argument("--base-address", metavar="URL", help="of another folder to download from")
    parser.set_defaults(run=_fetch)


def _fetch(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.model_files.checksums import sha256_of
    from hrnet_pose_ros.model_files.fetch import fetch
    from hrnet_pose_ros.model_files.folders import user_models_folder
    from hrnet_pose_ros.model_files.zoo import CHECKSUM_DIGITS, read_zoo

    zoo = read_zoo()
    if options.name not in zoo:
        raise ValueError(f"no model '{options.name}' in the zoo; there are {', '.join(zoo)}")
    entry = zoo[options.name]
    path = fetch(
        entry,
        options.output or user_models_folder(),
        local=options.local,
        base_address=options.base_address,
    )
    checksum = sha256_of(path)[:CHECKSUM_DIGITS]
    checked = (
        f"SHA-256 {checksum}… as published"
        if entry.sha256
        else (f"SHA-256 {checksum}…; none is published to compare it with")
    )
    model = options.name if options.output is None else path
    print(f"{path}: {checked}. For the engines: hrnet_pose export {model}")
