# SPDX-License-Identifier: Apache-2.0
"""What the launch files check before they start anything: files, bags and topics.

``ros2 launch`` itself goes on when a parameter file is missing, and ends with 0 when a process has
failed. The files therefore call the program ``launch_check`` in a substitution, and a check that
fails ends the launch with an error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# A topic that is only now appearing is discovered within this time, seconds.
DEFAULT_WAIT = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one check; returns 0, or 1 after an error, which is printed as one line."""
    options = arguments_parser().parse_args(arguments)
    try:
        for warning in options.run(options):
            print(warning, file=sys.stderr)
    except (ValueError, RuntimeError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


def arguments_parser() -> argparse.ArgumentParser:
    """Return the parser of the checks and their arguments."""
    parser = argparse.ArgumentParser(prog="launch_check", description=__doc__)
    checks = parser.add_subparsers(metavar="CHECK", required=True)

    one = checks.add_parser("parameters", help="a parameter file")
    one.add_argument("file")
    one.set_defaults(run=_check_parameters)

    one = checks.add_parser("replay", help="a bag, its topics, and where answers are recorded")
    one.add_argument("bag", type=Path)
    one.add_argument("--image", required=True)
    one.add_argument("--image-transport", choices=("raw", "compressed"), required=True)
    one.add_argument("--detections", required=True)
    one.add_argument("--record", choices=("true", "false", "True", "False"), default="false")
    one.add_argument("--output", type=Path, required=True)
    one.set_defaults(run=_check_replay)

    one = checks.add_parser("record", help="topics that are recorded, and the new bag's folder")
    one.add_argument("--output", type=Path, required=True)
    one.add_argument("--image", required=True)
    one.add_argument("--others", nargs="*", default=[])
    one.add_argument("--wait", type=float, default=DEFAULT_WAIT)
    one.set_defaults(run=_check_record)
    return parser


def _check_parameters(options: argparse.Namespace) -> list[str]:
    from hrnet_pose_ros.ros.parameter_sources import check_parameter_files

    check_parameter_files(["--ros-args", "--params-file", options.file])
    return []


def _check_replay(options: argparse.Namespace) -> list[str]:
    from hrnet_pose_ros.pipeline.image_transport import TRANSPORTS
    from hrnet_pose_ros.replay.bags import BagReader
    from hrnet_pose_ros.replay.topics import image_candidates

    if options.record.lower() == "true":
        _check_new(options.output)
    transport = TRANSPORTS[options.image_transport]
    with BagReader(options.bag) as bag:
        topics = {name: info for name, info in bag.topics.items() if info.count}
    wanted = options.image + transport.topic_suffix
    if wanted not in topics:
        found = [f"{name} ({topics[name].type})" for name in image_candidates(topics)]
        raise ValueError(
            f"the bag {options.bag} has no images on {wanted}; it has "
            f"{', '.join(found) or 'none at all'}: set image and image_transport"
        )
    if topics[wanted].type != transport.message_type:
        raise ValueError(
            f"{wanted} in the bag {options.bag} is a {topics[wanted].type}; with image_transport "
            f"{transport.name} it has to be {transport.message_type}"
        )
    if options.detections not in topics:
        return [f"the bag {options.bag} has no detections on {options.detections}"]
    return []


def _check_record(options: argparse.Namespace) -> list[str]:
    _check_new(options.output)
    missing = _unpublished([options.image, *options.others], options.wait)
    if options.image in missing:
        raise ValueError(
            f"nobody publishes {options.image} (waited {options.wait:g} s): set image and "
            "image_transport, or start the camera first; 'ros2 topic list' names the topics"
        )
    return [f"nobody publishes {topic} yet" for topic in sorted(missing)]


def _check_new(folder: Path) -> None:
    if folder.exists():
        raise ValueError(
            f"output: {folder} exists already; rosbag2 does not write into an existing folder: "
            "name another one"
        )


def _unpublished(topics: Sequence[str], wait: float) -> set[str]:
    """Wait until all topics have publishers; return those that have none after ``wait`` s."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("hrnet_pose_launch_check", enable_rosout=False)
    try:
        names = {node.resolve_topic_name(topic): topic for topic in topics}
        deadline = time.monotonic() + wait
        while True:
            missing = {topic for name, topic in names.items() if not node.count_publishers(name)}
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.1)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
