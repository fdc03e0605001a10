# SPDX-License-Identifier: Apache-2.0
"""What all readers of sensor messages share: the header, byte buffers, and why one is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.stamps import stamp_of


class MessageRefused(ValueError):
    """A message cannot be used; the text names the field, its value and the way out.

    Attributes
    ----------
    reason
        Under which it is counted.
    """

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def malformed(text: str) -> MessageRefused:
    """Return the error of a message with values that no sensor can mean."""
    return MessageRefused(Refusal.MALFORMED, text)


def explained(reason: Refusal, stamp: int, frame: str, now: int, base: str) -> str:
    """Return what is wrong with a message, for the log; times in ns, ``now`` of the clock."""
    if reason is Refusal.NO_EXTRINSICS:
        return (
            f"the place of '{frame}' in '{base}' is not known at its stamp: publish the transform, "
            "or set the parameter extrinsics"
        )
    if reason is Refusal.IN_FUTURE:
        return f"the stamp is {(stamp - now) / NS:.3f} s ahead of the clock"
    if reason is Refusal.TOO_OLD:
        return f"the stamp is {(now - stamp) / NS:.3f} s old on arrival"
    if reason is Refusal.LATE:
        return "the stamp repeats or goes back"
    return f"values that no sensor can mean, in frame '{frame}'"


def stamp_and_frame(message: Any) -> tuple[int, str]:
    """Return stamp (ns) and frame of a message's header.

    Raises MessageRefused (``no_extrinsics``) if the frame is empty: where the sensor is would be a
    guess.
    """
    frame = frame_name(message.header.frame_id)
    if not frame:
        raise MessageRefused(
            Refusal.NO_EXTRINSICS, "header.frame_id is empty: set it in the sensor's driver"
        )
    return stamp_of(message), frame


def frame_name(frame_id: str) -> str:
    """Return a frame id without the slash that tf of ROS 1 had before it."""
    return str(frame_id).removeprefix("/")


def byte_view(data: Any) -> np.ndarray:
    """Return the data of a message as uint8, without a copy where that is possible."""
    if isinstance(data, np.ndarray):
        return data.reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)


def rows_of(
    data: Any, *, height: int, width: int, row_step: int, item: np.dtype, name: str
) -> np.ndarray:
    """Return the items of an image or cloud, ``[height, width]``, in the byte order of ``item``.

    Rows may be padded, except that the padding of the last one may be missing. Raises
    MessageRefused if the sizes contradict each other.
    """
    raw = byte_view(data)
    wanted = width * item.itemsize
    if row_step < wanted:
        raise malformed(
            f"{name} is {row_step}, but {width} items of {item.itemsize} bytes need more"
        )
    if height == 0 or width == 0:
        return np.zeros((0, 0), item)
    needed = row_step * (height - 1) + wanted
    if len(raw) < needed:
        raise malformed(f"data has {len(raw)} bytes, but {height} rows of {row_step} need {needed}")
    rows = np.lib.stride_tricks.as_strided(
        raw[:needed], (height, wanted), (row_step, 1), writeable=False
    )
    return np.ascontiguousarray(rows).view(item)
