# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest
from some_people import TYPES, output, over_the_wire, person

from hrnet_pose_ros.fusion.person import Person, Posture
from hrnet_pose_ros.pipeline.people.people_detections import people_detections
from hrnet_pose_ros.pipeline.people.person_markers import person_markers

NAN = math.nan


@pytest.mark.parametrize(
    "one",
    [
        person(),
        person(posture=Posture.LYING),
        person(posture=Posture.CROUCHING),
        person(height=NAN, radius=NAN),
        person(height=0.0, radius=0.0),  # no cylinder that RViz could draw
    ],
)
def test_the_cylinder_is_as_large_as_the_box(one: Person) -> None:
    """Whoever looks at RViz sees what other software takes: somebody who lies does not stand."""
    markers = over_the_wire(person_markers(TYPES, output(one))).markers
    [body] = [marker for marker in markers if marker.ns == "body"]
    [detection] = people_detections(TYPES, output(one)).detections
    assert lengths(body.scale) == pytest.approx(lengths(detection.bbox.size))
    assert body.pose.position.z == pytest.approx(detection.bbox.center.position.z)
    assert min(lengths(body.scale)) > 0


def lengths(vector: Any) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z
