#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo of fleets: the street clip, cut into drives, is replayed twice, and compared.

``make demo-fleet`` runs it. Eight drives of the clip have tags of two sites and two lights (at dusk
the images are darkened); one was cut off by a power loss, and one cannot be read. The baseline runs
with a flip test; the candidate without, which halves the work, and with a higher threshold for
detections. The page shows what that costs, and where. Exit codes: 0: success; 1: something is not
as it has to be; 2: bad input.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo" / "without_torch"))

IMAGES = 15  # of each drive
DUSK = 0.3  # brightness
# Name, first image, and tags: one clip has neither sites nor lights, they are made up.
DRIVES = (
    ("gate/day_1", 0, "gate", "day"),
    ("gate/day_2", 15, "gate", "day"),
    ("gate/dusk_1", 30, "gate", "dusk"),
    ("gate/unreadable", 30, "gate", "dusk"),
    ("yard/day_1", 45, "yard", "day"),
    ("yard/day_2", 60, "yard", "day"),
    ("yard/dusk_1", 75, "yard", "dusk"),
    ("yard/power_loss", 90, "yard", "dusk"),
)
FLEETS = ("baseline", "candidate")
SCENARIO = """\
name: less work
oks: {at_least: 0.8, fraction: 0.95}
missed_skeletons: {fraction: 0.03}
missing_frames: {count: 0}
"""
CANDIDATE = """\
hrnet_pose:
  ros__parameters:
    min_detection_score: 0.8
"""


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "demo_output" / "fleet")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    options = parser.parse_args()
    from hrnet_pose_ros.cli.main import main as hrnet_pose

    output: Path = options.output
    for name in ("drives", *FLEETS, "report"):  # of an earlier run; nothing else in the folder
        shutil.rmtree(output / name, ignore_errors=True)
    manifest = write_drives(output)
    (output / "scenario.yaml").write_text(SCENARIO)
    (output / "candidate.yaml").write_text(CANDIDATE)
    common = ["--precision", "float32", "--jobs", str(options.jobs)]
    words_of = (["--flip-test"], ["--params-file", str(output / "candidate.yaml")])
    for name, words in zip(FLEETS, words_of, strict=True):
        command = ["fleet", str(manifest), "-o", str(output / name), *common, *words]
        print(f"[demo-fleet] hrnet_pose {' '.join(command)}", flush=True)
        code = hrnet_pose(command)
        if code == 0:  # a drive that cannot be read has to be said
            print("error: the drive that cannot be read was not counted as failed", file=sys.stderr)
            return 1
        if code != 1:
            return code
    command = ["fleet-compare", *(str(output / name) for name in FLEETS)]
    command += ["-o", str(output / "report"), "--scenario", str(output / "scenario.yaml")]
    command += ["--moved-below", "0.8"]
    print(f"[demo-fleet] hrnet_pose {' '.join(command)}", flush=True)
    code = hrnet_pose(command)
    if code not in (0, 1):  # the candidate may fail: that is what the page shows
        return code
    print(f"[demo-fleet] open {output / 'report' / 'report.html'}")
    return 0


def write_drives(output: Path) -> Path:
    """Write the drives and their manifest into a folder; returns the manifest."""
    from demo.fleet.bags import ClipCutter, damage

    cutters = {"day": ClipCutter(), "dusk": ClipCutter(brightness=DUSK)}
    lines = ["path,site,light"]
    for name, first, site, light in DRIVES:
        bag = cutters[light].write(output / "drives" / name, first, IMAGES)
        lines.append(f"drives/{name},{site},{light}")
        file = next(bag.glob("*.mcap"))
        if name.endswith("unreadable"):
            damage(bag, 2)
        elif name.endswith("power_loss"):
            (bag / "metadata.yaml").unlink()
            file.rename(bag / "power_loss_0.mcap")
            with (bag / "power_loss_0.mcap").open("rb+") as opened:
                opened.truncate(opened.seek(0, 2) * 2 // 3)
    manifest = output / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
