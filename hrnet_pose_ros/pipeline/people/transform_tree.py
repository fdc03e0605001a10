# SPDX-License-Identifier: Apache-2.0
"""Where the sensors are, from TF messages and parameters: the fusion's `Extrinsics`.

The node and the offline run use the same tree. tf2's buffer exists for running nodes only, and in
Python it needs a thread of its own; here a transform is a function of the messages before it, so
that an offline run gives the same people every time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from hrnet_pose_ros.fusion.buffers import JUMP_NS, NS
from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.pipeline.people.message_fields import frame_name
from hrnet_pose_ros.pipeline.stamps import stamp_of

# Moving transforms are kept for this long, as by tf2, and interpolated over at most this gap, s.
MEMORY, LONGEST_GAP = 10.0, 1.0
# At most so many frames are kept: more are no robot, but a fault.
MOST_FRAMES = 2000
# At most so many frames are remembered for their transforms not being usable.
MOST_UNUSABLE = 20


class Coverage(Enum):
    """What a tree knows of a frame at a stamp."""

    KNOWN = "known"
    NOT_YET = "not yet"  # the newest transform on the way is older
    UNKNOWN = "unknown"


class _Edge:
    """The transforms from a child to its parent: one for ever, or samples by stamp."""

    def __init__(self, parent: str, *, static: bool) -> None:
        self.parent, self.static = parent, static
        self.fixed: Transform | None = None
        self.heard = 0  # when the last one arrived, ns
        self.samples: list[tuple[int, int, Transform]] = []  # stamp, a number, transform
        self._count = 0

    def add(self, stamp: int, transform: Transform) -> None:
        if self.static:
            self.fixed = transform
            return
        if self.samples and stamp < self.samples[-1][0] - JUMP_NS:
            self.samples.clear()  # the time jumped back
        self._count += 1
        insort(self.samples, (stamp, self._count, transform), key=lambda one: one[:2])
        oldest = self.samples[-1][0] - round(MEMORY * NS)
        while self.samples[0][0] < oldest:
            self.samples.pop(0)

    def at(self, stamp: int) -> Transform | None:
        if self.static:
            return self.fixed
        n = bisect_left(self.samples, stamp, key=lambda one: one[0])
        if n == len(self.samples):
            return None
        after, _, second = self.samples[n]
        if after == stamp:
            return second
        if n == 0:
            return None
        before, _, first = self.samples[n - 1]
        if after - before > LONGEST_GAP * NS:
            return None
        return interpolated(first, second, (stamp - before) / (after - before))


class TransformTree:
    """Transforms by frame; the newest message decides who a frame's parent is.

    Parameters
    ----------
    base_frame
        The frame that all transforms lead to.
    fixed
        Transforms from sensors' frames to ``base_frame`` that parameters give. They win over TF.

    Attributes
    ----------
    refused
        How many transforms of messages were not usable.
    unusable
        Why the newest transform of a frame is not usable, by frame; no other frames.

    Examples
    --------
    >>> from hrnet_pose_ros.pipeline.people.transform_tree import TransformTree
    >>> tree = TransformTree("base_link", {"laser": Transform.identity()})
    >>> tree.coverage("laser", 0), tree.coverage("camera", 0)
    (<Coverage.KNOWN: 'known'>, <Coverage.UNKNOWN: 'unknown'>)
    """

    def __init__(self, base_frame: str, fixed: Mapping[str, Transform] | None = None) -> None:
        self.base_frame = base_frame
        self.refused = 0
        self.unusable: dict[str, str] = {}
        self._fixed = {base_frame: Transform.identity()} | dict(fixed or {})
        self._edges: dict[str, _Edge] = {}
        self._constant: dict[str, Transform] = {}  # by frame, where the whole way is static

    def add(self, message: Any, *, static: bool, now: int) -> list[str]:
        """Take a ``tf2_msgs/TFMessage``; return why some of its transforms are not usable.

        ``now`` is when it arrived, ns on one clock for all messages.
        """
        problems = []
        for one in message.transforms:
            problem, frame = self._add(one, static=static, now=now), frame_name(one.child_frame_id)
            if problem:
                self.refused += 1
                problems.append(problem)
                if len(self.unusable) < MOST_UNUSABLE:
                    self.unusable[frame] = problem
            else:
                self.unusable.pop(frame, None)
        return problems

    def forget_moving(self) -> None:
        """Forget the samples of moving transforms, as tf2 does when the clock goes back."""
        for edge in self._edges.values():
            edge.samples.clear()

    def sensor_to_base(self, frame: str, stamp: int) -> Transform | None:
        """Return the transform from a frame to the base frame at a stamp in ns; None: not known.

        Moving transforms are interpolated, never extrapolated.
        """
        known = self._fixed.get(frame) or self._constant.get(frame)
        if known is not None:
            return known
        way = self._way(frame)
        if way is None:
            return None
        up, down = way
        result = Transform.identity()
        for edge in up:
            step = edge.at(stamp)
            if step is None:
                return None
            result = step @ result
        back = Transform.identity()
        for edge in down:
            step = edge.at(stamp)
            if step is None:
                return None
            back = step @ back
        result = back.inverse() @ result
        if all(edge.static for edge in (*up, *down)):
            self._constant[frame] = result
        return result

    def coverage(self, frame: str, stamp: int, patience: float = 0.0) -> Coverage:
        """Return whether a transform is known at a stamp (ns), or may become known.

        It may if the newest transforms on the way are at most ``patience`` s older than the stamp.
        """
        if self.sensor_to_base(frame, stamp) is not None:
            return Coverage.KNOWN
        way = self._way(frame)
        if way is None:
            return Coverage.UNKNOWN
        moving = [edge for part in way for edge in part if edge.at(stamp) is None]
        oldest = stamp - round(patience * NS)
        behind = all(e.samples and oldest <= e.samples[-1][0] < stamp for e in moving)
        return Coverage.NOT_YET if behind else Coverage.UNKNOWN

    def _way(self, frame: str) -> tuple[list[_Edge], list[_Edge]] | None:
        """Return the edges from a frame and from the base up to their first common ancestor."""
        names, edges = self._ancestors(frame)
        base_names, base_edges = self._ancestors(self.base_frame)
        common = next((name for name in names if name in base_names), None)
        if common is None:
            return None
        return edges[: names.index(common)], base_edges[: base_names.index(common)]

    def _ancestors(self, frame: str) -> tuple[list[str], list[_Edge]]:
        """Return the frame and its ancestors, and the edges between them; a circle ends it."""
        names, edges = [frame], []
        while (edge := self._edges.get(names[-1])) is not None and edge.parent not in names:
            edges.append(edge)
            names.append(edge.parent)
        return names, edges

    def _add(self, stamped: Any, *, static: bool, now: int) -> str:
        child, parent = frame_name(stamped.child_frame_id), frame_name(stamped.header.frame_id)
        if not child or not parent or child == parent:
            return f"a transform is from '{child}' to '{parent}'"
        t, q = stamped.transform.translation, stamped.transform.rotation
        try:
            transform = Transform.from_quaternion([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
        except ValueError as error:
            return f"the transform from '{child}' to '{parent}': {error}"
        edge = self._edges.get(child)
        if edge is None and not static:
            self._forget_gone(now)
        if edge is None and len(self._edges) >= MOST_FRAMES:
            return f"the transform from '{child}': there are {MOST_FRAMES} frames already"
        if edge is None or edge.parent != parent or edge.static != static:
            edge = self._edges[child] = _Edge(parent, static=static)
            self._constant.clear()
        elif static:
            self._constant.clear()
        edge.add(stamp_of(stamped), transform)
        edge.heard = now
        return ""

    def _forget_gone(self, now: int) -> None:
        """Forget moving frames that have not been heard of for as long as samples are kept.

        Frames of bodies and tracked objects come under new names all day: kept, they would fill the
        tree, and a sensor that starts later would find no place in it.
        """
        oldest = now - round(MEMORY * NS)
        self._edges = {
            child: edge
            for child, edge in self._edges.items()
            if edge.static or edge.heard >= oldest
        }


def camera_upwards(frame: str, base: str) -> str:
    """Return what is wrong with a camera that `looks_up`."""
    return (
        f"the camera in '{frame}' looks straight up in '{base}': z of an optical frame points "
        "forward and y down (REP 103); the driver may give the frame of the housing instead"
    )


def interpolated(first: Transform, second: Transform, fraction: float) -> Transform:
    """Return the transform at a fraction of the way between two: linear, and slerp."""
    rotations = Rotation.from_matrix(np.stack([first.rotation, second.rotation]))
    turn = Slerp([0.0, 1.0], rotations)(fraction).as_matrix()
    shift = (1 - fraction) * first.translation + fraction * second.translation
    return Transform(turn, shift)
