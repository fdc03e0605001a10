# SPDX-License-Identifier: Apache-2.0
"""The ids of the persons of an image: the detector's, and assigned ones where it gives none.

The rules
---------
* An id from the detector is kept, whatever it is. Only persons without one get an assigned id:
  `PREFIX` and a number, as in ``hrnet_7``.
* An assigned id is never used for a second person while the object lives, also not after a time
  jump or a change of the engine.
* Assigned ids cannot collide with the detector's: if the detector itself reports an id of this
  form, later numbers are above it, and a person who has the id already gets another one.
* The person of an image without detections, who stands for the whole image, has no id: every such
  image has the same box, whoever is in it.
* All persons are tracked, also those with an id from the detector, so that a person whose detector
  loses and finds an id comes back to the same assigned id. As long as the detector has given an id
  to everybody, nothing is tracked.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from hrnet_pose_ros.fusion.image_tracker import ImageTracker
from hrnet_pose_ros.pipeline.detections import Persons
from hrnet_pose_ros.pipeline.pairing import Pair
from hrnet_pose_ros.pipeline.settings import IDS_NEVER, Settings
from hrnet_pose_ros.pose.poses import Poses

PREFIX = "hrnet_"
# Numbers with more digits are never reached.
_ASSIGNED = re.compile(re.escape(PREFIX) + r"([0-9]{1,15})")


class PersonIds:
    """Assigns ids to the persons of consecutive images; see the rules above. Not thread-safe.

    Examples
    --------
    The detector knows the first person only:

    >>> import numpy as np
    >>> from hrnet_pose_ros.pipeline.person_ids import PersonIds
    >>> ids = PersonIds()
    >>> boxes = np.array([[100, 50, 30, 90], [300, 50, 30, 90]])
    >>> ids.assign(0, 0, ["car_driver", ""], boxes)
    ['car_driver', 'hrnet_1']
    >>> ids.assign(100_000_000, 0, ["", ""], boxes + [3, 0, 0, 0])
    ['hrnet_2', 'hrnet_1']
    """

    def __init__(self) -> None:
        self._tracker = ImageTracker()
        self._epoch = 0
        self._tracking = False
        self._next = 1
        self._number_of: dict[int, int] = {}  # of a track: the number in its assigned id

    def complete(self, persons: Persons, poses: Poses, pair: Pair, settings: Settings) -> Persons:
        """Return the persons of a pair with the ids that the detector did not give."""
        if settings.assign_ids == IDS_NEVER or pair.detections is None:
            return persons
        ids = self.assign(pair.image.stamp, pair.epoch, persons.ids, persons.boxes, poses)
        return dataclasses.replace(persons, ids=ids)

    def assign(
        self,
        stamp_ns: int,
        epoch: int,
        ids: Sequence[str],
        boxes: np.ndarray,
        poses: Poses | None = None,
    ) -> list[str]:
        """Return the ids of the persons of one image.

        Parameters
        ----------
        stamp_ns
            The image's stamp, nanoseconds.
        epoch
            `Pair.epoch`: a number that changes when time jumps. Nobody is recognised across it.
        ids
            N ids from the detector, "" for persons without one.
        boxes
            float ``[N, 4]``: x, y, width, height in image pixels.
        poses
            The N poses.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._tracker.reset()
        self._keep_clear_of(ids)
        self._tracking |= "" in ids
        if not self._tracking:
            return list(ids)
        tracks = self._tracker.step(stamp_ns, boxes, poses, ids).tolist()
        alive = self._tracker.numbers
        self._number_of = {one: n for one, n in self._number_of.items() if one in alive}
        for track in sorted(track for track, own in zip(tracks, ids, strict=True) if not own):
            if track not in self._number_of:
                self._number_of[track] = self._next
                self._next += 1
        return [
            own or f"{PREFIX}{self._number_of[track]}"
            for track, own in zip(tracks, ids, strict=True)
        ]

    def _keep_clear_of(self, ids: Sequence[str]) -> None:
        """Never assign what the detector has used."""
        used = {int(match[1]) for one in ids if (match := _ASSIGNED.fullmatch(one))}
        if used:
            self._next = max(self._next, *(number + 1 for number in used))
            kept = {track: n for track, n in self._number_of.items() if n not in used}
            self._number_of = kept
