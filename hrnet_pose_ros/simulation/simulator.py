# SPDX-License-Identifier: Apache-2.0
"""The whole simulation: a scenario becomes measurements in the order of their arrival, and truth.

Everything follows from the scenario and its seed. The random numbers of a sensor do not depend on
which other sensors there are, so that sets of sensors can be compared on the same scene.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace

from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.simulation.motion_sensors import SimulatedImu, SimulatedOdometry
from hrnet_pose_ros.simulation.range_sensors import (
    SimulatedDepth,
    SimulatedLidar,
    SimulatedScan,
    SimulatedUltrasonic,
)
from hrnet_pose_ros.simulation.residuals import KeypointResiduals
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.scene import SimulatedScene
from hrnet_pose_ros.simulation.sensor import (
    START_NS,
    SensorEvent,
    SimulatedSensor,
    generator_of,
)
from hrnet_pose_ros.simulation.sensor_configs import SENSORS, MountConfig, TimingConfig
from hrnet_pose_ros.simulation.skeleton_sensor import SimulatedCamera
from hrnet_pose_ros.simulation.truth import Truth, truth_at
from hrnet_pose_ros.simulation.vehicle import Mount, MovingVehicle, Vehicle, mount_of

BASE_FRAME, ODOMETRY_FRAME = "base_link", "odom"
FRAMES = {
    "camera": "camera_optical_frame",
    "depth": "depth_optical_frame",
    "lidar": "lidar_link",
    "scan": "scan_link",
    "imu": "imu_link",
    "odometry": BASE_FRAME,
    **{name: f"{name}_link" for name in SENSORS if name.startswith("ultrasonic")},
}


class Simulator:
    """The simulation of a scenario.

    Parameters
    ----------
    scenario
        What happens.
    residuals
        The errors of the key points; the bundled table by default.
    vehicle
        Moves as the scenario says by default; one that is driven while the simulation runs needs
        `SimulatedSensor.event_at` in place of `events`.

    Examples
    --------
    >>> from hrnet_pose_ros.simulation.scenario import SimulationScenario
    >>> from hrnet_pose_ros.simulation.scene_configs import PersonConfig
    >>> scene = SimulationScenario("one", 1.0, people=(PersonConfig((5.0, 0.0)),))
    >>> simulator = Simulator(scene)
    >>> event = next(one for one in simulator.events() if one.sensor == "camera")
    >>> len(event.value), simulator.truth(event).people[0].posture
    (1, 'UPRIGHT')
    """

    def __init__(
        self,
        scenario: SimulationScenario,
        residuals: KeypointResiduals | None = None,
        vehicle: MovingVehicle | None = None,
    ) -> None:
        self.scenario = scenario
        self.scene = SimulatedScene(scenario, generator_of(scenario.seed, "people"))
        self.vehicle: MovingVehicle = vehicle or Vehicle(
            scenario.vehicle, scenario.duration, generator_of(scenario.seed, "vehicle")
        )
        self.residuals = residuals or KeypointResiduals.load()
        self.sensors: dict[str, SimulatedSensor] = {
            name: self._sensor(name) for name in scenario.present
        }
        # The truth says what the camera sees, also where the vehicle has none.
        self.camera = self._camera()

    def events(self) -> Iterator[SensorEvent]:
        """All measurements in the order of their arrival. To be read once."""
        streams = [sensor.events() for sensor in self.sensors.values()]
        return heapq.merge(*streams, key=lambda event: event.arrival)

    def truth(self, event: SensorEvent) -> Truth:
        """The truth at the time of a measurement, under the true stamp.

        For the camera's, it says which skeleton belongs to which person.
        """
        camera, ids = self.sensors.get("camera"), getattr(event.value, "ids", ())
        skeletons = {}
        if isinstance(camera, SimulatedCamera):
            skeletons = {camera.owners[name]: (place, name) for place, name in enumerate(ids)}
        time = (event.time - START_NS) / 1e9
        return truth_at(time, event.time, self.scene, self.vehicle, self.camera, skeletons)

    def extrinsics(self) -> dict[str, Transform]:
        """What the vehicle knows: the nominal transforms from the sensors' frames to the base."""
        return {
            sensor.mount.frame: sensor.mount.nominal
            for name, sensor in self.sensors.items()
            if name != "odometry"
        }

    def unknown_until(self, frame: str) -> float:
        """When a sensor's transform is published, s; 0 unless a fault withholds it."""
        ends = [
            fault.end
            for fault in self.scenario.faults
            if fault.kind == "transform_missing" and FRAMES[fault.sensor] == frame
        ]
        return max(ends, default=0.0)

    def _sensor(self, name: str) -> SimulatedSensor:
        configs = self.scenario.configs
        if name == "camera":
            return self._camera()
        if name.startswith("ultrasonic"):
            place = [one for one in SENSORS if one.startswith("ultrasonic")].index(name)
            ultrasonic = configs.ultrasonic
            world = self._world(name, ultrasonic.timing, ultrasonic.mounts[place])
            return SimulatedUltrasonic(ultrasonic, *world)
        if name == "depth":
            world = self._world(name, configs.depth.timing, configs.depth.mount)
            return SimulatedDepth(configs.depth, *world)
        if name == "lidar":
            world = self._world(name, configs.lidar.timing, configs.lidar.mount)
            return SimulatedLidar(configs.lidar, *world)
        if name == "scan":
            world = self._world(name, configs.scan.timing, configs.scan.mount)
            return SimulatedScan(configs.scan, *world)
        if name == "imu":
            return SimulatedImu(
                configs.imu, *self._world(name, configs.imu.timing, configs.imu.mount)
            )
        wheels = MountConfig((0.0, 0.0, 0.0), angle_error=0.0)
        return SimulatedOdometry(
            configs.odometry, *self._world(name, configs.odometry.timing, wheels)
        )

    def _camera(self) -> SimulatedCamera:
        config = self.scenario.configs.camera
        return SimulatedCamera(
            config, self.residuals, *self._world("camera", config.timing, config.mount)
        )

    def _world(self, name: str, timing: TimingConfig, mount: MountConfig) -> tuple:
        """The arguments that all sensors share, after their own configuration."""
        made = mount_of(
            FRAMES[name],
            mount,
            self.scenario.errors,
            generator_of(self.scenario.seed, f"{name} mount"),
            optical=name in ("camera", "depth"),
        )
        if name == "imu" and self.scenario.configs.imu.in_camera:
            camera = self._camera().mount
            inside = camera.nominal.inverse() @ made.nominal
            made = Mount(made.frame, made.nominal, camera.true @ inside)
        if name == "odometry":
            made = Mount(BASE_FRAME, Transform.identity(), Transform.identity())
        return name, timing, made, self.scenario, self.scene, self.vehicle


def with_changes(
    scenario: SimulationScenario,
    *,
    seed: int | None = None,
    duration: float | None = None,
    sensors: tuple[str, ...] | None = None,
) -> SimulationScenario:
    """The scenario with another seed, duration or set of sensors.

    Raises ValueError for a sensor that does not exist.
    """
    changes: dict[str, object] = {}
    if seed is not None:
        changes["seed"] = seed
    if duration is not None:
        changes["duration"] = duration
    if sensors is not None:
        unknown = sorted(set(sensors) - set(SENSORS))
        if unknown:
            raise ValueError(f"there is no sensor '{unknown[0]}'; there are {', '.join(SENSORS)}")
        changes["sensors"] = sensors
    return replace(scenario, **changes)  # type: ignore[arg-type]
