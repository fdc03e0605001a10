# SPDX-License-Identifier: Apache-2.0
"""One picture of the guard's demo: the street from above, the speeds, and what the guard does."""

from __future__ import annotations

import math

import cv2
import numpy as np

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
    put_text,
    text_size,
)
from demo.fusion.top_view import HIDDEN_COLOUR, OBSTACLE_COLOUR, TRUTH_COLOUR, rgb_of
from demo.guard.moments import GuardMoment, GuardRide
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.nodes.guard.diagnostics import TERMS
from hrnet_pose_ros.pipeline.guard.guard_markers import PERSON, ZONE_COLOURS
from hrnet_pose_ros.pipeline.people.person_markers import ellipse

WIDTH, HEIGHT = 1280, 720
SCENE = 440  # px: height of the street
SCALE = 62.0  # px per metre
BEHIND = 4.0  # m of the street behind the vehicle that are shown
PLOT = (56, 482, 800, 690)  # x0, y0, x1, y1
TEXT_X = 836
HISTORY = 10.0  # s that the plot shows
ROW = 24
FILLED = 0.28
ACTION_COLOURS = {"none": GOOD, "stop": BAD, "slowdown": WARNING, "approach": WARNING}
COMMANDED: Colour = (150, 156, 168)
ALLOWED: Colour = (255, 190, 70)
DRIVEN: Colour = (120, 200, 255)
VIEW_COLOUR: Colour = (34, 40, 50)
_SHIFT = 3


def draw_guard_moment(ride: GuardRide, number: int) -> np.ndarray:
    """The picture of a moment, uint8 RGB."""
    moment = ride.moments[number]
    image = np.full((HEIGHT, WIDTH, 3), PANEL, np.uint8)
    image[:SCENE] = _street(ride, moment)
    cv2.line(image, (0, SCENE), (WIDTH, SCENE), LINE, 2)
    _speeds(image, ride, number)
    _words(image, moment)
    return image


def zone_rgb(name: str) -> Colour:
    """The colour of a zone, that of its marker in RViz."""
    red, green, blue = (round(255 * value) for value in ZONE_COLOURS[name])
    return red, green, blue


class _Canvas:
    """Pixels of places in the world: the vehicle stays where it is in the picture."""

    def __init__(self, place: np.ndarray) -> None:
        self._left = place[0] - BEHIND
        self._place = place

    def of_base(self, points: np.ndarray, place: np.ndarray | None = None) -> np.ndarray:
        """World places ``[K, 2]`` of places in the base frame, at a place of the vehicle."""
        x, y, yaw = self._place if place is None else place
        cos, sin = math.cos(yaw), math.sin(yaw)
        return points @ np.array([[cos, sin], [-sin, cos]]) + [x, y]

    def fixed(self, world: np.ndarray) -> np.ndarray:
        """Pixels in OpenCV's fixed-point coordinates."""
        world = np.asarray(world, np.float64)
        pixels = np.stack(
            [(world[..., 0] - self._left) * SCALE, SCENE / 2 - world[..., 1] * SCALE], axis=-1
        )
        return np.round(np.clip(pixels, -4000, 4000) * 2**_SHIFT).astype(np.int32)

    def point(self, world: np.ndarray) -> tuple[int, int]:
        """One place."""
        x, y = self.fixed(world).tolist()
        return x, y


def _street(ride: GuardRide, moment: GuardMoment) -> np.ndarray:
    image = np.full((SCENE, WIDTH, 3), BACKGROUND, np.uint8)
    canvas = _Canvas(moment.place)
    _view(image, canvas)
    for metre in range(math.floor(moment.place[0] - BEHIND), math.ceil(moment.place[0]) + 20):
        x, y = (canvas.fixed(np.array([metre, -3.4])) >> _SHIFT).tolist()
        cv2.line(image, (x, y - (10 if metre % 5 == 0 else 4)), (x, y), LINE, 1, cv2.LINE_AA)
        if metre % 5 == 0:
            put_text(image, f"{metre} m", (x + 2, y - 14), DIM, 0.4)
    walls = ride.walls.reshape(-1, 4, 2, 2)[:, :, 0]
    for corners in walls:
        cv2.fillConvexPoly(image, canvas.fixed(corners), OBSTACLE_COLOUR, cv2.LINE_AA, _SHIFT)
    image = _zones(image, canvas, moment)
    body = canvas.fixed(canvas.of_base(ride.footprint))
    cv2.fillConvexPoly(image, body, (200, 205, 215), cv2.LINE_AA, _SHIFT)
    nose = np.array([[0.6, 0.0], [0.25, 0.2], [0.25, -0.2]])
    cv2.fillConvexPoly(image, canvas.fixed(canvas.of_base(nose)), BACKGROUND, cv2.LINE_AA, _SHIFT)
    for place, radius in zip(moment.truth, ride.radii, strict=True):
        pixels = round(float(radius) * SCALE * 2**_SHIFT)
        cv2.circle(image, canvas.point(place), pixels, TRUTH_COLOUR, 1, cv2.LINE_AA, _SHIFT)
    _people(image, canvas, moment)
    _scene_legend(image)
    put_text(image, f"{moment.time:.1f} s", (8, 6), TEXT, 0.7)
    return image


def _view(image: np.ndarray, canvas: _Canvas) -> None:
    """The angle in which people are seen."""
    half = GuardSettings().view / 2
    edges = np.array([[0.0, 0.0], *((40 * math.cos(a), 40 * math.sin(a)) for a in (half, -half))])
    cv2.fillConvexPoly(image, canvas.fixed(canvas.of_base(edges)), VIEW_COLOUR, cv2.LINE_AA, _SHIFT)


def _zones(image: np.ndarray, canvas: _Canvas, moment: GuardMoment) -> np.ndarray:
    """The zones that the node has published, the largest first."""
    layer = image.copy()
    shown = [name for name in reversed(ZONE_COLOURS) if name in moment.zones]
    outlines = {name: canvas.fixed(canvas.of_base(moment.zones[name])) for name in shown}
    for name in shown:
        cv2.fillPoly(layer, [outlines[name]], zone_rgb(name), cv2.LINE_AA, _SHIFT)
    image = cv2.addWeighted(layer, FILLED, image, 1 - FILLED, 0)
    for name in shown:
        cv2.polylines(image, [outlines[name]], True, zone_rgb(name), 1, cv2.LINE_AA, _SHIFT)
    if PERSON in moment.zones:
        line = canvas.fixed(canvas.of_base(moment.zones[PERSON]))
        cv2.polylines(image, [line], False, BAD, 2, cv2.LINE_AA, _SHIFT)
    return image


def _people(image: np.ndarray, canvas: _Canvas, moment: GuardMoment) -> None:
    """Who was reported last, where the vehicle was then: with 2 sigma and velocity."""
    if moment.people is None:
        return
    for person in moment.people.people:
        colour = rgb_of(person.id) if person.skeleton_index >= 0 else HIDDEN_COLOUR
        outline = ellipse(person.position, person.covariance[:2, :2])[:, :2]
        pixels = canvas.fixed(canvas.of_base(outline, moment.people_from))
        cv2.polylines(image, [pixels], True, colour, 1, cv2.LINE_AA, _SHIFT)
        at = canvas.of_base(person.position[:2], moment.people_from)
        cv2.circle(image, canvas.point(at), 4 << _SHIFT, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        if np.isfinite(person.velocity[:2]).all() and np.hypot(*person.velocity[:2]) > 0.2:
            tip = canvas.of_base(person.position[:2] + person.velocity[:2], moment.people_from)
            start, end = (canvas.fixed(one) >> _SHIFT for one in (at, tip))
            cv2.arrowedLine(
                image, tuple(start.tolist()), tuple(end.tolist()), colour, 2, cv2.LINE_AA, 0, 0.25
            )
        x, y = (canvas.fixed(at) >> _SHIFT).tolist()
        put_text(image, person.id, (x + 8, y - 20), colour, 0.45)


def _scene_legend(image: np.ndarray) -> None:
    entries = [(name.replace("_", " "), zone_rgb(name)) for name in ZONE_COLOURS]
    entries += [("true person", TRUTH_COLOUR), ("estimate, 2 sigma", rgb_of("1"))]
    x = WIDTH - 8
    for text, colour in reversed(entries):
        width, _ = text_size(text, 0.42)
        x -= width
        put_text(image, text, (x, 8), TEXT, 0.42)
        x -= 16
        cv2.rectangle(image, (x, 12), (x + 12, 22), colour, cv2.FILLED)
        x -= 12


def _speeds(image: np.ndarray, ride: GuardRide, number: int) -> None:
    """Commanded, answered and driven speed over the last seconds."""
    x0, y0, x1, y1 = PLOT
    now = ride.moments[number].time
    begin = max(0.0, now - HISTORY * 0.85)
    shown = [one for one in ride.moments[: number + 1] if one.time >= begin]
    top = 1.2 * max(max(one.commanded for one in ride.moments), 0.1)

    def pixel(time: float, value: float) -> tuple[int, int]:
        x = x0 + (time - begin) / HISTORY * (x1 - x0)
        return round(x), round(y1 - min(max(value, 0.0), top) / top * (y1 - y0))

    put_text(image, "speed, m/s", (x0, y0 - 34), TEXT, 0.5)
    at = x0 + 130
    for text, colour in (("commanded", COMMANDED), ("allowed", ALLOWED), ("driven", DRIVEN)):
        cv2.line(image, (at, y0 - 22), (at + 26, y0 - 22), colour, 2, cv2.LINE_AA)
        at = put_text(image, text, (at + 32, y0 - 34), DIM, 0.5)[2] + 18
    for value in np.arange(0.0, top, 0.4):
        _, y = pixel(begin, float(value))
        cv2.line(image, (x0, y), (x1, y), LINE, 1)
        put_text(image, f"{value:.1f}", (x0 - 42, y - 11), DIM, 0.42)
    for second in range(math.ceil(begin), math.floor(begin + HISTORY) + 1):
        x, _ = pixel(second, 0)
        cv2.line(image, (x, y1), (x, y1 + 5), LINE, 1)
        if second % 2 == 0:
            put_text(image, f"{second} s", (x - 10, y1 + 5), DIM, 0.4)
    for colour, name in ((COMMANDED, "commanded"), (ALLOWED, "answered"), (DRIVEN, "speed")):
        points = [
            pixel(one.time, getattr(one, name))
            for one in shown
            if math.isfinite(getattr(one, name))
        ]
        cv2.polylines(image, [np.array(points).reshape(-1, 2)], False, colour, 2, cv2.LINE_AA)


def _words(image: np.ndarray, moment: GuardMoment) -> None:
    what, _, speeds = moment.label.partition("\n")
    action, _, reason = what.partition(": ")
    colour = ACTION_COLOURS.get(action, WARNING)
    put_text(image, action or "no answer yet", (TEXT_X, SCENE + 12), colour, 0.95)
    put_text(image, reason.replace("_", " "), (TEXT_X, SCENE + 46), colour, 0.62)
    put_text(image, speeds, (TEXT_X, SCENE + 74), TEXT, 0.55)
    text = f"true distance to the nearest person {moment.distance:.2f} m"
    put_text(image, text, (TEXT_X, SCENE + 102), TEXT, 0.5)
    y = SCENE + 136
    put_text(image, "separation distance in the last report, m", (TEXT_X, y), DIM, 0.45)
    cv2.line(image, (TEXT_X, y + ROW), (WIDTH - 24, y + ROW), LINE, 1)
    known = "separation.total_m" in moment.values
    for place, term in enumerate(TERMS):
        column, row = divmod(place, 4)
        x, top = TEXT_X + 210 * column, y + 4 + (row + 1) * ROW
        value = moment.values.get(f"separation.{term}_m", "-") if known else "-"
        put_text(image, term, (x, top), DIM, 0.5)
        put_text(image, value, (x + 118, top), TEXT, 0.5)
