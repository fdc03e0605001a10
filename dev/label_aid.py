#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Helper for labelling key points of persons in the bundled bag by eye.

A job list is JSON: ``[{"frame": 12, "box": [x, y, width, height]}, ...]``, boxes in pixels of the
768x576 image. Labels come as JSON: ``{"0": [[x, y, v], ... 17 of them], "3": ...}``, the key
being the index of the job in the list; joints in COCO's order; x and y in image pixels with pixel
centres at integers; v = 2 visible, 1 hidden but inferable, 0 not labelled (then x = y = 0).
Left and right are from the person's point of view.

    export PYTHONPATH=.
    python dev/label_aid.py draw JOBS OUT_FOLDER          # an image of each job, with a grid
    python dev/label_aid.py file JOBS LABELS... --out COCO_FILE
    python dev/label_aid.py check COCO_FILE OUT_FOLDER    # the same images with labels
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from hrnet_pose_ros.pipeline.stamps import seconds_text, stamp_of
from hrnet_pose_ros.pose.drawing import side_colours
from hrnet_pose_ros.skeleton import COCO17

ROOT = Path(__file__).resolve().parents[1]
BAG = ROOT / "demo" / "street_bag"
LABEL_FILE = ROOT / "test" / "data" / "street_keypoints.json"
IMAGE_TOPIC = "/camera/image/compressed"

SCALE_OF_BOX = 1.3  # size of the image relative to the box
MIN_ASPECT = 0.5  # minimum width / height of the image
HEIGHT_PX = 900
GRID_PX = 10  # image pixels between grid lines
MARGIN_PX = 36
GAP_PX = 14
GAMMA = 0.55  # gamma of the second view, which shows details of dark clothes

# COCO's OKS uses the area of the person's mask, on average this fraction of the box.
AREA_OF_BOX = 0.53

SHORT = (
    *("nose", "Leye", "Reye", "Lear", "Rear", "Lsho", "Rsho", "Lelb", "Relb"),
    *("Lwri", "Rwri", "Lhip", "Rhip", "Lkne", "Rkne", "Lank", "Rank"),
)


@cache
def bag_frames() -> list[tuple[int, np.ndarray]]:
    """``(stamp in ns, BGR image [H, W, 3])`` of every image in the bag."""
    store = get_typestore(Stores.ROS2_JAZZY)
    frames = []
    with Reader(BAG) as bag:
        connections = [c for c in bag.connections if c.topic == IMAGE_TOPIC]
        for connection, _, data in bag.messages(connections):
            message = store.deserialize_cdr(data, connection.msgtype)
            stamp = stamp_of(message)
            image = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
            assert image is not None
            frames.append((stamp, image))
    return frames


class LabelImage:
    """The image of a person, as it is with a grid and brightened, with scales around both views."""

    def __init__(self, frame: np.ndarray, box: list[float]) -> None:
        x, y, width, height = box
        tall = SCALE_OF_BOX * height
        wide = max(SCALE_OF_BOX * width, MIN_ASPECT * tall)
        self._x0, self._y0 = round(x + (width - wide) / 2), round(y + (height - tall) / 2)
        self._columns, self._rows = round(wide), round(tall)
        self._zoom = HEIGHT_PX / self._rows
        part = self._part_of(frame)
        size = (round(self._columns * self._zoom), HEIGHT_PX)
        large = cv2.resize(part, size, interpolation=cv2.INTER_LANCZOS4)
        bright = (255 * (large / 255) ** GAMMA).astype(np.uint8)
        self._width = size[0]
        self._offsets = (MARGIN_PX, 2 * MARGIN_PX + GAP_PX + size[0])
        shape = (HEIGHT_PX + 2 * MARGIN_PX, 2 * size[0] + 3 * MARGIN_PX + GAP_PX, 3)
        self.canvas = np.full(shape, 255, np.uint8)
        for offset, view in zip(self._offsets, (large, bright), strict=True):
            self.canvas[MARGIN_PX : MARGIN_PX + HEIGHT_PX, offset : offset + size[0]] = view

    def _part_of(self, frame: np.ndarray) -> np.ndarray:
        """The visible part of the frame; grey outside the frame."""
        xs = np.arange(self._x0, self._x0 + self._columns)
        ys = np.arange(self._y0, self._y0 + self._rows)
        height, width = frame.shape[:2]
        part = frame[np.clip(ys, 0, height - 1)[:, None], np.clip(xs, 0, width - 1)].copy()
        outside = ((ys < 0) | (ys >= height))[:, None] | ((xs < 0) | (xs >= width))
        part[outside] = 128
        return part

    def place(self, x: float, y: float, view: int = 0) -> tuple[int, int]:
        """Canvas pixel of an image point; pixel centres are at integers in both."""
        across = (x - self._x0 + 0.5) * self._zoom - 0.5 + self._offsets[view]
        down = (y - self._y0 + 0.5) * self._zoom - 0.5 + MARGIN_PX
        return round(across), round(down)

    def draw_scales(self) -> None:
        """Ticks every 2 px, numbers and lines every 10 px; fainter lines on the brighter view."""
        bottom = MARGIN_PX + HEIGHT_PX
        over = self.canvas.copy()
        for view, left in enumerate(self._offsets):
            right = left + self._width
            for x in range(self._x0 + self._x0 % 2, self._x0 + self._columns, 2):
                at, _ = self.place(x, 0, view)
                tick = 7 if x % GRID_PX == 0 else 3
                self._line((at, MARGIN_PX - tick), (at, MARGIN_PX))
                self._line((at, bottom), (at, bottom + tick))
                if x % GRID_PX == 0:
                    self._text(str(x), (at - 11, MARGIN_PX - 12))
                    self._text(str(x), (at - 11, bottom + 20))
                    cv2.line(over, (at, MARGIN_PX), (at, bottom), (0, 255, 255), 1)
            for y in range(self._y0 + self._y0 % 2, self._y0 + self._rows, 2):
                _, at = self.place(0, y, view)
                tick = 7 if y % GRID_PX == 0 else 3
                self._line((left - tick, at), (left, at))
                self._line((right, at), (right + tick, at))
                if y % GRID_PX == 0:
                    self._text(str(y), (left - 33, at + 4))
                    if view == 1:
                        self._text(str(y), (right + 9, at + 4))
                    cv2.line(over, (left, at), (right, at), (0, 255, 255), 1)
        for left, weight in zip(self._offsets, (0.45, 0.2), strict=True):
            rows, columns = slice(MARGIN_PX, bottom), slice(left, left + self._width)
            mixed = weight * over[rows, columns] + (1 - weight) * self.canvas[rows, columns]
            self.canvas[rows, columns] = mixed.astype(np.uint8)

    def draw_labels(self, keypoints: np.ndarray) -> None:
        """Draw key points ``[17, 3]`` (x, y, v) on the first view: hollow where hidden."""
        shown = keypoints[:, 2] > 0
        places = [self.place(x, y) for x, y, _ in keypoints]
        joint_colours, limb_colours = side_colours(COCO17)
        for (a, b), colour in zip(COCO17.limbs, limb_colours, strict=True):
            if shown[a] and shown[b]:
                cv2.line(self.canvas, places[a], places[b], colour[::-1], 1, cv2.LINE_AA)
        for joint in np.flatnonzero(shown):
            visible = keypoints[joint, 2] == 2
            colour = joint_colours[joint][::-1]
            if visible:
                cv2.circle(self.canvas, places[joint], 6, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
                cv2.circle(self.canvas, places[joint], 5, colour, cv2.FILLED, cv2.LINE_AA)
            else:
                cv2.circle(self.canvas, places[joint], 6, (0, 0, 0), 4, cv2.LINE_AA)
                cv2.circle(self.canvas, places[joint], 6, colour, 2, cv2.LINE_AA)
            x, y = places[joint]
            at = (x + 9, y + 4) if joint % 2 else (x - 64, y + 4)  # left joints are odd
            self._text(f"{joint} {SHORT[joint]}", at, colour, outlined=True)

    def _line(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        cv2.line(self.canvas, a, b, (0, 0, 0), 1)

    def _text(
        self,
        text: str,
        at: tuple[int, int],
        colour: tuple[int, ...] = (0, 0, 0),
        outlined: bool = False,
    ) -> None:
        font = cv2.FONT_HERSHEY_SIMPLEX
        if outlined:
            cv2.putText(self.canvas, text, at, font, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(self.canvas, text, at, font, 0.42, colour, 1, cv2.LINE_AA)


def draw(jobs: list[dict[str, Any]], out: Path) -> None:
    """Write ``NN.png`` for each job."""
    out.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs):
        label_image = LabelImage(bag_frames()[job["frame"]][1], job["box"])
        label_image.draw_scales()
        cv2.imwrite(str(out / f"{number:02d}.png"), label_image.canvas)


def coco_file(jobs: list[dict[str, Any]], labels: dict[int, list[list[float]]]) -> dict[str, Any]:
    """The labels in COCO's format; jobs without labels are left out."""
    frames = bag_frames()
    annotations = []
    for number in sorted(labels):
        keypoints = checked_labels(number, labels[number], frames[jobs[number]["frame"]][1].shape)
        x, y, width, height = jobs[number]["box"]
        annotations.append(
            {
                "id": number + 1,
                "image_id": jobs[number]["frame"],
                "category_id": 1,
                "bbox": [x, y, width, height],
                "area": round(AREA_OF_BOX * width * height, 1),
                "iscrowd": 0,
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                "keypoints": keypoints.ravel().tolist(),
            }
        )
    images = []
    for index in sorted({annotation["image_id"] for annotation in annotations}):
        stamp, frame = frames[index]
        images.append(
            {
                "id": index,
                "file_name": f"{index:03d}_{seconds_text(stamp)}",
                "width": frame.shape[1],
                "height": frame.shape[0],
            }
        )
    description = (
        "Key points labelled by eye in frames of demo/street_bag. file_name is the index of the "
        "image in the bag and its stamp; coordinates are image pixels with pixel centres at "
        "integers; "
        f"bbox is from the detector; area is {AREA_OF_BOX} times the box area, not that of a mask. "
        "Not all persons of a frame are labelled."
    )
    limbs = [[a + 1, b + 1] for a, b in COCO17.limbs]
    person = {"id": 1, "name": "person", "keypoints": list(COCO17.joint_names), "skeleton": limbs}
    return {
        "info": {"description": description},
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }


def checked_labels(
    number: int, rows: list[list[float]], image_shape: tuple[int, ...]
) -> np.ndarray:
    """float ``[17, 3]``; raises SystemExit with the reason if the labels are invalid."""
    array = np.array(rows, np.float64) if all(len(row) == 3 for row in rows) else np.zeros(0)
    if array.shape != (COCO17.joints, 3):
        raise SystemExit(f"job {number}: expected {COCO17.joints} rows of [x, y, v], got {rows}")
    labelled = array[:, 2] > 0
    if not np.isin(array[:, 2], (0, 1, 2)).all():
        raise SystemExit(f"job {number}: v must be 0, 1 or 2, got {array[:, 2].tolist()}")
    if array[~labelled, :2].any():
        raise SystemExit(f"job {number}: a joint with v = 0 must have x = y = 0")
    height, width = image_shape[:2]
    within = (array[:, :2] >= -0.5) & (array[:, :2] <= [width - 0.5, height - 0.5])
    for joint in np.flatnonzero(labelled & ~within.all(axis=1)):
        raise SystemExit(
            f"job {number}: {COCO17.joint_names[joint]} lies outside the image: {rows[joint]}"
        )
    return array


def check(coco: dict[str, Any], out: Path) -> None:
    """Write ``check_NN.png`` for each annotation, NN being the number of its job."""
    out.mkdir(parents=True, exist_ok=True)
    for annotation in coco["annotations"]:
        label_image = LabelImage(bag_frames()[annotation["image_id"]][1], annotation["bbox"])
        label_image.draw_scales()
        label_image.draw_labels(
            np.array(annotation["keypoints"], np.float64).reshape(COCO17.joints, 3)
        )
        cv2.imwrite(str(out / f"check_{annotation['id'] - 1:02d}.png"), label_image.canvas)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("draw", help="write the images to label")
    verb.add_argument("jobs", type=Path)
    verb.add_argument("out", type=Path)
    verb = verbs.add_parser("file", help="convert labels to a COCO file")
    verb.add_argument("jobs", type=Path)
    verb.add_argument("labels", type=Path, nargs="+")
    verb.add_argument("--out", type=Path, default=LABEL_FILE)
    verb = verbs.add_parser("check", help="draw the labels of a COCO file")
    verb.add_argument("coco", type=Path)
    verb.add_argument("out", type=Path)
    arguments = parser.parse_args()

    if arguments.verb == "draw":
        draw(json.loads(arguments.jobs.read_text()), arguments.out)
    elif arguments.verb == "check":
        check(json.loads(arguments.coco.read_text()), arguments.out)
    else:
        labels: dict[int, list[list[float]]] = {}
        for path in arguments.labels:
            part = {int(number): rows for number, rows in json.loads(path.read_text()).items()}
            twice = labels.keys() & part.keys()
            if twice:
                raise SystemExit(f"'{path}' labels jobs {sorted(twice)} a second time")
            labels |= part
        made = coco_file(json.loads(arguments.jobs.read_text()), labels)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(made, indent=1) + "\n")
        print(f"{arguments.out}: {len(made['annotations'])} persons")


if __name__ == "__main__":
    main()
