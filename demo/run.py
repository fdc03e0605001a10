#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo: runs a street clip through the installed pose node over DDS and draws the skeletons.

``make demo`` runs it; ``make demo VIDEO=path`` runs your own video through the person detector and
the pose node. Exit codes: 0: success; 1: no skeletons or too few images were answered, or a node
failed; 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).parent / "without_torch"))

READY_TIMEOUT = 60.0
# The small detector is slow on a CPU: wait for its detections instead of dropping every image.
VIDEO_MAX_WAIT_MS = 2000.0


def main() -> int:
    """Run the demo and return its exit code."""
    options = _options()
    from demo.clips import BagClip, VideoClip
    from demo.outputs import (
        answers_of,
        figures,
        labelled_oks,
        problem_of,
        write_bag,
        write_video_and_sheet,
    )
    from demo.play import POSE_OUTPUTS, NotReadyError, play_clip
    from demo.processes import NodeProcess, torch_importable
    from hrnet_pose_ros.video import VideoError

    try:
        clip: VideoClip | BagClip = (
            VideoClip(options.video) if options.video else BagClip(options.bag)
        )
    except (VideoError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    print(f"[demo] {clip.images or 'unknown number of'} images at {clip.rate:g} Hz", flush=True)

    remaps = ["-r", f"image:={clip.image_topic}", "-r", "detections:=/detections"]
    remaps += ["-p", f"image_transport:={clip.image_transport}"]
    nodes = {"hrnet_pose_node": [*remaps, "-r", "camera_info:=/camera/camera_info"]}
    if not clip.has_detections:
        for limit in ("max_age_ms", "max_wait_ms"):
            nodes["hrnet_pose_node"] += ["-p", f"{limit}:={VIDEO_MAX_WAIT_MS}"]
        nodes["person_detector_node"] = remaps
    with ExitStack() as stack:
        processes = [stack.enter_context(NodeProcess(*node)) for node in nodes.items()]
        try:
            recording = play_clip(clip, POSE_OUTPUTS, READY_TIMEOUT)
        except NotReadyError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    answers = answers_of(recording)
    bag = output / "answers"
    shutil.rmtree(bag, ignore_errors=True)
    write_bag(recording, bag)
    summary = figures(clip, recording, answers)
    summary["exit_codes"] = {process.name: process.exit_code for process in processes}
    summary["torch_importable"] = {"demo": torch_importable()} | {
        process.name: process.torch_importable for process in processes
    }
    if not options.video and options.labels.exists():
        summary["labelled_oks"] = labelled_oks(options.labels, clip, answers)
    written = write_video_and_sheet(clip, answers, output)
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(_summary_text(summary))
    print(f"[demo] wrote {', '.join(written)}, summary.json and answers/ in {output}")
    if problem := problem_of(summary) or clip.loss:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--video", type=Path, help="video file to use instead of the bundled clip")
    parser.add_argument(
        "--bag", type=Path, default=ROOT / "demo" / "street_bag", help="bag with the clip to play"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        default=ROOT / "test/data/street_keypoints.json",
        help="hand-labelled key points of the bag (COCO format)",
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "demo_output", help="folder for the results"
    )
    return parser.parse_args()


def _summary_text(summary: dict[str, Any]) -> str:
    """The summary for a terminal."""
    lines = [
        f"[demo] {summary['model']}, {summary['engine']}",
        f"  images      {summary['frames_answered']} of {summary['frames_played']} answered",
        f"  persons     {summary['persons']} ({summary['persons_per_second']} per second)",
    ]
    for stage, percentiles in summary["times_ms"].items():
        values = "  ".join(f"{name} {value:7.1f}" for name, value in percentiles.items())
        lines.append(f"  {stage:<12}{values} ms")
    drops = ", ".join(f"{reason} {count}" for reason, count in summary["drops"].items())
    lines.append(f"  dropped     {drops or 'nothing'}")
    if summary["valid_joints_inside_crop"] is not None:
        lines.append(
            f"  joints      {summary['valid_joints']} valid, "
            f"{summary['valid_joints_inside_crop']:.1%} inside the enlarged box (1.25)"
        )
    if oks := summary.get("labelled_oks"):
        lines.append(
            f"  OKS         mean {oks['mean']} on {oks['persons']} persons of {oks['frames']} "
            f"frames labelled by hand (median {oks['median']}, {oks['above_0.5']:.0%} above 0.5)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
