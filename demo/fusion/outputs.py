# SPDX-License-Identifier: Apache-2.0
"""The files of the fusion demo: video, sheet of stills, and the node's answers as a bag."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message

from demo.clips import shift_stamps
from demo.fusion.answers import FusionAnswers
from demo.fusion.drive import Drive
from demo.fusion.moments import DriveMoment
from demo.fusion.pictures import draw_moment
from demo.outputs import grid, write_bag
from demo.play import Recording
from hrnet_pose_ros.image_files import write_image_file
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.simulation.truth import Truth
from hrnet_pose_ros.video import VideoWriter

VIDEO, SHEET, ANSWERS = "fusion.mp4", "fusion.png", "fusion_answers"
DRIVE = "fusion_drive"
SHEET_IMAGES, SHEET_COLUMNS, SHEET_WIDTH = 6, 2, 1280


def moments(drive: Drive, answers: FusionAnswers) -> Iterator[DriveMoment]:
    """What the video shows, image by image."""
    for view in drive.views():
        yield DriveMoment(
            seconds=(view.stamp - drive.start) / 1e9,
            picture=view.picture,
            poses=view.poses,
            boxes=view.boxes,
            truth=drive.truths.get(view.stamp, Truth(view.stamp, ())),
            people=answers.people.get(view.stamp),
            obstacles=view.obstacles,
            points=view.points,
            refused=answers.refused_before(view.stamp),
        )


def write_pictures(drive: Drive, answers: FusionAnswers, folder: Path) -> list[str]:
    """Write the video, every image of the drive, and a sheet of stills over the drive.

    Returns
    -------
    The names of the files that were written.
    """
    middles = (np.arange(SHEET_IMAGES) + 0.5) / SHEET_IMAGES * drive.images
    chosen = set(middles.astype(int).tolist())
    stills, first = [], 0.0
    with VideoWriter(folder / VIDEO, drive.rate) as video:
        shown = progress("drawing", "image", drive.images, moments(drive, answers))
        for number, moment in enumerate(shown):
            picture = draw_moment(moment, drive.camera)
            first = moment.seconds if number == 0 else first
            video.write(picture, moment.seconds - first)
            if number in chosen:
                stills.append(picture)
    if not stills:
        return [VIDEO]
    write_image_file(folder / SHEET, grid(stills, SHEET_COLUMNS, SHEET_WIDTH))
    return [VIDEO, SHEET]


def write_answers(recording: Recording, folder: Path) -> None:
    """Write the node's answers into a new bag, in the time of the drive.

    So they have the stamps of the drive's own bag, and can be compared with the truth in it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shifted = Recording(recording.types)
    for topic, arrival, data in recording.messages:
        message = recording.message(topic, data)
        shift_stamps(message, -recording.offset)
        shifted.messages.append((topic, recording.clip_time(arrival), serialize_message(message)))
    write_bag(shifted, folder)
