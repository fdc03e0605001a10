# SPDX-License-Identifier: Apache-2.0
"""Runs a demonstration as `make` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_demo(
    root: Path, module: str, output: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the module of a demonstration to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, "--output", str(output), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ,
    )
