# SPDX-License-Identifier: Apache-2.0
"""Skeletons as RViz markers, each in an upright plane at a distance derived from the box height."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.pose.drawing import side_colours
from hrnet_pose_ros.pose.poses import Poses

# Markers disappear by themselves when the node stops publishing.
LIFETIME = Duration(sec=0, nanosec=500_000_000)
_NAMESPACES = ("limbs", "joints", "details", "label")
# Diameters in metres. Hands and face (the details of a skeleton) are smaller.
LIMB_SIZE, JOINT_SIZE, DETAIL_SIZE = 0.03, 0.06, 0.01


class SkeletonMarkers:
    """Makes the MarkerArray of each image and deletes the markers of persons who have left."""

    def __init__(self) -> None:
        self._shown = 0

    def of(
        self,
        header: Any,
        poses: Poses,
        boxes: np.ndarray,
        labels: list[str],
        camera: Camera,
        *,
        person_height: float,
        min_score: float,
    ) -> MarkerArray:
        """Return the markers in the optical frame of the header.

        Parameters
        ----------
        header
            Stamp and frame of the image.
        poses, boxes, labels
            N persons; the heights of the boxes ``[N, 4]``, in image pixels, give the distances.
        camera
            The projection of the image.
        person_height
            Assumed height of a person, metres.
        min_score
            Minimum score of a joint that is shown.
        """
        markers: list[Marker] = []
        joint_colours, limb_colours = side_colours(poses.skeleton)
        details = frozenset(poses.skeleton.details)
        for person in range(len(poses)):
            height = float(boxes[person, 3])
            points = camera.skeleton_points(poses.keypoints[person], height, person_height)
            shown = poses.valid[person] & (poses.scores[person] >= min_score)
            shown &= np.isfinite(points).all(axis=1)
            if not shown.any():
                markers += self._deletions(header, person, bool(details))
                continue
            xyz = [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]
            limbs = self._marker(header, "limbs", person, Marker.LINE_LIST, LIMB_SIZE)
            fine = self._marker(header, "details", person, Marker.SPHERE_LIST, DETAIL_SIZE)
            for limb, (a, b) in enumerate(poses.skeleton.limbs):
                if shown[a] and shown[b] and not details.issuperset((a, b)):
                    limbs.points += [xyz[a], xyz[b]]
                    limbs.colors += [_colour(limb_colours[limb])] * 2
            joints = self._marker(header, "joints", person, Marker.SPHERE_LIST, JOINT_SIZE)
            for joint in np.flatnonzero(shown).tolist():
                marker = fine if joint in details else joints
                marker.points.append(xyz[joint])
                marker.colors.append(_colour(joint_colours[joint]))
            label = self._marker(header, "label", person, Marker.TEXT_VIEW_FACING, 0.2)
            top = points[shown][np.argmin(points[shown, 1])]
            label.pose.position = Point(x=top[0], y=top[1] - 0.25, z=top[2])
            label.text = labels[person].strip()
            label.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
            parts = (limbs, joints, *([fine] if details else []), label)
            markers += [_shown_or_deleted(part) for part in parts]
        for gone in range(len(poses), self._shown):
            markers += self._deletions(header, gone, bool(details))
        self._shown = len(poses)
        return MarkerArray(markers=markers)

    def _deletions(self, header: Any, person: int, with_details: bool) -> list[Marker]:
        return [
            Marker(header=header, ns=namespace, id=person, action=Marker.DELETE)
            for namespace in _NAMESPACES
            if with_details or namespace != "details"
        ]

    def _marker(self, header: Any, namespace: str, person: int, kind: int, size: float) -> Marker:
        marker = Marker(header=header, ns=namespace, id=person, type=kind, action=Marker.ADD)
        marker.lifetime = LIFETIME
        marker.pose.orientation.w = 1.0
        marker.scale.x = marker.scale.y = marker.scale.z = size
        return marker


def _shown_or_deleted(marker: Marker) -> Marker:
    """Return the marker, or its deletion if it shows nothing: RViz ends or complains about such."""
    if marker.points or marker.text:
        return marker
    return Marker(header=marker.header, ns=marker.ns, id=marker.id, action=Marker.DELETE)


def _colour(rgb: tuple[int, int, int]) -> ColorRGBA:
    red, green, blue = (channel / 255 for channel in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)
