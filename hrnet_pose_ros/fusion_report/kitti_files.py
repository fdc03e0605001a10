# SPDX-License-Identifier: Apache-2.0
"""Folders in the format of the KITTI benchmarks: single frames (object) and drives (tracking).

Two layouts are read (Geiger, Lenz and Urtasun, CVPR 2012; devkits of object and tracking).

object
    ``image_2/NAME.png`` or ``.jpg``, ``label_2/NAME.txt``, ``calib/NAME.txt``, and, for LIDAR,
    ``velodyne/NAME.bin``.
drive
    ``image_02/NUMBER.png`` or ``.jpg``, one ``label_02.txt`` in the format of the tracking
    benchmark, one ``calib.txt``, ``times_image.txt``, and, for LIDAR, ``velodyne/NUMBER.bin``,
    ``times_lidar.txt``. Times are a number of the frame and a date, as in KITTI's raw data. With
    ``oxts.txt`` (a number of the frame, then the 30 values of a packet) and ``times_oxts.txt``,
    the vehicle has odometry.

The data themselves are not part of this project; their licence (CC BY-NC-SA 3.0) does not allow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from hrnet_pose_ros.fusion.inputs import OdometrySample
from hrnet_pose_ros.fusion.transforms import OPTICAL_TO_BODY, Transform
from hrnet_pose_ros.pose.camera import Camera

PERSONS = ("Pedestrian", "Cyclist", "Person_sitting")
# Height of the cameras above the ground, m (KITTI's sensor setup).
CAMERA_HEIGHT = 1.65
IMAGES = (".png", ".jpg", ".jpeg")
NS = 1_000_000_000
# Places of yaw, speeds forward and to the left, and yaw rate in a packet of the inertial unit.
YAW, FORWARD, LEFT, YAW_RATE = 5, 8, 9, 22


class KittiError(ValueError):
    """A file that is missing or wrong; the message names it, the line, and the fault."""


@dataclass(frozen=True)
class KittiLabel:
    """One labelled object.

    Attributes
    ----------
    kind
        ``Pedestrian``, ``Cyclist``, ``Car`` …
    identity
        Of the object in a drive; empty for single frames.
    truncated, occluded
        Fraction outside of the image; 0 visible, 1 partly, 2 largely occluded, 3 unknown.
    box
        float ``[4]``: x, y, width, height in px.
    place
        float ``[3]``, m: the middle of the box's bottom in the rectified camera 0 (x right, y down,
        z forward).
    """

    kind: str
    identity: str
    truncated: float
    occluded: int
    box: np.ndarray
    place: np.ndarray


@dataclass(frozen=True)
class KittiCalibration:
    """Camera 2, and where it and the LIDAR are in the base frame.

    The base frame lies on the ground under camera 2, x forward, level as the camera is.
    """

    camera: Camera
    camera_to_base: Transform
    lidar_to_base: Transform
    shift: np.ndarray

    def ground_point(self, place: np.ndarray) -> np.ndarray:
        """Return the place ``[2]`` in the base frame of a point of the rectified camera 0."""
        moved = np.asarray(place) + self.shift
        return np.array([moved[2], -moved[0]])


@dataclass(frozen=True)
class KittiFrame:
    """One frame: its files, what is labelled in it, and its stamps, ns."""

    name: str
    image: Path
    cloud: Path | None
    calibration: KittiCalibration
    labels: tuple[KittiLabel, ...]
    stamp: int
    cloud_stamp: int


@dataclass(frozen=True)
class KittiSequence:
    """Frames in order; those of a drive follow each other in time, single ones do not."""

    name: str
    drive: bool
    frames: tuple[KittiFrame, ...]
    odometry: tuple[OdometrySample, ...] = ()


def read_kitti(folder: Path) -> list[KittiSequence]:
    """Return the sequences in a folder, or in the folders directly in it.

    Raises
    ------
    KittiError
        There are none, or a file is missing or wrong.
    """
    if not folder.is_dir():
        raise KittiError(f"'{folder}' is not a folder")
    found = []
    for place in [folder, *sorted(one for one in folder.iterdir() if one.is_dir())]:
        if (place / "label_2").is_dir():
            found.append(_objects(place))
        elif (place / "label_02.txt").is_file():
            found.append(_drive(place))
    if not found:
        raise KittiError(
            f"'{folder}' has no KITTI data: neither it nor a folder in it has 'label_2/' (single "
            "frames) or 'label_02.txt' (a drive)"
        )
    return found


def read_cloud(path: Path) -> np.ndarray:
    """Return the points float32 ``[N, 3]`` of a LIDAR file, m."""
    data = _content(path)
    _check_cloud(path, len(data))
    return np.frombuffer(data, "<f4").reshape(-1, 4)[:, :3].copy()


def parse_calibration(path: Path) -> KittiCalibration:
    """Read ``P2``, ``R0_rect`` (or ``R_rect``) and ``Tr_velo_to_cam`` (or ``Tr_velo_cam``)."""
    found: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.replace(":", " ", 1).split()
        if words:
            found[words[0]] = number, words[1:]

    def matrix(names: tuple[str, ...], shape: tuple[int, int]) -> np.ndarray:
        for name in names:
            if name in found:
                number, words = found[name]
                values = _numbers(words)
                # Other lines may hold anything: raw data have a 'calib_time', which is a date.
                if values is None:
                    raise KittiError(f"{path}, line {number}: '{name}' must be finite numbers")
                if len(values) != shape[0] * shape[1]:
                    raise KittiError(
                        f"{path}: {name} must have {shape[0] * shape[1]} numbers, got {len(values)}"
                    )
                return np.array(values).reshape(shape)
        raise KittiError(f"{path}: there is no {' or '.join(names)}")

    projection = matrix(("P2",), (3, 4))
    rectified = matrix(("R0_rect", "R_rect"), (3, 3))
    velodyne = matrix(("Tr_velo_to_cam", "Tr_velo_cam"), (3, 4))
    fx, fy = projection[0, 0], projection[1, 1]
    try:
        camera = Camera(fx, fy, projection[0, 2], projection[1, 2])
        # P2 = K [1 | t]: from the rectified camera 0 to camera 2.
        shift = np.linalg.solve(projection[:, :3], projection[:, 3])
        to_base = Transform(OPTICAL_TO_BODY, np.array([0.0, 0.0, CAMERA_HEIGHT]))
        lidar = Transform(rectified @ velodyne[:, :3], rectified @ velodyne[:, 3] + shift)
        return KittiCalibration(camera, to_base, to_base @ lidar, shift)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise KittiError(f"{path}: {error}") from None


def parse_label(words: list[str], identity: str, where: str) -> KittiLabel:
    """Read the 15 words of an object: type, truncated, occluded, alpha, box, size, place, angle.

    ``where`` is the file and the line, for messages. A 16th word, a score, is ignored.
    """
    if len(words) not in (15, 16):
        raise KittiError(f"{where}: an object must have 15 values, got {len(words)}")
    numbers = _numbers(words[1:15])
    if numbers is None:
        given = " ".join(words[1:15])
        raise KittiError(f"{where}: all values after the type must be finite numbers, got {given}")
    left, top, right, bottom = numbers[3:7]
    if words[0] in PERSONS and not (right > left and bottom > top and numbers[12] > 0):
        raise KittiError(
            f"{where}: the box of a {words[0]} must have a width and a height, and its place must "
            f"be in front of the camera; got {words[4:8]} and z = {words[13]}"
        )
    return KittiLabel(
        kind=words[0],
        identity=identity,
        truncated=numbers[0],
        occluded=int(numbers[1]),
        box=np.array([left, top, right - left, bottom - top]),
        place=np.array(numbers[10:13]),
    )


def _objects(folder: Path) -> KittiSequence:
    frames = []
    # A Mac puts a hidden file beside each file in an archive.
    labels = sorted(path for path in (folder / "label_2").glob("*.txt") if path.name[0] != ".")
    if not labels:
        raise KittiError(f"'{folder / 'label_2'}' has no files")
    for number, path in enumerate(labels):
        lines = _text(path).splitlines()
        found = tuple(
            parse_label(line.split(), "", f"{path}, line {n}")
            for n, line in enumerate(lines, 1)
            if line.strip()
        )
        # Single frames have no stamps: far apart, so that none has to do with another.
        stamp = (number + 1) * 100 * NS
        frames.append(
            KittiFrame(
                name=path.stem,
                image=_image(folder / "image_2", path.stem),
                cloud=_cloud(folder, path.stem),
                calibration=parse_calibration(folder / "calib" / path.name),
                labels=found,
                stamp=stamp,
                cloud_stamp=stamp,
            )
        )
    return KittiSequence(folder.name, False, tuple(frames))


def _drive(folder: Path) -> KittiSequence:
    path = folder / "label_02.txt"
    labels: dict[int, list[KittiLabel]] = {}
    for n, line in enumerate(_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            frame, identity = int(words[0]), words[1]
        except (ValueError, IndexError):
            raise KittiError(f"{path}, line {n}: must begin with frame and identity") from None
        label = parse_label(words[2:], identity, f"{path}, line {n}")
        labels.setdefault(frame, []).append(label)
    calibration = parse_calibration(folder / "calib.txt")
    images = _times(folder / "times_image.txt")
    lidar = (folder / "velodyne").is_dir()
    clouds = _times(folder / "times_lidar.txt") if lidar else {}
    if not images:
        raise KittiError(f"{folder / 'times_image.txt'} has no frames")
    if labels and labels.keys().isdisjoint(map(int, images)):
        raise KittiError(
            f"{path}: no label is of a frame that {folder / 'times_image.txt'} has: the labels are "
            f"of frames {min(labels)} to {max(labels)}, the times of {next(iter(images))} to "
            f"{list(images)[-1]}; number both alike"
        )
    frames: list[KittiFrame] = []
    for name, stamp in images.items():
        if frames and stamp <= frames[-1].stamp:
            raise KittiError(
                f"{folder / 'times_image.txt'}: frame {name} must be later than frame "
                f"{frames[-1].name}, which is above it; got {(stamp - frames[-1].stamp) / NS:g} s"
            )
        if name in clouds or not lidar:
            frames.append(
                KittiFrame(
                    name=name,
                    image=_image(folder / "image_02", name),
                    cloud=_cloud(folder, name),
                    calibration=calibration,
                    labels=tuple(labels.get(int(name), ())),
                    stamp=stamp,
                    cloud_stamp=clouds.get(name, stamp),
                )
            )
            continue
        raise KittiError(f"{folder / 'times_lidar.txt'} has no frame {name}")
    return KittiSequence(folder.name, True, tuple(frames), _odometry(folder))


def _odometry(folder: Path) -> tuple[OdometrySample, ...]:
    """Return samples from the packets of the inertial unit: its speed, integrated, and its yaw."""
    path = folder / "oxts.txt"
    if not path.is_file():
        return ()
    times = _times(folder / "times_oxts.txt")
    samples: list[OdometrySample] = []
    last = 0
    place: np.ndarray = np.zeros(3)
    for n, line in enumerate(_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 31 or words[0] not in times:
            raise KittiError(
                f"{path}, line {n}: must be a frame that times_oxts.txt has and 30 values, got "
                f"{len(words)} words for frame {words[0]}"
            )
        values = _numbers(words[1:])
        if values is None:
            raise KittiError(f"{path}, line {n}: must be finite numbers")
        stamp, yaw = times[words[0]], values[YAW]
        forward, left, rate = values[FORWARD], values[LEFT], values[YAW_RATE]
        c, s = np.cos(yaw), np.sin(yaw)
        if samples:
            place = place + (stamp - last) / NS * np.array(
                [c * forward - s * left, s * forward + c * left, 0.0]
            )
        last = stamp
        half = np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
        linear, angular = np.array([forward, left, 0.0]), np.array([0.0, 0.0, rate])
        samples.append(OdometrySample(stamp, place, half, linear, angular))
    return tuple(samples)


def _times(path: Path) -> dict[str, int]:
    """Return stamps in ns by the number of the frame."""
    found = {}
    for n, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name, _, text = line.strip().partition(" ")
        seconds, _, fraction = text.partition(".")
        try:
            moment = datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
            nanoseconds = int(f"{fraction:0<9}"[:9])
            int(name)
            if fraction and not fraction.isdecimal():
                raise ValueError
        except ValueError:
            raise KittiError(
                f"{path}, line {n}: must be a frame and a time like '000060 2011-09-26 "
                f"13:04:38.541329152', got '{line.strip()}'"
            ) from None
        found[name] = int(moment.timestamp()) * NS + nanoseconds
    return found


def _numbers(words: list[str]) -> list[float] | None:
    """Return the words as finite numbers; None if one of them is none."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _image(folder: Path, name: str) -> Path:
    for suffix in IMAGES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise KittiError(f"'{folder}' has no image {name} ({', '.join(IMAGES)})")


def _cloud(folder: Path, name: str) -> Path | None:
    if not (folder / "velodyne").is_dir():
        return None
    path = folder / "velodyne" / f"{name}.bin"
    if not path.is_file():
        raise KittiError(f"'{path}' is missing")
    _check_cloud(path, path.stat().st_size)  # now: the frames before it take minutes
    return path


def _check_cloud(path: Path, size: int) -> None:
    if size % 16:
        raise KittiError(
            f"{path}: {size} bytes are no whole number of points of 16 bytes (x, y, z, "
            "reflectance as float32)"
        )


def _text(path: Path) -> str:
    try:
        # Editors of Windows put a mark before the text, which would belong to the first word.
        return _content(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KittiError(f"{path} is not text") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KittiError(f"{path} cannot be read: {error.strerror}") from None


def persons_of(frame: KittiFrame) -> Iterator[KittiLabel]:
    """Yield the labelled persons of a frame."""
    return (label for label in frame.labels if label.kind in PERSONS)
