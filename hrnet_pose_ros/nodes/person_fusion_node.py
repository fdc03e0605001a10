# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `person_fusion`: skeletons and whatever sensors there are in, people out.

Everything that is decided is decided by `FusionRun`, as in the offline run. The node receives,
looks at its clock, and publishes. Subscription callbacks only put messages into the queue of one
thread, which reads and fuses: a cloud does not keep skeletons from being received.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from hrnet_pose_ros.msg import PersonArray
from hrnet_pose_ros.nodes.people.diagnostics import FusionHealth, FusionState
from hrnet_pose_ros.nodes.people.outputs import PeopleOutputs
from hrnet_pose_ros.nodes.people.subscriptions import INPUT_TOPICS, create_inputs
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.fusion_run import TICK, FusionRun
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, person_array
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.ros.diagnostic_status import StatusLog, status_line
from hrnet_pose_ros.ros.guarded_callbacks import guarded
from hrnet_pose_ros.ros.lifecycle import RobustLifecycleMixin
from hrnet_pose_ros.ros.log import ThrottledWarnings, forward_package_log
from hrnet_pose_ros.ros.node_clock import NodeClock
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.qos import incompatible_peers
from hrnet_pose_ros.ros.topics import create_publisher
from hrnet_pose_ros.ros.worker_thread import WorkerThread

NODE_NAME = "person_fusion"
DIAGNOSTICS_PERIOD = 1.0
STOP_TIMEOUT = 10.0
_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class PersonFusionNode(RobustLifecycleMixin, Node):
    """The fusion node; `hrnet_pose_ros.ros.process.run` spins and stops it."""

    def __init__(self, **node_arguments: Any) -> None:
        Node.__init__(self, NODE_NAME, **node_arguments)
        self.slow_callbacks = ReentrantCallbackGroup()
        RobustLifecycleMixin.__init__(self, callback_group=self.slow_callbacks)
        self._parameter_server = ParameterServer(
            self,
            PersonFusionSettings,
            unconfigured=lambda: self.state_id() == State.PRIMARY_STATE_UNCONFIGURED,
        )
        settings = self._parameter_server.current()
        self._active = False
        self._stopping = threading.Event()
        self._node_clock = NodeClock(self.get_clock())
        self._health = FusionHealth()
        self._status_log = StatusLog(self.get_logger())
        self._warnings = ThrottledWarnings(self.get_logger())
        self._types = RclpyClasses()
        self._run = FusionRun(settings)
        self._people = create_publisher(self, PersonArray, "people", _RELIABLE, peers_reported=True)
        self._outputs = PeopleOutputs(self, self._types, self._warnings)
        self._diagnostics = create_publisher(self, DiagnosticArray, "/diagnostics", _RELIABLE)
        self._worker = WorkerThread("fusion")
        self._inputs = create_inputs(
            self, settings.ranges, self._receive, self._health.lost, self._guarded
        )
        self._last_statuses: list[DiagnosticStatus] = []
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK, self._guarded(self._on_tick), clock=steady)
        report = self._guarded(self._on_report)
        self.create_timer(DIAGNOSTICS_PERIOD, report, clock=steady)
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

    # --- from the executor to the queue ----------------------------------------------------------

    def _receive(self, what: Input, topic: str, message: Any) -> None:
        now, arrived = self._node_clock.now(), time.monotonic()
        work = self._guarded(lambda: self._take(what, topic, message, now, arrived))
        replaced = self._worker.submit((what, topic), work, INPUT_TOPICS[what].waiting)
        if replaced:
            overload = self._guarded(lambda: self._run.overload(what, replaced))
            self._worker.submit("overload", overload, 10_000)

    def _on_tick(self) -> None:
        now = self._node_clock.now()
        work = self._guarded(lambda: self._publish(self._run.tick(now), math.nan))
        self._worker.submit("tick", work, 1)

    def _on_report(self) -> None:
        ours = [self._people, *self._outputs.for_consumers]
        peers = incompatible_peers(self, self._inputs, ours)
        for text in peers:
            self._warnings.warn("incompatible QoS", text)
        now = self._node_clock.now()
        self._worker.submit("report", self._guarded(lambda: self._report(peers, now)), 1)

    def _apply(self, before: PersonFusionSettings, after: PersonFusionSettings) -> None:
        self._worker.call(lambda: self._run.apply(after))

    # --- on the worker's thread ------------------------------------------------------------------

    def _take(self, what: Input, topic: str, message: Any, now: int, arrived: float) -> None:
        before = self._run.problems.get(what)
        outputs = self._run.take(what, message, now, topic)
        self._publish(outputs, arrived if what is Input.SKELETONS else math.nan)
        problem = self._run.problems.get(what)
        if problem is not None and problem is not before:
            self._warnings.warn(topic, f"{topic}: refused: {problem}")

    def _publish(self, outputs: list[PeopleOutput], arrived: float) -> None:
        for output in outputs:
            self._people.publish(person_array(self._types, output))
            latency = time.monotonic() - arrived
            age = (self._node_clock.now() - output.stamp) / 1e9
            self._health.published(output, latency, age)
            self._outputs.publish(output)

    def _report(self, peers: list[str], now: int) -> None:
        run, settings = self._run, self._parameter_server.current()
        status, reasons = run.status(now)
        state = FusionState(
            active=self._active,
            status=status,
            reasons=reasons,
            account=run.account(),
            cues=run.cues(),
            problems=run.current_problems(),
            transforms_refused=run.transforms_refused,
            transform_problems=run.transform_problems(),
            incompatible_qos=peers,
            transition_problem=self.transition_problem,
            warn_latency=settings.warn_latency_ms / 1e3,
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
        """Start to use skeletons and sensors."""

        def begin() -> None:
            self._run.open(self._node_clock.now())
            self._active = True

        answer = self._run_transition("activate", begin)
        if answer == TransitionCallbackReturn.SUCCESS:
            self.get_logger().info(
                f"active: people in {self._parameter_server.current().base_frame}"
            )
        return answer

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop; the tracks are forgotten, what is known of the sensors is kept."""
        return self._run_transition("deactivate", self._close)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Nothing has to be released."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, from any state."""
        return self._run_transition("shut down", self._close)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a failed transition, return to unconfigured, from where it can be repeated."""
        self._worker.call(self._close)
        return TransitionCallbackReturn.SUCCESS

    def _close(self) -> None:
        self._active = False
        self._run.close()

    def _run_transition(self, what: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        """Do a transition's work on the worker's thread."""
        return self.wait_for_work(what, self._worker.call(work), self._stopping)

    # --- the end ---------------------------------------------------------------------------------

    def _get_status(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer `~/get_status` with the last diagnostics and lifecycle state as one JSON line."""
        response.message = status_line(self._state_machine.current_state[1], self._last_statuses)
        response.success = True
        return response

    def stop(self) -> bool:
        """Stop all work; return False if the worker did not end in time."""
        self._stopping.set()
        if self._autostart.ident is not None:
            self._autostart.join(STOP_TIMEOUT)
        return self._worker.stop(STOP_TIMEOUT) and not self._autostart.is_alive()

    def destroy_node(self) -> None:
        """Destroy the node and its DDS participant."""
        self._state_machine.destroy_when_not_in_use()  # as in `PoseNode`
        Node.destroy_node(self)


def make_node() -> PersonFusionNode:
    """Make the node for `hrnet_pose_ros.ros.process.run`."""
    return PersonFusionNode()
