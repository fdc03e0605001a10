# SPDX-License-Identifier: Apache-2.0
"""The reference: a brake that knows the truth about everybody whom the detector has found.

It has the same vehicle and the same images, without errors of places, delays and dropouts: somebody
of whom the camera sees too little for the detector is known to nobody. At the last moment at which
braking would still avoid a contact, it brakes as hard as the vehicle can.

It drives a ride alone, and it drives along in the guard's ride, where it may only brake more. The
latter says whether a contact of the guard could have been avoided by somebody who knows: a ride
that ends well with the ideal brake alone may only have been earlier at the place where a runner
comes, out of view, into the vehicle's side.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hrnet_pose_ros.guard.commanded_path import pose_after
from hrnet_pose_ros.guard_proof.driven_vehicle import DrivenVehicle
from hrnet_pose_ros.guard_proof.world import RideWorld, distances_to

# Somebody is known for so long after the last image in which they were found, s: as long as the
# fusion remembers them.
KNOWN = 2.0
MARGIN = 0.05  # m
PREDICTION = 0.05  # s
PERIOD = 0.02  # s


class Detections(Protocol):
    """Who has been found in the images."""

    @property
    def detected(self) -> np.ndarray:
        """When the last image was taken in which each person was found, s, ``[N]``; -inf: never."""
        ...


def known(detections: Detections, time: float) -> np.ndarray:
    """Who is known at a time in s, bool ``[N]``: whom the detector found within `KNOWN`."""
    return time - detections.detected <= KNOWN


class IdealBrake:
    """Decides with true places and velocities, ``delay`` s after somebody was found."""

    def __init__(
        self,
        world: RideWorld,
        vehicle: DrivenVehicle,
        detections: Detections,
        delay: float = 0.0,
    ) -> None:
        self._world, self._vehicle, self._detections = world, vehicle, detections
        self._delay = delay
        self._first = np.full(len(world.names), np.inf)
        self._last = np.full(len(world.names), -np.inf)

    def factor(self, command: np.ndarray) -> float:
        """0 to brake, 1 to go on, for a planar twist that is commanded now."""
        time = self._vehicle.time
        last = self._detections.detected.copy()
        new = last > self._last + KNOWN
        self._first[new] = last[new]
        self._last = last
        who = known(self._detections, time) & (time - self._first >= self._delay)
        if not who.any():
            return 1.0
        places, velocities = self._world.in_base(time)
        radii = self._world.radii + MARGIN
        return float(not self._meets(command, places[who], velocities[who], radii[who]))

    def _meets(
        self, command: np.ndarray, places: np.ndarray, velocities: np.ndarray, radii: np.ndarray
    ) -> bool:
        """Whether the vehicle meets somebody if it goes on for one period, then brakes."""
        vehicle = self._vehicle
        footprint, train = vehicle.footprint, vehicle.drivetrain
        wanted = footprint.largest_speed(command)
        if wanted <= 0:
            return False
        unit = command / wanted
        going = train.delay + PERIOD
        top = min(max(wanted, vehicle.speed), vehicle.speed + train.acceleration * going)
        end = going + top / train.deceleration
        times = np.arange(0.0, end + PREDICTION, PREDICTION)
        rising = np.minimum(times, going)
        way = vehicle.speed * rising + (top - vehicle.speed) / going * rising**2 / 2
        braking = np.clip(times - going, 0.0, top / train.deceleration)
        way += top * braking - train.deceleration * braking**2 / 2
        turns, centres = pose_after(unit, way)
        off = places + velocities * times[:, None, None] - centres[:, None]  # [T, N, 2]
        cos, sin = np.cos(turns)[:, None], np.sin(turns)[:, None]
        there = np.stack(
            [cos * off[..., 0] + sin * off[..., 1], cos * off[..., 1] - sin * off[..., 0]], axis=-1
        )
        distances = distances_to(footprint, there.reshape(-1, 2))[0].reshape(len(times), -1)
        return bool((distances <= radii).any())
