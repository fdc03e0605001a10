# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `hrnet_pose`: images and person detections in, skeletons out.

It puts the parts of `nodes/pose/` together. Subscription callbacks send messages through the gate
(`MessageIntake`, `FrameGate`), nothing more. One engine thread converts, estimates and publishes
(`FrameProcessor`). Images that lose on the way are counted, never decoded.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import Health, Situation, status_line
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor
from hrnet_pose_ros.nodes.pose.frame_processor import FrameProcessor
from hrnet_pose_ros.nodes.pose.intake import MessageIntake, warn_of_refusals
from hrnet_pose_ros.nodes.pose.optional_outputs import OptionalOutputs
from hrnet_pose_ros.nodes.pose.publishers import create_publishers
from hrnet_pose_ros.pipeline.gate import EXPIRY_PERIOD, FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import TRANSPORTS
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_info
from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.image_input import ImageInput, image_input
from hrnet_pose_ros.ros.lifecycle import ForgivingLifecycle
from hrnet_pose_ros.ros.log import ThrottledWarnings, forward_package_log
from hrnet_pose_ros.ros.node_clock import NodeClock
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.qos import incompatible_peers

NODE_NAME = "hrnet_pose"
DIAGNOSTICS_PERIOD = 1.0
STOP_TIMEOUT = 10.0

# A second of detections at 30 Hz: with 10, a process that is starved for 0.3 s lost some.
_DETECTIONS = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)


class PoseNode(ForgivingLifecycle, Node):
    """See the module. `hrnet_pose_ros.ros.process.run` spins and stops it.

    ``make`` is `make_engine`, or something that takes its arguments.
    """

    def __init__(
        self, *, make: Callable[..., PoseEngine] = make_engine, **node_arguments: Any
    ) -> None:
        Node.__init__(self, NODE_NAME, **node_arguments)
        # Reentrant: get_state answers while a transition prepares an engine.
        self.slow_callbacks = ReentrantCallbackGroup()
        ForgivingLifecycle.__init__(self, callback_group=self.slow_callbacks)
        self._parameter_server = ParameterServer(
            self,
            Settings,
            unconfigured=lambda: self.state_id() == State.PRIMARY_STATE_UNCONFIGURED,
        )
        settings = self._parameter_server.current
        self._problem = ""  # of the last transition that failed
        self._stopping = threading.Event()
        self._node_clock = NodeClock(self.get_clock())
        self._health = Health()
        self._warnings = ThrottledWarnings(self.get_logger())
        self._outputs = create_publishers(self)
        self._optional_outputs = OptionalOutputs(self._outputs, self._warnings)
        images = image_input(self, TRANSPORTS[settings().image_transport])
        self._gate = FrameGate(
            settings(),
            self._node_clock,
            images.transport,
            self._health.drops.add,
            refused=warn_of_refusals(self._warnings, images.topic),
        )
        self._build = BuildProgress(self._health, self._stopping)
        self._engine = EngineSupervisor(
            settings, self._health, self._warnings, self._build, self._publish_info, make=make
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
        # A thread, not a timer of period 0: on several threads that can fire once more while it is
        # cancelled, and rclpy's error for it would end the executor.
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
            return self.create_subscription(
                kind,
                topic,
                self._guarded(callback),
                qos,
                event_callbacks=SubscriptionEventCallbacks(
                    message_lost=lambda info: self._health.lost(name, info.total_count_change)
                ),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
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
        # Under use_sim_time the node's clock may stand still, and just that has to be said.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(EXPIRY_PERIOD, self._guarded(self._intake.expire), clock=steady)
        self._last_statuses = self._statuses()
        report = self._guarded(self._publish_diagnostics)
        self.create_timer(DIAGNOSTICS_PERIOD, report, clock=steady)
        self.create_service(Trigger, "~/get_status", self._get_status)

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """An exception out of a callback would end the executor: log it instead."""

        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:
                if not self._stopping.is_set():
                    self._warnings.warn(
                        callback.__name__, f"{callback.__name__}: {type(error).__name__}: {error}"
                    )

        return guarded

    # --- messages --------------------------------------------------------------------------------

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._health.received("camera_info", time.monotonic())
        self._optional_outputs.camera_info = message

    def _publish_info(self, info: EngineInfo, fallback: bool) -> None:
        """Publish the latched SkeletonInfo of a new engine."""
        self._outputs.skeleton_info.publish(
            skeleton_info(
                rclpy_types(),
                Header(stamp=self._node_clock.stamp()),
                info,
                image_rectified=self._parameter_server.current().image_rectified,
                fallback=fallback,
            )
        )

    # --- parameters ------------------------------------------------------------------------------

    def _apply(self, before: Settings, after: Settings) -> None:
        self._intake.apply(after)
        if after.image_rectified != before.image_rectified:
            self._engine_thread.call(self._engine.announce)

    # --- lifecycle -------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the engine; other services answer meanwhile."""
        self._build.allow()
        return self._transit("configure", self._engine.prepare)

    def cancel_configuration(self) -> None:
        """See ForgivingLifecycle."""
        self._build.cancel()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to take images."""
        self._intake.open()
        self._problem = ""
        self.get_logger().info(f"active: {self._health.engine_state[1]}")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop taking images; the engine stays."""
        self._intake.close()
        self._build.cancel()  # of an engine for images of another size: it can take minutes
        try:
            return self._transit("deactivate", lambda: None)  # what the thread does now is done
        finally:
            self._build.allow()

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the engine."""
        return self._transit("clean up", self._engine.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, from any state."""
        self._intake.close()
        self._build.cancel()
        return self._transit("shut down", self._engine.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed: back to unconfigured, from where it can be tried again."""
        self._intake.close()
        return TransitionCallbackReturn.SUCCESS

    def _transit(self, what: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        """Do a transition's work on the engine thread. rclpy would swallow what it raises."""
        future = self._engine_thread.call(work)
        while not self._stopping.is_set():
            try:
                future.result(timeout=0.1)
            except concurrent.futures.TimeoutError:
                continue
            except concurrent.futures.CancelledError:
                break
            except BuildCancelled as error:
                self.get_logger().info(f"did not {what}: {error}")
                return TransitionCallbackReturn.FAILURE
            except Exception as error:
                self._problem = f"cannot {what}: {error}"
                self.get_logger().error(self._problem)
                return TransitionCallbackReturn.ERROR
            self._problem = ""
            return TransitionCallbackReturn.SUCCESS
        return TransitionCallbackReturn.FAILURE

    # --- diagnostics and the end -----------------------------------------------------------------

    def _statuses(self) -> list[DiagnosticStatus]:
        peers = incompatible_peers(self, self._inputs, self._outputs.for_consumers)
        for text in peers:
            self._warnings.warn("incompatible QoS", text)
        situation = Situation(
            active=self._gate.is_open,
            incompatible_qos=peers,
            transition_problem=self._problem,
            warn_age=self._parameter_server.current().warn_age_ms / 1e3,
        )
        return self._health.statuses(self.get_fully_qualified_name(), situation)

    def _publish_diagnostics(self) -> None:
        self._last_statuses = self._statuses()
        header = Header(stamp=self._node_clock.stamp())
        self._outputs.diagnostics.publish(
            DiagnosticArray(header=header, status=self._last_statuses)
        )

    def _get_status(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer `~/get_status`: the last diagnostics and the lifecycle state in one JSON line."""
        response.message = status_line(self._state_machine.current_state[1], self._last_statuses)
        response.success = True
        return response

    def stop(self) -> bool:
        """End all work; returns False when the engine thread did not end in time."""
        self._stopping.set()
        self._intake.close()
        self._engine_thread.call(self._engine.release)
        if self._autostart.ident is not None:
            self._autostart.join(STOP_TIMEOUT)
        return self._engine_thread.stop(STOP_TIMEOUT) and not self._autostart.is_alive()

    def destroy_node(self) -> None:
        """Free the node and its DDS participant."""
        # rclpy's mixin never frees its state machine. That holds the node, the node its DDS
        # participant, and this 35 MB in /dev/shm, which would stay there after the process.
        self._state_machine.destroy_when_not_in_use()
        Node.destroy_node(self)


def make_node() -> PoseNode:
    """What `hrnet_pose_ros.ros.process.run` spins."""
    return PoseNode()
