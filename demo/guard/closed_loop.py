# SPDX-License-Identifier: Apache-2.0
"""The vehicle of the demo, in closed loop with the guard's node over DDS, in simulated time.

The simulated vehicle moves as the node's answers say, and its sensors move with it. Time goes on
when a command has been answered, at most as fast as real time: a slow machine makes the demo
longer, and changes nothing else.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable
from threading import Condition

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from demo.clips import time_message
from demo.guard.moments import GuardMoment, GuardRide
from hrnet_pose_ros.fusion.person import People
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard_proof.closed_loop import COMMAND_PERIOD, Planner
from hrnet_pose_ros.guard_proof.driven_vehicle import STEP, DrivenVehicle, Drivetrain
from hrnet_pose_ros.guard_proof.fused_people import FusedPeople
from hrnet_pose_ros.guard_proof.rides import Ride
from hrnet_pose_ros.guard_proof.world import RideWorld, distances_to
from hrnet_pose_ros.msg import PersonArray
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, person_array
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.simulation.residuals import KeypointResiduals
from hrnet_pose_ros.simulation.sensor import START_NS, generator_of, nanoseconds

FRAME = "base_link"
NODE = "pedestrian_guard"
# How long an answer may take, s on the wall clock; then the vehicle drives on with the last one.
ANSWER_TIMEOUT = 5.0
_RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


class GuardNotReadyError(RuntimeError):
    """The node was not there in time."""


class GuardHarness(Node):
    """The robot around the node: people and commands out, limited commands in."""

    def __init__(self) -> None:
        super().__init__("demo")
        self._changed = Condition()
        self._answers: dict[int, tuple[TwistStamped, int]] = {}  # by stamp, with their arrival
        self._markers: MarkerArray | None = None
        self._statuses: dict[str, tuple[str, dict[str, str]]] = {}
        self._clock = self.create_publisher(Clock, "/clock", _RELIABLE)
        self._people = self.create_publisher(PersonArray, "people", _RELIABLE)
        self._commands = self.create_publisher(TwistStamped, "cmd_vel_in", _RELIABLE)
        for kind, topic, callback in (
            (TwistStamped, "cmd_vel", self._on_answer),
            (MarkerArray, "guard/markers", self._on_markers),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            self.create_subscription(kind, topic, callback, _RELIABLE)
        self._types = RclpyClasses()

    def _on_answer(self, message: TwistStamped) -> None:
        with self._changed:
            self._answers[stamp_of(message)] = (message, clock.time_ns())
            self._changed.notify_all()

    def _on_markers(self, message: MarkerArray) -> None:
        self._markers = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, part = status.name.partition(": ")
            if node.endswith(NODE):
                values = {value.key: value.value for value in status.values}
                self._statuses[part] = (status.message, values)

    @property
    def statuses(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Message and values of the node's last diagnostics, by the short name."""
        return dict(self._statuses)

    @property
    def shown(self) -> tuple[dict[str, np.ndarray], str]:
        """The outlines and the label of the node's last markers."""
        outlines, label = {}, ""
        for one in [] if self._markers is None else self._markers.markers:
            if one.ns == "label":
                label = one.text
            elif one.points:
                outlines[one.ns] = np.array([(point.x, point.y) for point in one.points])
        return outlines, label

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until the node subscribes to everything, and has reported."""
        deadline = clock.monotonic() + timeout
        while clock.monotonic() < deadline:
            voices = (self._people, self._commands, self._clock)
            if self._statuses and all(one.get_subscription_count() for one in voices):
                return
            clock.sleep(0.05)
        raise GuardNotReadyError(
            f"the guard was not ready after {timeout:.0f} s; see its log above"
        )

    def set_time(self, stamp: int) -> None:
        """Publish the time, ns."""
        self._clock.publish(Clock(clock=time_message(stamp)))

    def send_people(self, people: People) -> None:
        """Publish what the fusion returned."""
        output = PeopleOutput(people.stamp, FRAME, people.status, people.reasons, people.people)
        self._people.publish(person_array(self._types, output))

    def answer_to(self, twist: np.ndarray, stamp: int) -> tuple[np.ndarray, float] | None:
        """Command a planar twist; return the answer, and how long it took (s), or None."""
        message = TwistStamped(header=Header(stamp=time_message(stamp), frame_id=FRAME))
        message.twist.linear.x, message.twist.linear.y = float(twist[0]), float(twist[1])
        message.twist.angular.z = float(twist[2])
        began = clock.time_ns()
        self._commands.publish(message)
        with self._changed:
            if not self._changed.wait_for(lambda: stamp in self._answers, ANSWER_TIMEOUT):
                return None
            answer, arrived = self._answers[stamp]
        linear, angular = answer.twist.linear, answer.twist.angular
        return np.array([linear.x, linear.y, angular.z]), (arrived - began) / 1e9


class GuardedVehicle:
    """Drives a ride with the answers of the node."""

    def __init__(self, ride: Ride, harness: GuardHarness) -> None:
        settings = GuardSettings()
        self._ride, self._harness = ride, harness
        self.vehicle = DrivenVehicle(
            settings.footprint, Drivetrain(), generator_of(ride.scenario.seed, "vehicle")
        )
        self._world = RideWorld(ride, self.vehicle)
        self._planner = Planner(ride, self.vehicle)
        self._fusion = FusedPeople(ride.scenario, KeypointResiduals.load(), self.vehicle)
        self._settings = settings
        self._waiting: list[tuple[float, People]] = []
        self._people: People | None = None
        self._people_from: np.ndarray = np.zeros(3)

    def drive(self, advance: Callable[[float], None] = lambda seconds: None) -> GuardRide:
        """Drive to the end or to the first contact."""
        vehicle, every = self.vehicle, round(COMMAND_PERIOD / STEP)
        moments: list[GuardMoment] = []
        contact = None
        began = clock.monotonic()
        for step in range(round(self._ride.scenario.duration / STEP)):
            self._receive()
            if step % every == 0:
                self._harness.set_time(nanoseconds(vehicle.time))
                self._send()
                moments.append(self._command())
                advance(vehicle.time)
                clock.sleep(max(0.0, began + vehicle.time - clock.monotonic()))
            self._planner.advance()
            vehicle.advance()
            touched = self._world.contact(vehicle.time)
            if touched is not None:
                contact = touched.speed
                break
        return GuardRide(
            tuple(moments),
            self._world.radii,
            self._world.walls,
            self._settings.footprint.outline(),
            contact,
            self._harness.statuses,
        )

    def _receive(self) -> None:
        """Take what the fusion has made of the sensors, unless people are cut off."""
        for arrival, people in self._fusion.fused(self.vehicle.time):
            if not self._ride.dropout.active(arrival):
                self._waiting.append((arrival, people))

    def _send(self) -> None:
        time = self.vehicle.time
        for arrival, people in [one for one in self._waiting if one[0] <= time]:
            self._waiting.remove((arrival, people))
            self._people = people
            self._people_from = self.vehicle.state((people.stamp - START_NS) / 1e9)[:3]
            self._harness.send_people(people)

    def _command(self) -> GuardMoment:
        vehicle, time = self.vehicle, self.vehicle.time
        twist = self._planner.command()
        answer = self._harness.answer_to(twist, nanoseconds(time))
        if answer is not None:
            vehicle.command(answer[0])
        zones, label = self._harness.shown
        places, _ = self._world.in_base(time)
        distances = distances_to(vehicle.footprint, places)[0] - self._world.radii
        _, values = self._harness.statuses.get("output", ("", {}))
        return GuardMoment(
            time=time,
            place=vehicle.place.copy(),
            speed=vehicle.speed,
            commanded=float(twist[0]),
            answered=math.nan if answer is None else float(answer[0][0]),
            waited=math.nan if answer is None else 1e3 * answer[1],
            people=self._people,
            people_from=self._people_from,
            truth=self._world.people(time)[0],
            zones=zones,
            label=label,
            values=values,
            distance=float(distances.min(initial=math.inf)),
        )
