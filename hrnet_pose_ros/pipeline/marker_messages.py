# SPDX-License-Identifier: Apache-2.0
"""Markers for RViz, with all their fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.stamps import time_fields

# Constants of visualization_msgs/Marker.
ARROW, CYLINDER, LINE_STRIP, LINE_LIST, TEXT = 0, 3, 4, 5, 9
ADD, DELETE_ALL = 0, 3
# Markers disappear by themselves when the node stops publishing.
LIFETIME = 500_000_000  # ns


class MarkerMaker:
    """Makes the markers of one MarkerArray, which have its header."""

    def __init__(self, types: MessageClasses, header: Any) -> None:
        self._types, self._header = types, header
        self._lifetime = types["builtin_interfaces/msg/Duration"](**time_fields(LIFETIME))

    def marker(
        self,
        namespace: str,
        number: int,
        kind: int,
        *,
        action: int = ADD,
        place: tuple[float, float, float] = (0.0, 0.0, 0.0),
        scale: tuple[float, float, float] = (0.0, 0.0, 0.0),
        rgba: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
        points: np.ndarray | None = None,
        text: str = "",
    ) -> Any:
        """Return a marker; ``points`` are ``[K, 3]`` m, the others as in the message."""
        types, geometry = self._types, "geometry_msgs/msg/"
        point = types[geometry + "Point"]
        colour = types["std_msgs/msg/ColorRGBA"]
        rows = [] if points is None else points.tolist()
        return types["visualization_msgs/msg/Marker"](
            header=self._header,
            ns=namespace,
            id=number,
            type=kind,
            action=action,
            pose=types[geometry + "Pose"](
                position=point(**dict(zip("xyz", map(float, place), strict=True))),
                orientation=types[geometry + "Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
            ),
            scale=types[geometry + "Vector3"](**dict(zip("xyz", map(float, scale), strict=True))),
            color=colour(**dict(zip("rgba", map(float, rgba), strict=True))),
            lifetime=self._lifetime,
            frame_locked=False,
            points=[point(x=x, y=y, z=z) for x, y, z in rows],
            colors=[],
            texture_resource="",
            texture=types["sensor_msgs/msg/CompressedImage"](
                header=types["std_msgs/msg/Header"](stamp=self._header.stamp, frame_id=""),
                format="",
                data=np.zeros(0, np.uint8),
            ),
            uv_coordinates=[],
            text=text,
            mesh_resource="",
            mesh_file=types["visualization_msgs/msg/MeshFile"](
                filename="", data=np.zeros(0, np.uint8)
            ),
            mesh_use_embedded_materials=False,
        )
