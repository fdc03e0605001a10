#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of the persons in the bundled clip, to judge by eye who is who.

Writes one image for each detector id of demo/street_bag and one for each identity in
test/data/street_identities.json: every crop, with the place of the image in the bag and the
detector's id. On the sheet of an identity there must be one person only; the sheet 'not_counted'
shows the boxes that contain two persons, or are a second box on a person.

    PYTHONPATH=. python dev/identity_sheets.py OUT_FOLDER
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from bench.ids import ROOT, street
from hrnet_pose_ros.pipeline.images import rgb_frame_of_compressed
from hrnet_pose_ros.replay.answers import read_answers
from hrnet_pose_ros.replay.bags import BagReader

CROP = (110, 160)  # width, height, px
COLUMNS = 16
MARGIN = 1.15  # height of the crop relative to that of the box


def crop(frame: np.ndarray, box: np.ndarray, text: str) -> np.ndarray:
    """One box ``[4]`` of an RGB frame as a BGR image of the size `CROP`."""
    width, height = CROP
    scale = height / (MARGIN * box[3])
    centre = box[:2] + box[2:] / 2
    place = np.array([width, height]) / 2 - scale * centre
    matrix = np.array([[scale, 0, place[0]], [0, scale, place[1]]])
    picture = cv2.warpAffine(frame, matrix, CROP)[..., ::-1].copy()
    cv2.putText(picture, text, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1)
    return picture


def sheet(crops: list[np.ndarray]) -> np.ndarray:
    """Crops in rows."""
    empty = np.zeros_like(crops[0])
    full = crops + [empty] * (-len(crops) % COLUMNS)
    rows = [np.hstack(full[n : n + COLUMNS]) for n in range(0, len(full), COLUMNS)]
    return np.vstack(rows)


def main() -> None:
    """Read the clip and write the sheets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT_FOLDER")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    answers = read_answers(ROOT / "demo" / "golden")
    clip = {one.stamp: one for one in street()}
    sheets: dict[str, list[np.ndarray]] = defaultdict(list)
    with BagReader(ROOT / "demo" / "street_bag") as bag:
        images = enumerate(bag.messages(["/camera/image/compressed"]))
        for (number, message), stamp in zip(images, sorted(answers.frames), strict=True):
            frame = rgb_frame_of_compressed(message.message)
            persons = zip(
                answers.frames[stamp].boxes,
                answers.frames[stamp].ids,
                clip[stamp].names,
                strict=True,
            )
            for box, one, name in persons:
                picture = crop(frame, box, f"{number} id {one}")
                sheets[f"id {one}"].append(picture)
                sheets[f"person {name}" if name else "not counted"].append(picture)
    for name, crops in sheets.items():
        cv2.imwrite(str(out / f"{re.sub('[^a-z0-9]+', '_', name)}.png"), sheet(crops))
    print(f"{len(sheets)} sheets in {out}")


if __name__ == "__main__":
    main()
