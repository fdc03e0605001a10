# SPDX-License-Identifier: Apache-2.0
"""What happens in the demo of the guard: a street along which the vehicle is commanded."""

from __future__ import annotations

from hrnet_pose_ros.guard_proof.rides import CommandPart, Dropout, Ride
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import ObstacleConfig, PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor_configs import SensorName

SPEED = 1.2  # m/s, commanded
# What a mobile robot has; a LIDAR would be most of the simulation.
SENSORS: tuple[SensorName, ...] = ("camera", "scan", "imu", "odometry")
# When the fusion is cut off, s.
SILENCE = (32.0, 34.5)


def street(duration: float, seed: int) -> Ride:
    """The ride of the demo.

    A person crosses, a child runs out from behind a parked van, somebody walks along beside the
    way, somebody stands in it for a while, and for 2.5 s no people come.
    """
    people = (
        PersonConfig((6.5, 5.2), kind="adult", steps=(_walk(6.5, -8.0, 1.1),)),
        PersonConfig(
            (12.3, -4.5),
            kind="child",
            age=7,
            steps=(StepConfig(stay=11.0, heading=90.0), _walk(12.4, 7.0, 1.8)),
        ),
        PersonConfig((14.5, 1.9), steps=(StepConfig(stay=8.0), _walk(40.0, 1.9, 0.3))),
        PersonConfig(
            (22.5, -4.0),
            steps=(
                StepConfig(stay=12.0, heading=90.0),
                _walk(22.5, 0.0, 1.0),
                StepConfig(stay=13.0, heading=180.0),
                _walk(22.5, 6.0, 1.2),
            ),
        ),
    )
    van = ObstacleConfig("box", (9.6, -2.1), (4.4, 1.9), height=2.2)
    scenario = SimulationScenario(
        name="street",
        duration=duration,
        seed=seed,
        people=people,
        obstacles=(van,),
        sensors=SENSORS,
    )
    return Ride(
        number=0,
        kind="crossing",
        scenario=scenario,
        command=(CommandPart(60.0, SPEED),),
        dropout=Dropout("people_stop", *SILENCE),
        conflict=5.0,
    )


def _walk(x: float, y: float, speed: float) -> StepConfig:
    return StepConfig(walk_to=(x, y), speed=speed)
