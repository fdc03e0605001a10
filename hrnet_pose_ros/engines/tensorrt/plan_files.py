# SPDX-License-Identifier: Apache-2.0
"""The files of a plan cache: plans and sidecars, how they are written, whose they may be.

A plan is code: whoever can write it can run code in this process. The checksum in the sidecar
finds damage, not malice; against that stand the owners and permissions of the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey
from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.version import VERSION

PLAN, SIDECAR = ".plan", ".json"
MODE = 0o644  # others may read plans, and only their owner write: whatever the umask
FORMAT = 2  # of the sidecar


class PlanRefused(ValueError):
    """A plan or a folder of plans is not used; the message says why."""


@dataclass(frozen=True)
class Sidecar:
    """What stands beside a plan."""

    key: PlanKey
    plan_sha256: str
    plan_bytes: int


def check_folder(folder: Path) -> None:
    """Raise PlanRefused unless the folder exists and others cannot write into it."""
    try:
        _check_owner(os.stat(folder), folder)
    except OSError as error:
        raise PlanRefused(f"'{folder}' cannot be used: {error.strerror}") from error
    if not folder.is_dir():
        raise PlanRefused(f"'{folder}' is not a folder")


def read_sidecar(path: Path) -> Sidecar:
    """Read and check a sidecar; PlanRefused where it is damaged or others can write it."""
    try:
        values = json.loads(read_file(path))
        if values["format"] != FORMAT:
            raise PlanRefused(f"its sidecar has format {values['format']}, read is {FORMAT}")
        size = values["plan_bytes"]
        if type(size) is not int:
            raise ValueError(f"plan_bytes is {size!r}")
        return Sidecar(PlanKey.from_json(values["key"]), str(values["plan_sha256"]), size)
    except PlanRefused:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanRefused(f"its sidecar is damaged ({type(error).__name__}: {error})") from error


def read_plan(path: Path, sidecar: Sidecar) -> bytes:
    """Read a plan and check it against its sidecar; PlanRefused where it is another one.

    The very bytes that were checked are returned, so that nobody can change them in between.
    """
    plan = read_file(path)
    if len(plan) != sidecar.plan_bytes:
        raise PlanRefused(f"it has {len(plan)} bytes, its sidecar says {sidecar.plan_bytes}")
    if hashlib.sha256(plan).hexdigest() != sidecar.plan_sha256:
        raise PlanRefused("its checksum is not the one of its sidecar")
    return plan


def write_plan(path: Path, key: PlanKey, plan: bytes) -> None:
    """Write a plan, then its sidecar; each appears whole or not at all. OSError where it fails.

    The caller holds the lock of this plan.
    """
    values = {
        "format": FORMAT,
        "key": key.to_json(),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "plan_bytes": len(plan),
        "created_by": f"hrnet_pose_ros {VERSION}",
    }
    write_file(path, plan, mode=MODE)
    write_file(path.with_suffix(SIDECAR), json.dumps(values, indent=1), mode=MODE)


def read_file(path: Path) -> bytes:
    """Read a file that only its owner, we or root, can have written; else PlanRefused."""
    try:
        with open(path, "rb") as file:
            _check_owner(os.fstat(file.fileno()), path)
            return file.read()
    except OSError as error:
        raise PlanRefused(f"'{path.name}' cannot be read: {error.strerror}") from error


def _check_owner(status: os.stat_result, path: Path) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise PlanRefused(
            f"'{path}' belongs to user {status.st_uid}, not to this one ({os.geteuid()}) or to "
            "root, and a plan is code: chown it, or name another folder"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PlanRefused(
            f"'{path}' can be written by others (mode {stat.S_IMODE(status.st_mode):o}), and a "
            f"plan is code: chmod go-w '{path}'"
        )
