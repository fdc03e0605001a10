# SPDX-License-Identifier: Apache-2.0
"""A robot about the guard node, over real DDS in simulated time: people, commands and the base.

Time passes only when the robot says so, and after each command it waits for the answer: the speed
of the machine plays no part.
"""

from __future__ import annotations

import copy
from typing import Any

from geometry_msgs.msg import Point, Twist, TwistStamped
from ros_robot import RELIABLE, Robot, SimulatedClock, header
from visualization_msgs.msg import MarkerArray

from hrnet_pose_ros.msg import Person, PersonArray

NODE = "pedestrian_guard"
START = 1_700_000_000_000_000_000  # ns
STEP = 50_000_000  # ns
LATENCY = 80_000_000  # ns: of people
START_TIMEOUT = 180.0  # s: a busy machine imports slowly
FORWARD, YAW_RATE = 1.0, 0.2
# Of the node: short times, and commands may wait for a busy machine.
PARAMETERS: dict[str, Any] = {
    "use_sim_time": True,
    "view_deg": 360.0,
    "crawl_time_ms": 300.0,
    "release_delay_ms": 150.0,
    "command_timeout_ms": 3000.0,
    "stop_pub_timeout_ms": 60000.0,
}


class GuardRobot(Robot):
    """Commands an arc, and tells where people are.

    Attributes
    ----------
    who
        Places (x, y) of the people, m.
    people, command
        What is sent at each step; None: nothing. The stamp is filled in.
    people_age, command_age
        ns, of what is sent; commands have it if they are stamped.
    """

    def __init__(self, namespace: str, *, stamped: bool = False) -> None:
        super().__init__(namespace, peer=NODE)
        self.stamped = stamped
        kind = TwistStamped if stamped else Twist
        self._people = self.node.create_publisher(PersonArray, "people", RELIABLE)
        self._commands = self.node.create_publisher(kind, "cmd_vel_in", RELIABLE)
        self.listen(kind, "cmd_vel", RELIABLE)
        self.listen(MarkerArray, "guard/markers", RELIABLE)
        self.now = START
        self.clock: SimulatedClock | None = None
        self.reset()

    def reset(self) -> None:
        """Send what is right, about nobody."""
        self.who: list[tuple[float, float]] = []
        self.people: PersonArray | None = PersonArray()
        self.command: Twist | None = twist(FORWARD, YAW_RATE)
        self.frame, self.people_age, self.command_age = "base_link", LATENCY, 0

    def begin(self, node: Any) -> None:
        """Wait until the node is active, and hears this robot and its clock."""
        ended = node.process.poll
        self.wait(lambda: "]: active: " in node.log or ended() is not None, START_TIMEOUT)
        assert node.process.poll() is None, node.log
        voices = (self._people, self._commands)
        self.wait(lambda: all(one.get_subscription_count() for one in voices), what="a peer")
        self.clock = SimulatedClock(self)
        self.clock.set(self.now)

    @property
    def speeds(self) -> list[float]:
        """The forward speeds that have come so far, m/s."""
        return [one.linear.x for one in self.twists]

    @property
    def twists(self) -> list[Twist]:
        """What has come so far."""
        heard = list(self.heard["cmd_vel"])
        return [one.twist for one in heard] if self.stamped else heard

    @property
    def label(self) -> str:
        """What the guard has last said about itself."""
        shown = [one for array in self.heard["guard/markers"][-1:] for one in array.markers]
        return next((one.text for one in shown if one.ns == "label"), "")

    def send_people(self) -> None:
        if self.people is None:
            return
        message = copy.deepcopy(self.people)
        message.header = header(self.now - self.people_age, self.frame)
        if self.who:
            message.people = [
                Person(id=str(n), position=Point(x=x, y=y), existence=0.9, radius=0.3, sources=128)
                for n, (x, y) in enumerate(self.who)
            ]
        self._people.publish(message)

    def send_command(self) -> None:
        assert self.command is not None
        if self.stamped:
            self._commands.publish(
                TwistStamped(
                    header=header(self.now - self.command_age, "base_link"), twist=self.command
                )
            )
        else:
            self._commands.publish(self.command)

    def advance(self, steps: int = 1) -> float:
        """Let steps of time pass; return the speed that came last."""
        assert self.clock is not None
        for _ in range(steps):
            self.now += STEP
            self.clock.tick(self.now)
            self.send_people()
            count = len(self.heard["cmd_vel"])
            if self.command is not None:
                self.send_command()
                self.wait(lambda n=count: len(self.heard["cmd_vel"]) > n, what="an answer")
            else:  # the node acts by itself, at its own rate
                self.wait(lambda n=count: len(self.heard["cmd_vel"]) > n, 0.2, fail=False)
        return self.speeds[-1] if self.heard["cmd_vel"] else 0.0

    def advance_until(self, condition: Any, what: str, most: int = 120) -> list[float]:
        """Let time pass until a condition holds; return the speeds that came.

        After the last step time stands still, and only the machine is waited for: labels and speed
        limits come by its own clock, and are slower than a thousand steps on a busy one.
        """
        begin = len(self.speeds)
        for _ in range(most):
            self.advance()
            if condition():
                return self.speeds[begin:]
        if self.wait(condition, fail=False):
            return self.speeds[begin:]
        raise AssertionError(f"not {what} after {most} steps: {self.label!r}, {self.speeds[-5:]}")


def twist(forward: float, yaw_rate: float = 0.0) -> Twist:
    """A command."""
    message = Twist()
    message.linear.x, message.angular.z = forward, yaw_rate
    return message
