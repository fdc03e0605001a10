# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fuse``: the work of the node `person_fusion` on bags, without ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import Verbs

if TYPE_CHECKING:
    from hrnet_pose_ros.pipeline.people.fusion_inputs import Input


def add_fuse(verbs: Verbs) -> None:
    """``hrnet_pose fuse BAG... -o OUT_BAG``"""
    parser = verbs.add_parser(
        "fuse",
        help="turn the skeletons and sensors of a rosbag2 into people in metres, without ROS",
        description="Read skeletons and whatever sensors there are of one or several bags, and "
        "write the people around the vehicle into a new one, by the code of the node person_fusion "
        "and without ROS. Two runs write the same messages. Says what became of every message.",
    )
    parser.add_argument(
        "bags",
        type=Path,
        nargs="+",
        metavar="BAG",
        help="read together by their log times; a topic that is in several is read from the last",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT_BAG")
    parser.add_argument("--params-file", type=Path, metavar="YAML", help="the node's parameters")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="INPUT=TOPIC",
        help="like points=/front/points; default: the only topic of the type. Again for each of "
        "several topics of range, tf and tf_static",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="INPUT",
        help="leave an input out, like points",
    )
    parser.set_defaults(run=_fuse)


def _fuse(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
    from hrnet_pose_ros.replay.fuse import fuse
    from hrnet_pose_ros.replay.parameter_file import node_settings

    topics: dict[Input, list[str]] = {}
    for text in options.topic:
        name, equals, topic = text.partition("=")
        if not (equals and topic):
            raise ValueError(
                f"--topic must be INPUT=TOPIC, like points=/lidar/points; got {text!r}"
            )
        topics.setdefault(_input(name), []).append(topic)
    done = fuse(
        options.bags,
        options.output,
        node_settings(options.params_file, {}, PersonFusionSettings, "person_fusion"),
        topics=topics,
        without=[_input(name) for name in options.without],
        warn=lambda text: print(text, file=sys.stderr),
    )
    print(f"{options.output}: {done.summary()}")


def _input(name: str) -> Input:
    from hrnet_pose_ros.pipeline.people.fusion_inputs import Input

    try:
        return Input(name)
    except ValueError:
        known = ", ".join(one.value for one in Input)
        raise ValueError(f"there is no input {name!r}; there are {known}") from None
