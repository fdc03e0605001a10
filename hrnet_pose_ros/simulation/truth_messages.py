# SPDX-License-Identifier: Apache-2.0
"""The truth as a PersonArray message, and as lines of JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.simulation.messages import Types, header_of
from hrnet_pose_ros.simulation.truth import TruePerson, Truth

PERSON, PERSON_ARRAY = "hrnet_pose_ros/msg/Person", "hrnet_pose_ros/msg/PersonArray"
KEYPOINT_3D = "hrnet_pose_ros/msg/Keypoint3D"


def person_array(types: Types, truth: Truth, frame: str) -> Any:
    """The truth as a PersonArray in ``frame``, the level base frame.

    ``id`` is the true identity; all variances and the age are 0, and all probabilities 1. A person
    with a part in the image has ``existence`` 1, any other 0: only the former can be estimated.
    """
    array = types[PERSON_ARRAY]
    return array(
        header=header_of(types, truth.stamp, frame),
        status=array.OK,
        reasons=[],
        people=[_person(types, person) for person in truth.people],
    )


def _person(types: Types, true: TruePerson) -> Any:
    kind = types[PERSON]
    known_heading = math.isfinite(true.heading)
    x, y, z = (float(value) for value in true.position)
    vx, vy, vz = (float(value) for value in true.velocity)
    exact = {"var_x": 0.0, "cov_xy": 0.0, "cov_xz": 0.0, "var_y": 0.0, "cov_yz": 0.0, "var_z": 0.0}
    return kind(
        id=true.name,
        detection_id=true.detection_id,
        skeleton_index=true.skeleton_index,
        position=types["geometry_msgs/msg/Point"](x=x, y=y, z=z),
        velocity=types["geometry_msgs/msg/Vector3"](x=vx, y=vy, z=vz),
        covariance=np.zeros(36),
        height=true.stature,
        height_variance=0.0,
        radius=true.radius,
        radius_variance=0.0,
        heading=true.heading,
        heading_variance=0.0 if known_heading else math.nan,
        existence=1.0 if true.visible > 0 else 0.0,
        posture=getattr(kind, f"POSTURE_{true.posture}"),
        posture_probability=1.0,
        motion=getattr(kind, f"MOTION_{true.motion}"),
        motion_probability=1.0,
        facing=getattr(kind, f"FACING_{true.facing}"),
        facing_probability=1.0 if known_heading else math.nan,
        gesture=true.gesture,
        gesture_probability=1.0,
        child_probability=float(true.child),
        sources=0,
        measurement_age=0.0,
        keypoints=[
            types[KEYPOINT_3D](x=float(px), y=float(py), z=float(pz), **exact)
            for px, py, pz in true.joints
        ],
    )


def truth_line(truth: Truth) -> str:
    """One line of JSON; NaN becomes null."""
    return json.dumps(
        {"stamp": truth.stamp, "people": [_plain(asdict(person)) for person in truth.people]},
        allow_nan=False,
    )


def read_truth(path: Path) -> list[Truth]:
    """The truths of a file of such lines; ValueError names the line that is none."""
    truths = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            values = json.loads(line)
            people = tuple(TruePerson(**_arrays(person)) for person in values["people"])
            truths.append(Truth(int(values["stamp"]), people))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"'{path}' line {number} is no truth: {error}") from None
    return truths


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def _arrays(person: dict[str, Any]) -> dict[str, Any]:
    arrays = {
        name: np.array(person[name], np.float64)
        for name in ("position", "velocity", "joints", "pixels")
    }
    heading = person["heading"]
    return person | arrays | {"heading": math.nan if heading is None else heading}
