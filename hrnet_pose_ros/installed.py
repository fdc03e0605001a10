# SPDX-License-Identifier: Apache-2.0
"""Where the files that come with the package lie: models, recipes."""

from __future__ import annotations

import os
from pathlib import Path


def installed_folders(shared: str, packaged: str) -> list[Path]:
    """The folders of this installation that hold one kind of files, the first to search first.

    Those of the ROS workspaces (``AMENT_PREFIX_PATH``), of the pip installation, of the source
    tree; only those that exist.

    Parameters
    ----------
    shared
        Their path in the source tree and in a workspace's ``share/hrnet_pose_ros``.
    packaged
        Their name inside the Python package that pip installs.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    folders = [Path(prefix) / "share" / "hrnet_pose_ros" / shared for prefix in prefixes if prefix]
    package = Path(__file__).absolute().parent
    folders.append(package / packaged)
    if (package.parent / "package.xml").is_file():
        folders.append(package.parent / shared)
    return [folder for folder in folders if folder.is_dir()]
