# SPDX-License-Identifier: Apache-2.0
"""The guard as RViz markers: its zones, the person who decides, and what it does and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.reasons import GuardAction
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard.zones import zones_of
from hrnet_pose_ros.pipeline.guard.guard_run import GuardSituation
from hrnet_pose_ros.pipeline.marker_messages import (
    CYLINDER,
    DELETE_ALL,
    LINE_STRIP,
    TEXT,
    MarkerMaker,
)
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.stamps import time_fields

# RGB of each zone, by the name of its markers.
ZONE_COLOURS = {
    "footprint": (0.9, 0.9, 0.95),
    "stop_zone": (1.0, 0.3, 0.25),
    "way_to_stand": (1.0, 0.6, 0.15),
    "slowdown_zone": (1.0, 0.9, 0.3),
}
PERSON, LABEL = "deciding_person", "label"
_LINE, _HEIGHT = 0.03, 0.03  # m: width of the lines, and above the ground


def guard_markers(
    types: MessageClasses,
    stamp: int,
    frame: str,
    situation: GuardSituation,
    settings: GuardSettings,
) -> Any:
    """Return the MarkerArray of a situation: it deletes what was shown before.

    Zones are those of the last command. The line leads to where the deciding person is now.
    """
    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](**time_fields(stamp)), frame_id=frame
    )
    maker = MarkerMaker(types, header)
    markers = [maker.marker("", 0, CYLINDER, action=DELETE_ALL)]
    decision = situation.decision
    if situation.active and decision is not None:
        zones = zones_of(situation.command.on_ground, settings)
        outlines = (zones.footprint, zones.stop, zones.way_to_stand, zones.slowdown)
        for (name, rgb), outline in zip(ZONE_COLOURS.items(), outlines, strict=True):
            if len(outline):
                markers.append(_line(maker, name, np.vstack([outline, outline[:1]]), rgb))
        place = _place_of(decision)
        if place is not None:
            markers.append(_line(maker, PERSON, np.stack([np.zeros(2), place]), (1.0, 0.3, 0.25)))
        markers.append(
            maker.marker(
                LABEL,
                0,
                TEXT,
                place=(0.0, 0.0, 1.6),
                scale=(0.0, 0.0, 0.25),
                rgba=(1.0, 1.0, 1.0, 1.0),
                text=decision_text(
                    decision, settings.footprint.largest_speed(situation.command.on_ground)
                ),
            )
        )
    return types["visualization_msgs/msg/MarkerArray"](markers=markers)


def decision_text(decision: Decision, commanded: float) -> str:
    """Return what the guard does and why, and the speeds of the fastest point, in two lines.

    >>> from hrnet_pose_ros.guard.inputs import VelocityCommand
    >>> from hrnet_pose_ros.guard.reasons import GuardReason
    >>> decision = Decision(
    ...     VelocityCommand(), 0.4, GuardAction.APPROACH, GuardReason.SEPARATION, person_id="7"
    ... )
    >>> print(decision_text(decision, 1.0))
    approach: separation (7)
    0.40 of 1.00 m/s
    """
    what = decision.action.value
    if decision.action is not GuardAction.NONE:
        what += f": {decision.reason.value}"
    who = f" ({decision.person_id})" if decision.of_person else ""
    return f"{what}{who}\n{decision.factor * commanded:.2f} of {commanded:.2f} m/s"


def _line(
    maker: MarkerMaker, name: str, points: np.ndarray, rgb: tuple[float, float, float]
) -> Any:
    places = np.concatenate([points, np.full((len(points), 1), _HEIGHT)], axis=1)
    return maker.marker(
        name, 0, LINE_STRIP, scale=(_LINE, 0.0, 0.0), rgba=(*rgb, 1.0), points=places
    )


def _place_of(decision: Decision) -> np.ndarray | None:
    """Where the person is for whom the vehicle is limited, ``[2]`` m; None without one."""
    place = np.array(decision.place)
    return place if decision.of_person and bool(np.isfinite(place).all()) else None
