# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `pedestrian_guard`: limits velocity commands for the people around a vehicle.

Everything that is decided is decided by `GuardRun`. The node receives, looks at its clocks, and
publishes, in the callback of the command: nothing waits for another thread. Reports, markers and
speed limits are made on the threads of the slow callbacks.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.msg import PersonArray
from hrnet_pose_ros.nodes.guard.diagnostics import GuardHealth, GuardState
from hrnet_pose_ros.pipeline.guard.guard_markers import guard_markers
from hrnet_pose_ros.pipeline.guard.guard_run import TICK, GuardInput, GuardRun
from hrnet_pose_ros.pipeline.guard.settings import PedestrianGuardSettings
from hrnet_pose_ros.pipeline.guard.speed_limits import SPEED_LIMIT, speed_limit
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.ros.diagnostic_status import StatusLog, status_line
from hrnet_pose_ros.ros.guarded_callbacks import guarded
from hrnet_pose_ros.ros.lifecycle import RobustLifecycleMixin
from hrnet_pose_ros.ros.log import ThrottledWarnings, forward_package_log
from hrnet_pose_ros.ros.node_clock import NodeClock
from hrnet_pose_ros.ros.optional_messages import find_message
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.qos import incompatible_peers
from hrnet_pose_ros.ros.topics import create_publisher, create_subscription

NODE_NAME = "pedestrian_guard"
DIAGNOSTICS_PERIOD = 1.0
SHOW_PERIOD = 0.1  # s: of markers and speed limits
# The speed limit is published every so many `SHOW_PERIOD`s, and when it changes by this, m/s.
LIMIT_EVERY, LIMIT_CHANGE = 10, 0.02
# How long the end waits for the last zero to arrive, s.
LAST_WORD = 0.5
# Python's threads take turns after this time, s: a report must not keep a command waiting.
SWITCH_INTERVAL = 0.0005
# The newest message is all that counts.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class PedestrianGuardNode(RobustLifecycleMixin, Node):
    """The guard node; `hrnet_pose_ros.ros.process.run` spins and stops it."""

    def __init__(self, **node_arguments: Any) -> None:
        Node.__init__(self, NODE_NAME, **node_arguments)
        self.slow_callbacks = ReentrantCallbackGroup()
        RobustLifecycleMixin.__init__(self, callback_group=self.slow_callbacks)
        self._parameter_server = ParameterServer(self, PedestrianGuardSettings)
        settings = self._parameter_server.current()
        self._stopping = threading.Event()
        self._node_clock = NodeClock(self.get_clock())
        self._health = GuardHealth()
        self._status_log = StatusLog(self.get_logger())
        self._warnings = ThrottledWarnings(self.get_logger())
        self._types = RclpyClasses()
        # Callbacks, transitions and reports are on different threads.
        self._lock = threading.Lock()
        self._run = GuardRun(settings)
        self._stamped = settings.enable_stamped_cmd_vel
        kind = TwistStamped if self._stamped else Twist
        self._commands = create_publisher(self, kind, "cmd_vel", _NEWEST, peers_reported=True)
        self._markers = create_publisher(self, MarkerArray, "guard/markers", _NEWEST)
        limits = find_message(self, self._types, SPEED_LIMIT, "speed_limit")
        self._limits = (
            None
            if limits is None
            else create_publisher(self, limits, "speed_limit", _NEWEST, peers_reported=True)
        )
        self._said_limit, self._shown = math.nan, 0
        self._diagnostics = create_publisher(self, DiagnosticArray, "/diagnostics", _RELIABLE)
        self._inputs = [
            create_subscription(
                self,
                PersonArray,
                "people",
                self._guarded(self._on_people),
                _NEWEST,
                lost=lambda count: self._health.lost(GuardInput.PEOPLE, count),
                peers_reported=True,
            ),
            create_subscription(
                self,
                kind,
                "cmd_vel_in",
                self._with_info(self._on_command),
                _NEWEST,
                lost=lambda count: self._health.lost(GuardInput.COMMANDS, count),
                peers_reported=True,
            ),
        ]
        self._last_statuses: list[DiagnosticStatus] = []
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK, self._guarded(self._on_tick), clock=steady)
        for period, callback in (
            (DIAGNOSTICS_PERIOD, self._on_report),
            (SHOW_PERIOD, self._on_show),
        ):
            self.create_timer(
                period, self._guarded(callback), callback_group=self.slow_callbacks, clock=steady
            )
        self.create_service(Trigger, "~/get_status", self._get_status)
        self._parameter_server.on_change(self._apply)
        forward_package_log(self.get_logger())
        # A thread for the reason that `PoseNode` gives.
        self._autostart = threading.Thread(
            target=self._guarded(self._start), name="autostart", daemon=True
        )
        if settings.autostart:
            self._autostart.start()

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        return guarded(callback, self._warnings, self._stopping)

    def _with_info(self, callback: Callable[[Any, Any], None]) -> Callable[..., None]:
        """A guarded callback that rclpy recognises as one that takes the MessageInfo as well."""
        guard = self._guarded(callback)

        def receive(message: Any, info: Any) -> None:
            guard(message, info)

        return receive

    # --- commands --------------------------------------------------------------------------------

    def _on_people(self, message: PersonArray) -> None:
        with self._lock:
            now = self._node_clock.now()
            decision = self._run.people(message, now, time.monotonic())
            self._publish(decision, None)
        self._warn_about(GuardInput.PEOPLE)

    def _on_command(self, message: Any, info: dict[str, int]) -> None:
        received = info["received_timestamp"]  # of the system's clock, ns; 0 if it is not known
        waited = max(time.time_ns() - received, 0) if received else 0
        with self._lock:
            now = self._node_clock.now()
            decision = self._run.command(message, now, now - waited, time.monotonic())
            self._publish(decision, message.header if self._stamped else None)
        if decision is not None:
            self._health.published((time.time_ns() - received) / 1e9 if received else math.nan)
        self._warn_about(GuardInput.COMMANDS)

    def _on_tick(self) -> None:
        with self._lock:
            decision = self._run.tick(self._node_clock.now(), time.monotonic())
            self._publish(decision, None)

    def _publish(self, decision: Decision | None, header: Header | None) -> None:
        """Publish a decision; an answer has the header of its command. Call it with the lock."""
        self._health.decided(self._run.decision)
        if decision is None or self._stopping.is_set():
            return
        twist = twist_message(decision)
        if self._stamped:
            if header is None:
                frame = self._parameter_server.current().base_frame
                header = Header(stamp=self._node_clock.stamp(), frame_id=frame)
            self._commands.publish(TwistStamped(header=header, twist=twist))
        else:
            self._commands.publish(twist)

    def _warn_about(self, what: GuardInput) -> None:
        problem = self._run.new_problem(what)
        if problem:
            self._warnings.warn(what.value, f"{what.value}: refused: {problem}")

    def _apply(self, before: PedestrianGuardSettings, after: PedestrianGuardSettings) -> None:
        with self._lock:
            self._run.apply(after)

    # --- what is shown ---------------------------------------------------------------------------

    def _on_show(self) -> None:
        settings = self._parameter_server.current()
        now = self._node_clock.now()
        if self._markers.get_subscription_count():
            with self._lock:
                situation = self._run.situation(now)
            self._markers.publish(
                guard_markers(self._types, now, settings.base_frame, situation, settings.core())
            )
        self._shown += 1
        if self._limits is not None and self._limits.get_subscription_count():
            # With the lock: a limit that followed the last word of `_close` would stay.
            # Before the first decision nothing is known, not even what is missing.
            with self._lock:
                if self._run.active and self._run.decision is not None:
                    allowed = self._run.speed_limit(now)
                    changed = not abs(allowed - self._said_limit) < LIMIT_CHANGE
                    if changed or self._shown % LIMIT_EVERY == 0:
                        self._say_limit(allowed, settings, now)

    def _on_report(self) -> None:
        ours = [self._commands, *([] if self._limits is None else [self._limits])]
        peers = incompatible_peers(self, self._inputs, ours)
        for text in peers:
            self._warnings.warn("incompatible QoS", text)
        with self._lock:
            state = GuardState(
                situation=self._run.situation(self._node_clock.now()),
                account=self._run.account,
                problems=dict(self._run.problems),
                counts=self._run.counts,
                settings=self._parameter_server.current(),
                incompatible_qos=peers,
            )
            self._last_statuses = self._health.statuses(self.get_fully_qualified_name(), state)
        self._status_log.report(self._last_statuses)
        header = Header(stamp=self._node_clock.stamp())
        self._diagnostics.publish(DiagnosticArray(header=header, status=self._last_statuses))

    # --- lifecycle -------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def cancel_configuration(self) -> None:
        """See `RobustLifecycleMixin`; a configuration takes no time here."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Nothing has to be made."""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to answer commands."""
        with self._lock:
            self._run.open()
        self.get_logger().info(
            f"active: {self._inputs[1].topic_name} goes on to {self._commands.topic_name} as the "
            "people allow it. This is not a safety function (no performance level, EN ISO 3691-4): "
            "scanner and emergency stop stay"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish zero, and answer no more."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Nothing has to be released."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish zero, and answer no more, from any state."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a failed transition, return to unconfigured, from where it can be repeated."""
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def _close(self) -> None:
        with self._lock:
            was_active = self._run.active
            self._publish(self._run.close(), None)
            if was_active and self._limits is not None and self._limits.get_subscription_count():
                # No limit: the planners would keep the last one.
                settings = self._parameter_server.current()
                self._say_limit(settings.max_speed, settings, self._node_clock.now())

    def _say_limit(self, allowed: float, settings: PedestrianGuardSettings, now: int) -> None:
        """Publish what is allowed of the largest speed. Call it with the lock."""
        self._said_limit = allowed
        if self._limits is not None:
            self._limits.publish(
                speed_limit(self._types, now, settings.base_frame, allowed, settings.max_speed)
            )

    # --- the end ---------------------------------------------------------------------------------

    def _get_status(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer `~/get_status` with the last diagnostics and lifecycle state as one JSON line."""
        response.message = status_line(self._state_machine.current_state[1], self._last_statuses)
        response.success = True
        return response

    def stop(self) -> bool:
        """Publish zero and stop all work; return False if the start did not end in time."""
        self._close()
        self._commands.wait_for_all_acked(Duration(seconds=LAST_WORD))
        self._stopping.set()
        if self._autostart.ident is not None:
            self._autostart.join(LAST_WORD)
        return not self._autostart.is_alive()

    def destroy_node(self) -> None:
        """Destroy the node and its DDS participant."""
        self._state_machine.destroy_when_not_in_use()  # as in `PoseNode`
        Node.destroy_node(self)


def twist_message(decision: Decision) -> Twist:
    """Return the twist of a decision as a message."""
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.linear.z = decision.twist.linear
    twist.angular.x, twist.angular.y, twist.angular.z = decision.twist.angular
    return twist


def make_node() -> PedestrianGuardNode:
    """Make the node for `hrnet_pose_ros.ros.process.run`."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    return PedestrianGuardNode()
