# SPDX-License-Identifier: Apache-2.0
"""The people recorded in a bag: estimates, or a simulation's truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.people.message_fields import frame_name
from hrnet_pose_ros.pipeline.people.person_messages import PERSON_ARRAY
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.replay.bags import BagReader

USUAL_NAME = "people"
ERROR = 2  # PersonArray.ERROR


@dataclass(frozen=True)
class PeopleFrame:
    """The N people at one image.

    Attributes
    ----------
    stamp
        The image's, ns.
    ids, indices
        The ids of the tracks, and ``skeleton_index`` as int ``[N]``, -1 while coasting.
    positions, covariances
        float64 ``[N, 2]`` m and ``[N, 2, 2]`` m² of x and y.
    existence
        float64 ``[N]``.
    status
        Of the PersonArray.
    """

    stamp: int
    ids: tuple[str, ...]
    indices: np.ndarray
    positions: np.ndarray
    covariances: np.ndarray
    existence: np.ndarray
    status: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def distances(self) -> np.ndarray:
        """float64 ``[N]``: from the origin of the frame, m."""
        return np.hypot(self.positions[:, 0], self.positions[:, 1])


@dataclass(frozen=True)
class PeopleAnswers:
    """All frames of a bag in ascending order of stamps.

    ``errors`` counts the PersonArrays of status ERROR, which are no frames; ``repeated`` those of
    which the stamp occurred before. ``frame_id`` is that of the first frame; empty: not known.
    """

    name: str
    topic: str
    frames: Mapping[int, PeopleFrame]
    errors: int = 0
    repeated: int = 0
    loss: str = field(default="")
    frame_id: str = ""


def people_frame_of(message: Any) -> PeopleFrame:
    """The frame of a PersonArray of rclpy or rosbags."""
    people = message.people
    covariances = np.array([one.covariance for one in people], np.float64).reshape(-1, 6, 6)
    return PeopleFrame(
        stamp=stamp_of(message),
        ids=tuple(str(one.id) for one in people),
        indices=np.array([one.skeleton_index for one in people], np.int64),
        positions=np.array([(p.position.x, p.position.y) for p in people]).reshape(-1, 2),
        covariances=covariances[:, :2, :2],
        existence=np.array([one.existence for one in people], np.float64),
        status=int(message.status),
    )


def read_people(path: Path, topic: str = "") -> PeopleAnswers:
    """Read the people of a bag.

    Parameters
    ----------
    topic
        The PersonArray topic. Empty: the only such topic, or the only one named "people".

    Raises
    ------
    ValueError
        The bag cannot be read, has no such topic, or several.
    """
    with BagReader(path) as bag:
        for name, problem in bag.other_versions.items():
            raise ValueError(f"{path}, {name}: {problem}")
        topic = _topic({name: one.type for name, one in bag.topics.items()}, topic, path)
        frames: dict[int, PeopleFrame] = {}
        errors = repeated = 0
        frame_id = ""
        for item in bag.messages([topic]):
            frame = people_frame_of(item.message)
            if frame.status == ERROR:
                errors += 1
                continue
            frame_id = frame_id or frame_name(item.message.header.frame_id)
            repeated += frame.stamp in frames
            frames.setdefault(frame.stamp, frame)
        loss = bag.loss
    in_order = dict(sorted(frames.items()))
    return PeopleAnswers(str(path), topic, in_order, errors, repeated, loss, frame_id)


def _topic(kinds: Mapping[str, str], wanted: str, path: Path) -> str:
    found = sorted(name for name, kind in kinds.items() if kind == PERSON_ARRAY)
    if wanted:
        if wanted not in found:
            raise ValueError(
                f"{path} has no topic '{wanted}' of {PERSON_ARRAY}; it has {', '.join(kinds)}"
            )
        return wanted
    if len(found) > 1:
        found = [name for name in found if name.rpartition("/")[2] == USUAL_NAME] or found
    if not found:
        raise ValueError(
            f"{path} has no topic of {PERSON_ARRAY}; it has {', '.join(kinds) or 'none'}: make it "
            "with hrnet_pose fuse or hrnet_pose simulate"
        )
    if len(found) > 1:
        raise ValueError(
            f"{path} has several topics of {PERSON_ARRAY}: {', '.join(found)}; set golden_topic or "
            "topic in the scenario"
        )
    return found[0]
