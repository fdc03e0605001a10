# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fetch``: download a published checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs


def add_fetch(verbs: Verbs) -> None:
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
