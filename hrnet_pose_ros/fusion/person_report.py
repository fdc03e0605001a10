# SPDX-License-Identifier: Apache-2.0
"""Makes the output of a track: updates its attributes with an image and reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.attributes.facing import facings_of
from hrnet_pose_ros.fusion.attributes.gesture import gestures_of
from hrnet_pose_ros.fusion.attributes.heading import chest_angles, courses_of, update_headings
from hrnet_pose_ros.fusion.attributes.motion_state import motions_of
from hrnet_pose_ros.fusion.attributes.posture import (
    likelihoods,
    postures_of,
    standing,
    update_postures,
)
from hrnet_pose_ros.fusion.attributes.stature import (
    SMALLEST_PX,
    child_probability,
    statures_of,
    update_statures,
)
from hrnet_pose_ros.fusion.body import RADIUS, RADIUS_STD
from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.depth_image import DepthImageCue
from hrnet_pose_ros.fusion.person import Person, Points3D
from hrnet_pose_ros.fusion.range_table import ErrorModel
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.tracking.track import PLACE, VELOCITY, States, Track

# Standard deviation of vertical velocities, m/s: people stay on the ground.
VERTICAL_SPEED = 0.1


@dataclass(frozen=True)
class Seen:
    """The N persons with a skeleton, and what became of each cue.

    Attributes
    ----------
    tracks, states
        In the order of the skeletons of the image.
    azimuth
        float64 ``[N]``: bearings in the levelled base frame.
    statures
        float64 ``[N, 2]``: measured in this image, m, and variances; NaN where they were not.
    outcomes
        None for each cue that was used, else why not.
    ranges
        What each cue measured: inverse range and standard deviation.
    since
        Seconds from each track's last skeleton.
    """

    tracks: list[Track]
    states: States
    azimuth: np.ndarray
    statures: np.ndarray
    outcomes: list[dict[str, Refusal | None]]
    ranges: list[dict[str, tuple[float, float]]]
    since: list[float]


class PersonReporter:
    """Reports the persons of one image.

    Parameters
    ----------
    scene, model
        The image, and the errors that cues share in it.
    depth
        The depth cue, which knows the returns at the joints.
    over_ground
        Whether velocities are over ground.
    """

    def __init__(
        self, scene: Scene, model: ErrorModel, depth: DepthImageCue, *, over_ground: bool
    ) -> None:
        self._scene = scene
        self._model = model
        self._depth = depth
        self._over_ground = over_ground

    def people(self, seen: Seen, coasting: list[Track], unseen: States) -> list[Person]:
        """Return those who are seen, in their order, then those who coast, as predicted.

        ``unseen`` are the states of those who coast.
        """
        scene, tracks = self._scene, seen.tracks
        chests = chest_angles(scene)
        courses = courses_of(seen.states) if self._over_ground else None
        update_headings(tracks, seen.azimuth, chests, courses)
        update_postures(tracks, likelihoods(scene), seen.since)
        # Who sits, crouches or lies is shorter than standing: no evidence of a child.
        measured = (scene.views.size_px >= SMALLEST_PX) & standing(tracks)
        update_statures(tracks, np.where(measured[:, None], seen.statures, np.nan))
        facings = facings_of(tracks, seen.azimuth, visible=np.isfinite(chests.angle))
        gestures = gestures_of(scene)
        common = self._common([*tracks, *coasting], seen.states.and_those(unseen))
        people = [
            Person(
                **common[n],
                detection_id=track.detection_id,
                skeleton_index=n,
                facing=facings[n][0],
                facing_probability=facings[n][1],
                gesture=gestures[n][0],
                gesture_probability=gestures[n][1],
                keypoints=self._keypoints(track, n, seen.outcomes[n]),
                outcomes=seen.outcomes[n],
                ranges=seen.ranges[n],
            )
            for n, track in enumerate(tracks)
        ]
        return people + [
            Person(
                **own,
                detection_id=track.detection_id,
                skeleton_index=-1,
                measurement_age=(scene.stamp - track.seen) / NS,
            )
            for track, own in zip(coasting, common[len(tracks) :], strict=True)
        ]

    def _common(self, tracks: list[Track], states: States) -> list[dict[str, Any]]:
        """Return the fields that seen and coasting persons have in common."""
        means, own = states.means, states.covariances
        settings, camera = self._scene.settings, self._scene.views.camera_position
        away = means[:, PLACE] - camera[:2]
        covariances = np.zeros((len(tracks), 6, 6))
        covariances[:, :2, :2] = own[:, PLACE, PLACE]
        covariances[:, 3:5, 3:5] = own[:, VELOCITY, VELOCITY]
        covariances[:, :2, 3:5] = own[:, PLACE, VELOCITY]
        covariances[:, 3:5, :2] = own[:, VELOCITY, PLACE]
        tilted = self._model.tilt**2 * (away * away).sum(axis=1)
        covariances[:, 2, 2] = settings.base_height_std**2 + tilted
        covariances[:, 5, 5] = VERTICAL_SPEED**2
        places, speeds = np.zeros((2, len(tracks), 3))
        places[:, :2], places[:, 2] = means[:, PLACE], self._scene.ground
        speeds[:, :2] = means[:, VELOCITY]
        motions = motions_of(means, own, over_ground=self._over_ground)
        postures, (statures, stature_vars) = postures_of(tracks), statures_of(tracks)
        children = child_probability(statures, stature_vars).tolist()
        heights = zip(statures.tolist(), stature_vars.tolist(), strict=True)
        result = []
        for n, (track, (stature, stature_var)) in enumerate(zip(tracks, heights, strict=True)):
            posture, posture_probability = postures[n]
            known = track.heading_var < math.inf
            result.append(
                dict(
                    id=track.id,
                    position=places[n],
                    velocity=speeds[n],
                    covariance=covariances[n],
                    existence=track.existence,
                    height=stature,
                    height_variance=stature_var,
                    radius=RADIUS,
                    radius_variance=RADIUS_STD**2,
                    heading=track.heading if known else math.nan,
                    heading_variance=track.heading_var if known else math.nan,
                    posture=posture,
                    posture_probability=posture_probability,
                    motion=motions[n][0],
                    motion_probability=motions[n][1],
                    child_probability=children[n],
                    sources=track.sources,
                )
            )
        return result

    def _keypoints(
        self, track: Track, n: int, outcomes: dict[str, Refusal | None]
    ) -> Points3D | None:
        """Return the key points of a person at which depth was measured, in space."""
        if outcomes.get(DepthImageCue.name, Refusal.NO_MEASUREMENT) is not None:
            return None
        views = self._scene.views
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
