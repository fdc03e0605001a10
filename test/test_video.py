# SPDX-License-Identifier: Apache-2.0
"""Videos as people have them: turned, damaged, cut off, without a constant rate."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from hrnet_pose_ros.video import VideoError, VideoReader, VideoWriter

WIDTH, HEIGHT, FRAMES, RATE = 320, 240, 32, 10


def picture(number: int) -> np.ndarray:
    """A textured frame, white in the stored top left corner, that moves."""
    rng = np.random.default_rng(7)
    noise = cv2.resize(rng.integers(0, 120, (12, 16, 3), np.uint8), (WIDTH, HEIGHT))
    noise = np.roll(noise, 3 * number, axis=1)
    noise[:80, :80] = 255
    return noise


def encoded(path: Path, codec: str, options: dict[str, str] | None = None) -> Path:
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": "8"}
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return encoded(tmp_path / "walk.mp4", "libx264", {"movflags": "faststart"})


def read(path: Path) -> tuple[list[float], list[np.ndarray], str]:
    reader = VideoReader(path)
    assert reader.loss == ""
    frames = list(reader)
    return [time for time, _ in frames], [frame for _, frame in frames], reader.loss


def with_matrix(path: Path, *matrix: float) -> Path:
    """An MP4 file with another display matrix (a, b, c, d) in its track header."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65536) for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "turned", "corner"),
    [
        ((1, 0, 0, 1), False, (0, 0)),
        ((0, 1, -1, 0), True, (0, -1)),  # by 90 degrees clockwise, a phone held upright
        ((-1, 0, 0, -1), False, (-1, -1)),
        ((0, -1, 1, 0), True, (-1, 0)),
        ((-1, 0, 0, 1), False, (0, -1)),  # mirrored, a phone's front camera
        ((1, 0, 0, -1), False, (-1, 0)),
        ((0, 1, 1, 0), True, (0, 0)),
        ((0, -1, -1, 0), True, (-1, -1)),
    ],
)
def test_a_video_is_read_as_a_player_shows_it(
    matrix: tuple[float, ...], turned: bool, corner: tuple[int, int], video: Path
) -> None:
    _, frames, loss = read(with_matrix(video, *matrix))
    assert loss == "" and len(frames) == FRAMES
    shape = (WIDTH, HEIGHT, 3) if turned else (HEIGHT, WIDTH, 3)
    assert {frame.shape for frame in frames} == {shape}
    row, column = (slice(64) if at == 0 else slice(-64, None) for at in corner)
    assert frames[0][row, column].min() > 220
    assert (frames[0].min(axis=2) > 220).mean() < 0.15


def test_a_video_turned_by_another_angle_is_refused(video: Path) -> None:
    with pytest.raises(VideoError, match=r"walk\.mp4 .* not a multiple of 90 degrees"):
        read(with_matrix(video, 0.866, 0.5, -0.5, 0.866))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264")),
        *(("a.avi", "mpeg4"), ("b.avi", "mjpeg"), ("a.webm", "libvpx")),
    ],
)
def test_a_whole_video_is_complete(name: str, codec: str, tmp_path: Path) -> None:
    if codec == "mjpeg":
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=RATE)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            for number in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    else:
        encoded(tmp_path / name, codec)
    times, frames, loss = read(tmp_path / name)
    assert loss == "" and len(frames) == FRAMES
    np.testing.assert_allclose(times, np.arange(FRAMES) / RATE, atol=0.002)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")]
)
def test_a_damaged_place_does_not_end_a_video(name: str, codec: str, tmp_path: Path) -> None:
    path = encoded(tmp_path / name, codec, {"movflags": "faststart"} if "mp4" in name else None)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = np.random.default_rng(1).bytes(200)
    path.write_bytes(data)
    times, frames, loss = read(path)
    assert len(frames) >= FRAMES - 10
    assert times[-1] == pytest.approx((FRAMES - 1) / RATE, abs=0.11)  # AVI has no times
    assert f"{path} is damaged" in loss and f"{len(frames)}" in loss


@pytest.mark.parametrize("fraction", [0.4, 0.7])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx")],
)
def test_a_video_that_was_cut_off_says_so(
    name: str, codec: str, fraction: float, tmp_path: Path
) -> None:
    path = encoded(tmp_path / name, codec, {"movflags": "faststart"} if "mp4" in name else None)
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    _, frames, loss = read(path)
    assert 0 < len(frames) < FRAMES
    assert f"{path} is damaged" in loss


@pytest.mark.parametrize("container", [".mp4", ".mkv"])
def test_frames_have_their_own_times(container: str, tmp_path: Path) -> None:
    """A variable rate: a burst, a pause, single frames; written and read again."""
    due = [0.0, 0.033, 0.066, 0.1, 2.0, 2.5, 5.0]
    source = tmp_path / f"source{container}"
    with av.open(str(source), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, seconds in enumerate(due):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round(1000 * seconds), stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    times, frames, loss = read(source)
    np.testing.assert_allclose(times, due, atol=0.002)
    assert loss == ""
    copy = tmp_path / "copy.mp4"
    with VideoWriter(copy, VideoReader(source).rate) as writer:
        for seconds, frame in zip(times, frames, strict=True):
            writer.write(frame, seconds)
    again, _, loss = read(copy)
    np.testing.assert_allclose(again, due, atol=0.003)
    assert loss == ""


@pytest.mark.parametrize("content", ["header", "codec", "sound"])
def test_a_video_without_pictures_is_said(content: str, tmp_path: Path) -> None:
    path = tmp_path / "walk.mkv"
    if content == "header":
        data = encoded(path, "libx264").read_bytes()
        path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # the first cluster
    elif content == "codec":
        data = encoded(path.with_suffix(".mp4"), "libx264").read_bytes()
        path.write_bytes(data.replace(b"avc1", b"xyz1"))
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
            sound.rate = 8000
            container.mux(stream.encode(sound))
    with pytest.raises(VideoError, match=r"walk\.mkv cannot be read as a video"):
        VideoReader(path)


def test_frames_of_another_size_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    with VideoWriter(path, RATE) as writer:
        for size in ((64, 96), (128, 192), (31, 47)):
            writer.write(np.full((*size, 3), 99, np.uint8))
    _, frames, _ = read(path)
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3
