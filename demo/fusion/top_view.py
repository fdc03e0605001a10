# SPDX-License-Identifier: Apache-2.0
"""The scene from above: truth and estimates around the vehicle, in metres."""

from __future__ import annotations

import math

import cv2
import numpy as np

from demo.fusion.moments import CameraView, DriveMoment
from demo.fusion.text import (
    BACKGROUND,
    DIM,
    LINE,
    TEXT,
    Colour,
    Rectangle,
    overlaps,
    put_text,
    text_size,
)
from hrnet_pose_ros.fusion.person import Person
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.pipeline.people.person_markers import colour_of, ellipse
from hrnet_pose_ros.simulation.truth import TruePerson

SIZE = (720, 1080)  # width, height, px
SCALE = 38.0  # px per metre
BEHIND = 2.0  # m of the ground behind the vehicle that are shown
RING_STEP, RINGS = 5.0, 5  # m
VEHICLE = (-0.5, 0.6, 0.4)  # m: from, to, half of the width, as the simulator's sensors sit
VEHICLE_COLOUR: Colour = (200, 205, 215)
VIEW_COLOUR: Colour = (34, 40, 50)
OBSTACLE_COLOUR: Colour = (92, 96, 106)
POINT_COLOUR: Colour = (105, 150, 190)
TRUTH_COLOUR: Colour = (245, 245, 245)
HIDDEN_COLOUR: Colour = (140, 144, 152)  # truth of those whom the camera does not see
CHILD_COLOUR: Colour = (255, 225, 60)
CHILD_FROM = 0.5  # probability
SLOWEST = 0.2  # m/s: slower ones have no arrow
FILLED = 0.22  # opacity of ellipses
USUAL_RADIUS = 0.25  # m, where it is not known
# The letters of what contributed, in this order.
LETTERS = {
    Source.GROUND: "G",
    Source.BODY_LENGTH: "B",
    Source.DEPTH: "D",
    Source.LIDAR: "L",
    Source.SCAN: "S",
    Source.ULTRASONIC: "U",
}
_SHIFT = 3


def rgb_of(identity: str) -> Colour:
    """The colour of an id, that of its markers in RViz."""
    red, green, blue = (round(255 * value) for value in colour_of(identity))
    return red, green, blue


def letters_of(sources: Source) -> str:
    """The letters of `LETTERS` for what measured this person; a dot for none."""
    return "".join(letter for bit, letter in LETTERS.items() if bit & sources) or "-"


def is_child(person: Person) -> bool:
    """Whether the person is more probably a child; False if that is not known."""
    return person.child_probability >= CHILD_FROM


def draw_top_view(moment: DriveMoment, camera: CameraView) -> np.ndarray:
    """The picture, uint8 RGB: the vehicle at the bottom looks upwards."""
    image = np.full((SIZE[1], SIZE[0], 3), BACKGROUND, np.uint8)
    _draw_field_of_view(image, camera)
    for outline in moment.obstacles:
        cv2.fillConvexPoly(
            image,
            _fixed(cv2.convexHull(outline.astype(np.float32))[:, 0]),
            OBSTACLE_COLOUR,
            cv2.LINE_AA,
            _SHIFT,
        )
    _draw_points(image, moment.points)
    taken = _draw_rings(image, camera)
    _draw_vehicle(image)
    people = () if moment.people is None else moment.people.people
    image = _with_ellipses(image, people)
    for true in moment.truth.people:
        _draw_truth(image, true)
    for person in people:
        _draw_person(image, person)
    taken += [_around(person.position) for person in people]
    for person in sorted(people, key=lambda one: one.position[0]):
        taken.append(_label(image, person, taken))
    return image


def _pixels(places: np.ndarray) -> np.ndarray:
    """float ``[..., 2]`` px of places ``[..., 2]`` m."""
    places = np.asarray(places, np.float64)
    origin = np.array([SIZE[0] / 2, SIZE[1] - BEHIND * SCALE])
    return origin - SCALE * places[..., 1::-1]


def _fixed(places: np.ndarray) -> np.ndarray:
    """Places as pixels in OpenCV's fixed-point coordinates."""
    pixels = np.clip(_pixels(places), -4000, 4000)
    return np.round(pixels * 2**_SHIFT).astype(np.int32)


def _point(place: np.ndarray) -> tuple[int, int]:
    x, y = _fixed(place[:2]).tolist()
    return x, y


def _draw_field_of_view(image: np.ndarray, camera: CameraView) -> None:
    edges = [camera.at[:2]]
    for side in (1, -1):
        angle = side * camera.angle / 2
        edges.append(camera.at[:2] + 60 * np.array([math.cos(angle), math.sin(angle)]))
    cv2.fillConvexPoly(image, _fixed(np.array(edges)), VIEW_COLOUR, cv2.LINE_AA, _SHIFT)


def _draw_rings(image: np.ndarray, camera: CameraView) -> list[Rectangle]:
    """Circles about the camera; returns where their labels are."""
    centre, taken = _point(camera.at), []
    for number in range(1, RINGS + 1):
        metres = number * RING_STEP
        radius = round(metres * SCALE * 2**_SHIFT)
        cv2.circle(image, centre, radius, LINE, 1, cv2.LINE_AA, _SHIFT)
        angle = min(camera.angle / 2 + 0.06, math.asin(min(1, 8.6 / metres)))
        place = camera.at[:2] + metres * np.array([math.cos(angle), -math.sin(angle)])
        x, y = np.round(_pixels(place)).astype(int).tolist()
        taken.append(put_text(image, f"{metres:g} m", (x - 18, y - 9), DIM, 0.45, BACKGROUND))
    return taken


def _draw_points(image: np.ndarray, points: np.ndarray) -> None:
    pixels = np.round(_pixels(points[np.isfinite(points).all(axis=1)])).astype(int)
    inside = ((pixels >= 0) & (pixels < np.array(SIZE))).all(axis=1)
    for x, y in pixels[inside].tolist():
        image[y : y + 2, x : x + 2] = POINT_COLOUR


def _draw_vehicle(image: np.ndarray) -> None:
    back, front, half = VEHICLE
    body = np.array([[back, -half], [front, -half], [front, half], [back, half]])
    cv2.fillConvexPoly(image, _fixed(body), VEHICLE_COLOUR, cv2.LINE_AA, _SHIFT)
    nose = np.array([[front - 0.05, 0], [front - 0.4, half - 0.1], [front - 0.4, 0.1 - half]])
    cv2.fillConvexPoly(image, _fixed(nose), BACKGROUND, cv2.LINE_AA, _SHIFT)


def _with_ellipses(image: np.ndarray, people: tuple[Person, ...]) -> np.ndarray:
    layer = image.copy()
    outlines = [
        _fixed(ellipse(person.position, person.covariance[:2, :2])[:, :2]) for person in people
    ]
    for person, outline in zip(people, outlines, strict=True):
        cv2.fillConvexPoly(layer, outline, rgb_of(person.id), cv2.LINE_AA, _SHIFT)
    image = cv2.addWeighted(layer, FILLED, image, 1 - FILLED, 0)
    for person, outline in zip(people, outlines, strict=True):
        colour = rgb_of(person.id)
        if person.skeleton_index >= 0:
            cv2.polylines(image, [outline], True, colour, 1, cv2.LINE_AA, _SHIFT)
            continue
        for start in range(0, len(outline) - 1, 4):  # dashed while coasting
            dash = outline[start : start + 3]
            cv2.polylines(image, [dash], False, colour, 1, cv2.LINE_AA, _SHIFT)
    return image


def _draw_truth(image: np.ndarray, true: TruePerson) -> None:
    colour = TRUTH_COLOUR if true.visible > 0 else HIDDEN_COLOUR
    radius = round(true.radius * SCALE * 2**_SHIFT)
    cv2.circle(image, _point(true.position), radius, colour, 1, cv2.LINE_AA, _SHIFT)
    if math.isfinite(true.heading):
        ahead = np.array([math.cos(true.heading), math.sin(true.heading)])
        start = true.position[:2] + true.radius * ahead
        end = true.position[:2] + (true.radius + 0.2) * ahead
        cv2.line(image, _point(start), _point(end), colour, 2, cv2.LINE_AA, _SHIFT)


def _draw_person(image: np.ndarray, person: Person) -> None:
    colour, at = rgb_of(person.id), person.position[:2]
    if math.isfinite(person.heading):
        ahead = np.array([math.cos(person.heading), math.sin(person.heading)])
        aside = np.array([-ahead[1], ahead[0]])
        wedge = np.array([at + 0.42 * ahead, at + 0.16 * aside, at - 0.16 * aside])
        cv2.fillConvexPoly(image, _fixed(wedge), colour, cv2.LINE_AA, _SHIFT)
    velocity = person.velocity[:2]
    if np.hypot(*velocity) >= SLOWEST:
        _arrow(image, at, at + velocity, colour)
    cv2.circle(image, _point(at), 4 << _SHIFT, BACKGROUND, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    cv2.circle(image, _point(at), 3 << _SHIFT, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    if is_child(person):
        radius = round(0.45 * SCALE * 2**_SHIFT)
        cv2.circle(image, _point(at), radius, CHILD_COLOUR, 2, cv2.LINE_AA, _SHIFT)


def _arrow(image: np.ndarray, start: np.ndarray, end: np.ndarray, colour: Colour) -> None:
    along = (end - start) / np.hypot(*(end - start))
    aside = np.array([-along[1], along[0]])
    neck = end - 0.22 * along
    cv2.line(image, _point(start), _point(neck), colour, 2, cv2.LINE_AA, _SHIFT)
    head = np.array([end, neck + 0.11 * aside, neck - 0.11 * aside])
    cv2.fillConvexPoly(image, _fixed(head), colour, cv2.LINE_AA, _SHIFT)


def _around(place: np.ndarray) -> Rectangle:
    """The pixels that a person takes, which no label should cover."""
    x, y = np.round(_pixels(place[:2])).astype(int).tolist()
    reach = round(USUAL_RADIUS * SCALE)
    return x - reach, y - reach, x + reach, y + reach


def _label(image: np.ndarray, person: Person, taken: list[Rectangle]) -> Rectangle:
    """Write id, sources and child mark where nothing else is written, with a line to the person."""
    unseen = person.skeleton_index < 0
    text = f"{person.id} {'unseen' if unseen else letters_of(person.sources)}"
    if is_child(person):
        text += " child"
    width, height = text_size(text, 0.5)
    x, y = np.round(_pixels(person.position[:2])).astype(int).tolist()
    best, least = (0, 0, 0, 0), math.inf
    for distance in (18, 40, 62):
        for place in (
            (x + distance, y - height // 2),
            (x - distance - width, y - height // 2),
            (x + distance, y - distance - height // 2),
            (x - distance - width, y - distance - height // 2),
            (x + distance, y + distance - height // 2),
            (x - distance - width, y + distance - height // 2),
        ):
            left = int(np.clip(place[0], 0, SIZE[0] - width))
            top = int(np.clip(place[1], 0, SIZE[1] - height))
            rectangle = (left, top, left + width, top + height)
            covered = sum(overlaps(rectangle, one) for one in taken)
            if covered < least:
                best, least = rectangle, covered
    colour = rgb_of(person.id)
    if _inside(x, y):
        near = (int(np.clip(x, best[0], best[2])), int(np.clip(y, best[1], best[3])))
        cv2.line(image, (x, y), near, colour, 1, cv2.LINE_AA)
    put_text(image, text, best[:2], TEXT, 0.5, BACKGROUND)
    cv2.rectangle(image, best[:2], best[2:], colour, 1)
    return best


def _inside(x: int, y: int) -> bool:
    return 0 <= x < SIZE[0] and 0 <= y < SIZE[1]
