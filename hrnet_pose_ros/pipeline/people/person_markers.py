# SPDX-License-Identifier: Apache-2.0
"""People as RViz markers: cylinder, velocity, heading, 2 sigma ellipse, bones in space, label."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import Person
from hrnet_pose_ros.pipeline.marker_messages import (
    ARROW,
    CYLINDER,
    DELETE_ALL,
    LINE_LIST,
    LINE_STRIP,
    TEXT,
    MarkerMaker,
)
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.people.person_extent import height_of, radius_of
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, header_of

# The velocity arrow shows where the person is after this time, s; slower ones have none, m/s.
AHEAD, SLOWEST = 1.0, 0.2
CORNERS = 48


def person_markers(types: MessageClasses, output: PeopleOutput) -> Any:
    """Return the MarkerArray of an output: it deletes what was shown, and shows these people."""
    maker = _Maker(types, output)
    markers = [maker.marker("", 0, CYLINDER, action=DELETE_ALL)]
    for number, person in enumerate(output.people):
        markers += maker.person(number, person)
    return types["visualization_msgs/msg/MarkerArray"](markers=markers)


def colour_of(identity: str) -> tuple[float, float, float]:
    """Return the colour of an id, the same wherever it is drawn: steps of the golden angle."""
    number = int(identity) if identity.isdecimal() else sum(map(ord, identity))
    return colorsys.hsv_to_rgb(number * 0.618034 % 1.0, 0.75, 1.0)


class _Maker:
    def __init__(self, types: MessageClasses, output: PeopleOutput) -> None:
        self._output = output
        self.marker = MarkerMaker(types, header_of(types, output)).marker

    def person(self, number: int, person: Person) -> list[Any]:
        x, y, z = person.position.tolist()
        height, radius = height_of(person), radius_of(person)  # somebody who lies is flat and wide
        rgb = colour_of(person.id)
        # Those who coast, and those of whom it is doubtful that they exist, are paler.
        alpha = (0.5 if person.skeleton_index >= 0 else 0.25) * max(min(person.existence, 1), 0.2)
        made = [
            self.marker(
                "body",
                number,
                CYLINDER,
                place=(x, y, z + height / 2),
                scale=(2 * radius, 2 * radius, height),
                rgba=(*rgb, alpha),
            ),
            self.marker(
                "two_sigma",
                number,
                LINE_STRIP,
                scale=(0.03, 0.0, 0.0),
                rgba=(*rgb, 1.0),
                points=ellipse(person.position, person.covariance[:2, :2]),
            ),
            self.marker(
                "label",
                number,
                TEXT,
                place=(x, y, z + height + 0.25),
                scale=(0.0, 0.0, 0.25),
                rgba=(1.0, 1.0, 1.0, 1.0),
                text=_label(person),
            ),
        ]
        if float(np.hypot(*person.velocity[:2])) >= SLOWEST:
            start = np.array([x, y, z + 0.1])
            tip = start + AHEAD * np.array([*person.velocity[:2], 0.0])
            made.append(self._arrow("velocity", number, start, tip, (*rgb, 1.0)))
        if math.isfinite(person.heading):
            start = np.array([x, y, z + 0.75 * height])
            towards = np.array([math.cos(person.heading), math.sin(person.heading), 0.0])
            end = start + (radius + 0.3) * towards
            made.append(self._arrow("heading", number, start, end, (1.0, 1.0, 1.0, 0.9)))
        bones = self._bones(person)
        if len(bones):
            made.append(
                self.marker(
                    "bones",
                    number,
                    LINE_LIST,
                    scale=(0.03, 0.0, 0.0),
                    rgba=(*rgb, 1.0),
                    points=bones,
                )
            )
        return made

    def _arrow(
        self,
        namespace: str,
        number: int,
        start: np.ndarray,
        end: np.ndarray,
        rgba: tuple[float, float, float, float],
    ) -> Any:
        points = np.stack([start, end])
        scale = (0.05, 0.12, 0.12)  # shaft, head, length of the head
        return self.marker(namespace, number, ARROW, scale=scale, rgba=rgba, points=points)

    def _bones(self, person: Person) -> np.ndarray:
        """Return the ends of the limbs that are known, ``[2 K, 3]``."""
        if person.keypoints is None:
            return np.zeros((0, 3))
        places = person.keypoints.positions
        limbs = [limb for limb in self._output.limbs if max(limb) < len(places)]
        ends = places[np.array(limbs, np.int64).reshape(-1, 2)]
        return ends[np.isfinite(ends).all(axis=(1, 2))].reshape(-1, 3)


def ellipse(position: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the corners of the 2 sigma ellipse on the ground, ``[CORNERS + 1, 3]`` m, closed."""
    values, vectors = np.linalg.eigh(covariance)
    angles = np.linspace(0.0, 2 * np.pi, CORNERS + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    flat = 2 * circle * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return np.asarray(position) + np.concatenate([flat, np.full((CORNERS + 1, 1), 0.02)], axis=1)


def _label(person: Person) -> str:
    doubt = 2 * math.sqrt(max(float(np.linalg.eigvalsh(person.covariance[:2, :2])[-1]), 0.0))
    posture = "" if not person.posture else f" {person.posture.name.lower()}"
    return f"{person.id}{posture}\n{float(np.hypot(*person.position[:2])):.1f} ± {doubt:.1f} m"
