# SPDX-License-Identifier: Apache-2.0
"""Makes the output of a track: updates its attributes with an image and reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.attributes.facing import facing_of
from hrnet_pose_ros.fusion.attributes.gesture import gestures_of
from hrnet_pose_ros.fusion.attributes.heading import (
    chest_angles,
    update_heading,
    update_heading_by_course,
)
from hrnet_pose_ros.fusion.attributes.motion_state import motion_of
from hrnet_pose_ros.fusion.attributes.posture import likelihoods, posture_of, stands, update_posture
from hrnet_pose_ros.fusion.attributes.stature import (
    SMALLEST_PX,
    child_probability,
    stature_of,
    update_stature,
)
from hrnet_pose_ros.fusion.body import RADIUS, RADIUS_STD
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.person import Person, Points3D
from hrnet_pose_ros.fusion.range_table import ErrorModel
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.tracking.track import PLACE, VELOCITY, Track

# Standard deviation of vertical velocities, m/s: people stay on the ground.
VERTICAL_SPEED = 0.1


@dataclass(frozen=True)
class Sighted:
    """A person with a skeleton, and what became of each cue.

    Attributes
    ----------
    index
        Place in the skeletons of the image.
    detection_id
        The detector's.
    stature
        float64 ``[2]``: measured in this image, m, and its variance; NaN if it was not.
    outcomes
        None for each cue that was used, else why not.
    ranges
        What each cue measured: inverse range and standard deviation.
    since
        Seconds from the track's last skeleton.
    """

    index: int
    detection_id: str
    stature: np.ndarray
    outcomes: dict[str, Refusal | None]
    ranges: dict[str, tuple[float, float]]
    since: float


class PersonReporter:
    """Reports the persons of one image.

    Parameters
    ----------
    scene, model
        The image, and the errors that cues share in it.
    azimuth
        float64 ``[N]``: bearings in the levelled base frame.
    depth
        The depth cue, which knows the returns at the joints.
    over_ground
        Whether velocities are over ground.
    """

    def __init__(
        self,
        scene: Scene,
        model: ErrorModel,
        azimuth: np.ndarray,
        depth: DepthImageCue,
        *,
        over_ground: bool,
    ) -> None:
        self._scene = scene
        self._model = model
        self._azimuth = azimuth
        self._depth = depth
        self._over_ground = over_ground
        self._chests = chest_angles(scene)
        self._postures = likelihoods(scene)
        self._gestures = gestures_of(scene)

    def seen(self, track: Track, sighted: Sighted) -> Person:
        """Return a person with a skeleton."""
        n = sighted.index
        update_heading(
            track,
            float(self._azimuth[n]),
            float(self._chests.angle[n]),
            float(self._chests.variance[n]),
        )
        if self._over_ground:
            update_heading_by_course(track)
        update_posture(track, self._postures[n], sighted.since)
        # Who sits, crouches or lies is shorter than standing: no evidence of a child.
        if self._scene.views.size_px[n] >= SMALLEST_PX and stands(track):
            update_stature(track, *sighted.stature.tolist())
        gesture, gesture_probability = self._gestures[n]
        facing, facing_probability = facing_of(track, float(self._azimuth[n]))
        visible = np.isfinite(self._chests.angle[n])
        return Person(
            **self._common(track),
            detection_id=sighted.detection_id,
            skeleton_index=n,
            facing=facing if visible else type(facing).UNKNOWN,
            facing_probability=facing_probability if visible else float("nan"),
            gesture=gesture,
            gesture_probability=gesture_probability,
            measurement_age=0.0,
            keypoints=self._keypoints(track, sighted),
            outcomes=sighted.outcomes,
            ranges=sighted.ranges,
        )

    def coasting(self, track: Track) -> Person:
        """Return a person without a skeleton: the prediction."""
        return Person(
            **self._common(track),
            detection_id=track.detection_id,
            skeleton_index=-1,
            measurement_age=(self._scene.stamp - track.seen) / NS,
        )

    def _common(self, track: Track) -> dict[str, Any]:
        """Return the fields that seen and coasting persons have in common."""
        camera, settings = self._scene.views.camera_position, self._scene.settings
        away = track.mean[PLACE] - camera[:2]
        own = track.covariance
        covariance = np.zeros((6, 6))
        covariance[:2, :2], covariance[3:5, 3:5] = own[PLACE, PLACE], own[VELOCITY, VELOCITY]
        covariance[:2, 3:5], covariance[3:5, :2] = own[PLACE, VELOCITY], own[VELOCITY, PLACE]
        covariance[2, 2] = settings.base_height_std**2 + self._model.tilt**2 * float(away @ away)
        covariance[5, 5] = VERTICAL_SPEED**2
        stature, stature_var = stature_of(track)
        posture, posture_probability = posture_of(track)
        motion, motion_probability = motion_of(track, over_ground=self._over_ground)
        known = np.isfinite(track.heading_var)
        return dict(
            id=track.id,
            position=np.array([*track.mean[PLACE], self._scene.ground]),
            velocity=np.array([*track.mean[VELOCITY], 0.0]),
            covariance=covariance,
            existence=track.existence,
            height=stature,
            height_variance=stature_var,
            radius=RADIUS,
            radius_variance=RADIUS_STD**2,
            heading=track.heading if known else float("nan"),
            heading_variance=track.heading_var if known else float("nan"),
            posture=posture,
            posture_probability=posture_probability,
            motion=motion,
            motion_probability=motion_probability,
            child_probability=child_probability(stature, stature_var),
            sources=track.sources,
        )

    def _keypoints(self, track: Track, sighted: Sighted) -> Points3D | None:
        """Return the key points at which depth was measured, in space."""
        if sighted.outcomes.get("depth", Refusal.NO_MEASUREMENT) is not None:
            return None
        views, n = self._scene.views, sighted.index
        camera = views.camera_position
        body = float(np.hypot(*(track.mean[PLACE] - camera[:2])))
        ranges, variances = self._depth.joint_ranges(self._scene, n, body)
        if not np.isfinite(ranges).any():
            return None
        azimuth = views.azimuth[n] + views.heading
        c, s, slope = np.cos(azimuth), np.sin(azimuth), views.slope[n]
        along = np.stack([c, s, slope], axis=1)
        beside = np.stack([-s, c, np.zeros_like(s)], axis=1) * ranges[:, None]
        above = np.array([0.0, 0.0, 1.0]) * ranges[:, None]
        covariances = np.zeros((len(ranges), 3, 3))
        for direction, variance in (
            (along, variances),
            (beside, views.azimuth_var[n]),
            (above, views.slope_var[n]),
        ):
            outer = direction[:, :, None] * direction[:, None, :]
            covariances += variance[:, None, None] * outer
        return Points3D(camera + along * ranges[:, None], covariances)
