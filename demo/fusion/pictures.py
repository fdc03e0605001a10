# SPDX-License-Identifier: Apache-2.0
"""One picture of the video: the camera's image, the tables below it, and the view from above."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np

from demo.fusion.moments import CameraView, DriveMoment
from demo.fusion.text import (
    BACKGROUND,
    BAD,
    DIM,
    GOOD,
    LINE,
    PANEL,
    TEXT,
    WARNING,
    Colour,
    Rectangle,
    overlaps,
    put_text,
    text_size,
)
from demo.fusion.top_view import (
    CHILD_COLOUR,
    LETTERS,
    POINT_COLOUR,
    TRUTH_COLOUR,
    draw_top_view,
    is_child,
    letters_of,
    rgb_of,
)
from demo.fusion.top_view import SIZE as TOP_SIZE
from hrnet_pose_ros.fusion.person import PeopleStatus, Person, Posture
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.pose.drawing import draw_poses

CAMERA_WIDTH = 1200  # px; the video is this and the view from above beside one another
ROW = 26  # px: height of a row of text
MOST_PEOPLE = 11  # rows of the table
MOST_REFUSED = 8
# Refusals that only say that there was nothing to measure, which is no news.
USUAL = {
    Refusal.NO_MEASUREMENT.value,
    Refusal.NO_RETURN.value,
    Refusal.OUT_OF_VIEW.value,
    Refusal.OUT_OF_RANGE.value,
}
COLUMNS = (  # title, and x of its right border
    ("id", 50),
    ("range m", 122),
    ("2 sigma", 200),
    ("error m", 276),
    ("m/s", 322),
    ("faces deg", 416),
    ("posture", 502),
    ("child", 560),
    ("exists", 626),
    ("sources", 704),
)
CHILD = next(right for title, right in COLUMNS if title == "child")
REFUSED_X, LEGEND_X = 736, 974
SOURCE_NAMES = {
    Source.GROUND: "ground",
    Source.BODY_LENGTH: "body length",
    Source.DEPTH: "depth",
    Source.LIDAR: "LIDAR",
    Source.SCAN: "scan",
    Source.ULTRASONIC: "ultrasonic",
}
STATUS_COLOURS = {
    PeopleStatus.OK: GOOD,
    PeopleStatus.DEGRADED: WARNING,
    PeopleStatus.ERROR: BAD,
}


def draw_moment(moment: DriveMoment, camera: CameraView) -> np.ndarray:
    """The picture of a moment, uint8 RGB."""
    image = np.full((TOP_SIZE[1], CAMERA_WIDTH + TOP_SIZE[0], 3), PANEL, np.uint8)
    seen = _camera_picture(moment, camera)
    image[: len(seen), :CAMERA_WIDTH] = seen
    image[:, CAMERA_WIDTH:] = draw_top_view(moment, camera)
    cv2.line(image, (CAMERA_WIDTH, 0), (CAMERA_WIDTH, TOP_SIZE[1]), LINE, 2)
    top = len(seen)
    _status(image, moment, top + 6)
    _people_table(image, moment, camera, top + 48)
    _refused(image, moment, top + 48)
    _legend(image, top + 48)
    return image


def _camera_picture(moment: DriveMoment, camera: CameraView) -> np.ndarray:
    """The camera's image with the skeletons, and the id and range of each person."""
    height, width = moment.picture.shape[:2]
    scale = CAMERA_WIDTH / width
    size = (CAMERA_WIDTH, round(height * scale))
    picture = cv2.resize(moment.picture, size, interpolation=cv2.INTER_AREA)
    poses = replace(
        moment.poses,
        keypoints=(moment.poses.keypoints * scale).astype(np.float32),
        covariances=(moment.poses.covariances * scale**2).astype(np.float32),
    )
    draw_poses(picture, poses)
    people = () if moment.people is None else moment.people.people
    boxed = np.isfinite(moment.boxes).all(axis=1)
    seen = [p for p in people if 0 <= p.skeleton_index < len(boxed) and boxed[p.skeleton_index]]
    for person in seen:
        x, y, w, h = (moment.boxes[person.skeleton_index] * scale).tolist()
        corner, opposite = (round(x), round(y)), (round(x + w), round(y + h))
        cv2.rectangle(picture, corner, opposite, rgb_of(person.id), 1, cv2.LINE_AA)
    taken: list[Rectangle] = []
    for person in sorted(seen, key=camera.distance):
        x, y, w, h = (moment.boxes[person.skeleton_index] * scale).tolist()
        text = f"{person.id}  {camera.distance(person):.1f} m"
        if is_child(person):
            text += " child"
        text_width, text_height = text_size(text, 0.5)
        left = int(np.clip(x + w / 2 - text_width / 2, 0, size[0] - text_width))
        top = int(np.clip(y - text_height - 2, 0, size[1] - text_height))
        # Labels of persons further away give way upwards.
        while top > 0 and any(
            overlaps((left, top, left + text_width, top + text_height), one) for one in taken
        ):
            top -= 1
        at = put_text(picture, text, (left, top), TEXT, 0.5, BACKGROUND)
        cv2.rectangle(picture, at[:2], at[2:], rgb_of(person.id), 1)
        taken.append(at)
    return picture


def _status(image: np.ndarray, moment: DriveMoment, y: int) -> None:
    put_text(image, f"{moment.seconds:.1f} s", (8, y), TEXT, 0.7)
    if moment.people is None:
        put_text(image, "no people for this image", (130, y), BAD, 0.7)
        return
    status = moment.people.status
    words = ", ".join(reason.value.replace("_", " ") for reason in moment.people.reasons)
    text = f"{status.name}: {words}" if words else status.name
    put_text(image, text, (130, y), STATUS_COLOURS[status], 0.7)


def _people_table(image: np.ndarray, moment: DriveMoment, camera: CameraView, y: int) -> None:
    for title, right in COLUMNS:
        _right(image, title, right, y, DIM)
    cv2.line(image, (8, y + ROW), (COLUMNS[-1][1], y + ROW), LINE, 1)
    people = () if moment.people is None else moment.people.people
    nearest = sorted(people, key=camera.distance)
    for row, person in enumerate(nearest[:MOST_PEOPLE], start=1):
        top = y + 4 + row * ROW
        cv2.rectangle(image, (10, top + 5), (22, top + 17), rgb_of(person.id), cv2.FILLED)
        colour = TEXT if person.skeleton_index >= 0 else DIM
        for text, (_, right) in zip(_row(moment, camera, person), COLUMNS, strict=True):
            child = right == CHILD and is_child(person)
            _right(image, text, right, top, CHILD_COLOUR if child else colour)
    if len(nearest) > MOST_PEOPLE:
        text = f"and {len(nearest) - MOST_PEOPLE} more"
        put_text(image, text, (8, y + 4 + (MOST_PEOPLE + 1) * ROW), DIM)


def _row(moment: DriveMoment, camera: CameraView, person: Person) -> tuple[str, ...]:
    doubt = 2 * math.sqrt(max(float(np.linalg.eigvalsh(person.covariance[:2, :2])[-1]), 0.0))
    true = moment.truth_of(person)
    error = math.nan if true is None else np.hypot(*(person.position - true.position)[:2])
    return (
        person.id,
        f"{camera.distance(person):.1f}",
        f"{doubt:.2f}",
        _number(error, ".2f"),
        f"{np.hypot(*person.velocity[:2]):.1f}",
        _number(math.degrees(person.heading), ".0f"),
        "" if person.posture is Posture.UNKNOWN else person.posture.name.lower(),
        _number(person.child_probability, ".2f"),
        f"{person.existence:.2f}",
        "unseen" if person.skeleton_index < 0 else letters_of(person.sources),
    )


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _right(image: np.ndarray, text: str, right: int, y: int, colour: Colour) -> None:
    put_text(image, text, (right - text_size(text, 0.5)[0], y), colour)


def _refused(image: np.ndarray, moment: DriveMoment, y: int) -> None:
    put_text(image, "refused in the last report", (REFUSED_X, y), DIM)
    cv2.line(image, (REFUSED_X, y + ROW), (LEGEND_X - 22, y + ROW), LINE, 1)
    news = Counter({key: n for key, n in moment.refused.items() if key[1] not in USUAL})
    lines = news.most_common(MOST_REFUSED)
    for row, ((cue, reason), count) in enumerate(lines, start=1):
        text = f"{count} {cue}: {reason}".replace("_", " ")
        put_text(image, text, (REFUSED_X, y + 4 + row * ROW))
    left_out = len(news) - len(lines)
    rest = sum(moment.refused.values()) - news.total()
    row = len(lines) + 1
    if left_out:
        put_text(image, f"and {left_out} others", (REFUSED_X, y + 4 + row * ROW), DIM)
        row += 1
    if rest:
        text = f"{rest} measured nothing"
        put_text(image, text, (REFUSED_X, y + 4 + row * ROW), DIM)


def _legend(image: np.ndarray, y: int) -> None:
    x, middle = LEGEND_X, LEGEND_X + 17
    put_text(image, "legend", (x, y), DIM)
    cv2.line(image, (x, y + ROW), (CAMERA_WIDTH - 12, y + ROW), LINE, 1)
    colour = rgb_of("1")
    texts = ("truth and heading", "2 sigma", "2 sigma, unseen", "heading", "velocity, in 1 s")
    for row, text in enumerate((*texts, "child", "LIDAR returns"), start=1):
        put_text(image, text, (x + 38, y + 4 + row * ROW))
    rows = iter(range(y + 4 + ROW + ROW // 2, y + 4 + 8 * ROW, ROW))
    row = next(rows)
    cv2.circle(image, (middle - 3, row), 8, TRUTH_COLOUR, 1, cv2.LINE_AA)
    cv2.line(image, (middle + 5, row), (middle + 12, row), TRUTH_COLOUR, 2, cv2.LINE_AA)
    for dash in (360, 20):
        row = next(rows)
        for start in range(0, 360, 2 * dash):
            end = start + dash
            cv2.ellipse(image, (middle, row), (14, 8), 0, start, end, colour, 1, cv2.LINE_AA)
    row = next(rows)
    wedge = np.array([[middle + 12, row], [middle - 4, row - 6], [middle - 4, row + 6]])
    cv2.fillConvexPoly(image, wedge, colour, cv2.LINE_AA)
    row = next(rows)
    cv2.arrowedLine(
        image, (middle - 13, row), (middle + 13, row), colour, 2, cv2.LINE_AA, tipLength=0.35
    )
    cv2.circle(image, (middle, next(rows)), 9, CHILD_COLOUR, 2, cv2.LINE_AA)
    row = next(rows)
    for dx, dy in ((-11, 1), (-8, 3), (-3, -4), (2, 4), (7, -1), (11, 5)):
        cv2.circle(image, (middle + dx, row + dy), 1, POINT_COLOUR, cv2.FILLED)
    for place, source in enumerate(LETTERS):
        column, line = divmod(place, 3)
        text = f"{LETTERS[source]}  {SOURCE_NAMES[source]}"
        put_text(image, text, (x + 116 * column, y + 6 + (8 + line) * ROW), DIM, 0.45)
