# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `hrnet_pose`: images and person detections in, skeletons out.

Subscription callbacks check and pair messages (`Intake`), nothing more. One engine thread converts,
estimates and publishes (`FrameProcessor`). Images that lose on the way are counted, never decoded.
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
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray
from visualization_msgs.msg import MarkerArray

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import Health, Situation, status_line
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor
from hrnet_pose_ros.nodes.pose.frame_processor import Frame, FrameProcessor
from hrnet_pose_ros.nodes.pose.intake import Intake
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_info
from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.lifecycle import ForgivingLifecycle
from hrnet_pose_ros.ros.log import ThrottledWarnings, forward_package_log
from hrnet_pose_ros.ros.parameter_server import declare_parameters
from hrnet_pose_ros.ros.qos import incompatible_peers

NODE_NAME = "hrnet_pose"
EXPIRY_PERIOD = 0.05
DIAGNOSTICS_PERIOD = 1.0
STOP_TIMEOUT = 10.0

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# A second of detections at 30 Hz: with 10, a process that is starved for 0.3 s lost some.
_DETECTIONS = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class PoseNode(ForgivingLifecycle, Node):
    """See the module. `hrnet_pose_ros.ros.process.run` spins and stops it."""

    def __init__(self, **node_arguments: Any) -> None:
        Node.__init__(self, NODE_NAME, **node_arguments)
        # Reentrant: get_state answers while a transition prepares an engine.
        self.slow_callbacks = ReentrantCallbackGroup()
        ForgivingLifecycle.__init__(self, callback_group=self.slow_callbacks)
        self.settings = declare_parameters(
            self, lambda: self.state_id() == State.PRIMARY_STATE_UNCONFIGURED, self._apply
        )
        self.camera_info: CameraInfo | None = None
        self._health = Health()
        self._problem = ""  # of the last transition that failed
        self._warnings = ThrottledWarnings(self.get_logger())
        self._stopping = threading.Event()
        self._build = BuildProgress(self._health, self._stopping)
        self._engine = EngineSupervisor(self, self._health, self._build)
        processor = FrameProcessor(self, self._health, self._engine)
        self._engine_thread: EngineThread[Frame] = EngineThread(processor.process)
        self._intake = Intake(self, self._health, self._engine_thread)
        self._create_outputs()
        self._create_inputs()
        forward_package_log(self.get_logger())
        # A thread, not a timer of period 0: on several threads that can fire once more while it is
        # cancelled, and rclpy's error for it would end the executor.
        self._autostart = threading.Thread(
            target=self._guarded(self._start), name="autostart", daemon=True
        )
        if self.settings.autostart:
            self._autostart.start()

    # --- set-up ----------------------------------------------------------------------------------

    def _create_outputs(self) -> None:
        overridable = QoSOverridingOptions.with_default_policies()

        def publisher(kind: Any, topic: str, qos: QoSProfile) -> Any:
            return self.create_publisher(kind, topic, qos, qos_overriding_options=overridable)

        self._skeletons = publisher(SkeletonArray, "skeletons", _RELIABLE)
        self._smoothed = publisher(SkeletonArray, "skeletons_smoothed", _RELIABLE)
        self._info = publisher(SkeletonInfo, "skeleton_info", _LATCHED)
        self._overlay = publisher(Image, "overlay", QoSProfile(depth=1))
        self._markers = publisher(MarkerArray, "markers", QoSProfile(depth=1))
        self._diagnostics = publisher(DiagnosticArray, "/diagnostics", _RELIABLE)

    def _create_inputs(self) -> None:
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

        sensor = qos_profile_sensor_data
        compressed = self.settings.image_transport == "compressed"
        kind = CompressedImage if compressed else Image
        self.image_topic = self.resolve_topic_name("image") + ("/compressed" if compressed else "")
        self._inputs = [
            subscription(kind, self.image_topic, "images", self._intake.image, sensor),
            subscription(
                Detection2DArray, "detections", "detections", self._intake.detections, _DETECTIONS
            ),
            subscription(CameraInfo, "camera_info", "camera_info", self._on_camera_info, sensor),
        ]
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
                    self.complain(
                        callback.__name__, f"{callback.__name__}: {type(error).__name__}: {error}"
                    )

        return guarded

    # --- inputs ----------------------------------------------------------------------------------

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._health.received("camera_info", time.monotonic())
        self.camera_info = message

    # --- what intake and frame processor ask for -------------------------------------------------

    def now(self) -> int:
        """The node's clock, ns."""
        nanoseconds: int = self.get_clock().now().nanoseconds
        return nanoseconds

    def age(self, stamp: int) -> float:
        """Seconds from a stamp (ns) to the node's clock; 0 for a stamp in its near future."""
        return max(self.now() - stamp, 0) / 1e9

    def obsolete(self, epoch: int) -> Reason | None:
        """Why a frame of that epoch may not be published any more, if it may not."""
        return self._intake.obsolete(epoch)

    def publish_skeletons(self, message: SkeletonArray) -> None:
        """Publish on `skeletons`."""
        self._skeletons.publish(message)

    def publish_smoothed(self, make: Callable[[], Any]) -> None:
        """Smooth and publish on `skeletons_smoothed` where anybody subscribes."""
        _publish_if_wanted(self._smoothed, make)

    def publish_overlay(self, make: Callable[[], Any]) -> None:
        """Draw and publish the overlay where anybody subscribes."""
        _publish_if_wanted(self._overlay, make)

    def publish_markers(self, make: Callable[[], Any]) -> None:
        """Make and publish the markers where anybody subscribes."""
        _publish_if_wanted(self._markers, make)

    def engine_changed(self, info: EngineInfo, fallback: bool) -> None:
        """Publish the latched SkeletonInfo of a new engine."""
        self._info.publish(
            skeleton_info(
                rclpy_types(),
                Header(stamp=self.get_clock().now().to_msg()),
                info,
                image_rectified=self.settings.image_rectified,
                fallback=fallback,
            )
        )

    def complain(self, kind: str, text: str) -> None:
        """Warn in the log, each kind at most every 5 s."""
        self._warnings.warn(kind, text)

    # --- parameters ------------------------------------------------------------------------------

    def _apply(self, settings: Settings) -> None:
        rectified_changed = settings.image_rectified != self.settings.image_rectified
        self.settings = settings
        self._intake.apply(settings)
        if rectified_changed:
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
        outputs = [self._skeletons, self._smoothed, self._info]
        peers = incompatible_peers(self, self._inputs, outputs)
        for text in peers:
            self.complain("incompatible QoS", text)
        situation = Situation(
            active=self._intake.is_open,
            incompatible_qos=peers,
            transition_problem=self._problem,
            warn_age=self.settings.warn_age_ms / 1e3,
        )
        return self._health.statuses(self.get_fully_qualified_name(), situation)

    def _publish_diagnostics(self) -> None:
        self._last_statuses = self._statuses()
        header = Header(stamp=self.get_clock().now().to_msg())
        self._diagnostics.publish(DiagnosticArray(header=header, status=self._last_statuses))

    def _get_status(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer `~/get_status`: the last diagnostics and the lifecycle state in one JSON line."""
        response.message = status_line(self._state_machine.current_state[1], self._last_statuses)
        response.success = True
        return response

    def stop(self) -> bool:
        """End all work; returns False when the engine thread did not end in time."""
        self._stopping.set()
        self._intake.is_open = False
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


def _publish_if_wanted(publisher: Any, make: Callable[[], Any]) -> None:
    if publisher.get_subscription_count():
        message = make()
        if message is not None:
            publisher.publish(message)


def make_node() -> PoseNode:
    """What `hrnet_pose_ros.ros.process.run` spins."""
    return PoseNode()
