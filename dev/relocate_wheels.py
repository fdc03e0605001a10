# SPDX-License-Identifier: Apache-2.0
"""Adapt the CMake files of the ROS 2 wheels to this machine.

Usage: python relocate_wheels.py VENV

The exported targets contain include paths of the container that built the wheels, which CMake
rejects ("includes non-existent path"). They are replaced by those of the running Python and NumPy.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np


def relocate(prefix: Path) -> int:
    """Rewrite the CMake files under ``prefix/share`` and return how many were changed."""
    include = sysconfig.get_paths()["include"]
    replacements = [
        (
            r"/opt/python/[^/;\"]+/lib/python3\.\d+/site-packages/numpy/_core/include",
            np.get_include(),
        ),
        (r"/opt/python/[^/;\"]+/include/python3\.\d+", include),
    ]
    changed = 0
    for path in sorted(prefix.glob("share/*/cmake/*.cmake")):
        text = original = path.read_text()
        for pattern, replacement in replacements:
            text = re.sub(pattern, replacement.replace("\\", r"\\"), text)
        if text != original:
            path.write_text(text)
            changed += 1
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{relocate(Path(sys.argv[1]))} CMake files adapted")
