# SPDX-License-Identifier: Apache-2.0
"""Reads and writes video files as RGB frames (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np


class VideoError(ValueError):
    """A file is not a readable video."""


class VideoReader:
    """The frames of a video file.

    Attributes
    ----------
    rate
        Frames per second, 25 if the file does not specify it.
    frames
        Number of frames according to the file; 0 if it does not specify it.

    Raises
    ------
    VideoError
        The file does not exist, is not a video, or has no video stream.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except (OSError, ValueError, IndexError) as error:  # PyAV's errors derive from these
            raise VideoError(f"{path} cannot be read as a video: {error}") from None
        self._stream.thread_type = "AUTO"
        self.rate = float(self._stream.average_rate or 25)
        self.frames = int(self._stream.frames)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield ``(seconds since the first frame, uint8 RGB [H, W, 3])``; stops at damaged data."""
        first: float | None = None
        try:
            for number, frame in enumerate(self._container.decode(self._stream)):
                seconds = number / self.rate if frame.time is None else float(frame.time)
                first = seconds if first is None else first
                yield seconds - first, frame.to_ndarray(format="rgb24")
        except av.FFmpegError:
            return


class VideoWriter:
    """Writes H.264 that browsers and players can show; a context manager."""

    def __init__(self, path: Path, rate: float) -> None:
        self._container = av.open(str(path), "w")
        self._rate = Fraction(rate).limit_denominator(1000)
        self._stream: av.VideoStream | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a uint8 RGB frame; all frames must have the same size.

        H.264 with chroma subsampling needs even sizes: an odd last row or column is dropped.
        """
        height, width = (side - side % 2 for side in frame.shape[:2])
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "veryfast"}
        even = np.ascontiguousarray(frame[:height, :width])
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")):
            self._container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
