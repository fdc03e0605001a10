#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Create the bundled bag demo/street_bag: a street scene with the boxes of a person detector.

The images are 12.5 s of vtest.avi (768x576, 10 Hz), which Debian's package opencv-doc installs in
/usr/share/doc/opencv-doc/examples/data. The boxes are from `PersonDetector`; the bundled bag was
created with a version that preferred boxes from tiles over those from the whole frame regardless of
their score, and that assigned ids by the overlap of consecutive boxes alone. The same video,
library versions and CPU type reproduce the same bytes.

    PYTHONPATH=. python dev/make_street_bag.py VTEST_AVI [--out demo/street_bag]
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.detector.person_detector import PersonDetector
from hrnet_pose_ros.fusion.image_tracker import ImageTracker
from hrnet_pose_ros.pipeline.stamps import time_fields
from hrnet_pose_ros.replay.bags import BagWriter
from hrnet_pose_ros.replay.definitions import typestore

ROOT = Path(__file__).resolve().parents[1]

FIRST_FRAME, FRAMES = 540, 125
START_NS = 1_750_000_000 * 10**9  # stamp of the first frame: 2025-06-15 15:06:40 UTC
PERIOD_NS = 100_000_000
CAMERA_DELAY_NS = 12_000_000  # from the image stamp to its arrival in the recorder
DETECTOR_DELAY_NS = 30_000_000  # from the arrival of an image to the arrival of its detections

FRAME_ID = "camera_optical_frame"
# Chosen to keep the bag below 6 MB.
JPEG_SETTINGS = [cv2.IMWRITE_JPEG_QUALITY, 50, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
# What image_transport's compressed plugin writes for a bgr8 camera.
COMPRESSED_FORMAT = "bgr8; jpeg compressed bgr8"
# Plausible for the scene (persons of 1.75 m are 60 to 150 px high), not a calibration.
FOCAL_PX = 1190.0

# More tiles than the default of the detector, because time does not matter here.
TILES, OVERLAP = (5, 3), 0.45

DETECTIONS = "vision_msgs/msg/Detection2DArray"


TOPICS = {
    "/camera/image/compressed": "sensor_msgs/msg/CompressedImage",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/detections": DETECTIONS,
}


def frames_of(video: Path) -> Iterator[np.ndarray]:
    """The chosen frames of the video, uint8 BGR ``[576, 768, 3]``."""
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise SystemExit(f"'{video}' cannot be opened as a video")
    for index in range(FIRST_FRAME + FRAMES):
        read, frame = capture.read()
        if not read:
            raise SystemExit(f"'{video}' ends at frame {index}; is it OpenCV's vtest.avi?")
        if index >= FIRST_FRAME:
            yield frame


def camera_info(types: dict[str, Any], header: Any, width: int, height: int) -> Any:
    """A pinhole camera without distortion, its centre in the middle of the image."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    k = [FOCAL_PX, 0, cx, 0, FOCAL_PX, cy, 0, 0, 1]
    p = [FOCAL_PX, 0, cx, 0, 0, FOCAL_PX, cy, 0, 0, 0, 1, 0]
    return types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k, np.float64),
        r=np.eye(3).ravel(),
        p=np.array(p, np.float64),
        binning_x=0,
        binning_y=0,
        roi=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def detection_array(
    types: dict[str, Any], header: Any, boxes: np.ndarray, scores: np.ndarray, ids: list[str]
) -> Any:
    """A Detection2DArray of persons; boxes ``[N, 4]`` are x, y, width, height in pixels."""
    zero = types["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0)
    upright = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
    unknown = types["geometry_msgs/msg/PoseWithCovariance"](
        pose=types["geometry_msgs/msg/Pose"](position=zero, orientation=upright),
        covariance=np.zeros(36),
    )
    detections = []
    for (x, y, width, height), score, one in zip(boxes.tolist(), scores.tolist(), ids, strict=True):
        hypothesis = types["vision_msgs/msg/ObjectHypothesis"](class_id="person", score=score)
        centre = types["vision_msgs/msg/Point2D"](x=x + width / 2, y=y + height / 2)
        box = types["vision_msgs/msg/BoundingBox2D"](
            center=types["vision_msgs/msg/Pose2D"](position=centre, theta=0.0),
            size_x=width,
            size_y=height,
        )
        result = types["vision_msgs/msg/ObjectHypothesisWithPose"](
            hypothesis=hypothesis, pose=unknown
        )
        detections.append(
            types["vision_msgs/msg/Detection2D"](header=header, results=[result], bbox=box, id=one)
        )
    return types[DETECTIONS](header=header, detections=detections)


def messages(video: Path, types: dict[str, Any]) -> Iterator[tuple[int, str, Any]]:
    """``(recorded ns, topic, message)`` in order of recording."""
    detector, tracker = PersonDetector(tiles=TILES, overlap=OVERLAP), ImageTracker()
    image_topic, info_topic, detections_topic = TOPICS
    for index, frame in enumerate(frames_of(video)):
        stamp = START_NS + index * PERIOD_NS
        header = types["std_msgs/msg/Header"](
            stamp=types["builtin_interfaces/msg/Time"](**time_fields(stamp)),
            frame_id=FRAME_ID,
        )
        _, jpeg = cv2.imencode(".jpg", frame, JPEG_SETTINGS)
        image = types["sensor_msgs/msg/CompressedImage"](
            header=header, format=COMPRESSED_FORMAT, data=jpeg.ravel()
        )
        # The detector gets the compressed image, as a node would when the bag is played.
        seen = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB)
        assert seen is not None
        boxes, scores = detector.detect(seen)
        ids = [str(number) for number in tracker.step(stamp, boxes)]
        found = detection_array(types, header, boxes, scores, ids)

        arrival = stamp + CAMERA_DELAY_NS
        height, width = frame.shape[:2]
        yield arrival, image_topic, image
        yield arrival, info_topic, camera_info(types, header, width, height)
        yield arrival + DETECTOR_DELAY_NS, detections_topic, found


def write_bag(video: Path, out: Path) -> None:
    """Write the bag to ``out``, a folder that does not exist yet."""
    with BagWriter(out) as bag:  # offers reliable QoS, which also matches best-effort subscribers
        for at, topic, message in messages(video, typestore().types):
            bag.write(topic, TOPICS[topic], at, message)


def main() -> None:
    """Read the command line and replace the bag."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, help="OpenCV's vtest.avi")
    parser.add_argument("--out", type=Path, default=ROOT / "demo" / "street_bag")
    arguments = parser.parse_args()
    if arguments.out.exists():
        if not (arguments.out / "metadata.yaml").is_file():
            parser.error(f"'{arguments.out}' exists and is not a bag")
        shutil.rmtree(arguments.out)
    write_bag(arguments.video, arguments.out)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    print(f"{arguments.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
