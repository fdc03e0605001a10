# SPDX-License-Identifier: Apache-2.0
"""Locates files that come with the package, such as models and training recipes."""

from __future__ import annotations

import os
from pathlib import Path


def installed_folders(shared: str, packaged: str) -> list[Path]:
    """The folders of this installation with one kind of files, in search order.

    These are folders of ROS workspaces (``AMENT_PREFIX_PATH``), of the pip installation and of the
    source tree, as far as they exist.

    Parameters
    ----------
    shared
        Path in the source tree and in a workspace's ``share/hrnet_pose_ros``.
    packaged
        Name inside the Python package that pip installs.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    folders = [Path(prefix) / "share" / "hrnet_pose_ros" / shared for prefix in prefixes if prefix]
    package = Path(__file__).absolute().parent
    folders.append(package / packaged)
    if (package.parent / "package.xml").is_file():
        folders.append(package.parent / shared)
    return [folder for folder in folders if folder.is_dir()]
