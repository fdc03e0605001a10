# SPDX-License-Identifier: Apache-2.0
"""``make bench``: measure the engines of this machine and print one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.rows import Row, table

FOLDER = Path(__file__).resolve().parent.parent / "demo_output" / "bench"


def main() -> None:
    """Print the table, and what was left out and why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300, metavar="N")
    options = parser.parse_args()

    from hrnet_pose_ros.engines.tensorrt_engine import why_no_tensorrt

    rows: list[Row] = []
    missing = why_no_tensorrt()
    if not missing:
        from bench.gpu import gpu_rows

        FOLDER.mkdir(parents=True, exist_ok=True)
        for row in gpu_rows(FOLDER, options.repetitions):
            rows.append(row)
            print(table([row]).splitlines()[-1], flush=True)
    if rows:
        print(table(rows))
    if missing:
        print(f"rows of the TensorRT engine skipped: {missing}")


if __name__ == "__main__":
    main()
