# SPDX-License-Identifier: Apache-2.0
"""Locations of the files that are installed with the package: models and training recipes."""

from __future__ import annotations

import os
from pathlib import Path


def installed_folders(shared: str, packaged: str) -> list[Path]:
    """Return the existing folders of this installation for one kind of files, in search order.

    They are the folders in the ROS workspaces (``AMENT_PREFIX_PATH``), in the pip installation and
    in the source tree.

    Parameters
    ----------
    shared
        Path of the folder in the source tree and in a workspace's ``share/hrnet_pose_ros``.
    packaged
        Name of the folder in the Python package that pip installs.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    folders = [Path(prefix) / "share" / "hrnet_pose_ros" / shared for prefix in prefixes if prefix]
    package = Path(__file__).absolute().parent
    folders.append(package / packaged)
    if (package.parent / "package.xml").is_file():
        folders.append(package.parent / shared)
    return [folder for folder in folders if folder.is_dir()]
