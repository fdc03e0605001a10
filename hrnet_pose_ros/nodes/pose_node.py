# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `hrnet_pose`: images and person detections in, skeletons out.

It connects the parts in `nodes/pose/`. Subscription callbacks only pass messages through the gate
(`MessageIntake`, `FrameGate`). One engine thread converts, estimates and publishes
(`FrameProcessor`). Images that are dropped before that are counted, never decoded.
"""

from __future__ import annotations

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
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import Health, NodeStatus
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor
from hrnet_pose_ros.nodes.pose.frame_processor import FrameProcessor
from hrnet_pose_ros.nodes.pose.intake import MessageIntake, refusal_warnings
from hrnet_pose_ros.nodes.pose.optional_outputs import OptionalOutputs
from hrnet_pose_ros.nodes.pose.publishers import create_publishers
from hrnet_pose_ros.pipeline.gate import EXPIRY_PERIOD, FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import TRANSPORTS
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.settings import IDS_NEVER, Settings
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_info
from hrnet_pose_ros.ros.diagnostic_status import StatusLog, status_line
from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.guarded_callbacks import guarded
from hrnet_pose_ros.ros.image_input import ImageInput, image_input
from hrnet_pose_ros.ros.lifecycle import RobustLifecycleMixin
from hrnet_pose_ros.ros.log import ThrottledWarnings, forward_package_log
from hrnet_pose_ros.ros.node_clock import NodeClock
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.process import RESPAWN
from hrnet_pose_ros.ros.qos import incompatible_peers
from hrnet_pose_ros.ros.topics import create_subscription

NODE_NAME = "hrnet_pose"
DIAGNOSTICS_PERIOD = 1.0
STOP_TIMEOUT = 10.0
# The parameters that decide which detections are persons.
CHOICE_OF_PERSONS = ("class_ids", "min_detection_score", "detector_size", "detector_letterbox")

# One second of detections at 30 Hz. With a depth of 10, detections were lost when the process did
# not get the CPU for 0.3 s.
_DETECTIONS = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)


class PoseNode(RobustLifecycleMixin, Node):
    """The pose node; `hrnet_pose_ros.ros.process.run` spins and stops it.

    ``make`` is `make_engine` or a function with the same arguments.
    """

    def __init__(
        self, *, make: Callable[..., PoseEngine] = make_engine, **node_arguments: Any
    ) -> None:
        Node.__init__(self, NODE_NAME, **node_arguments)
        self.exit_code: int | None = None  # see `hrnet_pose_ros.ros.process.run`
        # Reentrant, so that get_state is answered while a transition makes an engine.
        self.slow_callbacks = ReentrantCallbackGroup()
        RobustLifecycleMixin.__init__(self, callback_group=self.slow_callbacks)
        self._parameter_server = ParameterServer(
            self,
            Settings,
            unconfigured=lambda: self.state_id() == State.PRIMARY_STATE_UNCONFIGURED,
        )
        settings = self._parameter_server.current
        self._stopping = threading.Event()
        self._node_clock = NodeClock(self.get_clock())
        self._health = Health()
        self._status_log = StatusLog(self.get_logger())
        self._warnings = ThrottledWarnings(self.get_logger())
        self._outputs = create_publishers(self)
        self._optional_outputs = OptionalOutputs(self._outputs, self._warnings)
        images = image_input(self, TRANSPORTS[settings().image_transport])
        self._gate = FrameGate(
            settings(),
            self._node_clock,
            images.transport,
            self._health.drops.add,
            refused=refusal_warnings(self._warnings, images.topic, self._health.refused),
        )
        self._build = BuildProgress(self._health, self._stopping)
        self._engine = EngineSupervisor(
            settings,
            self._health,
            self._warnings,
            self._build,
            self._publish_info,
            self._end_process,
            make=make,
        )
        processor = FrameProcessor(
            settings,
            images,
            self._gate,
            self._engine,
            self._outputs.skeletons,
            self._optional_outputs,
            self._health,
            self._warnings,
        )
        self._engine_thread: EngineThread[PairedFrame] = EngineThread(processor.process)
        self._intake = MessageIntake(self._gate, self._health, self._engine_thread)
        self._inputs = self._create_inputs(images)
        self._create_timers()
        self._parameter_server.on_change(self._apply)
        forward_package_log(self.get_logger())
        # A thread instead of a timer with period 0: with several threads, such a timer can fire
        # again while it is being cancelled, and the resulting rclpy error would end the executor.
        self._autostart = threading.Thread(
            target=self._guarded(self._start), name="autostart", daemon=True
        )
        if settings().autostart:
            self._autostart.start()

    # --- set-up ----------------------------------------------------------------------------------

    def _create_inputs(self, images: ImageInput) -> list[Any]:
        def subscription(
            kind: Any, topic: str, name: str, callback: Callable[[Any], None], qos: QoSProfile
        ) -> Any:
            return create_subscription(
                self,
                kind,
                topic,
                self._guarded(callback),
                qos,
                lost=lambda count: self._health.lost(name, count),
                peers_reported=True,
                take_all=kind is Detection2DArray,
            )

        sensor, intake = qos_profile_sensor_data, self._intake
        return [
            subscription(images.message_class, images.topic, "images", intake.image, sensor),
            subscription(
                Detection2DArray, "detections", "detections", intake.detections, _DETECTIONS
            ),
            subscription(CameraInfo, "camera_info", "camera_info", self._on_camera_info, sensor),
        ]

    def _create_timers(self) -> None:
        # Under use_sim_time the node's clock may stand still, which diagnostics must report.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(EXPIRY_PERIOD, self._guarded(self._intake.expire), clock=steady)
        self._last_statuses = self._statuses()
        report = self._guarded(self._publish_diagnostics)
        self.create_timer(DIAGNOSTICS_PERIOD, report, clock=steady)
        self.create_service(Trigger, "~/get_status", self._get_status)

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        return guarded(callback, self._warnings, self._stopping)

    # --- messages --------------------------------------------------------------------------------

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._health.received("camera_info", time.monotonic())
        self._optional_outputs.camera_info = message

    def _publish_info(self, info: EngineInfo, fallback: bool) -> None:
        """Publish the latched SkeletonInfo of a new engine."""
        settings = self._parameter_server.current()
        self._outputs.skeleton_info.publish(
            skeleton_info(
                rclpy_types(),
                Header(stamp=self._node_clock.stamp()),
                info,
                image_rectified=settings.image_rectified,
                assigned_ids=settings.assign_ids != IDS_NEVER,
                fallback=fallback,
            )
        )

    def _end_process(self, reason: str) -> None:
        self.exit_code = RESPAWN

    # --- parameters ------------------------------------------------------------------------------

    def _apply(self, before: Settings, after: Settings) -> None:
        self._intake.apply(after)
        if any(getattr(before, name) != getattr(after, name) for name in CHOICE_OF_PERSONS):
            self._health.judge_persons_anew()
        told = ("image_rectified", "assign_ids")  # in SkeletonInfo
        if any(getattr(after, name) != getattr(before, name) for name in told):
            self._engine_thread.call(self._engine.announce)

    # --- lifecycle -------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the engine; other services are answered in the meantime."""
        self._build.allow()
        return self._run_transition("configure", self._engine.prepare)

    def cancel_configuration(self) -> None:
        """See `RobustLifecycleMixin`."""
        self._build.cancel()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start accepting images."""
        self._intake.open()
        self.get_logger().info(f"active: {self._health.engine_state[1]}")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop accepting images; the engine is kept."""
        self._intake.close()
        self._build.cancel()  # a build for images of another size can take minutes
        try:
            # Returns when the engine thread has finished its current work.
            return self._run_transition("deactivate", lambda: None)
        finally:
            self._build.allow()

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the engine."""
        return self._run_transition("clean up", self._engine.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        self._intake.close()
        self._build.cancel()
        return self._run_transition("shut down", self._engine.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a failed transition, return to unconfigured, from where it can be repeated."""
        self._intake.close()
        return TransitionCallbackReturn.SUCCESS

    def _run_transition(self, what: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        """Do a transition's work on the engine thread."""
        return self.wait_for_work(
            what, self._engine_thread.call(work), self._stopping, (BuildCancelled,)
        )

    # --- diagnostics and the end -----------------------------------------------------------------

    def _statuses(self) -> list[DiagnosticStatus]:
        peers = incompatible_peers(self, self._inputs, self._outputs.for_consumers)
        for text in peers:
            self._warnings.warn("incompatible QoS", text)
        node_status = NodeStatus(
            active=self._gate.is_open,
            incompatible_qos=peers,
            transition_problem=self.transition_problem,
            warn_age=self._parameter_server.current().warn_age_ms / 1e3,
        )
        return self._health.statuses(self.get_fully_qualified_name(), node_status)

    def _publish_diagnostics(self) -> None:
        self._last_statuses = self._statuses()
        self._status_log.report(self._last_statuses)
        header = Header(stamp=self._node_clock.stamp())
        self._outputs.diagnostics.publish(
            DiagnosticArray(header=header, status=self._last_statuses)
        )

    def _get_status(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer `~/get_status` with the last diagnostics and lifecycle state as one JSON line."""
        response.message = status_line(self._state_machine.current_state[1], self._last_statuses)
        response.success = True
        return response

    def stop(self) -> bool:
        """Stop all work; return False if the engine thread did not end in time."""
        self._stopping.set()
        self._intake.close()
        self._engine_thread.call(self._engine.release)
        if self._autostart.ident is not None:
            self._autostart.join(STOP_TIMEOUT)
        return self._engine_thread.stop(STOP_TIMEOUT) and not self._autostart.is_alive()

    def destroy_node(self) -> None:
        """Destroy the node and its DDS participant."""
        # rclpy's mixin never destroys its state machine, which references the node. The node's DDS
        # participant would then leave 35 MB in /dev/shm after the process has ended.
        self._state_machine.destroy_when_not_in_use()
        Node.destroy_node(self)


def make_node() -> PoseNode:
    """Make the node for `hrnet_pose_ros.ros.process.run`."""
    return PoseNode()
