# SPDX-License-Identifier: Apache-2.0
"""Reads and writes video files as RGB frames (PyAV)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

# Clock of written videos: a multiple of all usual rates (that of MPEG).
TICKS = 90_000
# A video that ends this much before the end that its file declares was cut off: periods of a frame
# and, where only the duration of the whole file is declared, seconds.
EARLY_PERIODS, EARLY_SECONDS = 2.5, 1.0
# Largest part of the other axis in a matrix that turns by a multiple of 90 degrees.
SKEW = 0.02


class VideoError(ValueError):
    """A file is not a readable video."""


class VideoReader:
    """The frames of a video file, as a player shows them.

    Phones store videos as the sensor sees them, with a rotation in the metadata: it is applied.

    Attributes
    ----------
    rate
        Average number of frames per second, 25 if the file does not specify it. The times of the
        frames say when each is due: many videos have no constant rate.
    frames
        Number of frames according to the file; 0 if it does not specify it.

    Raises
    ------
    VideoError
        The file does not exist, is not a video, has no video stream, or its codec is not known.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
            self._stream.thread_type = "AUTO"
        except IndexError:
            raise VideoError(f"{path} cannot be read as a video: it has no video stream") from None
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{path} cannot be read as a video: {error}") from None
        if self._stream.codec_context is None:
            raise VideoError(f"{path} cannot be read as a video: its codec is not known")
        self.rate = float(self._stream.average_rate or 25)
        self.frames = int(self._stream.frames)
        self._packets = self._read = self._damaged = self._undecodable = 0
        self._fault = ""
        self._end: float | None = None  # of the last frame, on the stream's clock

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield ``(seconds since the first frame, uint8 RGB [H, W, 3])``; times increase.

        Frames that cannot be decoded are left out, those that are decoded in part are yielded;
        both are counted in `loss`.

        Raises
        ------
        VideoError
            The video is turned by an angle that is not a multiple of 90 degrees.
        """
        first: float | None = None
        last = -1.0
        for number, frame in enumerate(self._decoded()):
            time = number / self.rate if frame.time is None else float(frame.time)
            self._end = time + 1 / self.rate
            first = time if first is None else first
            seconds = time - first
            if seconds <= last:  # a clock that begins again, as in joined recordings
                seconds = last + 1 / self.rate
            last = seconds
            self._read += 1
            self._damaged += bool(frame.is_corrupt)
            yield seconds, self._as_shown(frame)
        self._find_end()

    @property
    def loss(self) -> str:
        """One sentence that says what was lost or damaged in the frames that were read so far.

        It is empty if nothing was. That the file was cut off is known only after the last frame.
        """
        parts = []
        if self._undecodable:
            parts.append(f"{self._undecodable} damaged places cannot be decoded")
        if self._damaged:
            parts.append(f"{self._damaged} images are damaged in part")
        if self._fault:
            parts.append(self._fault)
        if not parts:
            return ""
        read = f"{self._read} of {self.frames}" if self.frames else f"{self._read}"
        return f"{self._path} is damaged: {', '.join(parts)}; {read} images were read"

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._fault = f"reading stopped ({error.strerror})"
                packet = None
            if packet is None:
                return
            self._packets += packet.size > 0
            self._undecodable += bool(packet.size and packet.is_corrupt)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._undecodable += not packet.is_corrupt
                continue
            yield from frames

    def _find_end(self) -> None:
        """Compare the end of the last frame with the end that the file declares."""
        stream, container = self._stream, self._container
        declared, tolerance = None, EARLY_PERIODS / self.rate
        text = stream.metadata.get("DURATION", "")  # Matroska, such as 00:00:03.200000000
        if stream.duration is not None and stream.time_base is not None:
            begin = stream.start_time or 0
            declared = float((begin + stream.duration) * stream.time_base)
        elif text.count(":") == 2:
            hours, minutes, seconds = text.split(":")
            try:
                declared = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
            except ValueError:
                declared = None
        elif container.duration is not None:
            declared = ((container.start_time or 0) + container.duration) / av.time_base
            tolerance += EARLY_SECONDS  # sound may be longer
        if self._fault or self._end is None:
            return
        # An MP4 file may leave frames out by an edit list, others may not.
        if self.frames > self._packets and "mp4" not in container.format.name:
            self._fault = f"{self.frames - self._packets} images that it declares are not there"
        elif declared is not None and declared - self._end > tolerance:
            missing = declared - self._end
            self._fault = f"it ends {missing:.1f} s before the end that it declares"

    def _as_shown(self, frame: av.VideoFrame) -> np.ndarray:
        """The pixels, turned and mirrored as the frame's display matrix says."""
        pixels: np.ndarray = frame.to_ndarray(format="rgb24")
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return pixels
        # x' = a·x + c·y, y' = b·x + d·y, y downwards (ISO 14496-12, 8.3.2).
        a, b, _, c, d = struct.unpack("=9i", bytes(matrix))[:5]
        straight, exchanged = max(abs(a), abs(d)), max(abs(b), abs(c))
        if min(straight, exchanged) > SKEW * max(straight, exchanged):
            raise VideoError(
                f"{self._path} cannot be read as a video: its metadata turn it by an angle that "
                "is not a multiple of 90 degrees; turn it with an editor"
            )
        if exchanged > straight:
            pixels, mirrored, upside_down = pixels.transpose(1, 0, 2), c < 0, b < 0
        else:
            mirrored, upside_down = a < 0, d < 0
        pixels = pixels[:, ::-1] if mirrored else pixels
        return np.ascontiguousarray(pixels[::-1] if upside_down else pixels)


class VideoWriter:
    """Writes H.264 in MP4 that browsers and players can show; a context manager.

    ``rate`` is the number of frames per second of the frames that are written without a time.

    Raises
    ------
    OSError
        The file cannot be written, on opening, while writing or at the end; the message names it.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._path = path
        # A Python file reports a full disk when it is closed; FFmpeg's own does not.
        self._file = path.open("wb")
        self._container = av.open(self._file, "w", format="mp4")
        self._rate = Fraction(rate).limit_denominator(1000)
        self._stream: av.VideoStream | None = None
        self._next = 0

    def write(self, frame: np.ndarray, seconds: float | None = None) -> None:
        """Append a uint8 RGB frame; one of another size than the first is scaled to it.

        ``seconds`` is when the frame is due, since the first one; by default one period after the
        frame before. H.264 with chroma subsampling needs even sizes: an odd last row or column is
        dropped.
        """
        if self._stream is None:
            height, width = (side - side % 2 for side in frame.shape[:2])
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "20", "preset": "veryfast"}
            self._stream.codec_context.time_base = Fraction(1, TICKS)
            self._size = frame.shape[:2]
        if frame.shape[:2] != self._size:
            frame = cv2.resize(frame, self._size[::-1], interpolation=cv2.INTER_AREA)
        even = np.ascontiguousarray(frame[: self._stream.height, : self._stream.width])
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        ticks = self._next if seconds is None else max(self._next, round(seconds * TICKS))
        period = round(TICKS / self._rate)
        picture.pts, picture.time_base = ticks, Fraction(1, TICKS)
        self._next = ticks + (period if seconds is None else 1)
        self._mux(picture)

    def _mux(self, picture: av.VideoFrame | None) -> None:
        assert self._stream is not None
        try:
            for packet in self._stream.encode(picture):
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> OSError:
        return OSError(f"'{self._path}' cannot be written: {getattr(error, 'strerror', error)}")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                try:
                    if self._stream is not None:
                        self._mux(None)
                finally:
                    self._container.close()
        except (av.FFmpegError, OSError) as failure:
            if error is None:
                raise self._error(failure) from failure
